/* An encoder stage, y = tanh(x W^T + b), and a loss term, the distance between the mean features of two feeds under a learned
 * scale (Kendall et al. 2018), each with its gradient by hand. */
#include "gate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN = 4, OUT = 16 };

static const gate_param stage_params[2] = {
    {"weight", OUT, IN, 0, 0.5f},
    {"bias", 0, OUT, 1, 0.0f},
};

/* What the way back needs: input and output, one after the other. */
typedef struct kept {
    uint64_t rows;
    float values[];
} kept;

static int32_t fail(char *error, const char *what) {
    snprintf(error, GATE_ERROR, "%s", what);
    return 1;
}

static int32_t forward(const gate_matrix *x, const gate_matrix *params, float *y, void **handle, char *error) {
    if (x->columns != IN) return fail(error, "the stage takes 4 numbers a row");
    const float *w = params[0].data, *b = params[1].data;
    for (uint64_t r = 0; r < x->rows; r++) {
        for (int o = 0; o < OUT; o++) {
            double sum = b[o];
            for (int i = 0; i < IN; i++) sum += (double)x->data[r * IN + i] * w[o * IN + i];
            y[r * OUT + o] = (float)tanh(sum);
        }
    }
    if (handle) {
        kept *k = malloc(sizeof(kept) + x->rows * (IN + OUT) * sizeof(float));
        if (!k) return fail(error, "out of memory");
        k->rows = x->rows;
        memcpy(k->values, x->data, x->rows * IN * sizeof(float));
        memcpy(k->values + x->rows * IN, y, x->rows * OUT * sizeof(float));
        *handle = k;
    }
    return 0;
}

static int32_t vjp(void *handle, const gate_matrix *params, const float *dy, float *dx, float *const *dparams,
                   char *error) {
    (void)error;
    const kept *k = handle;
    const float *w = params[0].data, *x = k->values, *y = k->values + k->rows * IN;
    double dw[OUT][IN] = {{0}}, db[OUT] = {0};
    for (uint64_t r = 0; r < k->rows; r++) {
        double back[IN] = {0};
        for (int o = 0; o < OUT; o++) {
            double out = y[r * OUT + o], d = dy[r * OUT + o] * (1.0 - out * out);
            db[o] += d;
            for (int i = 0; i < IN; i++) {
                dw[o][i] += d * x[r * IN + i];
                back[i] += d * w[o * IN + i];
            }
        }
        if (dx)
            for (int i = 0; i < IN; i++) dx[r * IN + i] = (float)back[i];
    }
    for (int o = 0; o < OUT; o++) {
        dparams[1][o] = (float)db[o];
        for (int i = 0; i < IN; i++) dparams[0][o * IN + i] = (float)dw[o][i];
    }
    return 0;
}

static const gate_stage stage = {sizeof(gate_stage), GATE_VERSION, 2, stage_params, IN, OUT, forward, vjp, free};

static const gate_param loss_params[1] = {{"scale", 0, 1, 0, 0.0f}};
static const char *const loss_taps[2] = {"features:0", "features:1"};

static double mean(const gate_matrix *m, uint64_t column) {
    double sum = 0;
    for (uint64_t r = 0; r < m->rows; r++) sum += m->data[r * m->columns + column];
    return sum / (double)m->rows;
}

/* exp(-s) |mean a - mean b|^2 + s */
static int32_t loss_value(const gate_matrix *taps, const gate_matrix *params, double *value, float *const *dtaps,
                          float *const *dparams, char *error) {
    const gate_matrix *a = &taps[0], *b = &taps[1];
    if (a->columns != b->columns) return fail(error, "the two feeds' features differ in width");
    double s = params[0].data[0], scale = exp(-s), distance = 0;
    for (uint64_t c = 0; c < a->columns; c++) {
        double gap = mean(a, c) - mean(b, c);
        distance += gap * gap;
        for (uint64_t r = 0; r < a->rows; r++) dtaps[0][r * a->columns + c] = (float)(2 * scale * gap / (double)a->rows);
        for (uint64_t r = 0; r < b->rows; r++) dtaps[1][r * b->columns + c] = (float)(-2 * scale * gap / (double)b->rows);
    }
    *value = scale * distance + s;
    dparams[0][0] = (float)(1 - scale * distance);
    return 0;
}

static const gate_loss loss = {sizeof(gate_loss), GATE_VERSION, 1, loss_params, 2, loss_taps, loss_value};
static const gate_plugin plugin = {sizeof(gate_plugin), GATE_VERSION, &stage, &loss};

const gate_plugin *gate_plugin_v1(void) { return &plugin; }
