/* A strategy in C: the centroids of the source's and the target's features are drawn together, while the task is learned on the
 * source. (The linear case of maximum mean discrepancy, Gretton et al. 2012.) One loss term with its derivative by hand,
 *
 *   value = |m_a - m_b|^2 / width,     m_a the mean of the rows of feed 0, m_b that of feed 1
 *   d value / d a[r][c] = 2 (m_a[c] - m_b[c]) / (width rows_a),   and with the other sign for b.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tlkit.h"

static int32_t fail(const tlkit_call *call, const char *message) {
    tlkit_text text = {message, strlen(message)};
    call->fail(call->host, text);
    return TLKIT_FAILED;
}

static int32_t answer(const tlkit_call *call, const char *text) {
    call->answer(call->host, TLKIT_ANSWER_TEXT, text, strlen(text));
    return TLKIT_OK;
}

/* ---- the loss term ---- */

/* It has no settings, and so no `self`. */
static int32_t make(const tlkit_call *call, void **self) {
    (void)call;
    *self = NULL;
    return TLKIT_OK;
}

static void drop(void *self) { (void)self; }

static int32_t describe(void *self, const tlkit_call *call) {
    (void)self;
    return answer(call, "{\"taps\": [\"features:0\", \"features:1\"]}");
}

/* Twice the gap between the centroids, divided by the width: what both ways need. Null after an error. */
static double *gap_of(const tlkit_call *call, const tlkit_tensor *a, const tlkit_tensor *b) {
    if (a->dimensions != 2 || b->dimensions != 2 || a->shape[1] != b->shape[1]) {
        fail(call, "the features of the two feeds differ in width");
        return NULL;
    }
    if (a->shape[0] == 0 || b->shape[0] == 0) {
        fail(call, "a feed without rows has no centroid");
        return NULL;
    }
    int64_t width = a->shape[1];
    double *gap = calloc((size_t)width, sizeof(double));
    if (!gap) {
        fail(call, "out of memory");
        return NULL;
    }
    const tlkit_tensor *both[2] = {a, b};
    for (int which = 0; which < 2; which++) {
        const tlkit_tensor *t = both[which];
        const float *x = t->data;
        double share = (which == 0 ? 1.0 : -1.0) / (double)t->shape[0];
        for (int64_t r = 0; r < t->shape[0]; r++)
            for (int64_t c = 0; c < width; c++) gap[c] += share * x[r * width + c];
    }
    return gap;
}

static int32_t forward(void *self, const tlkit_call *call, const tlkit_moment *moment, const tlkit_tensor *const *inputs,
                       uint64_t count, double *value, void **handle) {
    (void)self, (void)moment, (void)count;
    double *gap = gap_of(call, inputs[0], inputs[1]);
    if (!gap) return TLKIT_FAILED;
    double sum = 0;
    for (int64_t c = 0; c < inputs[0]->shape[1]; c++) sum += gap[c] * gap[c];
    *value = sum / (double)inputs[0]->shape[1];
    *handle = gap; /* for the way back */
    return TLKIT_OK;
}

static int32_t vjp(void *self, const tlkit_call *call, const tlkit_moment *moment, void *handle, double gradient,
                   const tlkit_tensor *const *inputs, uint64_t count, tlkit_tensor *const *gradients) {
    (void)self, (void)call, (void)moment;
    const double *gap = handle;
    for (uint64_t i = 0; i < count; i++) {
        if (!gradients[i]) continue; /* nobody wants it */
        int64_t rows = inputs[i]->shape[0], width = inputs[i]->shape[1];
        double factor = gradient * (i == 0 ? 2.0 : -2.0) / ((double)width * (double)rows);
        float *out = gradients[i]->data;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < width; c++) out[r * width + c] = (float)(factor * gap[c]);
    }
    return TLKIT_OK;
}

static void release(void *self, void *handle) {
    (void)self;
    free(handle);
}

/* ---- the strategy ---- */

static int32_t phases(const tlkit_call *call) {
    tlkit_text name = TLKIT_TEXT("weight");
    double weight = 0;
    if (call->number(call->host, name, &weight) != TLKIT_OK) return fail(call, "there is no `weight`");
    char text[256];
    snprintf(text, sizeof text,
             "{\"phases\": [{\"name\": \"centroid\", \"feeds\": [\"source\", \"target\"],"
             " \"terms\": [{\"term\": \"centroid\", \"weight\": %.17g}]}]}",
             weight);
    return answer(call, text);
}

/* ---- what the library brings ---- */

static const tlkit_loss_term term_table = {TLKIT_HEAD(tlkit_loss_term), make, drop, describe, forward, vjp, release};
static const tlkit_strategy strategy_table = {TLKIT_HEAD(tlkit_strategy), TLKIT_TRANSDUCTIVE, 0, phases};

static const tlkit_entry term = {
    TLKIT_HEAD(tlkit_entry), TLKIT_LOSS_TERM, 0, TLKIT_TEXT("centroid"),
    TLKIT_TEXT("squared distance of two feeds' mean features"), {0, 0}, &term_table};

static const tlkit_entry strategy = {
    TLKIT_HEAD(tlkit_entry), TLKIT_STRATEGY, 0, TLKIT_TEXT("centroid"),
    TLKIT_TEXT("draw the centroids of source and target together"),
    TLKIT_TEXT("{\"properties\": {\"weight\": {\"type\": \"number\", \"minimum\": 0, \"default\": 1.0,"
               " \"description\": \"factor of the squared distance\", \"x-origin\": \"as much as the loss of the task\"}}}"),
    &strategy_table};

static const tlkit_entry *const entries[] = {&term, &strategy};

static const tlkit_plugin plugin = {
    TLKIT_HEAD(tlkit_plugin), TLKIT_TEXT("centroid"), TLKIT_TEXT("0.1.0"),
    TLKIT_TEXT("an example: a strategy in C with a gradient by hand"), 2, entries};

const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    (void)host;
    return &plugin;
}
