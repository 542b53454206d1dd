// Layer normalisation of rows, one block each: mod.rs has the formulas.

// With a residual, `sum` = residual + dropout(x) is what is normalised; a threshold of 0 drops nothing.
KERNEL layer_norm_forward(const T* x, const T* residual, const float* weight, const float* bias, T* sum, T* y, float* mean, float* rstd,
                          u32 width, float eps, u64 seed, u64 stream, u32 step, u32 threshold, float scale) {
    SHARED(float, scratch);
    u64 first = (u64)blockIdx.x * width;
    const T* from = x + first;
    if (residual != nullptr) {
        // Each thread reads below what it wrote here.
        from = sum + first;
        for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
            float v = wide(x[first + i]);
            if (threshold > 0) v = short_of(first + i, seed, stream, step) < threshold ? 0.0f : v * scale;
            put(sum + first + i, wide(residual[first + i]) + v);
        }
    }
    float total = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) total += wide(from[i]);
    float m = block_sum(total, scratch) / width;
    float square = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float d = wide(from[i]) - m;
        square += d * d;
    }
    float s = 1.0f / sqrtf(block_sum(square, scratch) / width + eps);
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) put(y + first + i, (wide(from[i]) - m) * s * weight[i] + bias[i]);
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = m;
        rstd[blockIdx.x] = s;
    }
}
EMULATE(layer_norm_forward)

// The gradient of the rows.
KERNEL layer_norm_backward(const T* x, const float* mean, const float* rstd, const float* weight, const T* grad, T* gx, u32 width) {
    SHARED(float, scratch);
    u64 first = (u64)blockIdx.x * width;
    float m = mean[blockIdx.x], s = rstd[blockIdx.x];
    float g_sum = 0.0f, gz_sum = 0.0f;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float g = wide(grad[first + i]) * weight[i];
        g_sum += g;
        gz_sum += g * ((wide(x[first + i]) - m) * s);
    }
    float g_mean = block_sum(g_sum, scratch) / width, gz_mean = block_sum(gz_sum, scratch) / width;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        float z = (wide(x[first + i]) - m) * s;
        put(gx + first + i, s * (wide(grad[first + i]) * weight[i] - g_mean - z * gz_mean));
    }
}
EMULATE(layer_norm_backward)

// Partial sums of the gradients of weight and bias, side by side in rows of 2 width: grid (columns / 32, chunks).
KERNEL layer_norm_backward_columns(const T* x, const float* mean, const float* rstd, const T* grad, float* partials, u32 rows, u32 width,
                                   u32 per_chunk) {
    SHARED(float, scratch);
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float gw = 0.0f, gb = 0.0f;
    if (c < width)
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
            u64 i = (u64)r * width + c;
            float dy = wide(grad[i]);
            gw += dy * ((wide(x[i]) - mean[r]) * rstd[r]);
            gb += dy;
        }
    gw = column_sum(gw, scratch);
    gb = column_sum(gb, scratch);
    if (c < width && threadIdx.x < COLUMNS) {
        float* row = partials + (u64)blockIdx.y * 2 * width;
        row[c] = gw;
        row[width + c] = gb;
    }
}
EMULATE(layer_norm_backward_columns)
