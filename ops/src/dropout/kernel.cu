// Dropout from a counter. One thread draws four words, which are eight numbers of 16 bits, 16 elements apart.

KERNEL dropout_forward(const T* x, T* y, u64 n, u64 seed, u64 stream, u32 step, u32 threshold, float scale) {
    u64 c = index_of_thread();
    u64 first = c / 16 * 128 + c % 16;
    if (first >= n) return;
    Words words = words_of((u32)c, seed, stream, step);
    for (u32 half = 0; half < 2; half++)
        for (u32 w = 0; w < 4; w++) {
            u64 i = first + half * 64 + w * 16;
            if (i < n) put(y + i, ((words.w[w] >> (16 * half)) & 0xffffu) < threshold ? 0.0f : wide(x[i]) * scale);
        }
}
EMULATE(dropout_forward)
