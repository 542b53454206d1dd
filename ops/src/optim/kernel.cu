// Update rules for all parameters in one launch. `starts` says with which block each tensor begins; a block has CHUNK elements of one.

const u32 CHUNK = 4096;

struct Place {
    u32 tensor;
    u32 from, to;
};

DEVICE Place place_of(u32 block, const u32* starts, const u32* counts, u32 tensors) {
    u32 low = 0, high = tensors;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (starts[middle] <= block) low = middle;
        else high = middle;
    }
    Place p;
    p.tensor = low;
    p.from = (block - starts[low]) * CHUNK;
    p.to = min(counts[low], p.from + CHUNK);
    return p;
}

// Eight numbers of `hyper` for each tensor; mod.rs has the rules and their order.
KERNEL optim_step(float* const* params, const float* const* grads, float* const* first, float* const* second, const u32* starts,
                  const u32* counts, const u32* rules, const float* hyper, u32 tensors, float scale) {
    Place p = place_of(blockIdx.x, starts, counts, tensors);
    float* param = params[p.tensor];
    const float* grad = grads[p.tensor];
    float* a = first[p.tensor];
    float* b = second[p.tensor];
    const float* h = hyper + 8 * p.tensor;
    u32 rule = rules[p.tensor];
    for (u32 i = p.from + threadIdx.x; i < p.to; i += blockDim.x) {
        float g = grad[i] * scale;
        if (rule == 0) {
            // AdamW: shrink, 1 - beta1, beta2, 1 - beta2, root, eps, size.
            float mean = a[i] + h[1] * (g - a[i]);
            float square = h[2] * b[i] + h[3] * g * g;
            a[i] = mean;
            b[i] = square;
            param[i] = param[i] * h[0] - h[6] * mean / (sqrtf(square) * h[4] + h[5]);
        } else if (rule == 1) {
            // SGD: lr, weight decay, what is kept of the buffer, how far ahead, whether there is a buffer, whether to look ahead.
            g += h[1] * param[i];
            if (h[4] != 0.0f) {
                float buffer = h[2] * a[i] + g;
                a[i] = buffer;
                g = h[5] != 0.0f ? g + h[3] * buffer : buffer;
            }
            param[i] -= h[0] * g;
        } else {
            // RMSprop: lr, alpha, 1 - alpha, eps, momentum, weight decay, whether there is a buffer.
            g += h[5] * param[i];
            float square = h[1] * a[i] + h[2] * g * g;
            a[i] = square;
            float direction = g / (sqrtf(square) + h[3]);
            if (h[6] != 0.0f) {
                direction += h[4] * b[i];
                b[i] = direction;
            }
            param[i] -= h[0] * direction;
        }
    }
}
EMULATE(optim_step)

// Σ g² of each block's elements.
KERNEL optim_squares(const float* const* grads, const u32* starts, const u32* counts, double* partials, u32 tensors) {
    SHARED(double, scratch);
    Place p = place_of(blockIdx.x, starts, counts, tensors);
    const float* grad = grads[p.tensor];
    double sum = 0.0;
    for (u32 i = p.from + threadIdx.x; i < p.to; i += blockDim.x) sum += (double)grad[i] * grad[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
EMULATE(optim_squares)

// The root of the sum of n numbers. One block.
KERNEL optim_norm(const double* partials, double* out, u32 n) {
    SHARED(double, scratch);
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += partials[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) *out = sqrt(sum);
}
EMULATE(optim_norm)
