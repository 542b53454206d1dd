// Softmax of rows, a warp each; a block has whole warps.

DEVICE float warp_sum(float x) {
    for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

DEVICE float warp_max(float x) {
    // NaN does not win, as on the CPU.
    for (int d = 16; d > 0; d /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, d);
        x = other > x ? other : x;
    }
    return x;
}

// `keep`, where there is one, is 0 where an element is masked; a row of masked elements becomes zeros.
KERNEL softmax_forward(const T* x, const unsigned char* keep, T* y, u32 rows, u32 width) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    u64 first = (u64)row * width;
    float most = -INFINITY;
    for (u32 i = lane; i < width; i += 32)
        if (keep == nullptr || keep[first + i]) {
            float v = wide(x[first + i]);
            most = v > most ? v : most;
        }
    most = warp_max(most);
    float sum = 0.0f;
    for (u32 i = lane; i < width; i += 32)
        if (keep == nullptr || keep[first + i]) sum += expf(wide(x[first + i]) - most);
    float scale = 1.0f / warp_sum(sum);
    for (u32 i = lane; i < width; i += 32) {
        float v = wide(x[first + i]);
        bool kept = keep == nullptr || keep[first + i];
        // NaN stays NaN where there is no number beside it, too.
        put(y + first + i, !kept ? 0.0f : most != -INFINITY ? expf(v - most) * scale : v != v ? v : 0.0f);
    }
}
EMULATE(softmax_forward)

KERNEL softmax_backward(const T* y, const T* grad, T* gx, u32 rows, u32 width) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    u64 first = (u64)row * width;
    float dot = 0.0f;
    for (u32 i = lane; i < width; i += 32) dot += wide(y[first + i]) * wide(grad[first + i]);
    dot = warp_sum(dot);
    for (u32 i = lane; i < width; i += 32) put(gx + first + i, wide(y[first + i]) * (wide(grad[first + i]) - dot));
}
EMULATE(softmax_backward)
