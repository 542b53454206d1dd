// Batch normalisation of columns (channels) over rows: mod.rs has the formulas. Every kernel has 32 columns a block and chunks of rows.

// Partial sums of x, or, where there is a mean, of (x - mean)².
KERNEL batch_norm_sums(const T* x, const float* mean, float* partials, u32 rows, u32 width, u32 per_chunk) {
    SHARED(float, scratch);
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float sum = 0.0f;
    if (c < width) {
        float m = mean != nullptr ? mean[c] : 0.0f;
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
            float d = wide(x[(u64)r * width + c]) - m;
            sum += mean != nullptr ? d * d : d;
        }
    }
    sum = column_sum(sum, scratch);
    if (c < width && threadIdx.x < COLUMNS) partials[(u64)blockIdx.y * width + c] = sum;
}
EMULATE(batch_norm_sums)

// y = weight (x - mean) / sqrt(var + eps) + bias, plus a residual, and max(.., 0).
KERNEL batch_norm_apply(const T* x, const float* mean, const float* var, const float* weight, const float* bias, const T* residual, T* y,
                        u32 rows, u32 width, u32 per_chunk, float eps, u32 relu) {
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    if (c >= width) return;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float m = mean[c], s = weight[c] * (1.0f / sqrtf(var[c] + eps)), b = bias[c];
    for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
        u64 i = (u64)r * width + c;
        float v = (wide(x[i]) - m) * s + b;
        if (residual != nullptr) v += wide(residual[i]);
        put(y + i, relu && v < 0.0f ? 0.0f : v);
    }
}
EMULATE(batch_norm_apply)

// Partial sums of dy z and of dy, side by side in rows of 2 width.
KERNEL batch_norm_backward_columns(const T* x, const float* mean, const float* var, const T* grad, float* partials, u32 rows, u32 width,
                                   u32 per_chunk, float eps) {
    SHARED(float, scratch);
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float gw = 0.0f, gb = 0.0f;
    if (c < width) {
        float m = mean[c], s = 1.0f / sqrtf(var[c] + eps);
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
            u64 i = (u64)r * width + c;
            float dy = wide(grad[i]);
            gw += dy * ((wide(x[i]) - m) * s);
            gb += dy;
        }
    }
    gw = column_sum(gw, scratch);
    gb = column_sum(gb, scratch);
    if (c < width && threadIdx.x < COLUMNS) {
        float* row = partials + (u64)blockIdx.y * 2 * width;
        row[c] = gw;
        row[width + c] = gb;
    }
}
EMULATE(batch_norm_backward_columns)

// The gradient of x; `sums` (Σ dy z, then Σ dy) where the statistics are the batch's and depend on x, null where they are given.
KERNEL batch_norm_backward(const T* x, const float* mean, const float* var, const float* weight, const T* grad, const float* sums, T* gx,
                           u32 rows, u32 width, u32 per_chunk, float eps) {
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    if (c >= width) return;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float m = mean[c], s = 1.0f / sqrtf(var[c] + eps), w = weight[c];
    float gz = sums != nullptr ? sums[c] / rows : 0.0f, g = sums != nullptr ? sums[width + c] / rows : 0.0f;
    for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
        u64 i = (u64)r * width + c;
        put(gx + i, w * s * (wide(grad[i]) - g - (wide(x[i]) - m) * s * gz));
    }
}
EMULATE(batch_norm_backward)

// to = keep to + take from: running statistics follow.
KERNEL batch_norm_follow(float* to, const float* from, u32 n, float keep, float take) {
    u64 i = index_of_thread();
    if (i < n) to[i] = keep * to[i] + take * from[i];
}
EMULATE(batch_norm_follow)
