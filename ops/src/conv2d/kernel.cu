// What surrounds the products of a convolution of images (batch, height, width, channels): patches out of images, images out of patches, and
// what is done to an output before it is stored.
//
// A row of patches belongs to an output pixel, and holds for each group, tap and channel of the group one element.

struct Seen {
    u32 group, tap, channel;
};

DEVICE Seen seen(u32 column, u32 depth, u32 taps) {
    Seen s;
    s.channel = column % depth;
    s.tap = column / depth % taps;
    s.group = column / depth / taps;
    return s;
}

// One thread an element of the patches (rows, groups * taps * depth).
KERNEL conv_patches(const T* x, T* patches, u64 n, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw, u32 sh, u32 sw, u32 ph, u32 pw, u32 dh,
                    u32 dw, u32 depth) {
    u64 e = index_of_thread();
    if (e >= n) return;
    u32 taps = kh * kw, width = c * taps;
    u64 row = e / width;
    Seen s = seen((u32)(e % width), depth, taps);
    u32 j = (u32)(row % ow), i = (u32)(row / ow % oh);
    u64 image = row / ow / oh;
    u32 a = i * sh + s.tap / kw * dh, b = j * sw + s.tap % kw * dw;
    bool inside = a >= ph && a - ph < h && b >= pw && b - pw < w;
    float v = inside ? wide(x[((image * h + a - ph) * w + b - pw) * c + s.group * depth + s.channel]) : 0.0f;
    put(patches + e, v);
}
EMULATE(conv_patches)

// The gradient of the image from that of the patches, plus `add`, and zero where `keep` is not positive. One thread an element of the image.
KERNEL conv_image(const T* patches, const T* add, const T* keep, T* gx, u64 n, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw, u32 sh,
                  u32 sw, u32 ph, u32 pw, u32 dh, u32 dw, u32 depth) {
    u64 e = index_of_thread();
    if (e >= n) return;
    u32 taps = kh * kw;
    u32 channel = (u32)(e % c), b = (u32)(e / c % w), a = (u32)(e / c / w % h);
    u64 image = e / c / w / h;
    u32 group = channel / depth, within = channel % depth;
    float sum = 0.0f;
    for (u32 k = 0; k < kh; k++) {
        u32 up = a + ph;
        if (up < k * dh || (up - k * dh) % sh != 0) continue;
        u32 i = (up - k * dh) / sh;
        if (i >= oh) continue;
        for (u32 l = 0; l < kw; l++) {
            u32 left = b + pw;
            if (left < l * dw || (left - l * dw) % sw != 0) continue;
            u32 j = (left - l * dw) / sw;
            if (j >= ow) continue;
            u64 row = (image * oh + i) * ow + j;
            sum += wide(patches[(row * (c / depth) + group) * taps * depth + (k * kw + l) * depth + within]);
        }
    }
    if (add != nullptr) sum += wide(add[e]);
    if (keep != nullptr && !(wide(keep[e]) > 0.0f)) sum = 0.0f;
    put(gx + e, sum);
}
EMULATE(conv_image)

// y = scale y + bias + residual by columns, in place, and max(.., 0).
KERNEL conv_finish(T* y, const float* scale, const float* bias, const T* residual, u64 n, u32 width, u32 relu) {
    u64 i = index_of_thread();
    if (i >= n) return;
    float v = wide(y[i]);
    if (scale != nullptr) v *= scale[i % width];
    if (bias != nullptr) v += bias[i % width];
    if (residual != nullptr) v += wide(residual[i]);
    put(y + i, relu && v < 0.0f ? 0.0f : v);
}
EMULATE(conv_finish)
