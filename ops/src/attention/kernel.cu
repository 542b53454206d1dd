// What stands between the products of attention: scores to probabilities, and their gradient. (sentence, head, query) is a row of `length`
// keys, and a warp's; there are `asked` queries to a sentence, its first. Queries and keys beyond a sentence's own are zeros; where `keep` is 0 a key is masked.

struct Attended {
    u32 task, query, queries, keys;
    u64 first, draw;
    const unsigned char* keep;
};

DEVICE Attended attended(u32 row, const u32* queries, const u32* keys, const unsigned char* keep, u32 heads, u32 asked, u32 length) {
    Attended a;
    a.task = row / asked;
    a.query = row % asked;
    u32 sentence = a.task / heads;
    a.queries = queries[sentence];
    a.keys = keys[sentence];
    a.first = (u64)row * length;
    // The draws of a (sentence, head), as the CPU numbers them: padding has none.
    a.draw = (u64)a.task * (((u64)length * length + 127) / 128 * 128) + (u64)a.query * a.keys;
    a.keep = keep == nullptr ? nullptr : keep + (u64)sentence * length;
    return a;
}

// p = softmax(scale scores), in place; `dropped`, where there is one, is p with dropout.
KERNEL attention_forward(T* p, T* dropped, const u32* queries, const u32* keys, const unsigned char* keep, u32 rows, u32 heads, u32 asked,
                         u32 length, float scale, u64 seed, u64 stream, u32 step, u32 threshold, float grown) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    Attended a = attended(row, queries, keys, keep, heads, asked, length);
    u32 n = a.query < a.queries ? a.keys : 0;
    float most = -INFINITY;
    for (u32 j = lane; j < n; j += 32)
        if (a.keep == nullptr || a.keep[j]) {
            float v = wide(p[a.first + j]) * scale;
            most = v > most ? v : most;
        }
    most = warp_max(most);
    float sum = 0.0f;
    for (u32 j = lane; j < n; j += 32)
        if (a.keep == nullptr || a.keep[j]) sum += expf(wide(p[a.first + j]) * scale - most);
    float factor = 1.0f / warp_sum(sum);
    for (u32 j = lane; j < length; j += 32) {
        bool counts = j < n && (a.keep == nullptr || a.keep[j]);
        float v = counts ? wide(p[a.first + j]) * scale : 0.0f;
        // NaN stays NaN where there is no number beside it, too.
        v = !counts ? 0.0f : most != -INFINITY ? expf(v - most) * factor : v != v ? v : 0.0f;
        put(p + a.first + j, v);
        if (dropped != nullptr) {
            bool kept = j < n && short_of(a.draw + j, seed, stream, step) >= threshold;
            put(dropped + a.first + j, kept ? stored(v) * grown : 0.0f);
        }
    }
}
EMULATE(attention_forward)

// From the gradient of dropout(p) to that of the scores, in place; `dropped`, where there is one, is made again.
KERNEL attention_backward(const T* p, T* ds, T* dropped, const u32* queries, const u32* keys, const unsigned char* keep, u32 rows, u32 heads,
                          u32 asked, u32 length, float scale, u64 seed, u64 stream, u32 step, u32 threshold, float grown) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    Attended a = attended(row, queries, keys, keep, heads, asked, length);
    u32 n = a.query < a.queries ? a.keys : 0;
    float dot = 0.0f;
    for (u32 j = lane; j < n; j += 32) {
        float g = wide(ds[a.first + j]), v = wide(p[a.first + j]);
        if (dropped != nullptr) {
            float by = short_of(a.draw + j, seed, stream, step) < threshold ? 0.0f : grown;
            put(dropped + a.first + j, v * by);
            g *= by;
            put(ds + a.first + j, g);
            g = wide(ds[a.first + j]);
        }
        dot += v * g;
    }
    dot = warp_sum(dot);
    for (u32 j = lane; j < length; j += 32) {
        put(ds + a.first + j, j < n ? wide(p[a.first + j]) * (wide(ds[a.first + j]) - dot) * scale : 0.0f);
        if (dropped != nullptr && j >= n) put(dropped + a.first + j, 0.0f);
    }
}
EMULATE(attention_backward)
