// Rows of a table by id, and the gradient of the table. An id of no row makes NaN.

// out = the row of each id, or out += it. One thread an element.
KERNEL embedding_forward(const float* table, const u32* ids, float* out, u64 n, u32 width, u32 vocabulary, u32 add) {
    u64 i = index_of_thread();
    if (i >= n) return;
    u32 id = ids[i / width];
    float v = id < vocabulary ? table[(u64)id * width + i % width] : NAN;
    out[i] = add ? out[i] + v : v;
}
EMULATE(embedding_forward)

// The gradient of a large table, whose other rows are zeros already. A block each position: the first position of an id adds up the rows of
// all of its positions, in order; the others have nothing to do.
KERNEL embedding_backward(const u32* ids, const T* grad, float* out, u32 positions, u32 width, u32 vocabulary, u32 has_padding, u32 padding) {
    SHARED(u32, found);
    u32 at = blockIdx.x, id = ids[at];
    if (id >= vocabulary || (has_padding && id == padding)) return;
    if (threadIdx.x == 0) found[0] = 0;
    __syncthreads();
    for (u32 q = threadIdx.x; q < at; q += blockDim.x)
        if (ids[q] == id) found[0] = 1;
    __syncthreads();
    if (found[0]) return;
    for (u32 c = threadIdx.x; c < width; c += blockDim.x) out[(u64)id * width + c] = wide(grad[(u64)at * width + c]);
    for (u32 from = at + 1; from < positions; from += blockDim.x) {
        u32 q = from + threadIdx.x;
        __syncthreads();
        found[threadIdx.x] = q < positions && ids[q] == id;
        __syncthreads();
        for (u32 k = 0; k < blockDim.x; k++)
            if (found[k])
                for (u32 c = threadIdx.x; c < width; c += blockDim.x) out[(u64)id * width + c] += wide(grad[(u64)(from + k) * width + c]);
    }
}
EMULATE(embedding_backward)

// Partial sums for a table of few rows, each of which has many positions: grid (columns / 32, chunks, vocabulary).
KERNEL embedding_backward_few(const u32* ids, const T* grad, float* partials, u32 positions, u32 width, u32 per_chunk, u32 has_padding,
                              u32 padding) {
    SHARED(float, scratch);
    u32 id = blockIdx.z, c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(positions, from + per_chunk);
    float sum = 0.0f;
    if (c < width && !(has_padding && id == padding))
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP)
            if (ids[r] == id) sum += wide(grad[(u64)r * width + c]);
    sum = column_sum(sum, scratch);
    if (c < width && threadIdx.x < COLUMNS) partials[((u64)blockIdx.y * gridDim.z + id) * width + c] = sum;
}
EMULATE(embedding_backward_few)
