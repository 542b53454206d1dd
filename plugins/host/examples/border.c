/* An encoder of MiniLM's size that computes nothing: each function writes zeros where it has to write, and measures how long that takes.
 * `prepare` puts the seconds since the last time into the first number of the example. What a step takes besides is the border.
 * With -DLENDS its parameters live here; without, in the host. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tlkit.h"

#define WIDTH 384
#define LENGTH 128
#define LAYERS 6

static double inside;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void zero(const tlkit_tensor *t) {
    if (!t) return;
    size_t n = 4;
    for (int32_t i = 0; i < t->dimensions; i++) n *= (size_t)t->shape[i];
    memset(t->data, 0, n);
}

#ifdef LENDS
#define STAGES (LAYERS + 2)
#define PARAMS 10

static int32_t make(const tlkit_call *call, void **self) {
    *self = calloc(STAGES * PARAMS, sizeof(float *));
    if (*self) return TLKIT_OK;
    tlkit_text why = TLKIT_TEXT("out of memory");
    call->fail(call->host, why);
    return TLKIT_FAILED;
}

static void drop(void *self) {
    for (int i = 0; i < STAGES * PARAMS; i++) free(((float **)self)[i]);
    free(self);
}

/* Parameters live here, from the first time that they are asked for. */
static int32_t lend(void *self, const tlkit_call *call, uint64_t stage, uint64_t param, tlkit_tensor *memory) {
    (void)call;
    float **place = (float **)self + stage * PARAMS + param;
    size_t n = 1;
    for (int32_t i = 0; i < memory->dimensions; i++) n *= (size_t)memory->shape[i];
    if (!*place) *place = calloc(n, sizeof(float));
    memory->data = *place;
    return TLKIT_OK;
}
#else
#define lend NULL

static int32_t make(const tlkit_call *call, void **self) {
    (void)call;
    *self = NULL;
    return TLKIT_OK;
}

static void drop(void *self) { (void)self; }
#endif

#define PARAM(name, shape) "{\"name\": \"" name "\", \"shape\": " shape ", \"role\": \"weight\", \"init\": \"zeros\"}"

static int32_t describe(void *self, const tlkit_call *call) {
    (void)self;
    static char text[16384];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"reads\": \"features\", \"input\": [%d], \"stages\": [{\"name\": \"embeddings\", \"output\": [%d, %d], "
                     "\"params\": [" PARAM("words", "[30522, 384]") ", " PARAM("places", "[512, 384]") ", " PARAM("norm", "[2, 384]") "]}", LENGTH, LENGTH, WIDTH);
    for (int i = 0; i < LAYERS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                      ", {\"name\": \"layer.%d\", \"output\": [%d, %d], \"params\": [" PARAM("query", "[384, 384]") ", " PARAM("key", "[384, 384]") ", "
                      PARAM("value", "[384, 384]") ", " PARAM("output", "[384, 384]") ", " PARAM("biases", "[4, 384]") ", " PARAM("up", "[1536, 384]") ", "
                      PARAM("up_bias", "[1536]") ", " PARAM("down", "[384, 1536]") ", " PARAM("down_bias", "[384]") ", " PARAM("norms", "[4, 384]") "]}",
                      i, LENGTH, WIDTH);
    n += (size_t)snprintf(text + n, sizeof text - n, ", {\"name\": \"pool\", \"output\": [%d]}]}", WIDTH);
    call->answer(call->host, TLKIT_ANSWER_TEXT, text, n);
    return TLKIT_OK;
}

static int32_t prepare(void *self, const tlkit_call *call, const tlkit_input *input, tlkit_tensor *example) {
    (void)self, (void)call, (void)input;
    zero(example);
    *(float *)example->data = (float)inside;
    inside = 0;
    return TLKIT_OK;
}

static int32_t forward(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, const tlkit_tensor *const *params,
                       uint64_t count, const tlkit_tensor *input, tlkit_tensor *output, void **handle) {
    (void)self, (void)call, (void)pass, (void)stage, (void)params, (void)count, (void)input, (void)handle;
    double from = now();
    zero(output);
    inside += now() - from;
    return TLKIT_OK;
}

static int32_t vjp(void *self, const tlkit_call *call, const tlkit_pass *pass, uint64_t stage, void *handle,
                   const tlkit_tensor *const *params, uint64_t count, const tlkit_tensor *input, const tlkit_tensor *gradient,
                   tlkit_tensor *input_gradient, tlkit_tensor *const *gradients) {
    (void)self, (void)call, (void)pass, (void)stage, (void)handle, (void)params, (void)input, (void)gradient;
    double from = now();
    zero(input_gradient);
    for (uint64_t i = 0; i < count; i++) zero(gradients[i]);
    inside += now() - from;
    return TLKIT_OK;
}

static void release(void *self, void *handle) { (void)self, (void)handle; }

static const tlkit_source_task table = {TLKIT_HEAD(tlkit_source_task), make, drop, describe, prepare, forward, vjp, release, 0, 0, lend};
static const tlkit_entry entry = {TLKIT_HEAD(tlkit_entry), TLKIT_SOURCE_TASK, 0, TLKIT_TEXT("minilm"), {0, 0}, {0, 0}, &table};
static const tlkit_entry *const entries[] = {&entry};
static const tlkit_plugin plugin = {TLKIT_HEAD(tlkit_plugin), TLKIT_TEXT("border"), TLKIT_TEXT("1"), {0, 0}, 1, entries};

const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    (void)host;
    return &plugin;
}
