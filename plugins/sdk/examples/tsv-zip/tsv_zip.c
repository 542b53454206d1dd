/* A data reader in C: the first member of a zip archive, as tab-separated text. Members that are stored or deflated are read; the
 * inflater below is the whole of RFC 1951, a symbol at a time. What is opened is kept in memory.
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

/* ---- inflate (RFC 1951) ---- */

typedef struct bits {
    const unsigned char *at, *end;
    unsigned long hold;
    int count;
    int wrong; /* ran past the end */
} bits;

static unsigned take(bits *b, int n) {
    while (b->count < n) {
        if (b->at == b->end) {
            b->wrong = 1;
            return 0;
        }
        b->hold |= (unsigned long)*b->at++ << b->count;
        b->count += 8;
    }
    unsigned out = (unsigned)(b->hold & ((1ul << n) - 1));
    b->hold >>= n;
    b->count -= n;
    return out;
}

/* A canonical Huffman code: how many symbols have each length, and the symbols by length. */
typedef struct code {
    unsigned short counts[16], symbols[288];
} code;

static int build(code *c, const unsigned char *lengths, int n) {
    unsigned short next[16] = {0};
    memset(c->counts, 0, sizeof c->counts);
    for (int i = 0; i < n; i++) c->counts[lengths[i]]++;
    c->counts[0] = 0;
    int left = 1;
    for (int l = 1; l < 16; l++) {
        left = 2 * left - c->counts[l];
        if (left < 0) return 0; /* more codes than fit */
    }
    for (int l = 1; l < 15; l++) next[l + 1] = (unsigned short)(next[l] + c->counts[l]);
    for (int i = 0; i < n; i++)
        if (lengths[i]) c->symbols[next[lengths[i]]++] = (unsigned short)i;
    return 1;
}

static int symbol(bits *b, const code *c) {
    int value = 0, first = 0, index = 0;
    for (int l = 1; l < 16; l++) {
        value |= (int)take(b, 1);
        if (b->wrong) return -1;
        int count = c->counts[l];
        if (value - count < first) return c->symbols[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return -1;
}

static const unsigned short LENGTHS[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                           31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const unsigned char LENGTH_BITS[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const unsigned short DISTANCES[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                             193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const unsigned char DISTANCE_BITS[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* Whether `out` was filled to the last byte and no further. */
static int inflate(bits *b, unsigned char *out, size_t size) {
    size_t n = 0;
    for (int last = 0; !last;) {
        last = (int)take(b, 1);
        unsigned kind = take(b, 2);
        if (b->wrong || kind == 3) return 0;
        if (kind == 0) {
            b->hold = 0, b->count = 0; /* to the next byte */
            unsigned length = take(b, 16), complement = take(b, 16);
            if (b->wrong || (length ^ complement) != 0xffff || length > (size_t)(b->end - b->at) || length > size - n) return 0;
            memcpy(out + n, b->at, length);
            b->at += length, n += length;
            continue;
        }
        unsigned char lengths[320] = {0};
        code literals, distances;
        if (kind == 1) {
            memset(lengths, 8, 144), memset(lengths + 144, 9, 112), memset(lengths + 256, 7, 24), memset(lengths + 280, 8, 8);
            build(&literals, lengths, 288);
            memset(lengths, 5, 30);
            build(&distances, lengths, 30);
        } else {
            static const unsigned char ORDER[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
            int count = (int)take(b, 5) + 257, further = (int)take(b, 5) + 1, coded = (int)take(b, 4) + 4;
            if (count > 286 || further > 30) return 0;
            unsigned char of_lengths[19] = {0};
            for (int i = 0; i < coded; i++) of_lengths[ORDER[i]] = (unsigned char)take(b, 3);
            if (b->wrong || !build(&literals, of_lengths, 19)) return 0;
            for (int i = 0; i < count + further;) {
                int s = symbol(b, &literals);
                if (s < 0) return 0;
                if (s < 16) {
                    lengths[i++] = (unsigned char)s;
                    continue;
                }
                if (s == 16 && i == 0) return 0;
                unsigned char value = s == 16 ? lengths[i - 1] : 0;
                int repeat = s == 16 ? 3 + (int)take(b, 2) : s == 17 ? 3 + (int)take(b, 3) : 11 + (int)take(b, 7);
                if (b->wrong || repeat > count + further - i) return 0;
                while (repeat--) lengths[i++] = value;
            }
            unsigned char second[32];
            memcpy(second, lengths + count, (size_t)further);
            if (!build(&literals, lengths, count) || !build(&distances, second, further)) return 0;
        }
        for (;;) {
            int s = symbol(b, &literals);
            if (s < 0 || s > 285) return 0;
            if (s == 256) break;
            if (s < 256) {
                if (n == size) return 0;
                out[n++] = (unsigned char)s;
                continue;
            }
            size_t length = LENGTHS[s - 257] + take(b, LENGTH_BITS[s - 257]);
            int d = symbol(b, &distances);
            if (d < 0 || d > 29) return 0;
            size_t distance = DISTANCES[d] + take(b, DISTANCE_BITS[d]);
            if (b->wrong || distance > n || length > size - n) return 0;
            for (; length; length--, n++) out[n] = out[n - distance];
        }
    }
    return n == size;
}

/* ---- the archive ---- */

static unsigned little(const unsigned char *at, int bytes) {
    unsigned value = 0;
    for (int i = 0; i < bytes; i++) value |= (unsigned)at[i] << (8 * i);
    return value;
}

/* The text of the first member that is no folder; null after an error. */
static char *unpack(const tlkit_call *call, const unsigned char *zip, size_t size, size_t *length) {
    /* The end of the central directory is looked for from behind: a comment may follow it. */
    size_t end = size;
    for (size_t i = 22; i <= size && i < 22 + 65536; i++)
        if (memcmp(zip + size - i, "PK\5\6", 4) == 0) {
            end = size - i;
            break;
        }
    if (end == size) return fail(call, "this is no zip archive"), NULL;
    size_t at = little(zip + end + 16, 4);
    for (unsigned left = little(zip + end + 10, 2); left; left--) {
        if (at > size || size - at < 46 || memcmp(zip + at, "PK\1\2", 4) != 0) return fail(call, "the directory of the archive is broken"), NULL;
        unsigned method = little(zip + at + 10, 2), packed = little(zip + at + 20, 4), plain = little(zip + at + 24, 4);
        unsigned name = little(zip + at + 28, 2), skip = name + little(zip + at + 30, 2) + little(zip + at + 32, 2);
        size_t local = little(zip + at + 42, 4);
        if (name > size - at - 46) return fail(call, "the directory of the archive is broken"), NULL;
        int folder = name && zip[at + 46 + name - 1] == '/';
        at += 46 + (size_t)skip;
        if (folder) continue;
        if (local > size || size - local < 30 || memcmp(zip + local, "PK\3\4", 4) != 0) return fail(call, "a member of the archive is not where it should be"), NULL;
        size_t data = local + 30 + little(zip + local + 26, 2) + little(zip + local + 28, 2);
        if (data > size || packed > size - data) return fail(call, "the archive ends too early"), NULL;
        /* Deflate makes a thousandth of a text at best. */
        if (plain / 1100 > packed) return fail(call, "a member says that it is larger than it can be"), NULL;
        char *text = malloc((size_t)plain + 1);
        if (!text) return fail(call, "out of memory"), NULL;
        bits b = {zip + data, zip + data + packed, 0, 0, 0};
        int right = method == 0 ? packed == plain : method == 8 ? inflate(&b, (unsigned char *)text, plain) : 0;
        if (method == 0 && right) memcpy(text, zip + data, plain);
        if (!right) {
            free(text);
            return fail(call, method == 0 || method == 8 ? "the packed text is damaged" : "packed by a method other than deflate"), NULL;
        }
        text[plain] = '\n';
        *length = plain;
        return text;
    }
    return fail(call, "there is no file in the archive"), NULL;
}

/* ---- the table ---- */

typedef struct table {
    char *name, *text;
    size_t length;
    size_t *rows; /* where each line begins, the line of names first if there is one */
    uint64_t count, columns;
    int header;
} table;

static void close(void *self) {
    table *t = self;
    if (!t) return;
    free(t->name), free(t->text), free(t->rows), free(t);
}

static size_t end_of(const table *t, size_t from) {
    const char *end = memchr(t->text + from, '\n', t->length + 1 - from);
    size_t at = (size_t)(end - t->text);
    return at > from && t->text[at - 1] == '\r' ? at - 1 : at;
}

/* The n-th field of a line; a line that has fewer has empty ones. */
static tlkit_text field(const table *t, size_t from, uint64_t n) {
    const char *at = t->text + from, *end = t->text + end_of(t, from);
    for (; n; n--) {
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        if (!tab) return (tlkit_text){end, 0};
        at = tab + 1;
    }
    const char *tab = memchr(at, '\t', (size_t)(end - at));
    return (tlkit_text){at, (uint64_t)((tab ? tab : end) - at)};
}

static unsigned char *whole(const tlkit_call *call, const tlkit_file *file, size_t *size) {
    if (!file->path.size) {
        unsigned char *copy = malloc(file->bytes.size + 1);
        if (!copy) return fail(call, "out of memory"), NULL;
        memcpy(copy, file->bytes.data, file->bytes.size);
        *size = file->bytes.size;
        return copy;
    }
    char *path = malloc(file->path.size + 1);
    if (!path) return fail(call, "out of memory"), NULL;
    memcpy(path, file->path.data, file->path.size);
    path[file->path.size] = 0;
    FILE *f = fopen(path, "rb");
    free(path);
    if (!f) return fail(call, "the file cannot be opened"), NULL;
    unsigned char *bytes = NULL;
    long length = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (length >= 0 && fseek(f, 0, SEEK_SET) == 0 && (bytes = malloc((size_t)length + 1)) != NULL) {
        *size = fread(bytes, 1, (size_t)length, f);
        if (*size != (size_t)length) free(bytes), bytes = NULL;
    }
    fclose(f);
    if (!bytes) fail(call, "the file cannot be read");
    return bytes;
}

static int32_t open(const tlkit_call *call, const tlkit_file *file, void **self) {
    size_t size = 0;
    unsigned char *zip = whole(call, file, &size);
    if (!zip) return TLKIT_FAILED;
    table *t = calloc(1, sizeof *t);
    if (t) t->text = unpack(call, zip, size, &t->length);
    free(zip);
    if (!t) return fail(call, "out of memory");
    if (!t->text) return close(t), TLKIT_FAILED;
    uint64_t lines = 1;
    for (size_t i = 0; i < t->length; i++) lines += t->text[i] == '\n';
    t->rows = malloc((size_t)lines * sizeof *t->rows);
    t->name = malloc(file->name.size + 1);
    if (!t->rows || !t->name) return close(t), fail(call, "out of memory");
    memcpy(t->name, file->name.data, file->name.size);
    t->name[file->name.size] = 0;
    for (size_t at = 0; at < t->length;) {
        t->rows[t->count++] = at;
        at = (size_t)((const char *)memchr(t->text + at, '\n', t->length + 1 - at) - t->text) + 1;
    }
    if (!t->count) return close(t), fail(call, "the text in the archive is empty");
    t->columns = 1;
    for (size_t i = 0, end = end_of(t, 0); i < end; i++) t->columns += t->text[i] == '\t';
    t->header = file->header == 1;
    *self = t;
    return TLKIT_OK;
}

static int32_t rows(void *self, const tlkit_call *call, uint64_t *count) {
    const table *t = self;
    (void)call;
    *count = t->count - (uint64_t)t->header;
    return TLKIT_OK;
}

static int32_t columns(void *self, const tlkit_call *call) {
    const table *t = self;
    for (uint64_t c = 0; c < t->columns; c++) {
        char number[24];
        tlkit_text name = {number, (uint64_t)snprintf(number, sizeof number, "%llu", (unsigned long long)c + 1)};
        if (t->header) name = field(t, 0, c);
        call->answer(call->host, TLKIT_ANSWER_TEXT, name.data, name.size);
    }
    return TLKIT_OK;
}

static int32_t cell(void *self, const tlkit_call *call, uint64_t row, uint64_t column) {
    const table *t = self;
    tlkit_text text = field(t, t->rows[row + (uint64_t)t->header], column);
    call->answer(call->host, TLKIT_ANSWER_TEXT, text.data, text.size);
    return TLKIT_OK;
}

static int32_t place(void *self, const tlkit_call *call, uint64_t row) {
    const table *t = self;
    char text[512];
    int n = snprintf(text, sizeof text, "%.400s:%llu", t->name, (unsigned long long)(row + (uint64_t)t->header + 1));
    call->answer(call->host, TLKIT_ANSWER_TEXT, text, (uint64_t)n);
    return TLKIT_OK;
}

/* ---- what the library brings ---- */

static const tlkit_reader reader_table = {TLKIT_HEAD(tlkit_reader), TLKIT_TEXT("tsv.zip"), open, close, rows, columns, cell, place, 0, 0};

static const tlkit_entry reader = {TLKIT_HEAD(tlkit_entry), TLKIT_READER, 0, TLKIT_TEXT("tsv-zip"),
                                   TLKIT_TEXT("tab-separated text in a zip archive"), {0, 0}, &reader_table};

static const tlkit_entry *const entries[] = {&reader};

static const tlkit_plugin plugin = {TLKIT_HEAD(tlkit_plugin), TLKIT_TEXT("tsv-zip"), TLKIT_TEXT("0.1.0"),
                                    TLKIT_TEXT("an example: a data reader in C"), 1, entries};

const tlkit_plugin *tlkit_plugin_v1(const tlkit_host *host) {
    (void)host;
    return &plugin;
}
