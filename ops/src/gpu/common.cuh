// What the kernels of every op share. Each kernel.cu is compiled for two types of activations, T: float, and with TLKIT_BF16 bfloat16.
// Parameters, their gradients, statistics and losses are float in both.
//
// There are no atomics: partial sums are written by fixed chunks of rows and added in order, so the bits depend on the shapes alone.
//
// The same text is compiled as plain C++ by the tests (emulated.h), so that indices, barriers and formulas are proven on a CPU.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__
// The block's dynamic shared memory.
#define SHARED(type, name)                                       \
    extern __shared__ __align__(16) unsigned char shared_memory[]; \
    type* name = reinterpret_cast<type*>(shared_memory)
#define EMULATE(name)
#else
#include "emulated.h"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef TLKIT_BF16
typedef __nv_bfloat16 T;
#else
typedef float T;
#endif

DEVICE float wide(float x) { return x; }
DEVICE float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
DEVICE void put(float* at, float x) { *at = x; }
DEVICE void put(__nv_bfloat16* at, float x) { *at = __float2bfloat16_rn(x); }
// What is left of x once it is stored.
DEVICE float stored(float x) {
    T t;
    put(&t, x);
    return wide(t);
}

DEVICE u64 index_of_thread() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// The sum over a block of whole warps, given to all of its threads. `scratch` has room for 32 numbers.
template <class N>
DEVICE N block_sum(N x, N* scratch) {
    for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
    u32 warp = threadIdx.x / 32, warps = blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[warp] = x;
    __syncthreads();
    x = scratch[0];
    for (u32 w = 1; w < warps; w++) x += scratch[w];
    return x;
}

DEVICE float block_max(float x, float* scratch) {
    for (int d = 16; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    u32 warp = threadIdx.x / 32, warps = blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[warp] = x;
    __syncthreads();
    x = scratch[0];
    for (u32 w = 1; w < warps; w++) x = fmaxf(x, scratch[w]);
    return x;
}

// Column sums. A block has 32 columns and 8 threads for each; a chunk of rows leaves a row of partial sums, which
// `sum_partials` adds in order. `sum` is what a thread added up over its rows; `scratch` has room for 256 numbers.
const u32 COLUMNS = 32, DEEP = 8;

DEVICE float column_sum(float sum, float* scratch) {
    __syncthreads();
    scratch[threadIdx.x] = sum;
    __syncthreads();
    float total = 0.0f;
    for (u32 d = 0; d < DEEP; d++) total += scratch[d * COLUMNS + threadIdx.x % COLUMNS];
    return total;
}

// Philox-4x32-10 (Salmon et al. 2011), as random.rs has it.
struct Words {
    u32 w[4];
};

DEVICE Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
    for (int round = 0; round < 10; round++) {
        u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        u32 n0 = (u32)(p1 >> 32) ^ c1 ^ k0, n2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (u32)p1;
        c3 = (u32)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words words = {{c0, c1, c2, c3}};
    return words;
}

// Words of counter `c` of the sequence (seed, stream, step).
DEVICE Words words_of(u32 c, u64 seed, u64 stream, u32 step) {
    return philox(c, step, (u32)stream, (u32)(stream >> 32), (u32)seed, (u32)(seed >> 32));
}

// Number i of 16 bits: the low halves of a group's 64 words, then the high ones; a word of its four lies 16 numbers after the one before.
DEVICE u32 short_of(u64 i, u64 seed, u64 stream, u32 step) {
    u32 within = (u32)(i % 128), word = within % 64;
    Words words = words_of((u32)(i / 128) * 16 + word % 16, seed, stream, step);
    return (words.w[word / 16] >> (16 * (within / 64))) & 0xffffu;
}
