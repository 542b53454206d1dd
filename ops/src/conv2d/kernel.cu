// What surrounds the products of a convolution of images (batch, height, width, channels): patches out of images, images out of patches, and
// what is done to an output before it is stored.
//
// A row of patches belongs to an output pixel, and holds for each group, tap and channel of the group one element; rows are `pitch` apart, with
// zeros between them.

// The place of an output pixel, found once for its whole row.
struct Pixel {
    u64 image;
    u32 top, left;
};

DEVICE Pixel pixel_of(u32 row, u32 oh, u32 ow, u32 sh, u32 sw) {
    Pixel p;
    u32 above = row / ow;
    p.left = row % ow * sw;
    p.top = above % oh * sh;
    p.image = above / oh;
    return p;
}

// Where a tap sees the image: its pixel, or none in the padding.
DEVICE bool sees(Pixel p, u32 tap, u32 h, u32 w, u32 kw, u32 ph, u32 pw, u32 dh, u32 dw, u64* at) {
    u32 k = tap / kw;
    u32 a = p.top + k * dh - ph, b = p.left + (tap - k * kw) * dw - pw;
    *at = (p.image * h + a) * w + b;
    // What lies before the first wraps around, and is beyond the last.
    return a < h && b < w;
}

// One element after the other. A warp for each row.
KERNEL conv_patches(const T* x, T* patches, u32 rows, u32 pitch, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw, u32 sh, u32 sw, u32 ph,
                    u32 pw, u32 dh, u32 dw, u32 depth) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) return;
    u32 taps = kh * kw, width = c * taps;
    Pixel p = pixel_of(row, oh, ow, sh, sw);
    T* to = patches + (u64)row * pitch;
    for (u32 e = threadIdx.x % 32; e < pitch; e += 32) {
        float v = 0.0f;
        if (e < width) {
            u32 of = e / depth, channel = e - of * depth, group = of / taps;
            u64 at;
            if (sees(p, of - group * taps, h, w, kw, ph, pw, dh, dw, &at)) v = wide(x[at * c + group * depth + channel]);
        }
        put(to + e, v);
    }
}
EMULATE(conv_patches)

// The same 16 bytes at a time: where `depth` is a multiple of as many elements, x begins at a multiple of 16 bytes, and nothing lies between rows.
KERNEL conv_patches_by_16(const T* x, T* patches, u32 rows, u32 pitch, u32 h, u32 w, u32 c, u32 oh, u32 ow, u32 kh, u32 kw, u32 sh, u32 sw, u32 ph,
                          u32 pw, u32 dh, u32 dw, u32 depth) {
    u32 row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) return;
    const u32 each = 16 / sizeof(T);
    u32 taps = kh * kw, deep = depth / each, across = c / each;
    Pixel p = pixel_of(row, oh, ow, sh, sw);
    const uint4* from = reinterpret_cast<const uint4*>(x);
    uint4* to = reinterpret_cast<uint4*>(patches + (u64)row * pitch);
    for (u32 e = threadIdx.x % 32; e < pitch / each; e += 32) {
        u32 of = e / deep, within = e - of * deep, group = of / taps;
        u64 at;
        uint4 v = {0, 0, 0, 0};
        if (sees(p, of - group * taps, h, w, kw, ph, pw, dh, dw, &at)) v = from[at * across + group * deep + within];
        to[e] = v;
    }
}
EMULATE(conv_patches_by_16)

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
    u32 column = (u32)(i % width);
    if (scale != nullptr) v *= scale[column];
    if (bias != nullptr) v += bias[column];
    if (residual != nullptr) v += wide(residual[i]);
    put(y + i, relu && v < 0.0f ? 0.0f : v);
}
EMULATE(conv_finish)
