// CUDA's language on a CPU, for the tests: enough of it to compile kernel.cu as C++ and run it, one block after another.
//
// A block's threads are fibers, which run until a barrier (of the block or of a warp) makes them wait. They start in an order that the test
// chooses: a kernel whose result depends on it lacks a barrier. Shared memory is filled with NaN before each block. A barrier that some
// thread never reaches is found, and reported.
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __restrict__ __restrict
#define KERNEL static void
#define DEVICE static inline
#define SHARED(type, name) type* name = reinterpret_cast<type*>(emulated::shared.data())

struct dim3 {
    unsigned x, y, z;
};

// Four bytes are enough for it here.
struct uint4 {
    unsigned x, y, z, w;
};

struct __nv_bfloat16 {
    uint16_t bits;
};
static inline float __bfloat162float(__nv_bfloat16 x) {
    uint32_t wide = uint32_t(x.bits) << 16;
    float out;
    std::memcpy(&out, &wide, 4);
    return out;
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (x != x) return {uint16_t((bits >> 16) | 64)};
    return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

namespace emulated {

struct Fiber {
    // Where it begins, and where it went to rest: jumps between stacks that are there already need no system call.
    ucontext_t context;
    jmp_buf at;
    bool begun;
    dim3 thread;
    bool done;
};
struct Barrier {
    unsigned arrived, generation;
};

static dim3 grid_size, block_size, block_index;
static std::vector<unsigned char> shared;
static std::vector<Fiber> fibers;
static std::vector<char> stacks;
static std::vector<uint64_t> slots;
static std::vector<Barrier> warps;
static Barrier whole;
static Fiber* self;
static ucontext_t scheduler;
static jmp_buf scheduler_at;
static bool progress;
static void (*body)(void*);
static void* body_of;

static __attribute__((noinline)) void rest() {
    if (_setjmp(self->at) == 0) _longjmp(scheduler_at, 1);
}

static __attribute__((noinline)) void resume(Fiber& f) {
    self = &f;
    if (_setjmp(scheduler_at) != 0) return;
    if (f.begun) _longjmp(f.at, 1);
    f.begun = true;
    swapcontext(&scheduler, &f.context);
}

static void wait(Barrier& barrier, unsigned of) {
    unsigned generation = barrier.generation;
    if (++barrier.arrived == of) {
        barrier.arrived = 0;
        barrier.generation++;
        progress = true;
        return;
    }
    while (barrier.generation == generation) rest();
}

static void enter() {
    body(body_of);
    self->done = true;
    progress = true;
    _longjmp(scheduler_at, 1);
}

// Whether every thread came to its end.
static bool run_block(unsigned order) {
    const size_t stack = 48 * 1024;
    unsigned n = block_size.x;
    fibers.resize(n);
    stacks.resize(n * stack);
    slots.assign(n, ~0ull);
    warps.assign((n + 31) / 32, Barrier{0, 0});
    whole = Barrier{0, 0};
    std::fill(shared.begin(), shared.end(), 0xff);
    for (unsigned t = 0; t < n; t++) {
        Fiber& f = fibers[t];
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = &stacks[t * stack];
        f.context.uc_stack.ss_size = stack;
        f.context.uc_link = nullptr;
        f.thread = {t, 0, 0};
        f.done = f.begun = false;
        makecontext(&f.context, enter, 0);
    }
    for (unsigned left = n; left > 0;) {
        progress = false;
        left = 0;
        for (unsigned k = 0; k < n; k++) {
            // Forwards, or backwards.
            Fiber& f = fibers[order == 0 ? k : n - 1 - k];
            if (f.done) continue;
            resume(f);
            left += !f.done;
        }
        if (left > 0 && !progress) return false;
    }
    return true;
}

template <class A>
static char kind() {
    if (std::is_pointer<A>::value) return 'p';
    if (std::is_same<A, float>::value) return 'f';
    if (std::is_same<A, double>::value) return 'd';
    if (std::is_same<A, unsigned int>::value) return 'u';
    if (std::is_same<A, unsigned long long>::value) return 'l';
    return '?';
}

template <class... A>
struct Call {
    void (*kernel)(A...);
    void** args;
    template <size_t... I>
    void spread(std::index_sequence<I...>) {
        kernel(*static_cast<std::decay_t<A>*>(args[I])...);
    }
    static void invoke(void* call) { static_cast<Call*>(call)->spread(std::index_sequence_for<A...>{}); }
};

// 0, 1 where the arguments are of other kinds than the kernel's, 2 where a barrier was not reached by all.
template <class... A>
static int run(void (*kernel)(A...), const unsigned* grid, unsigned threads, unsigned bytes, void** args, const char* kinds, unsigned order) {
    char own[sizeof...(A) + 1] = {kind<std::decay_t<A>>()..., 0};
    if (std::strcmp(own, kinds) != 0) {
        std::fprintf(stderr, "the kernel takes %s and was given %s\n", own, kinds);
        return 1;
    }
    Call<A...> call = {kernel, args};
    body = Call<A...>::invoke;
    body_of = &call;
    grid_size = {grid[0], grid[1], grid[2]};
    block_size = {threads, 1, 1};
    shared.assign(bytes, 0xff);
    unsigned blocks = grid[0] * grid[1] * grid[2];
    for (unsigned k = 0; k < blocks; k++) {
        unsigned b = order == 0 ? k : blocks - 1 - k;
        block_index = {b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
        if (!run_block(order)) return 2;
    }
    return 0;
}

template <class V>
static V exchange(V value, unsigned from) {
    unsigned t = self->thread.x, warp = t / 32;
    unsigned lanes = block_size.x - warp * 32 < 32 ? block_size.x - warp * 32 : 32;
    std::memcpy(&slots[t], &value, sizeof(V));
    wait(warps[warp], lanes);
    V out;
    std::memcpy(&out, &slots[warp * 32 + from], sizeof(V));
    wait(warps[warp], lanes);
    return out;
}

}  // namespace emulated

#define threadIdx (emulated::self->thread)
#define blockIdx (emulated::block_index)
#define blockDim (emulated::block_size)
#define gridDim (emulated::grid_size)

static inline void __syncthreads() { emulated::wait(emulated::whole, emulated::block_size.x); }
template <class V>
static inline V __shfl_xor_sync(unsigned, V value, int d) {
    return emulated::exchange(value, (emulated::self->thread.x % 32) ^ d);
}

#define EMULATE(name)                                                                                                                      \
    extern "C" int emulated_##name(const unsigned* grid, unsigned threads, unsigned bytes, void** args, const char* kinds, unsigned order) { \
        return emulated::run(name, grid, threads, bytes, args, kinds, order);                                                              \
    }

template <class N>
static inline N min(N a, N b) {
    return b < a ? b : a;
}
