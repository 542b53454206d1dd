/* The border between a host and parts written in C: one encoder stage, one loss term.
 *
 * Everything that crosses is C: numbers, pointers, tables of function pointers. A table begins with its own size and a version;
 * fields are only ever appended, so that a host can tell from the size which ones are there.
 *
 * Memory. Every tensor is a row-major block of floats that belongs to the host and is lent for the duration of one call: inputs,
 * parameters, outputs, gradients. A part keeps no pointer to any of them. What it needs on the way back it copies behind a handle
 * of its own, which the host gives back with `drop`.
 *
 * Parameters are declared here, made and kept by the host (initial values, optimizer, checkpoints, averages), and lent.
 *
 * Threads. A call may come from any thread, but never two at once for one handle.
 *
 * Errors. A function returns 0, or another number after writing what was wrong into `error`, at most GATE_ERROR bytes with the
 * final zero.
 */
#ifndef GATE_H
#define GATE_H

#include <stdint.h>

#define GATE_VERSION 1
#define GATE_ERROR 256

/* A matrix that may be read during the call. A vector is a matrix of one row. */
typedef struct gate_matrix {
    const float *data;
    uint64_t rows;
    uint64_t columns;
} gate_matrix;

/* A parameter that a part wants. */
typedef struct gate_param {
    const char *name;  /* under the part's own scope, zero-terminated */
    uint64_t rows;     /* 0: a vector of `columns` numbers */
    uint64_t columns;
    uint32_t role;     /* 0: weight, 1: bias */
    float deviation;   /* of its normal initial values; 0: all zero */
} gate_param;

/* One piece of an encoder, from `inputs` to `outputs` numbers a row. */
typedef struct gate_stage {
    uint64_t size; /* sizeof(gate_stage) where the part was compiled */
    uint32_t version;
    uint32_t params;
    const gate_param *param; /* `params` of them, for the life of the library */
    uint64_t inputs;
    uint64_t outputs;

    /* Writes the output for `x` into `y`, x->rows times `outputs` floats. `handle` is null in a pass that has no way back;
     * otherwise it receives what `vjp` will want. */
    int32_t (*forward)(const gate_matrix *x, const gate_matrix *params, float *y, void **handle, char *error);

    /* From the gradient of the output: writes that of the input into `dx`, unless it is null, and that of each parameter into
     * dparams[i]. All are overwritten, not added to. At most once a handle. */
    int32_t (*vjp)(void *handle, const gate_matrix *params, const float *dy, float *dx, float *const *dparams,
                   char *error);

    /* Takes a handle back, after `vjp` or instead of it. */
    void (*drop)(void *handle);
} gate_stage;

/* A loss: a pure function of taps (named tensors of the model) and of its own parameters. */
typedef struct gate_loss {
    uint64_t size; /* sizeof(gate_loss) where the part was compiled */
    uint32_t version;
    uint32_t params;
    const gate_param *param;
    uint32_t taps;
    const char *const *tap; /* `features:0`: the features of the first feed */

    /* Writes the value, and the gradient of each tap and each parameter; shapes are those of the inputs. */
    int32_t (*value_and_gradients)(const gate_matrix *taps, const gate_matrix *params, double *value,
                                   float *const *dtaps, float *const *dparams, char *error);
} gate_loss;

/* What a library brings. */
typedef struct gate_plugin {
    uint64_t size; /* sizeof(gate_plugin) where the part was compiled */
    uint32_t version;
    const gate_stage *stage; /* or null */
    const gate_loss *loss;   /* or null */
} gate_plugin;

/* The one symbol. The tables live as long as the library, which is never unloaded. */
const gate_plugin *gate_plugin_v1(void);

#endif
