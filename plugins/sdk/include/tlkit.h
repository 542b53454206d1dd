/* tlkit.h: parts of tlkit that are built elsewhere, in C or in anything that speaks C.
 *
 * A plugin is a shared library that exports one function, `tlkit_plugin_v1` (at the end of this page). It hands over a table that
 * lists what the plugin brings: data readers, loss terms, strategies, source tasks, target tasks, metrics. Nothing is linked; this page
 * is all there is to include.
 *
 * Growth. Every table begins with a `tlkit_head`: its own size where it was compiled, and the version of this page. Fields are only
 * ever appended. A field that lies beyond the size in the head is not there; whoever reads a table from the other side looks at the
 * size first. Versions with the same major number work together, in both directions.
 *
 * JSON that a plugin answers grows too: a word that the host does not know is left alone where the table's version is later than the
 * host's, and is an error (a slip of the pen) where it is not.
 *
 * Text is UTF-8, a pointer and a length, without a final zero. Null is allowed where the length is 0.
 *
 * Memory. Whatever the host passes to a function is lent for that call and no longer. Whatever the plugin answers is copied by the
 * host before `answer` or `fail` returns; what it gives with `give` goes back to it through the tensor's `deleter`; what it lends with
 * `lend` is the plugin's, and the host's to read and write until `drop`. Nothing is ever freed on the side that did not allocate it. The
 * tables that
 * `tlkit_plugin_v1` hands over, and the text in them, stay where they are as long as the library does, and that is as long as the
 * process: a library is never unloaded.
 *
 * Threads. A call may come from any thread. No two calls are made at once with the same `self`; calls with different ones may be.
 * The host's functions in a `tlkit_call` are for the thread that the call was made on, until the call returns.
 *
 * Errors. A function returns TLKIT_OK or TLKIT_FAILED; before it fails it says why with `fail`. An exception or a panic must not
 * leave the plugin. What cannot be survived once the plugin is loaded: a crash, and a pointer to the wrong place.
 *
 * Functions may not be null, except where this page says so.
 */
#ifndef TLKIT_H
#define TLKIT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TLKIT_MAJOR 1
#define TLKIT_MINOR 3

#define TLKIT_OK 0
#define TLKIT_FAILED 1
/* Of a key: it is not written, and has no default. */
#define TLKIT_ABSENT 2

typedef struct tlkit_head {
    uint64_t size; /* sizeof the table that begins here */
    uint32_t major;
    uint32_t minor;
} tlkit_head;

#define TLKIT_HEAD(table) {sizeof(table), TLKIT_MAJOR, TLKIT_MINOR}

typedef struct tlkit_text {
    const char *data;
    uint64_t size; /* bytes */
} tlkit_text;

/* A literal as text: TLKIT_TEXT("features:0"). */
#define TLKIT_TEXT(literal) {(literal), sizeof(literal) - 1}

/* ---- what a function may ask of the host while it runs ------------------------------------------------------------------ */

/* Kinds of answer. */
#define TLKIT_ANSWER_TEXT 0     /* UTF-8 */
#define TLKIT_ANSWER_IMAGE 1    /* the bytes of an image file */
#define TLKIT_ANSWER_FEATURES 2 /* float32, in the machine's order */

struct tlkit_tensor;

typedef struct tlkit_call {
    tlkit_head head;
    void *host; /* the first argument of each function below */

    /* Says what went wrong, before TLKIT_FAILED is returned. The last message counts. */
    void (*fail)(void *host, tlkit_text message);

    /* Gives one answer. Functions whose outcome is text or bytes say below how many they give. */
    void (*answer)(void *host, uint32_t kind, const void *data, uint64_t size);

    /* The value of one of the entry's own keys (`tlkit_entry.keys`), checked, or its default: TLKIT_OK or TLKIT_ABSENT. `true` is 1,
     * `false` is 0. Only in functions of an entry that has keys. */
    int32_t (*number)(void *host, tlkit_text name, double *value);

    /* The same of a key whose value is text; any other value as JSON. All keys as one JSON object where `name` is empty: those that are
     * TLKIT_ABSENT are null there, and may be handed on so, as keys of a loss term. `value` is lent for the call. */
    int32_t (*text)(void *host, tlkit_text name, tlkit_text *value);

    /* Since 1.2. Only in `vjp` of a source task that says `gives`: the derivative by params[index], where one is wanted, in the plugin's
     * own memory. Nothing of it is copied. TLKIT_OK: it is the host's to read, and neither moves nor changes, until the host calls its
     * `deleter` with it: once, at any time, from any thread, whatever `vjp` returns. TLKIT_FAILED: it stays the plugin's. */
    int32_t (*give)(void *host, uint64_t index, struct tlkit_tensor *gradient);
} tlkit_call;

/* ---- tensors: the layout of DLPack 1.0 (DLManagedTensorVersioned), so that a pointer may be cast to it -------------------- */

#define TLKIT_CPU 1   /* device_type: kDLCPU */
#define TLKIT_CUDA 2  /* kDLCUDA. `data` is then a device pointer. No host of version 1.3 passes one */
#define TLKIT_FLOAT 2 /* code: kDLFloat. With 32 bits and 1 lane: float32. Version 1.3 passes nothing else */
#define TLKIT_READ_ONLY 1

typedef struct tlkit_tensor {
    uint32_t dlpack_major, dlpack_minor;
    void *manager;                       /* whatever who made it wants there */
    void (*deleter)(struct tlkit_tensor *); /* null: lent, not given. Takes back the tensor, this table of it, and shape and strides */
    uint64_t flags;                      /* TLKIT_READ_ONLY, or 0 for a block to be written */
    void *data;
    int32_t device_type, device_id;
    int32_t dimensions;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* in elements. Version 1.3 passes row-major tensors without gaps, and never null here */
    uint64_t byte_offset; /* of the first element from `data` */
} tlkit_tensor;

/* When a call is made. Two calls with equal inputs, keys, seed and step give equal bits. */
typedef struct tlkit_moment {
    tlkit_head head;
    uint64_t seed;     /* of this part at this step: a function of the run's seed, the part's name and the step */
    uint64_t step;     /* optimizer steps of the run so far */
    double progress;   /* share of the phase that is done, 0..1 */
    uint32_t training; /* 1 while training, 0 in evaluation */
    uint32_t reserved; /* 0 */
} tlkit_moment;

/* ---- data reader ---------------------------------------------------------------------------------------------------------- */

/* What is to be opened: a file on disk, or bytes in memory. */
typedef struct tlkit_file {
    tlkit_head head;
    tlkit_text name;  /* as the recipe writes it, for messages */
    tlkit_text path;  /* empty where the content is in `bytes` */
    tlkit_text bytes; /* the content, where there is no path */
    uint32_t header;  /* 1: the first row names the columns */
    uint32_t reserved; /* 0 */
} tlkit_file;

typedef struct tlkit_reader {
    tlkit_head head;
    tlkit_text extensions; /* endings of names without the first dot, separated by spaces: "tsv.zip wav". Letters, digits, `-`, `_`, and
                            * `.` between them */

    /* Opens a table and leaves it in `self`. */
    int32_t (*open)(const tlkit_call *call, const tlkit_file *file, void **self);
    /* Takes it back. */
    void (*close)(void *self);
    /* How many rows. */
    int32_t (*rows)(void *self, const tlkit_call *call, uint64_t *rows);
    /* The columns' names: one answer of text each, in order. Numbers from 1 where the file names none. */
    int32_t (*columns)(void *self, const tlkit_call *call);
    /* One cell: one answer of any kind; two answers of text are a pair. Numbers are finite. Rows and columns from 0. */
    int32_t (*cell)(void *self, const tlkit_call *call, uint64_t row, uint64_t column);
    /* Where a row stands, for messages: one answer of text, `films.tsv:13`. */
    int32_t (*place)(void *self, const tlkit_call *call, uint64_t row);

    /* Since 1.1. 1: it also opens folders, whose path is then in `tlkit_file.path`. */
    uint32_t folders;
    uint32_t reserved; /* 0 */
} tlkit_reader;

/* ---- loss term: a pure function of taps and of its own parameters, with its gradient --------------------------------------- */

typedef struct tlkit_loss_term {
    tlkit_head head;

    /* Makes one from its keys, and leaves it in `self`, which may be null. It holds settings and no state. */
    int32_t (*make)(const tlkit_call *call, void **self);
    /* Takes it back. */
    void (*drop)(void *self);

    /* One answer of text, JSON:
     *
     *   {"taps": ["features:0", "features:1"],
     *    "params": [{"name": "scale", "shape": [1], "role": "weight", "init": {"normal": 0.1}}]}
     *
     * A tap is `features`, `logits` or the name of a stage, and the number of a feed. Parameters may be left out. They are made,
     * optimized, saved, loaded and averaged by the host, and lent. Names: letters, digits, `_`, and `.` between them. Roles: "weight",
     * "bias"; since 1.1 also "norm-weight", "norm-bias", "embedding" and "invariant-bias" (one whose gradient is zero in mathematics).
     * `init`: "zeros", "ones", {"normal": deviation}, {"uniform": bound}.
     *
     * Since 1.2 `turned` may list taps whose gradient is not the derivative but that times a number of the term's own choosing, as in gradient
     * reversal: "turned": ["features:0"]. Nothing but `tlkit plugins check` looks at it.
     *
     * Since 1.1 a term may be the loss of a target task: it then takes "logits:0" `(rows, classes)` and "labels:0" `(rows)`, class
     * indices from 0 as float32, whose gradient nobody wants; and it is a mean over rows, a function of them alone: seed, step and progress
     * of its moment are 0. */
    int32_t (*describe)(void *self, const tlkit_call *call);

    /* The value at `inputs`: the taps, then the parameters, `count` in all. `*handle` may be left null, or set to what `vjp` will
     * want; each is given back once, with `release`. */
    int32_t (*forward)(void *self, const tlkit_call *call, const tlkit_moment *moment, const tlkit_tensor *const *inputs,
                       uint64_t count, double *value, void **handle);

    /* The way back, at most once a handle, with the same moment and inputs: `gradient` is the derivative by the value. Writes the
     * derivative by inputs[i] into gradients[i], which has its shape, every element of it. The mask: gradients[i] is null where
     * nobody wants it. */
    int32_t (*vjp)(void *self, const tlkit_call *call, const tlkit_moment *moment, void *handle, double gradient,
                   const tlkit_tensor *const *inputs, uint64_t count, tlkit_tensor *const *gradients);

    /* Takes a handle back, after `vjp` or instead of it. Not called with null. */
    void (*release)(void *self, void *handle);
} tlkit_loss_term;

/* ---- strategy: phases as data ----------------------------------------------------------------------------------------------- */

#define TLKIT_INDUCTIVE 0    /* the target has labels */
#define TLKIT_TRANSDUCTIVE 1 /* the target's labels are sealed, the source has some */

typedef struct tlkit_strategy {
    tlkit_head head;
    uint32_t transfer; /* TLKIT_INDUCTIVE or TLKIT_TRANSDUCTIVE */
    uint32_t reserved; /* 0 */

    /* A function of the keys. One answer of text, JSON:
     *
     *   {"phases": [{
     *      "name": "align",
     *      "feeds": ["source", "target"],
     *      "terms": [{"term": "centroid", "weight": 0.1, "keys": {"power": 2}}],
     *      "trains": "all",
     *      "until": {"epochs": 3},
     *      "rate": 1.0
     *   }]}
     *
     * `feeds`: "source" (labelled, transductive recipes), "target" (labelled in inductive ones), "test" (the rows to be tested on,
     * without labels). All feeds run in one forward pass, and on each that has labels the task's own loss is taken. In a
     * transductive recipe the source is learned first, in a phase that is the same for every method; these come after it. So it has
     * labelled source rows or a finished run, whatever they are fed with.
     * `terms`: loss terms of this library by name, with their keys. What they are called stands in the run's curves: not "loss", "phase",
     * "epoch", "step", "seconds" or "model". Their taps are those of the network that the recipe has; `labels` is none of them.
     * `name`: lower case, digits and `-`; not "source" or "source-only", which are phases of the host's own.
     *
     * `trains`: "all", "head", "encoder", each alone, or names of parameters where `*` stands for anything. Parameters of the terms always do.
     * `until`: {"epochs": n}, {"steps": n}; left out, what the recipe says.  `rate`: times the recipe's learning rates. */
    int32_t (*phases)(const tlkit_call *call);
} tlkit_strategy;

/* ---- source task: an encoder in stages (since 1.1) ------------------------------------------------------------------------- */

/* An input as a reader found it. */
typedef struct tlkit_input {
    tlkit_head head;
    uint32_t kind;     /* TLKIT_ANSWER_TEXT, TLKIT_ANSWER_IMAGE, TLKIT_ANSWER_FEATURES */
    uint32_t reserved; /* 0 */
    tlkit_text data;   /* the text; the bytes of an image file; float32s, aligned, `size` in bytes */
    tlkit_text second; /* of a pair, the second text; empty otherwise */
} tlkit_input;

#define TLKIT_RECORD_VJP 1   /* `vjp` may follow */
#define TLKIT_RECORD_INPUT 2 /* and the derivative by the input may be wanted then */

/* How a pass through the network is made. */
typedef struct tlkit_pass {
    tlkit_head head;
    uint64_t seed;     /* of this stage at this step */
    uint64_t step;     /* optimizer steps of the run so far */
    uint64_t weights;  /* the same number as at the last call with this `self` and stage: no parameter of it has changed since */
    uint32_t training; /* 1 while training, 0 in evaluation */
    uint32_t record;   /* 0: `vjp` will not follow, and no handle is wanted; or some of TLKIT_RECORD_.. */
} tlkit_pass;

typedef struct tlkit_source_task {
    tlkit_head head;

    /* Makes one from its keys, and leaves it in `self`, which may be null. The host makes one for each copy of the network (a teacher
     * has its own), and more, some of which only describe and prepare. Beside its parameters, where it lends them (`lend`), it holds
     * settings and no state; it may keep copies of parameters in another form, see `tlkit_pass.weights`. */
    int32_t (*make)(const tlkit_call *call, void **self);
    /* Takes it back. What it lent with `lend` is no longer looked at. */
    void (*drop)(void *self);

    /* One answer of text, JSON:
     *
     *   {"reads": "image",
     *    "input": [32, 32, 3],
     *    "stages": [{"name": "stem", "output": [64, 96],
     *                "params": [{"name": "weight", "shape": [96, 48], "role": "weight", "init": {"normal": 0.1}}]},
     *               {"name": "pool", "output": [96]}],
     *    "defaults": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "head_multiple": 1, "schedule": "constant",
     *                 "warmup": 0, "batch_size": 32, "clip": 1.0},
     *    "head_init": 0.02, "head_dropout": 0.0}
     *
     * `reads`: "text", "pair", "image" or "features"; of features, `width` says how many, if not as many as an example has numbers.
     * `input`: the shape of one prepared example, without rows.  `stages`, from input to
     * output: names are unique; `output` is the shape for one example; the last one's is the features, `[width]`. Parameters as of a loss
     * term. They are called `model.<stage>.<name>`, and `<stage>.<name>` in the `model.safetensors` of a folder that a recipe names as
     * `source.checkpoint`, which the host loads.  `defaults` and what follows may be left out, each of them.
     *
     * Shapes are the same for all examples: inputs of varying length cannot cross in version 1.1, nor can running statistics. */
    int32_t (*describe)(void *self, const tlkit_call *call);

    /* One input to one example: float32s of the shape `input`, every element of it. A pure function. */
    int32_t (*prepare)(void *self, const tlkit_call *call, const tlkit_input *input, tlkit_tensor *example);

    /* A stage by its number, from 0: `input` is `(rows, ..)`, what the stage before it made or the examples of a batch. Writes
     * `output`, every element of it. `params`: the stage's own, `count` of them, in the order of `describe`, where they lie: in the
     * plugin's memory, if it has `lend` and the host has called it for this `self`; otherwise in the host's, lent for this call. They are
     * read and not written. `*handle` may be left null, or set to what `vjp` will want; each is given back once, with `release`. */
    int32_t (*forward)(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, const tlkit_tensor *const *params,
                       uint64_t count, const tlkit_tensor *input, tlkit_tensor *output, void **handle);

    /* The way back through a stage, at most once a handle, with the same pass, parameters and input: `gradient` is the derivative by
     * the output. Writes the derivative by the input into `input_gradient` and that by params[i] into gradients[i], every element of
     * them. The mask: those that nobody wants are null. */
    int32_t (*vjp)(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, void *handle,
                   const tlkit_tensor *const *params, uint64_t count, const tlkit_tensor *input, const tlkit_tensor *gradient,
                   tlkit_tensor *input_gradient, tlkit_tensor *const *gradients);

    /* Takes a handle back, after `vjp` or instead of it. Not called with null. */
    void (*release)(void *self, void *handle);

    /* Since 1.2. 1: `vjp` hands over each gradient of a parameter that is wanted with `tlkit_call.give`, where the call has that function
     * (look at the size in its head). gradients[i] then says by not being null that one is wanted, and of what shape; its `data` is null.
     * In a call without that function they are blocks to be written, as above. */
    uint32_t gives;
    uint32_t reserved; /* 0 */

    /* Since 1.3, and may be null: then parameters lie in the host's memory. Lends the memory in which a parameter of `self` lives, by the
     * numbers of its stage and of itself there. `memory` comes as the host wants it, float32 on the CPU, row by row, with the parameter's
     * shape, but without `data`: the plugin sets that, aligned to 4 bytes at least. It is the same memory at every call, that of no other
     * parameter and of no other `self`, and stays where it is until `drop`.
     *
     * The host writes the first numbers into it (from the run's seed, or a checkpoint). From then on it optimizes, loads, averages and
     * saves the parameter there, between calls and never during one with this `self`; in between nobody else writes it. params[i] of
     * `forward` and `vjp` point there. Before `drop` the host takes a copy of what it still needs.
     *
     * It is not called for a `self` that only describes and prepares, nor for parameters that the host does not hold as float32 on the
     * CPU, nor by a host before 1.3: a plugin that has it reads `params` in any case. */
    int32_t (*lend)(void *self, const tlkit_call *call, uint64_t stage, uint64_t param, tlkit_tensor *memory);
} tlkit_source_task;

/* ---- target task: data, head, loss and metrics, as data (since 1.1) ---------------------------------------------------------- */

typedef struct tlkit_target_task {
    tlkit_head head;

    /* A function of the keys. One answer of text, JSON:
     *
     *   {"form": "features",
     *    "reader": "wav-folder",
     *    "head": [{"dense": 64, "activation": "relu"}, {"dropout": 0.1}, "classifier"],
     *    "loss": {"term": "focal", "keys": {"gamma": 2}},
     *    "metrics": [{"metric": "kappa", "keys": {}}]}
     *
     * `form`: what a row is: "text", "features" or "images", and a label.  `reader`: one of this library, which opens whatever a
     * recipe names for this task; left out, the endings of names decide.  `head`: layers after the encoder's pooling; left out, a linear
     * classifier.  `loss`: a loss term of this library; left out, cross-entropy with `label_smoothing` and `class_weights`.
     * `metrics`: of this library, beside those that every classification has.
     *
     * Files, columns, splits, limits and what is checked of the rows are the same for every task, and so are their keys. */
    int32_t (*describe)(const tlkit_call *call);
} tlkit_target_task;

/* ---- metric (since 1.1) -------------------------------------------------------------------------------------------------------- */

typedef struct tlkit_metric {
    tlkit_head head;

    /* Makes one from its keys, and leaves it in `self`, which may be null. */
    int32_t (*make)(const tlkit_call *call, void **self);
    /* Takes it back. */
    void (*drop)(void *self);

    /* One number of all rows: `probabilities` is `(rows, classes)`, `labels` the true class of each row, from 0. A pure function. */
    int32_t (*score)(void *self, const tlkit_call *call, const tlkit_tensor *probabilities, const uint32_t *labels, double *value);
} tlkit_metric;

/* ---- what a library brings ---------------------------------------------------------------------------------------------------- */

#define TLKIT_READER 1
#define TLKIT_LOSS_TERM 2
#define TLKIT_STRATEGY 3
#define TLKIT_SOURCE_TASK 4 /* since 1.1 */
#define TLKIT_TARGET_TASK 5
#define TLKIT_METRIC 6

typedef struct tlkit_entry {
    tlkit_head head;
    uint32_t kind;     /* TLKIT_READER, ... An entry of a kind that the host does not know is left alone */
    uint32_t reserved; /* 0 */
    tlkit_text name;   /* as a recipe writes it: lower case, digits, `-` */
    tlkit_text about;  /* one line */

    /* Its own keys, a JSON Schema of an object; empty: none. A strategy's stand in [strategy], a source task's in [source], a target
     * task's in [target]; a loss term's come from who names it; a metric's from there or from `evaluate.metrics`; a reader has none.
     *
     *   {"properties": {"delta": {"type": "number", "exclusiveMinimum": 0, "default": 1.0, "description": "where ..."}},
     *    "required": []}
     *
     * Types: "number", "integer", "boolean", "string", and "array" of numbers or strings. Read besides: `description`, `default`,
     * `x-origin`, where a default comes from, and of numbers `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, of strings
     * `enum`, of arrays `items` with these. Other words, and a default that does not keep to them, are refused: nothing would hold to them. */
    tlkit_text keys;

    const void *table; /* tlkit_reader, tlkit_loss_term, ..., as `kind` says */
} tlkit_entry;

typedef struct tlkit_plugin {
    tlkit_head head;
    tlkit_text name;
    tlkit_text version; /* the plugin's own */
    tlkit_text about;   /* one line */
    uint64_t entries;
    const tlkit_entry *const *entry; /* `entries` of them */
} tlkit_plugin;

/* Who asks. */
typedef struct tlkit_host {
    tlkit_head head;
    tlkit_text version; /* of tlkit */
} tlkit_host;

#ifdef _WIN32
#define TLKIT_EXPORT __declspec(dllexport)
#else
#define TLKIT_EXPORT __attribute__((visibility("default")))
#endif

/* The one symbol. Called once in a process, before anything else; null: this host will not do.
 *
 * Standard output is the host's: programs read it. On Unix what a library prints there goes to standard error. */
TLKIT_EXPORT const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host);

#ifdef __cplusplus
}
#endif

#endif
