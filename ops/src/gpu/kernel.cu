// Sums and copies that several ops share.

// Adds `chunks` rows of `width` partial sums, in order. One thread a column.
KERNEL sum_partials(const float* partials, float* out, u32 chunks, u32 width) {
    u64 c = index_of_thread();
    if (c >= width) return;
    float sum = 0.0f;
    for (u32 r = 0; r < chunks; r++) sum += partials[(u64)r * width + c];
    out[c] = sum;
}
EMULATE(sum_partials)

// Partial sums of each column of x (rows, width): grid (columns / 32, chunks).
KERNEL column_sums(const T* x, float* partials, u32 rows, u32 width, u32 per_chunk) {
    SHARED(float, scratch);
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float sum = 0.0f;
    if (c < width)
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) sum += wide(x[(u64)r * width + c]);
    sum = column_sum(sum, scratch);
    if (c < width && threadIdx.x < COLUMNS) partials[(u64)blockIdx.y * width + c] = sum;
}
EMULATE(column_sums)

// Every row of out (n / width, width) becomes `row`.
KERNEL fill_rows(const float* row, T* out, u64 n, u32 width) {
    u64 i = index_of_thread();
    if (i < n) put(out + i, row[i % width]);
}
EMULATE(fill_rows)
