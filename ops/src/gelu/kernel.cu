// GELU after a bias: mod.rs has the formulas. `tanh` chooses the approximation.

DEVICE float gelu_value(float v, u32 tanh) {
    if (tanh) return v / (1.0f + expf(-1.5957691216057308f * v * (1.0f + 0.044715f * v * v)));
    return 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));
}

DEVICE float gelu_slope(float v, u32 tanh) {
    if (tanh) {
        float s = 1.0f / (1.0f + expf(-1.5957691216057308f * v * (1.0f + 0.044715f * v * v)));
        return s + v * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 3.0f * 0.044715f * v * v);
    }
    return 0.5f * (1.0f + erff(v * 0.70710678118654752f)) + v * 0.3989422804014327f * expf(-0.5f * v * v);
}

KERNEL gelu_forward(const T* x, const float* bias, T* y, u64 n, u32 width, u32 tanh) {
    u64 i = index_of_thread();
    if (i >= n) return;
    float v = wide(x[i]);
    if (bias != nullptr) v += bias[i % width];
    put(y + i, gelu_value(v, tanh));
}
EMULATE(gelu_forward)

// The gradient of x, and partial sums of the bias's: grid (columns / 32, chunks).
KERNEL gelu_backward(const T* x, const float* bias, const T* grad, T* gx, float* partials, u32 rows, u32 width, u32 per_chunk, u32 tanh) {
    SHARED(float, scratch);
    u32 c = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    u32 from = blockIdx.y * per_chunk, to = min(rows, from + per_chunk);
    float sum = 0.0f;
    if (c < width) {
        float b = bias != nullptr ? bias[c] : 0.0f;
        for (u32 r = from + threadIdx.x / COLUMNS; r < to; r += DEEP) {
            u64 i = (u64)r * width + c;
            float g = wide(grad[i]) * gelu_slope(wide(x[i]) + b, tanh);
            put(gx + i, g);
            sum += g;
        }
    }
    sum = column_sum(sum, scratch);
    if (partials != nullptr && c < width && threadIdx.x < COLUMNS) partials[(u64)blockIdx.y * width + c] = sum;
}
EMULATE(gelu_backward)
