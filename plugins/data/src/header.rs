//! Whether the first line of an unknown file names its columns.

use crate::column::{CLASSES, ColumnFacts};
use crate::names::is_usual;

/// How people write that there is no value.
const MISSING: [&str; 7] = ["?", "-", "na", "n/a", "nan", "null", "none"];

/// Why the first line is data and not names, where it is. `facts` are those of the table read with a header.
///
/// In this order: a word over a column of numbers is a name; a word that its own column has again and again is a row's. A word
/// over a column of few values, none of which it is, is a name. After that numbers are data, unless they only count the columns, as pandas
/// does where nobody named them; and so is a sentence.
pub fn headless(facts: &[ColumnFacts]) -> Option<String> {
    let number = |text: &str| text.parse::<f64>().is_ok();
    let named: Vec<(&ColumnFacts, &str)> = facts
        .iter()
        .map(|fact| (fact, fact.name.trim()))
        .filter(|(_, name)| !name.is_empty())
        .collect();
    let words = || named.iter().filter(|(_, name)| !number(name));
    let over_numbers = words().any(|(fact, name)| {
        let all = !fact.values.is_empty() && fact.values.iter().all(|(v, _)| number(v));
        all && !fact.vector && !MISSING.contains(&name.to_lowercase().as_str())
    });
    if over_numbers {
        return None;
    }
    // A usual name of a text or a label that no row has in its place: then a word that a class is called by, `spam`, is one of the names too.
    let usual =
        words().any(|(fact, name)| is_usual(name) && fact.values.iter().all(|(v, _)| v != name));
    if usual {
        return None;
    }
    let among_its_own = words().find(|(fact, name)| {
        let few = fact.distinct <= CLASSES && fact.values.iter().any(|(_, n)| *n > 1);
        few && fact.values.iter().any(|(v, _)| v == name)
    });
    if let Some((_, name)) = among_its_own {
        return Some(format!("its first line has `{name}`, which rows have too"));
    }
    // A row's own class would stand in another row as well.
    let over_classes = words().any(|(fact, _)| {
        let rows: usize = fact.values.iter().map(|(_, n)| n).sum();
        let few = (2..=CLASSES).contains(&fact.distinct) && rows >= 2 * fact.distinct;
        few && fact.words <= 4.0
    });
    if over_classes {
        return None;
    }
    let numbers = || named.iter().filter(|(_, name)| number(name));
    let counts = |from: usize| {
        let mut all = (from..).zip(numbers());
        all.all(|(i, (_, name))| *name == i.to_string())
    };
    // Two small numbers may well be a row.
    let counted = numbers().count() > 2 && (counts(0) || counts(1));
    if let Some((_, name)) = numbers().find(|(fact, _)| !counted && fact.numbers > 0.5) {
        return Some(format!(
            "its first line has the number {name} where a name would stand"
        ));
    }
    let sentence = words().any(|(_, name)| name.split_whitespace().count() >= 6);
    sentence.then(|| "its first line has a sentence where a name would stand".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::facts;
    use tlkit_core::Result;
    use tlkit_core::data::{Blob, ReadOptions, Reader};

    fn why(text: &'static str) -> Result<Option<String>> {
        let blob = Blob::Embedded(text.as_bytes());
        let table = crate::Csv.open("a.csv", &blob, &ReadOptions::default())?;
        Ok(headless(&facts(table.as_ref())?))
    }

    #[test]
    fn a_first_line_that_is_data_is_known() -> Result<()> {
        let text = "good,this one is fine\nbad,this one is not fine\ngood,fine again\nbad,not again\ngood,yes\n";
        assert!(why(text)?.is_some_and(|why| why.contains("`good`")));
        let text = "0.5,0.25,1\n0.1,0.2,2\n0.3,0.1,1\n0.2,0.1,2\n0.2,0.3,1\n0.2,0.4,2\n";
        assert!(why(text)?.is_some_and(|why| why.contains("0.5")));
        Ok(())
    }

    /// Of each pair of files one has a header and the other does not.
    #[test]
    fn what_speaks_for_a_header_is_weighed_with_what_speaks_against_it() -> Result<()> {
        let header = |text| -> Result<()> {
            assert_eq!(why(text)?, None, "{text}");
            Ok(())
        };
        header("text,spam\nbuy now,spam\nhello you,ham\nbuy it all,spam\nhow are you,ham\n")?;
        let data = |text, words: &str| -> Result<()> {
            let said = why(text)?;
            assert!(
                said.as_ref().is_some_and(|w| w.contains(words)),
                "{text}: {said:?}"
            );
            Ok(())
        };
        // pandas numbers the columns that nobody named.
        header("0,1,2,label\n0.5,0,2,a\n0.1,1,1,b\n0.7,0,2,a\n0.2,1,1,b\n")?;
        data(
            "0,1,2,a\n0.5,0,2,a\n0.1,1,1,b\n0.7,0,2,a\n0.2,1,1,b\n",
            "`a`",
        )?;
        header("0,1,2,3\n0.5,0,2,7\n0.1,1,1,8\n0.7,0,2,7\n0.2,1,1,8\n")?;
        header("1,2,3,4\n0.5,0,2,7\n0.1,1,1,8\n0.7,0,2,7\n0.2,1,1,8\n")?;
        data(
            "1,2,4,3\n0.5,0,2,7\n0.1,1,1,8\n0.7,0,2,7\n0.2,1,1,8\n",
            "number 1",
        )?;
        data("0,1\n4,0\n5,1\n6,1\n7,0\n", "number 0")?;
        // Years are names where another column has one.
        header("country,2019,2020,kind\nA,1.5,2,x\nB,2.5,3,y\nC,1,2,x\nD,4,1,y\n")?;
        data(
            "C,2019,2020,x\nA,1.5,2,x\nB,2.5,3,y\nE,1,2,x\nD,4,1,y\n",
            "`x`",
        )?;
        // A word over numbers is a name, if it does not say that a value is missing.
        header("x,2019,y\n1,2,3\n4,5,6\n7,8,9\n")?;
        data("NA,20.5,1\n1,2,3\n4,5,6\n7,8,9\n", "20.5")?;
        // A question is a name over answers.
        header(
            "How did you like the meal you had?,mark\nwell enough,good\nnot at all,bad\nvery much so,good\nno,bad\n",
        )?;
        header(
            "How many of them would you buy again?,text\n3,all is fine\n1,one is fine\n2,two are\n",
        )?;
        data(
            "I did not like the meal I had,bad\nwell enough,good\nnot at all,bad\nvery much so,good\nno,bad\n",
            "`bad`",
        )?;
        data(
            "I did not like the meal I had,none of it\nwell enough,all of it\nnot at all,a bit\nvery much so,much\n",
            "sentence",
        )?;
        Ok(())
    }
}
