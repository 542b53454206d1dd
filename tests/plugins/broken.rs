//! What each rule that a source task, a target task or a metric breaks is answered with.

use crate::bench::Bench;
use crate::compile::{compiler, refused, tlkit};
use crate::tasks::{RECIPE, TARGET, tasks};

/// When the plugin is probed.
const PROBED: &[(&str, &str)] = &[
    ("VJP_NULL", "`net` has no function `vjp`: it is null"),
    (
        "PREPARE_NULL",
        "`net` has no function `prepare`: it is null",
    ),
    ("SCORE_NULL", "`share` has no function `score`: it is null"),
    (
        "DESCRIBE_TASK_NULL",
        "`task` has no function `describe`: it is null",
    ),
    (
        "SOURCE_FROM_THE_PAST",
        "the table of `net` is 64 bytes long, and in tlkit.h 1.0 it has 72",
    ),
    (
        "SOURCE_OF_MAJOR_2",
        "the table of `net` was built for tlkit.h 2.0, and this tlkit speaks 1.3",
    ),
    (
        "SOURCE_TAKEN",
        "brings a source task `features`, and tlkit brings one itself",
    ),
    (
        "KEYS_OF_EVERY_SOURCE",
        "`checkpoint` is a key of every source task",
    ),
];

/// When the recipe is checked: the source task describes itself.
const CHECKED: &[(&str, &str)] = &[
    ("MAKE_FAILS", "the source task `net`: it will not be made"),
    (
        "DESCRIBES_GARBAGE",
        "the source task `net` describes itself wrongly",
    ),
    (
        "DESCRIBES_NO_JSON",
        "the source task `net` describes itself wrongly",
    ),
    ("READS_NO_KIND", "unknown variant `smells`"),
    (
        "READS_TEXT",
        "this source reads text, and a row of the target is a feature vector",
    ),
    ("NO_STAGE", "it has no stage"),
    ("WORD_OF_NO_VERSION", "unknown field `weather` in it"),
    (
        "WIDTH_THAT_LIES",
        "`net` takes vectors of 5 numbers, and the data has 3",
    ),
    ("STAGE_TWICE", "two stages are called `first`"),
    (
        "STAGE_WITH_A_PATH",
        "the stage `../first`: letters, digits and `_`",
    ),
    (
        "STAGE_WITHOUT_A_NAME",
        "the stage `a..b`: letters, digits and `_`",
    ),
    ("PARAM_TWICE", "the stage `a` has two parameters `w`"),
    ("PARAM_OF_NO_ROLE", "unknown variant `statistic`"),
    (
        "INIT_NEGATIVE",
        "the parameter `w` begins with a spread of -1",
    ),
    ("SHAPE_EMPTY", "the stage `a` puts out the shape [0]"),
    ("SHAPE_NEGATIVE", "invalid value: integer `-3`"),
    (
        "SHAPE_THAT_OVERFLOWS",
        "`input` is the shape [4294967296, 4294967296, 4]",
    ),
    (
        "FEATURES_NOT_FLAT",
        "the last stage puts out the features, `[width]`, and `a` puts out [2, 2]",
    ),
    ("SCHEDULE_OF_NO_KIND", "there is no schedule `moon`"),
    ("OPTIMIZER_OF_NO_KIND", "there is no optimizer `adam9`"),
    ("RATE_NEGATIVE", "`learning_rate` is -1"),
    ("DROPOUT_OF_ALL", "`head_dropout` is 1"),
];

/// The same of a target task.
const CHECKED_TARGET: &[(&str, &str)] = &[
    (
        "TASK_NO_JSON",
        "the target task `task` describes itself in no JSON",
    ),
    ("TASK_OF_NO_FORM", "smells"),
    ("TASK_OF_ANOTHER_KEY", "did you mean `head`"),
    (
        "LOSS_OF_NOBODY",
        "names the loss term `another`, which its library does not bring; it brings brier, of-features",
    ),
    (
        "METRIC_OF_NOBODY",
        "names the metric `another`, which its library does not bring; it brings share",
    ),
    (
        "READER_OF_NOBODY",
        "names the reader `another`, which its library does not bring; it brings sixty",
    ),
    (
        "METRIC_OF_A_RESULT",
        "names the metric `macro-f1-interval`: results have a number `macro_f1_interval` already",
    ),
    (
        "METRIC_TWICE",
        "names the metric `share`: `share` is there twice",
    ),
    ("HEAD_WITHOUT_END", "a head ends in exactly one"),
    ("HEAD_OF_NO_LAYER", "not a layer"),
    (
        "LOSS_OF_FEATURES",
        "the loss of a task takes logits:0 and labels:0 and no parameters, and `of-features` takes features:0",
    ),
];

/// While it trains, and is judged.
const TRAINED: &[(&str, &str)] = &[
    ("PREPARE_FAILS", "the source task `net`: not this one"),
    ("PREPARE_NAN", "gave the example that holds NaN"),
    ("PREPARE_SHORT", "did not write number 2 of the example"),
    (
        "PREPARE_TOO_LONG",
        "wrote beyond the end of the example, which has 3 numbers",
    ),
    ("FORWARD_FAILS", "the source task `net`: no further"),
    (
        "FORWARD_OF_NO_STATUS",
        "returned the status -3, which tlkit.h does not have",
    ),
    (
        "FORWARD_LEFT_OUT",
        "did not write number 0 of the output of the stage `first`",
    ),
    (
        "FORWARD_NAN",
        "gave the output of the stage `first` that holds NaN",
    ),
    (
        "FORWARD_TOO_LONG",
        "wrote beyond the end of the output of the stage `first`",
    ),
    ("VJP_FAILS", "the source task `net`: there is no way back"),
    (
        "GRADIENT_NAN",
        "gave the gradient of `second.v` that holds inf",
    ),
    (
        "GRADIENT_LEFT_OUT",
        "did not write number 0 of the gradient of `second.v`",
    ),
    (
        "INPUT_GRADIENT_TOO_LONG",
        "wrote beyond the end of the gradient of `second.the input`",
    ),
    ("GIVES_NULL", "gave gradient 0: null"),
    ("GIVES_TWICE", "gave gradient 0: a second time"),
    ("GIVES_ANOTHERS", "gave gradient 7: where none is wanted"),
    ("GIVES_IN_FORWARD", "gave gradient 0: where none is wanted"),
    (
        "GIVES_ANOTHER_SHAPE",
        "a tensor of the shape [2, 1152921504606846976], not [2, 4]",
    ),
    ("GIVES_ANOTHER_RANK", "a tensor of -3 dimensions, not 2"),
    ("GIVES_DOUBLES", "a tensor that is not float32 on the CPU"),
    (
        "GIVES_FROM_A_GPU",
        "a tensor that is not float32 on the CPU",
    ),
    (
        "GIVES_NEGATIVE_STRIDES",
        "a tensor with the strides [-4, 1], not rows without gaps",
    ),
    ("GIVES_NO_NUMBERS", "a tensor with its numbers at"),
    ("GIVES_WITHOUT_DELETER", "a tensor without a deleter"),
    ("GIVES_NOTHING", "did not give the gradient of `second.v`"),
    (
        "GIVES_NAN",
        "gave the gradient of `second.v` that holds inf",
    ),
    ("GIVES_AND_FAILS", "it was given all the same"),
    (
        "LENDS_NOTHING",
        "the source task `net` lent for `first.w` a tensor with its numbers at 0x0",
    ),
    (
        "LENDS_READ_ONLY",
        "`first.w` a tensor that may not be written",
    ),
    (
        "LENDS_ANOTHER_SHAPE",
        "`first.w` a tensor of the shape [4, 1152921504606846976], not [4, 3]",
    ),
    (
        "LENDS_ANOTHER_RANK",
        "`first.w` a tensor of 1 dimensions, not 2",
    ),
    (
        "LENDS_DOUBLES",
        "`first.w` a tensor that is not float32 on the CPU",
    ),
    (
        "LENDS_FROM_A_GPU",
        "`first.w` a tensor that is not float32 on the CPU",
    ),
    (
        "LENDS_NEGATIVE_STRIDES",
        "`first.w` a tensor with the strides [-3, 1], not rows without gaps",
    ),
    ("LENDS_UNALIGNED", "`first.w` a tensor with its numbers at"),
    ("LENDS_WITHOUT_END", "that has no end"),
    (
        "LENDS_ONE_FOR_TWO",
        "lent for `first.b` memory in which `first.w` lives",
    ),
    (
        "LENDS_ANEW",
        "lent for `first.w` other memory when it was asked again",
    ),
    ("LEND_FAILS", "the source task `net`: no memory today"),
    (
        "LEND_OF_NO_STATUS",
        "returned the status -9, which tlkit.h does not have",
    ),
    ("SCORE_FAILS", "the metric `share`: it cannot be said"),
    ("SCORE_LEFT_OUT", "the metric `share` gave the value NaN"),
    ("SCORE_INFINITE", "the metric `share` gave the value inf"),
];

fn each(recipe: &str, cases: &[(&str, &str)], verb: &str, code: i32) {
    let Some(compiler) = compiler() else { return };
    let bench = Bench::new();
    bench.write("tasks.toml", recipe);
    for (broken, words) in cases {
        tasks(&bench, &compiler, broken);
        let ended = tlkit(&bench, &[verb, "tasks.toml"]);
        refused(&ended, broken, words, code);
    }
}

#[test]
fn what_is_wrong_with_the_tables_of_tasks_is_an_error_at_the_recipe() {
    each(RECIPE, PROBED, "validate", 2);
}

#[test]
fn what_is_wrong_with_what_a_source_task_says_is_an_error_at_the_recipe() {
    each(RECIPE, CHECKED, "validate", 2);
}

#[test]
fn what_is_wrong_with_what_a_target_task_says_is_an_error_at_the_recipe() {
    each(TARGET, CHECKED_TARGET, "validate", 2);
}

#[test]
fn what_goes_wrong_while_a_strangers_encoder_trains_is_a_failed_run() {
    each(RECIPE, TRAINED, "run", 1);
}
