// Maximum over windows of images (batch, height, width, channels). A window is cut to the image; `places` has the number of the first
// maximum within what is left of it, row by row. One thread an element.

struct Span {
    u32 from, to;
};

DEVICE Span span_of(u32 i, u32 kernel, u32 stride, u32 padding, u32 size) {
    Span s;
    u32 at = i * stride;
    s.from = min(at > padding ? at - padding : 0u, size);
    s.to = min(at + kernel > padding ? at + kernel - padding : 0u, size);
    return s;
}

KERNEL max_pool_forward(const T* x, T* y, unsigned char* places, u64 n, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw, u32 sh, u32 sw,
                        u32 ph, u32 pw) {
    u64 o = index_of_thread();
    if (o >= n) return;
    u32 channel = (u32)(o % c), j = (u32)(o / c % ow), i = (u32)(o / c / ow % oh);
    u64 image = o / c / ow / oh * h * w;
    Span rows = span_of(i, kh, sh, ph, h), columns = span_of(j, kw, sw, pw, w);
    float most = -INFINITY;
    u32 place = 0, at = 0;
    for (u32 a = rows.from; a < rows.to; a++)
        for (u32 b = columns.from; b < columns.to; b++, at++) {
            float v = wide(x[(image + (u64)a * w + b) * c + channel]);
            // NaN wins, and stays.
            if (v > most || v != v) {
                most = v;
                place = at;
            }
        }
    put(y + o, most);
    places[o] = (unsigned char)place;
}
EMULATE(max_pool_forward)

// Each place of the image adds up what the windows over it hold.
KERNEL max_pool_backward(const T* grad, const unsigned char* places, T* gx, u64 n, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw,
                         u32 sh, u32 sw, u32 ph, u32 pw) {
    u64 o = index_of_thread();
    if (o >= n) return;
    u32 channel = (u32)(o % c), b = (u32)(o / c % w), a = (u32)(o / c / w % h);
    u64 image = o / c / w / h * oh * ow;
    // The first window that reaches this far, and the last that begins no later.
    u32 i0 = a + ph >= kh ? (a + ph - kh) / sh + 1 : 0, i1 = min(oh, (a + ph) / sh + 1);
    u32 j0 = b + pw >= kw ? (b + pw - kw) / sw + 1 : 0, j1 = min(ow, (b + pw) / sw + 1);
    float sum = 0.0f;
    for (u32 i = i0; i < i1; i++) {
        Span rows = span_of(i, kh, sh, ph, h);
        for (u32 j = j0; j < j1; j++) {
            Span columns = span_of(j, kw, sw, pw, w);
            u32 place = (a - rows.from) * (columns.to - columns.from) + b - columns.from;
            u64 from = (image + (u64)i * ow + j) * c + channel;
            if (places[from] == place) sum += wide(grad[from]);
        }
    }
    put(gx + o, sum);
}
EMULATE(max_pool_backward)
