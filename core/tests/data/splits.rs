//! How rows are parted, and what identifies them.

use super::world::*;

fn customers() -> World {
    let row = |i: usize| {
        format!(
            "order {i}|{}|customer {}",
            if i.is_multiple_of(3) { "bad" } else { "good" },
            i % 17
        )
    };
    let rows: Vec<String> = (0..170).map(row).collect();
    World::default().with_rows("a.rows", &rows, false)
}

#[test]
fn rows_of_one_group_are_on_one_side() {
    let split = "train = \"a.rows\"\nsplit = { validation = 0.1, test = 0.2, group = \"group\" }";
    let read = customers().read(split);
    let sides: Vec<std::collections::BTreeSet<usize>> = ["train", "validation", "test"]
        .iter()
        .map(|s| {
            let number = |t: &String| t.rsplit(' ').next().unwrap().parse::<usize>().unwrap() % 17;
            read.texts(s).iter().map(number).collect()
        })
        .collect();
    assert!(sides.iter().all(|s| !s.is_empty()), "{sides:?}");
    assert_eq!(sides.iter().map(|s| s.len()).sum::<usize>(), 17);
    // The same again, and by another seed another.
    assert_eq!(
        customers().read(split).data().digest(),
        read.data().digest()
    );
    let other = customers().read(&split.replace("group =", "seed = 1, group ="));
    assert_ne!(other.data().digest(), read.data().digest());
    customers()
        .read("train = \"a.rows\"\nsplit = { group = \"client\" }")
        .says(&["error: the data has no column `client`\n --> recipe.toml:3:19"]);
}

#[test]
fn splits_are_a_function_of_their_seed() {
    let read = |more: &str| {
        let world = World::default().with_rows("a.rows", &many(60, "row"), false);
        world.read(&format!("train = \"a.rows\"\n{more}"))
    };
    let usual = read("");
    assert_eq!(
        (usual.texts("train").len(), usual.texts("validation").len()),
        (54, 6)
    );
    assert_eq!(usual.data().digest(), read("").data().digest());
    assert_ne!(
        usual.data().digest(),
        read("split = { seed = 1 }").data().digest()
    );
    let few = read("per_class = 5\nsplit = { validation = 0.0 }");
    assert_eq!(
        few.data().domain("train").unwrap().unwrap().labels.counts(),
        [5, 5]
    );
    let first = read("limit = 10\nsplit = { validation = 0.0 }");
    assert_eq!(first.texts("train")[9], "row number 9");
    assert_eq!(first.texts("train").len(), 10);
    read("split = { validation = 0.6, test = 0.5 }").says(&["leave nothing to train on"]);
}

#[test]
fn one_name_may_stand_for_several_files() {
    let mut world = World::default()
        .with_rows("a.rows", &many(10, "first"), false)
        .with_rows("b.rows", &many(10, "second"), false);
    world.lists.insert(
        "hf:datasets/a/b#train".into(),
        vec!["a.rows".into(), "b.rows".into()],
    );
    let read = world.read("train = \"hf:datasets/a/b#train\"\nsplit = { validation = 0.0 }");
    let domain = read.data().domain("train").unwrap().unwrap();
    assert_eq!(domain.inputs.len(), 20);
    assert_eq!(domain.inputs.id(12), "1:2");
}

/// The vectors of a list are read by position: columns in another order would be another vector.
#[test]
fn files_of_a_list_have_their_columns_in_one_order() {
    let rows = |r: [&str; 2]| r.map(String::from);
    let world = |second: [&str; 3]| {
        World::default()
            .with_columns(
                "a.rows",
                &["x", "label", "y"],
                &rows(["1|a|2", "3|b|4"]),
                false,
            )
            .with_columns("b.rows", &second, &rows(["5|a|6", "7|b|8"]), false)
    };
    let list = "train = [\"a.rows\", \"b.rows\"]\nsplit = { validation = 0.0 }";
    let read = |second| world(second).read_as(list, Form::Features, false, Overlap::Drop);
    assert_eq!(read(["x", "label", "y"]).data().width().unwrap(), 2);
    read(["y", "label", "x"]).says(&[
        "error: the files of a list must have the same columns\n --> recipe.toml:2:",
        "column 1 is `x` in a.rows and `y` in b.rows",
        "in one order",
    ]);
    read(["x", "y", "label"]).says(&["column 2 is `label` in a.rows and `y` in b.rows"]);
}

#[test]
fn the_digest_knows_inputs_labels_and_names() {
    let digest = |rows: &[&str]| {
        let world = World::default().with("a.rows", rows);
        world.read(NO_SPLIT).data().digest().to_string()
    };
    let seen = Mutex::new(std::collections::BTreeSet::new());
    for rows in [
        ["one two|a", "three|b"],
        ["One two|a", "three|b"],
        ["one two|b", "three|a"],
        ["one two|a", "three|c"],
        ["three|b", "one two|a"],
    ] {
        assert!(seen.lock().unwrap().insert(digest(&rows)), "{rows:?}");
        assert_eq!(digest(&rows), digest(&rows));
    }
}

/// Few groups: what is said is of groups, and not of classes.
#[test]
fn fewer_groups_than_parts_are_said() {
    let rows: Vec<String> = (0..40)
        .map(|i| {
            format!(
                "row {i}|{}|{}",
                ["bad", "good"][i % 2],
                ["one", "two"][i / 20]
            )
        })
        .collect();
    let read = |shares: &str| {
        World::default()
            .with_rows("a.rows", &rows, false)
            .read(&format!(
                "train = \"a.rows\"\nsplit = {{ {shares}, group = \"group\" }}"
            ))
    };
    assert_eq!(
        read("validation = 0.1, test = 0.2").found(),
        [
            "!split train 0: 20 % of train was to be set aside for test, and no row is: there are 2 groups, fewer than parts, and each stays together"
        ]
    );
    read("validation = 0.5, test = 0.4").says(&[
        "error: no training row of `bad` is left",
        "`split.group` sets whole groups aside: ask for smaller shares",
    ]);
}
