/* A source task, a target task, a metric and a reader that keep to the rules, and with -D of one name break one of them.
 *
 *   first:  y = tanh(w x + b), 3 numbers to 4      second:  z = v y, 4 to 2
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tlkit.h"

#if defined(GIVES_NULL) || defined(GIVES_TWICE) || defined(GIVES_ANOTHERS) || defined(GIVES_ANOTHER_SHAPE) || defined(GIVES_ANOTHER_RANK) || \
    defined(GIVES_DOUBLES) || defined(GIVES_FROM_A_GPU) || defined(GIVES_NEGATIVE_STRIDES) || defined(GIVES_NO_NUMBERS) || \
    defined(GIVES_WITHOUT_DELETER) || defined(GIVES_NOTHING) || defined(GIVES_NAN) || defined(GIVES_IN_FORWARD) || defined(GIVES_AND_FAILS)
#define GIVES
#endif

#if defined(LENDS_NOTHING) || defined(LENDS_READ_ONLY) || defined(LENDS_ANOTHER_SHAPE) || defined(LENDS_ANOTHER_RANK) || defined(LENDS_DOUBLES) || \
    defined(LENDS_FROM_A_GPU) || defined(LENDS_NEGATIVE_STRIDES) || defined(LENDS_UNALIGNED) || defined(LENDS_WITHOUT_END) || \
    defined(LENDS_ONE_FOR_TWO) || defined(LENDS_ONE_TO_ALL) || defined(LENDS_ANEW) || defined(LENDS_ELSEWHERE_LATER) || defined(LEND_FAILS) || \
    defined(LEND_OF_NO_STATUS) || defined(SLOW_AND_LENDS) || defined(LENDS_AND_STALE) || defined(LENDS_AND_WRITES)
#define LENDS
#endif
#ifdef LENDS
/* Parameters live in pages of their own, which are gone after `drop`: whoever looks at them then crashes. */
#include <sys/mman.h>
#define PAGE 4096
#endif
#ifdef SLOW_AND_LENDS
#define SLOW
#endif
#ifdef LENDS_AND_STALE
#define STALE_WEIGHTS
#endif

static int32_t fail(const tlkit_call *call, const char *message) {
    tlkit_text text = {message, strlen(message)};
    call->fail(call->host, text);
    return TLKIT_FAILED;
}

static int32_t answer(const tlkit_call *call, const char *text) {
    call->answer(call->host, TLKIT_ANSWER_TEXT, text, strlen(text));
    return TLKIT_OK;
}

static int32_t make(const tlkit_call *call, void **self) {
#ifdef MAKE_FAILS
    return fail(call, "it will not be made");
#endif
    (void)call;
#ifdef LENDS
    *self = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *self != MAP_FAILED ? TLKIT_OK : fail(call, "out of memory");
#else
    *self = calloc(1, 64 * sizeof(float));
    return *self ? TLKIT_OK : fail(call, "out of memory");
#endif
}

static void drop(void *self) {
#ifdef LENDS
    munmap(self, PAGE);
#else
    free(self);
#endif
}

#ifdef LENDS
/* Where each parameter lives: w, b, v. */
static float *place_of(void *self, uint64_t stage, uint64_t param) {
#ifdef LENDS_ONE_TO_ALL
    static float all[512];
    self = all;
#endif
    return (float *)self + (stage ? 256 : param ? 128 : 0);
}

static int32_t lend(void *self, const tlkit_call *call, uint64_t stage, uint64_t param, tlkit_tensor *memory) {
    static int64_t shape[2] = {4, 1LL << 60}, strides[2] = {-3, 1};
    /* Each of the three is asked for twice when an encoder is made. */
    int32_t *asked = (int32_t *)self + 1000;
    (void)shape, (void)strides, (void)call, ++*asked;
#if defined(LEND_FAILS)
    return fail(call, "no memory today");
#elif defined(LEND_OF_NO_STATUS)
    return -9;
#elif defined(LENDS_NOTHING)
    return TLKIT_OK;
#endif
    memory->data = place_of(self, stage, param);
#if defined(LENDS_READ_ONLY)
    memory->flags |= TLKIT_READ_ONLY;
#elif defined(LENDS_ANOTHER_SHAPE)
    memory->shape = shape;
#elif defined(LENDS_ANOTHER_RANK)
    memory->dimensions = 1;
#elif defined(LENDS_DOUBLES)
    memory->bits = 64;
#elif defined(LENDS_FROM_A_GPU)
    memory->device_type = TLKIT_CUDA;
#elif defined(LENDS_NEGATIVE_STRIDES)
    memory->strides = strides;
#elif defined(LENDS_UNALIGNED)
    memory->byte_offset = 2;
#elif defined(LENDS_WITHOUT_END)
    memory->data = (void *)(UINTPTR_MAX - 15);
#elif defined(LENDS_ONE_FOR_TWO)
    /* The first number of `b` is the last of `w`. */
    if (!stage && param) memory->data = (float *)self + 11;
#elif defined(LENDS_ANEW)
    memory->data = (float *)self + 16 * *asked;
#elif defined(LENDS_ELSEWHERE_LATER)
    if (*asked > 6) memory->data = (float *)memory->data + 512;
#endif
    return TLKIT_OK;
}
#endif

#define FIRST "{\"name\": \"first\", \"output\": [4], \"params\": [" \
    "{\"name\": \"w\", \"shape\": [4, 3], \"role\": \"weight\", \"init\": {\"normal\": 0.5}}, " \
    "{\"name\": \"b\", \"shape\": [4], \"role\": \"bias\", \"init\": \"zeros\"}]}"
#define SECOND "{\"name\": \"second\", \"output\": [2], \"params\": [" \
    "{\"name\": \"v\", \"shape\": [2, 4], \"role\": \"weight\", \"init\": {\"uniform\": 0.7}}]}"

static int32_t describe(void *self, const tlkit_call *call) {
    (void)self;
    return answer(call,
#if defined(DESCRIBES_GARBAGE)
        "{\"reads\": 7}"
#elif defined(DESCRIBES_NO_JSON)
        "reads features"
#elif defined(READS_NO_KIND)
        "{\"reads\": \"smells\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "]}"
#elif defined(READS_TEXT)
        "{\"reads\": \"text\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "]}"
#elif defined(NO_STAGE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": []}"
#elif defined(STAGE_TWICE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " FIRST ", " SECOND "]}"
#elif defined(STAGE_WITH_A_PATH)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"../first\", \"output\": [2]}]}"
#elif defined(STAGE_WITHOUT_A_NAME)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a..b\", \"output\": [2]}]}"
#elif defined(PARAM_TWICE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a\", \"output\": [2], \"params\": ["
        "{\"name\": \"w\", \"shape\": [1], \"role\": \"weight\", \"init\": \"ones\"}, "
        "{\"name\": \"w\", \"shape\": [1], \"role\": \"weight\", \"init\": \"ones\"}]}]}"
#elif defined(PARAM_OF_NO_ROLE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a\", \"output\": [2], \"params\": ["
        "{\"name\": \"w\", \"shape\": [1], \"role\": \"statistic\", \"init\": \"ones\"}]}]}"
#elif defined(INIT_NEGATIVE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a\", \"output\": [2], \"params\": ["
        "{\"name\": \"w\", \"shape\": [1], \"role\": \"weight\", \"init\": {\"normal\": -1}}]}]}"
#elif defined(SHAPE_EMPTY)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a\", \"output\": [0]}]}"
#elif defined(SHAPE_NEGATIVE)
        "{\"reads\": \"features\", \"input\": [-3], \"stages\": [" FIRST ", " SECOND "]}"
#elif defined(SHAPE_THAT_OVERFLOWS)
        "{\"reads\": \"features\", \"input\": [4294967296, 4294967296, 4], \"stages\": [" FIRST ", " SECOND "]}"
#elif defined(FEATURES_NOT_FLAT)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [{\"name\": \"a\", \"output\": [2, 2]}]}"
#elif defined(SCHEDULE_OF_NO_KIND)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "], \"defaults\": {\"schedule\": \"moon\"}}"
#elif defined(OPTIMIZER_OF_NO_KIND)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "], \"defaults\": {\"optimizer\": \"adam9\"}}"
#elif defined(RATE_NEGATIVE)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "], \"defaults\": {\"learning_rate\": -1}}"
#elif defined(DROPOUT_OF_ALL)
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "], \"head_dropout\": 1}"
#elif defined(SOURCE_FROM_THE_FUTURE) || defined(WORD_OF_NO_VERSION)
        /* A word of a later version; of ours, a slip of the pen. */
        "{\"reads\": \"features\", \"input\": [3], \"weather\": \"fair\", \"stages\": [" FIRST ", " SECOND "], \"head_init\": 0.5}"
#elif defined(WIDTH_THAT_LIES)
        "{\"reads\": \"features\", \"input\": [5], \"stages\": [" FIRST ", " SECOND "]}"
#else
        "{\"reads\": \"features\", \"input\": [3], \"stages\": [" FIRST ", " SECOND "], \"head_init\": 0.5, \"defaults\": {\"learning_rate\": 0.01}}"
#endif
    );
}

static int32_t prepare(void *self, const tlkit_call *call, const tlkit_input *input, tlkit_tensor *example) {
    (void)self;
#ifdef PREPARE_FAILS
    return fail(call, "not this one");
#endif
    if (input->kind != TLKIT_ANSWER_FEATURES || input->data.size != (uint64_t)example->shape[0] * 4)
        return fail(call, "rows of another width");
    float *out = example->data;
    memcpy(out, input->data.data, (size_t)input->data.size);
#ifdef PREPARE_NAN
    out[1] = NAN;
#endif
#ifdef PREPARE_TOO_LONG
    out[3] = 1;
#endif
#ifdef PREPARE_SHORT
    tlkit_tensor *again = example;
    uint32_t unwritten = 0x7fc0a11d;
    memcpy((float *)again->data + 2, &unwritten, 4);
#endif
    return TLKIT_OK;
}

#ifdef STALE_WEIGHTS
static float stale[64];
static int filled;
#endif

static int32_t forward(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, const tlkit_tensor *const *params,
                       uint64_t count, const tlkit_tensor *input, tlkit_tensor *output, void **handle) {
    (void)self, (void)count, (void)pass, (void)call;
#if defined(FORWARD_FAILS)
    return fail(call, "no further");
#elif defined(FORWARD_OF_NO_STATUS)
    return -3;
#elif defined(FORWARD_LEFT_OUT)
    return TLKIT_OK;
#endif
#ifdef LENDS
    for (uint64_t i = 0; i < count; i++)
        if (params[i]->data != place_of(self, stage, i)) return fail(call, "a parameter that is not where it lives");
#endif
#ifdef LENDS_AND_WRITES
    if (pass->record) *(float *)params[0]->data += 1e-3f;
#endif
    int64_t rows = input->shape[0];
    const float *x = input->data;
    float *y = output->data;
    if (stage == 0) {
        const float *w = params[0]->data, *b = params[1]->data;
#ifdef STALE_WEIGHTS
        if (!filled++) memcpy(stale, w, 12 * sizeof(float));
        w = stale;
#endif
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < 4; o++) {
                double sum = b[o];
                for (int i = 0; i < 3; i++) sum += (double)w[o * 3 + i] * x[r * 3 + i];
#ifdef ROWS_SEE_EACH_OTHER
                sum += 0.5 * x[0];
#endif
                y[r * 4 + o] = (float)tanh(sum);
            }
        if (pass->record & TLKIT_RECORD_VJP) {
            /* The way back wants the output. */
            *handle = malloc((size_t)rows * 4 * sizeof(float) + 1);
            memcpy(*handle, y, (size_t)rows * 4 * sizeof(float));
        }
    } else {
        const float *v = params[0]->data;
        for (int64_t r = 0; r < rows; r++)
            for (int o = 0; o < 2; o++) {
                double sum = 0;
                for (int i = 0; i < 4; i++) sum += (double)v[o * 4 + i] * x[r * 4 + i];
                y[r * 2 + o] = (float)sum;
            }
    }
#ifdef GIVES_IN_FORWARD
    static tlkit_tensor nothing;
    if (call->give(call->host, 0, &nothing) == TLKIT_OK) return fail(call, "it was taken");
#endif
#ifdef SLOW
    if (pass->training) usleep(10000);
#endif
#ifdef NOT_THE_SAME_TWICE
    static int calls;
    y[0] += 1e-6f * (float)calls++;
#endif
#ifdef FORWARD_NAN
    y[0] = NAN;
#endif
#ifdef FORWARD_TOO_LONG
    y[rows * (stage ? 2 : 4)] = 1;
#endif
    return TLKIT_OK;
}

#ifdef GIVES
/* Gradients in memory of our own, in the place of the host's blocks. */
typedef struct given {
    tlkit_tensor tensor;
    int64_t shape[2], strides[2];
    float numbers[12];
} given;

static int kept;

static void delete(tlkit_tensor *tensor) {
    kept--;
    free(tensor->manager);
}

static int32_t hand_over(const tlkit_call *call, uint64_t index, int32_t dimensions, int64_t rows, int64_t columns, const double *numbers) {
#ifdef GIVES_NOTHING
    return TLKIT_OK;
#endif
    given *g = calloc(1, sizeof *g);
    g->shape[0] = rows, g->shape[1] = columns, g->strides[0] = columns, g->strides[1] = 1;
    for (int i = 0; i < rows * columns; i++) g->numbers[i] = (float)numbers[i];
    tlkit_tensor *t = &g->tensor;
    t->dlpack_major = 1, t->manager = g, t->deleter = delete, t->flags = TLKIT_READ_ONLY, t->data = g->numbers, t->device_type = TLKIT_CPU;
    t->dimensions = dimensions, t->code = TLKIT_FLOAT, t->bits = 32, t->lanes = 1, t->shape = g->shape, t->strides = g->strides;
#if defined(GIVES_NULL)
    t = NULL;
#elif defined(GIVES_ANOTHERS)
    index = 7;
#elif defined(GIVES_ANOTHER_SHAPE)
    g->shape[1] = 1LL << 60;
#elif defined(GIVES_ANOTHER_RANK)
    t->dimensions = -3;
#elif defined(GIVES_DOUBLES)
    t->bits = 64;
#elif defined(GIVES_FROM_A_GPU)
    t->device_type = TLKIT_CUDA;
#elif defined(GIVES_NEGATIVE_STRIDES)
    g->strides[0] = -columns;
#elif defined(GIVES_NO_NUMBERS)
    t->data = NULL;
#elif defined(GIVES_WITHOUT_DELETER)
    t->deleter = NULL;
#elif defined(GIVES_NAN)
    g->numbers[0] = INFINITY;
#endif
    kept++;
    if (call->give(call->host, index, t) != TLKIT_OK) {
        kept--;
        free(g);
        return fail(call, "it was not taken");
    }
#ifdef GIVES_TWICE
    if (call->give(call->host, index, t) != TLKIT_OK) return TLKIT_OK;
#elif defined(GIVES_AND_FAILS)
    return fail(call, "it was given all the same");
#endif
    return TLKIT_OK;
}
#endif

static int32_t vjp(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, void *handle,
                   const tlkit_tensor *const *params, uint64_t count, const tlkit_tensor *input, const tlkit_tensor *gradient,
                   tlkit_tensor *input_gradient, tlkit_tensor *const *gradients) {
    (void)self, (void)count, (void)pass, (void)call;
#ifdef VJP_FAILS
    return fail(call, "there is no way back");
#endif
    int64_t rows = input->shape[0];
    int in = stage ? 4 : 3, out = stage ? 2 : 4;
    const float *x = input->data, *g = gradient->data, *w = params[0]->data, *y = handle;
    double dw[12] = {0}, db[4] = {0};
    for (int64_t r = 0; r < rows; r++) {
        double pre[4];
        for (int o = 0; o < out; o++) {
            double v = g[r * out + o];
            pre[o] = stage ? v : v * (1 - (double)y[r * out + o] * y[r * out + o]);
#ifdef GRADIENT_WRONG
            pre[o] *= 1.1;
#endif
            if (!stage) db[o] += pre[o];
            for (int i = 0; i < in; i++) dw[o * in + i] += pre[o] * x[r * in + i];
        }
        if (input_gradient)
            for (int i = 0; i < in; i++) {
                double sum = 0;
                for (int o = 0; o < out; o++) sum += pre[o] * w[o * in + i];
                ((float *)input_gradient->data)[r * in + i] = (float)sum;
            }
    }
#ifdef INPUT_GRADIENT_TOO_LONG
    if (input_gradient) ((float *)input_gradient->data)[rows * in] = 0;
#endif
#ifdef GRADIENT_LEFT_OUT
    return TLKIT_OK;
#endif
#ifdef GIVES
    if (stage && kept) return fail(call, "gradients were not given back");
    if (gradients[0] && gradients[0]->data) return fail(call, "a block where none is wanted");
    if (gradients[0] && hand_over(call, 0, 2, out, in, dw) != TLKIT_OK) return TLKIT_FAILED;
    if (!stage && gradients[1] && hand_over(call, 1, 1, 4, 1, db) != TLKIT_OK) return TLKIT_FAILED;
    return TLKIT_OK;
#endif
    if (gradients[0]) {
        float *to = gradients[0]->data;
        for (int i = 0; i < in * out; i++) to[i] = (float)dw[i];
#ifdef GRADIENT_NAN
        to[0] = INFINITY;
#endif
    }
    if (!stage && gradients[1])
        for (int o = 0; o < 4; o++) ((float *)gradients[1]->data)[o] = (float)db[o];
    return TLKIT_OK;
}

static void release(void *self, void *handle) {
    (void)self;
#ifdef LEAKS
    volatile char *kept = malloc(1 << 20);
    for (int i = 0; i < 1 << 20; i += 512) kept[i] = 1;
    return;
#endif
    free(handle);
}

static int32_t describe_task(const tlkit_call *call) {
    return answer(call,
#if defined(TASK_NO_JSON)
        "form"
#elif defined(TASK_OF_NO_FORM)
        "{\"form\": \"smells\"}"
#elif defined(TASK_OF_ANOTHER_KEY)
        "{\"form\": \"features\", \"haed\": []}"
#elif defined(LOSS_OF_NOBODY)
        "{\"form\": \"features\", \"loss\": {\"term\": \"another\"}}"
#elif defined(METRIC_OF_NOBODY)
        "{\"form\": \"features\", \"metrics\": [{\"metric\": \"another\"}]}"
#elif defined(READER_OF_NOBODY)
        "{\"form\": \"features\", \"reader\": \"another\"}"
#elif defined(METRIC_OF_A_RESULT)
        "{\"form\": \"features\", \"metrics\": [{\"metric\": \"macro-f1-interval\"}]}"
#elif defined(METRIC_TWICE)
        "{\"form\": \"features\", \"metrics\": [{\"metric\": \"share\"}, {\"metric\": \"share\"}]}"
#elif defined(READS_WHATEVER)
        "{\"form\": \"features\", \"reader\": \"sixty\"}"
#elif defined(HEAD_WITHOUT_END)
        "{\"form\": \"features\", \"head\": [{\"dense\": 4}]}"
#elif defined(HEAD_OF_NO_LAYER)
        "{\"form\": \"features\", \"head\": [\"magic\", \"classifier\"]}"
#elif defined(LOSS_OF_FEATURES)
        "{\"form\": \"features\", \"loss\": {\"term\": \"of-features\"}}"
#else
        "{\"form\": \"features\", \"head\": [{\"dense\": 4}, \"classifier\"], \"loss\": {\"term\": \"brier\"}, \"metrics\": [{\"metric\": \"share\"}]}"
#endif
    );
}

/* A loss: the mean over rows of sum (logit - onehot)^2 / 2. */
static int32_t describe_loss(void *self, const tlkit_call *call) {
    (void)self;
    return answer(call, "{\"taps\": [\"logits:0\", \"labels:0\"]}");
}

static int32_t describe_other(void *self, const tlkit_call *call) {
    (void)self;
    return answer(call, "{\"taps\": [\"features:0\"]}");
}

static int32_t nothing(void *self, const tlkit_call *call, const tlkit_moment *moment, const tlkit_tensor *const *inputs,
                       uint64_t count, double *value, void **handle) {
    (void)self, (void)call, (void)moment, (void)inputs, (void)count, (void)handle;
    *value = 0;
    return TLKIT_OK;
}

static int32_t nothing_vjp(void *self, const tlkit_call *call, const tlkit_moment *moment, void *handle, double gradient,
                           const tlkit_tensor *const *inputs, uint64_t count, tlkit_tensor *const *gradients) {
    (void)self, (void)call, (void)moment, (void)handle, (void)gradient, (void)count;
    if (gradients[0]) memset(gradients[0]->data, 0, (size_t)(inputs[0]->shape[0] * inputs[0]->shape[1]) * sizeof(float));
    return TLKIT_OK;
}

static int32_t loss(void *self, const tlkit_call *call, const tlkit_moment *moment, const tlkit_tensor *const *inputs, uint64_t count,
                    double *value, void **handle) {
    (void)self, (void)call, (void)moment, (void)count, (void)handle;
    int64_t rows = inputs[0]->shape[0], classes = inputs[0]->shape[1];
    const float *x = inputs[0]->data, *labels = inputs[1]->data;
    double sum = 0;
    for (int64_t i = 0; i < rows * classes; i++) {
        double gap = x[i] - ((int64_t)labels[i / classes] == i % classes);
        sum += gap * gap / 2;
    }
    *value = rows ? sum / (double)rows : 0;
    return TLKIT_OK;
}

static int32_t loss_vjp(void *self, const tlkit_call *call, const tlkit_moment *moment, void *handle, double gradient,
                        const tlkit_tensor *const *inputs, uint64_t count, tlkit_tensor *const *gradients) {
    (void)self, (void)moment, (void)handle, (void)count;
    if (gradients[1]) return fail(call, "nobody has a gradient of labels");
    if (!gradients[0]) return TLKIT_OK;
    int64_t rows = inputs[0]->shape[0], classes = inputs[0]->shape[1];
    const float *x = inputs[0]->data, *labels = inputs[1]->data;
    for (int64_t i = 0; i < rows * classes; i++)
        ((float *)gradients[0]->data)[i] = (float)(gradient * (x[i] - ((int64_t)labels[i / classes] == i % classes)) / (double)rows);
    return TLKIT_OK;
}

static void release_nothing(void *self, void *handle) { (void)self, (void)handle; }

/* The share of rows that are said right. */
static int32_t score(void *self, const tlkit_call *call, const tlkit_tensor *probabilities, const uint32_t *labels, double *value) {
    (void)self, (void)call;
#ifdef PRINTS
    printf("hello from the plugin\n");
    fflush(stdout);
#endif
#if defined(SCORE_FAILS)
    return fail(call, "it cannot be said");
#elif defined(SCORE_LEFT_OUT)
    return TLKIT_OK;
#elif defined(SCORE_INFINITE)
    *value = INFINITY;
    return TLKIT_OK;
#endif
    int64_t rows = probabilities->shape[0], classes = probabilities->shape[1];
    const float *p = probabilities->data;
    double right = 0;
    for (int64_t r = 0; r < rows; r++) {
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            if (p[r * classes + c] > p[r * classes + best]) best = c;
        right += best == labels[r];
#ifdef SCORE_OF_THE_ORDER
        right += 0.001 * (double)r * (best == labels[r]);
#endif
    }
    *value = rows ? right / (double)rows : 0;
    return TLKIT_OK;
}

#ifdef PRINTS
__attribute__((constructor)) static void begin(void) {
    printf("hello from its initialiser\n");
    fflush(stdout);
}
#endif

/* Sixty rows of three numbers, whatever is in the file. */
static int32_t open_table(const tlkit_call *call, const tlkit_file *file, void **self) {
    char path[4096];
    if (file->path.size >= sizeof path) return fail(call, "a path that is too long");
    memcpy(path, file->path.data, (size_t)file->path.size);
    path[file->path.size] = 0;
    if (file->path.size && access(path, R_OK)) return fail(call, "there is no such file");
    *self = NULL;
    return TLKIT_OK;
}

static void close_table(void *self) { (void)self; }

static int32_t rows(void *self, const tlkit_call *call, uint64_t *count) {
    (void)self, (void)call;
    *count = 60;
    return TLKIT_OK;
}

static int32_t columns(void *self, const tlkit_call *call) {
    (void)self;
    answer(call, "numbers");
    return answer(call, "label");
}

static int32_t cell(void *self, const tlkit_call *call, uint64_t row, uint64_t column) {
    (void)self;
    if (column) return answer(call, row % 2 ? "odd" : "even");
    float x[3] = {(float)(row % 2), (float)row / 60, 1 - (float)row / 60};
#ifdef READER_NAN
    if (row == 41) x[1] = NAN;
#endif
    call->answer(call->host, TLKIT_ANSWER_FEATURES, x, sizeof x);
    return TLKIT_OK;
}

static int32_t place(void *self, const tlkit_call *call, uint64_t row) {
    (void)self, (void)row;
    return answer(call, "somewhere");
}

/* A table that is larger than the host knows: from the future. */
typedef struct larger {
    tlkit_source_task task;
    uint64_t appended[8];
} larger;

#define SOURCE make, drop, describe, prepare, forward

#if defined(SOURCE_FROM_THE_FUTURE)
static const larger source_table = {{{sizeof(larger), 1, 9}, SOURCE, vjp, release, 0, 0}, {1}};
#elif defined(SOURCE_FROM_THE_PAST)
static const tlkit_source_task source_table = {{offsetof(tlkit_source_task, release), 1, 1}, SOURCE, vjp, release, 0, 0};
#elif defined(SOURCE_OF_1_1)
/* What lies behind its end is not looked at. */
static const tlkit_source_task source_table = {{offsetof(tlkit_source_task, gives), 1, 1}, SOURCE, vjp, release, 1, 7};
#elif defined(GIVES)
static const tlkit_source_task source_table = {TLKIT_HEAD(tlkit_source_task), SOURCE, vjp, release, 1, 0};
#elif defined(LENDS)
static const tlkit_source_task source_table = {TLKIT_HEAD(tlkit_source_task), SOURCE, vjp, release, 0, 0, lend};
#elif defined(SOURCE_OF_1_2)
/* What lies behind its end is not called. */
static const tlkit_source_task source_table = {{offsetof(tlkit_source_task, lend), 1, 2}, SOURCE, vjp, release, 0, 0, (void *)8};
#elif defined(SOURCE_OF_MAJOR_2)
static const tlkit_source_task source_table = {{sizeof(tlkit_source_task), 2, 0}, SOURCE, vjp, release, 0, 0};
#elif defined(VJP_NULL)
static const tlkit_source_task source_table = {TLKIT_HEAD(tlkit_source_task), SOURCE, NULL, release, 0, 0};
#elif defined(PREPARE_NULL)
static const tlkit_source_task source_table = {TLKIT_HEAD(tlkit_source_task), make, drop, describe, NULL, forward, vjp, release, 0, 0};
#else
static const tlkit_source_task source_table = {TLKIT_HEAD(tlkit_source_task), SOURCE, vjp, release, 0, 0};
#endif

#ifdef DESCRIBE_TASK_NULL
static const tlkit_target_task task_table = {TLKIT_HEAD(tlkit_target_task), NULL};
#else
static const tlkit_target_task task_table = {TLKIT_HEAD(tlkit_target_task), describe_task};
#endif

#ifdef SCORE_NULL
static const tlkit_metric metric_table = {TLKIT_HEAD(tlkit_metric), make, drop, NULL};
#else
static const tlkit_metric metric_table = {TLKIT_HEAD(tlkit_metric), make, drop, score};
#endif

/* As it was in 1.0: without `folders`. */
static const tlkit_reader reader_table = {
#ifdef READER_OF_1_0
    {offsetof(tlkit_reader, folders), 1, 0},
#else
    TLKIT_HEAD(tlkit_reader),
#endif
    TLKIT_TEXT("sixty"), open_table, close_table, rows, columns, cell, place, 1, 0};

static const tlkit_loss_term loss_table = {TLKIT_HEAD(tlkit_loss_term), make, drop, describe_loss, loss, loss_vjp, release_nothing};
static const tlkit_loss_term other_table = {TLKIT_HEAD(tlkit_loss_term), make, drop, describe_other, nothing, nothing_vjp, release_nothing};

#define ENTRY(kind, name, keys, table) {TLKIT_HEAD(tlkit_entry), kind, 0, TLKIT_TEXT(name), {0, 0}, keys, table}

static const tlkit_entry source = ENTRY(TLKIT_SOURCE_TASK,
#ifdef SOURCE_TAKEN
                                        "features",
#else
                                        "net",
#endif
#ifdef KEYS_OF_EVERY_SOURCE
                                        TLKIT_TEXT("{\"properties\": {\"checkpoint\": {\"type\": \"string\"}}}"),
#else
                                        TLKIT_TEXT("{\"properties\": {\"depth\": {\"type\": \"integer\", \"minimum\": 1, \"default\": 2}}}"),
#endif
                                        &source_table);
static const tlkit_entry task = ENTRY(TLKIT_TARGET_TASK, "task", {0}, &task_table);
static const tlkit_entry metric = ENTRY(TLKIT_METRIC,
#ifdef METRIC_OF_A_RESULT
                                        "macro-f1-interval",
#else
                                        "share",
#endif
                                        {0}, &metric_table);
static const tlkit_entry reader = ENTRY(TLKIT_READER, "sixty", {0}, &reader_table);
static const tlkit_entry brier = ENTRY(TLKIT_LOSS_TERM, "brier", {0}, &loss_table);
static const tlkit_entry other = ENTRY(TLKIT_LOSS_TERM, "of-features", {0}, &other_table);
static const tlkit_entry *const entries[] = {&source, &task, &metric, &reader, &brier, &other};
static const tlkit_plugin plugin = {TLKIT_HEAD(tlkit_plugin), TLKIT_TEXT("tasks"), TLKIT_TEXT("0.1.0"), TLKIT_TEXT("breaks one rule"), 6, entries};

const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    (void)host;
    return &plugin;
}
