//! Class names, and the labels that stay sealed.

use super::*;

impl Gather<'_> {
    /// The classes, by the labelled rows to learn from; each side's labels by them.
    pub(super) fn classes<'g>(
        &self,
        source: Option<&mut Group<'g>>,
        target: &mut Group<'g>,
    ) -> Option<Arc<Vec<String>>> {
        let mut classes: Arc<Vec<String>> = self.classes.clone().unwrap_or_default();
        let first = match &source {
            Some(source) => &source.main,
            None => &target.main,
        };
        if first.scanned.labels.is_some() && classes.is_empty() {
            classes = first.scanned.classes();
            if classes.len() < 2 {
                let what = classes.first().cloned().unwrap_or_default();
                let limit = self.written(first.name).limit;
                let help = match limit {
                    Some(n) => format!(
                        "`limit = {n}` takes the first rows of the file, which may have one class after the other: `per_class` draws rows of each class"
                    ),
                    None => "a classifier needs two classes; is `label` the right column?".into(),
                };
                self.keys
                    .error(
                        self.at(first.name),
                        format!("every row has the label `{what}`"),
                    )
                    .help(help);
                return None;
            }
        }
        let groups = source.into_iter().chain([target]);
        for group in groups {
            for side in std::iter::once(&mut group.main).chain(&mut group.others) {
                if classes.is_empty() && side.scanned.labels.is_some() {
                    classes = side.scanned.classes();
                }
                side.labels = match side.scanned.labels(&classes) {
                    Ok(labels) => labels,
                    Err((row, label)) => {
                        self.unknown(side, row, &label, &classes);
                        return None;
                    }
                };
            }
        }
        Some(classes)
    }

    pub(super) fn unknown(&self, side: &Rowed, row: usize, label: &str, classes: &[String]) {
        let what = format!("the label `{label}` is not among the training labels");
        let column = side.columns.label.unwrap_or(0);
        self.keys
            .error(
                self.at(side.name),
                side.rows.wrong(row, column, what).to_string(),
            )
            .note(format!("the classes are {}", classes.join(", ")));
    }

    /// The labels of sealed test rows: core seals them again before anybody sees them.
    pub(super) fn open_sealed(
        &self,
        parts: &mut [Rowed],
        classes: Arc<Vec<String>>,
    ) -> Option<Arc<Vec<String>>> {
        let mut classes = classes;
        if !self.sealed || self.form == Form::PlainText {
            return Some(classes);
        }
        for part in parts.iter_mut().filter(|p| p.name == "test") {
            let Some(column) = part.columns.label else {
                self.keys
                    .error(
                        self.at(part.name),
                        "rows without labels cannot be tested on",
                    )
                    .help("`target.label` names their column; or leave `test` out");
                return None;
            };
            let names = self.noted(part.name, part.rows.names(column))?;
            if classes.is_empty() {
                classes = Arc::new(class_names(names.iter()));
            }
            match index(&names, &classes) {
                Ok(labels) => part.labels = Some(labels),
                Err((row, name)) => {
                    self.unknown(part, row, &name, &classes);
                    return None;
                }
            }
        }
        Some(classes)
    }
}
