// Cross-entropy of rows of logits (float), one block each: mod.rs has the formulas. A label of no class makes NaN.

KERNEL cross_entropy_forward(const float* logits, const u32* labels, const float* weights, float* losses, float* gradient, u32 classes,
                             float smoothing, u32 has_ignored, u32 ignored) {
    SHARED(float, scratch);
    u64 first = (u64)blockIdx.x * classes;
    u32 label = labels[blockIdx.x];
    if (has_ignored && label == ignored) {
        for (u32 c = threadIdx.x; c < classes; c += blockDim.x) gradient[first + c] = 0.0f;
        if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
        return;
    }
    if (label >= classes) {
        for (u32 c = threadIdx.x; c < classes; c += blockDim.x) gradient[first + c] = NAN;
        if (threadIdx.x == 0) losses[blockIdx.x] = NAN;
        return;
    }
    float spread = smoothing / classes;
    float most = -INFINITY;
    for (u32 c = threadIdx.x; c < classes; c += blockDim.x) most = fmaxf(most, logits[first + c]);
    most = block_max(most, scratch);
    float sum = 0.0f, smooth = 0.0f, base = 0.0f;
    for (u32 c = threadIdx.x; c < classes; c += blockDim.x) {
        float x = logits[first + c] - most, b = spread * (weights == nullptr ? 1.0f : weights[c]);
        sum += expf(x);
        base += b;
        // A class ruled out by a logit of minus infinity, without smoothing, is not 0 times infinity.
        if (b != 0.0f) smooth += b * x;
    }
    sum = block_sum(sum, scratch);
    base = block_sum(base, scratch);
    smooth = block_sum(smooth, scratch);
    float main = (1.0f - smoothing) * (weights == nullptr ? 1.0f : weights[label]), total = main + base;
    for (u32 c = threadIdx.x; c < classes; c += blockDim.x) {
        float b = spread * (weights == nullptr ? 1.0f : weights[c]);
        float a = c == label ? main + b : b;
        gradient[first + c] = total * (expf(logits[first + c] - most) / sum) - a;
    }
    if (threadIdx.x == 0) losses[blockIdx.x] = total * logf(sum) - main * (logits[first + label] - most) - smooth;
}
EMULATE(cross_entropy_forward)

// loss = Σ losses / divisor, the divisor Σ of the weights of the labels that count where `mean`, and 1 elsewhere. One block.
KERNEL cross_entropy_reduce(const float* losses, const u32* labels, const float* weights, float* loss, float* divisor, u32 n, u32 classes,
                            u32 mean, u32 has_ignored, u32 ignored) {
    SHARED(double, scratch);
    double sum = 0.0, weight = 0.0;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        sum += losses[i];
        u32 label = labels[i];
        if (!(has_ignored && label == ignored) && label < classes) weight += weights == nullptr ? 1.0 : weights[label];
    }
    sum = block_sum(sum, scratch);
    weight = block_sum(weight, scratch);
    if (threadIdx.x == 0) {
        if (!mean || weight == 0.0) weight = 1.0;
        *loss = (float)(sum / weight);
        *divisor = (float)weight;
    }
}
EMULATE(cross_entropy_reduce)

// The gradient of the logits: that of each row's loss, times the loss's own (one, or one a row), over the divisor.
KERNEL cross_entropy_backward(const float* gradient, const float* grad, const float* divisor, float* out, u64 n, u32 classes, u32 by_row) {
    u64 i = index_of_thread();
    if (i < n) out[i] = gradient[i] * (grad[by_row ? i / classes : 0] / *divisor);
}
EMULATE(cross_entropy_backward)
