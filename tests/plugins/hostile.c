/* A plugin that keeps to the rules, and with -D of one name breaks one of them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef THROWS
#include <unwind.h>
#endif
#include <string.h>
#include <math.h>
#ifdef THREAD_LEFT_RUNNING
#include <pthread.h>
#endif
#if defined(HANG) || defined(HANG_IN_ENTRY)
#include <unistd.h>
#endif

#include "tlkit.h"

#ifdef ABORT
__attribute__((constructor)) static void begin(void) { abort(); }
#endif
#ifdef SEGFAULT
__attribute__((constructor)) static void begin(void) { *(volatile int *)8 = 1; }
#endif
#ifdef EXIT
__attribute__((constructor)) static void begin(void) { exit(0); }
#endif
#ifdef HANG
__attribute__((constructor)) static void begin(void) { for (;;) sleep(1); }
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

static int made, dropped, handles, released;

static int32_t make(const tlkit_call *call, void **self) {
    (void)call;
    made++;
    *self = NULL;
#ifdef MAKE_FAILS
    return fail(call, "it will not be made");
#endif
    return TLKIT_OK;
}

static void drop(void *self) { (void)self; dropped++; }

static int32_t describe(void *self, const tlkit_call *call) {
    (void)self;
#if defined(DESCRIBES_NOTHING)
    (void)call;
    return TLKIT_OK;
#elif defined(DESCRIBES_TWICE)
    answer(call, "{\"taps\": [\"features:0\"]}");
    return answer(call, "{\"taps\": [\"features:0\"]}");
#elif defined(DESCRIBES_GARBAGE)
    return answer(call, "{\"taps\": 7}");
#elif defined(DESCRIBES_NO_TAPS)
    return answer(call, "{\"taps\": []}");
#elif defined(TAP_WITHOUT_FEED)
    return answer(call, "{\"taps\": [\"features\"]}");
#elif defined(TAP_OF_ANOTHER_FEED)
    return answer(call, "{\"taps\": [\"features:9\"]}");
#elif defined(TAP_OF_NO_STAGE)
    return answer(call, "{\"taps\": [\"attic:0\"]}");
#elif defined(TAP_OF_LABELS)
    return answer(call, "{\"taps\": [\"labels:0\"]}");
#elif defined(SHAPE_THAT_OVERFLOWS)
    return answer(call, "{\"taps\": [\"features:0\"], \"params\": [{\"name\": \"w\", \"shape\": [4294967296, 4294967296], \"role\": \"weight\", \"init\": \"zeros\"}]}");
#elif defined(SHAPE_NEGATIVE)
    return answer(call, "{\"taps\": [\"features:0\"], \"params\": [{\"name\": \"w\", \"shape\": [-3], \"role\": \"weight\", \"init\": \"zeros\"}]}");
#elif defined(PARAM_WITH_A_PATH)
    return answer(call, "{\"taps\": [\"features:0\"], \"params\": [{\"name\": \"../../model.first.weight\", \"shape\": [1], \"role\": \"weight\", \"init\": \"zeros\"}]}");
#else
    return answer(call, "{\"taps\": [\"features:0\"], \"params\": [{\"name\": \"w\", \"shape\": [2], \"role\": \"weight\", \"init\": \"ones\"}]}");
#endif
}

static int32_t forward(void *self, const tlkit_call *call, const tlkit_moment *moment, const tlkit_tensor *const *inputs,
                       uint64_t count, double *value, void **handle) {
    (void)self, (void)moment, (void)count, (void)call;
#ifdef THREAD_LEFT_RUNNING
    if (0) fail(call, "");
#endif
#if defined(FAILS_WITHOUT_A_WORD)
    return TLKIT_FAILED;
#elif defined(FAILS_AT_LENGTH)
    size_t length = 10u << 20;
    char *text = malloc(length);
    for (size_t i = 0; i < length; i++) text[i] = (char)(i % 255 + 1);
    memcpy(text, "a long story: \xff\xfe", 16);
    tlkit_text all = {text, length};
    call->fail(call->host, all);
    free(text);
    return TLKIT_FAILED;
#elif defined(FAILS_EMPTY)
    tlkit_text empty = {"", 0};
    call->fail(call->host, empty);
    return TLKIT_FAILED;
#elif defined(THROWS)
    static struct _Unwind_Exception thrown;
    thrown.exception_class = 0x7465737400000000;
    _Unwind_RaiseException(&thrown);
#elif defined(LEAVES)
    exit(0);
#elif defined(LEAVES_WITH_1)
    exit(1);
#elif defined(FAILS_WITH_NULL)
    tlkit_text nothing = {NULL, 40};
    call->fail(call->host, nothing);
    return TLKIT_FAILED;
#elif defined(STATUS_UNKNOWN)
    return 77;
#elif defined(VALUE_NAN)
    *value = NAN;
    return TLKIT_OK;
#elif defined(VALUE_LEFT_OUT)
    return TLKIT_OK;
#endif
    const float *x = inputs[0]->data, *w = inputs[1]->data;
    int64_t n = inputs[0]->shape[0] * inputs[0]->shape[1];
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    *value = sum / (double)n * w[0] * w[0] + w[1] * w[1];
#ifdef SMALL_AND_TURNED
    *value = 0.002 * sum / (double)n + w[1] * w[1];
#endif
    *handle = malloc((size_t)n * sizeof(float) + 1);
    memset(*handle, 1, (size_t)n * sizeof(float) + 1);
    handles++;
    return TLKIT_OK;
}

static int32_t vjp(void *self, const tlkit_call *call, const tlkit_moment *moment, void *handle, double gradient,
                   const tlkit_tensor *const *inputs, uint64_t count, tlkit_tensor *const *gradients) {
    (void)self, (void)moment, (void)count, (void)handle, (void)call;
#ifdef VJP_FAILS
    return fail(call, "there is no way back");
#endif
    const float *x = inputs[0]->data, *w = inputs[1]->data;
    int64_t n = inputs[0]->shape[0] * inputs[0]->shape[1];
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    if (gradients[0]) {
        float *out = gradients[0]->data;
        for (int64_t i = 0; i < n; i++) out[i] = (float)(gradient * 2 * x[i] / (double)n * w[0] * w[0]);
#ifdef SMALL_AND_TURNED
        for (int64_t i = 0; i < n; i++) out[i] = (float)(-0.004 * gradient * x[i] / (double)n);
#endif
#ifdef GRADIENT_NAN
        out[n - 1] = NAN;
#endif
#ifdef GRADIENT_WRONG
        for (int64_t i = 0; i < n; i++) out[i] *= 1.1f;
#endif
#ifdef GRADIENT_TOO_LONG
        out[n] = 1;
#endif
    }
#ifdef GRADIENT_LEFT_OUT
    return TLKIT_OK;
#endif
    if (gradients[1]) {
        float *out = gradients[1]->data;
        out[0] = (float)(gradient * sum / (double)n * 2 * w[0]);
        out[1] = (float)(gradient * 2 * w[1]);
#ifdef NOT_THE_SAME_TWICE
        static int calls;
        out[0] *= 1.0f + 1e-6f * (float)calls++;
#endif
    }
    return TLKIT_OK;
}

static void release(void *self, void *handle) {
    (void)self;
#ifdef LEAKS
    return;
#endif
    free(handle);
    released++;
}

static int32_t phases(const tlkit_call *call) {
#if defined(PHASES_FAIL)
    return fail(call, "no phases today");
#elif defined(PHASES_NOT_UTF8)
    return answer(call, "\xc3\x28");
#elif defined(PHASES_NO_JSON)
    return answer(call, "{");
#elif defined(PHASES_NULL)
    call->answer(call->host, TLKIT_ANSWER_TEXT, NULL, 12);
    return TLKIT_OK;
#elif defined(PHASES_AS_IMAGE)
    call->answer(call->host, TLKIT_ANSWER_IMAGE, "abc", 3);
    return TLKIT_OK;
#elif defined(PHASES_OF_NO_KIND)
    call->answer(call->host, 99, "abc", 3);
    return TLKIT_OK;
#elif defined(PHASES_WITH_NEGATIVE_WEIGHT_OF_NO_TERM)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"another\"}]}]}");
#elif defined(PHASES_WITHOUT_END)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"until\": {\"epochs\": 0}}]}");
#elif defined(PHASES_TRAIN_NOTHING)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"trains\": [\"attic.*\"]}]}");
#elif defined(ADAPTS)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"source\", \"target\"]}]}");
#elif defined(ADAPTS_SLOWLY)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"source\", \"target\"], \"rate\": 1e-6}]}");
#elif defined(ADAPTS_THE_HEAD)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"source\", \"target\"], \"trains\": \"head\"}]}");
#elif defined(LEARNS_THE_SOURCE)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"source\"]}]}");
#elif defined(LEARNS_THE_TARGET)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"t\"}], \"trains\": \"encoder\"}]}");
#elif defined(TERM_CALLED_LOSS)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"loss\"}]}]}");
#elif defined(HANDS_ITS_KEYS_ON)
    tlkit_text none = {0, 0}, keys;
    if (call->text(call->host, none, &keys) != TLKIT_OK) return fail(call, "no keys");
    char text[300];
    snprintf(text, sizeof text, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"t\", \"keys\": %.*s}]}]}",
             (int)keys.size, keys.data);
    return answer(call, text);
#elif defined(PHASES_OF_ANOTHER_KEY)
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"t\", \"keys\": {\"x\": 1}}]}]}");
#else
    return answer(call, "{\"phases\": [{\"name\": \"a\", \"feeds\": [\"target\"], \"terms\": [{\"term\": \"t\", \"weight\": 0.1}]}]}");
#endif
}

/* A table that is larger than the host knows: from the future. */
typedef struct larger {
    tlkit_loss_term term;
    uint64_t appended[8];
} larger;

#if defined(FROM_THE_FUTURE)
static const larger term_table = {{{sizeof(larger), 1, 7}, make, drop, describe, forward, vjp, release}, {1, 2, 3}};
#elif defined(FROM_THE_PAST)
static const tlkit_loss_term term_table = {{sizeof(tlkit_loss_term) - 16, 1, 0}, make, drop, describe, forward, vjp, release};
#elif defined(TABLE_OF_MAJOR_2)
static const tlkit_loss_term term_table = {{sizeof(tlkit_loss_term), 2, 0}, make, drop, describe, forward, vjp, release};
#elif defined(TABLE_WITHOUT_HEAD)
static const tlkit_loss_term term_table = {{0, 0, 0}, make, drop, describe, forward, vjp, release};
#elif defined(FUNCTION_NULL)
static const tlkit_loss_term term_table = {TLKIT_HEAD(tlkit_loss_term), make, drop, describe, forward, NULL, release};
#else
static const tlkit_loss_term term_table = {TLKIT_HEAD(tlkit_loss_term), make, drop, describe, forward, vjp, release};
#endif

#if defined(LEARNS_THE_TARGET) || defined(ADAPTS) || defined(ADAPTS_SLOWLY) || defined(ADAPTS_THE_HEAD) || defined(LEARNS_THE_SOURCE)
static const tlkit_strategy strategy_table = {TLKIT_HEAD(tlkit_strategy), TLKIT_TRANSDUCTIVE, 0, phases};
#else
static const tlkit_strategy strategy_table = {TLKIT_HEAD(tlkit_strategy), TLKIT_INDUCTIVE, 0, phases};
#endif
#ifdef TRANSFER_OF_NO_KIND
static const tlkit_strategy other_table = {TLKIT_HEAD(tlkit_strategy), 5, 0, phases};
#endif

#if defined(HAS_A_KEY) || defined(HANDS_ITS_KEYS_ON)
#define KEYS TLKIT_TEXT("{\"properties\": {\"weight\": {\"type\": \"number\"}}}")
#else
#define KEYS {0, 0}
#endif

static const tlkit_entry term = {TLKIT_HEAD(tlkit_entry), TLKIT_LOSS_TERM, 0,
#ifdef TERM_CALLED_LOSS
                                 TLKIT_TEXT("loss"),
#else
                                 TLKIT_TEXT("t"),
#endif
                                 TLKIT_TEXT("a term"), KEYS,
#ifdef TABLE_NULL
                                 NULL
#elif defined(TABLE_UNALIGNED)
                                 (const char *)&term_table + 3
#else
                                 &term_table
#endif
};

static const tlkit_entry strategy = {TLKIT_HEAD(tlkit_entry), TLKIT_STRATEGY, 0,
#if defined(NAME_TAKEN)
                                     TLKIT_TEXT("fine-tune"),
#elif defined(NAME_NOT_UTF8)
                                     TLKIT_TEXT("\xc3\x28"),
#elif defined(NAME_WITH_COLOURS)
                                     TLKIT_TEXT("\033[31mred"),
#elif defined(NAME_NULL)
                                     {NULL, 9},
#elif defined(NAME_ENDLESS)
                                     {"hostile", UINT64_MAX},
#else
                                     TLKIT_TEXT("hostile"),
#endif
                                     TLKIT_TEXT("a strategy"),
#if defined(KEYS_NO_JSON)
                                     TLKIT_TEXT("{]"),
#elif defined(KEYS_OF_NO_TYPE)
                                     TLKIT_TEXT("{\"properties\": {\"a\": {\"type\": \"matrix\"}}}"),
#else
                                     KEYS,
#endif
#ifdef TRANSFER_OF_NO_KIND
                                     &other_table};
#else
                                     &strategy_table};
#endif

/* Of a kind that is not known yet. */
static const tlkit_entry later = {TLKIT_HEAD(tlkit_entry), 4711, 0, TLKIT_TEXT("later"), {0, 0}, {0, 0}, NULL};

#ifdef ENTRY_NULL
static const tlkit_entry *const entries[] = {&term, NULL, &strategy};
#else
static const tlkit_entry *const entries[] = {&term, &later, &strategy};
#endif

static const tlkit_plugin plugin = {
#if defined(MAJOR_2)
    {sizeof(tlkit_plugin), 2, 3},
#elif defined(SIZE_SMALL)
    {24, 1, 0},
#else
    TLKIT_HEAD(tlkit_plugin),
#endif
    TLKIT_TEXT("hostile"), TLKIT_TEXT("0.1.0"), TLKIT_TEXT("breaks one rule"),
#ifdef ENTRIES_ENDLESS
    UINT64_MAX,
#else
    3,
#endif
#ifdef ENTRIES_NULL
    NULL
#else
    entries
#endif
};

#ifdef THREAD_LEFT_RUNNING
static void *on_and_on(void *nothing) {
    volatile unsigned n = 0;
    for (;;) n++;
    return nothing;
}
#endif

#if defined(NO_SYMBOL)
const tlkit_plugin *somebody_elses(void) { return &plugin; }
#elif defined(SYMBOL_OF_MAJOR_2)
const tlkit_plugin *tlkit_plugin_v2(void) { return &plugin; }
#elif defined(SYMBOL_IS_NO_FUNCTION)
#define tlkit_plugin_v1 declared_as_a_function
#undef tlkit_plugin_v1
__asm__(".data\n.globl tlkit_plugin_v1\n.type tlkit_plugin_v1, @object\n.size tlkit_plugin_v1, 16\ntlkit_plugin_v1: .quad 1, 2\n.text\n");
const tlkit_plugin *kept(void) { return &plugin; }
#else
const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    (void)host;
    (void)later;
#ifdef HANG_IN_ENTRY
    for (;;) sleep(1);
#endif
#ifdef ASKED_ONCE
    static int asked;
    if (asked++) return NULL;
#endif
#ifdef TABLE_REFUSED
    return NULL;
#endif
#ifdef THREAD_LEFT_RUNNING
    pthread_t thread;
    pthread_create(&thread, NULL, on_and_on, NULL);
#endif
    return &plugin;
}
#endif
