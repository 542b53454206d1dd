// max(x, 0), and its gradient from the output.

KERNEL relu_forward(const T* x, T* y, u64 n) {
    u64 i = index_of_thread();
    // NaN stays NaN.
    if (i < n) put(y + i, wide(x[i]) < 0.0f ? 0.0f : wide(x[i]));
}
EMULATE(relu_forward)

KERNEL relu_backward(const T* y, const T* grad, T* gx, u64 n) {
    u64 i = index_of_thread();
    if (i < n) put(gx + i, wide(y[i]) > 0.0f ? wide(grad[i]) : 0.0f);
}
EMULATE(relu_backward)
