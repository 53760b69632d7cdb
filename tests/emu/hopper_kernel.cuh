/*
 * hopper_kernel.cuh: a small kernel that uses every Hopper primitive as a fast one would: causal
 * attention of many prompts, head_dim 64, one producer and one math warpgroup. Proves the
 * primitives; it is not part of the library. Also compiles with nvcc for sm_90a.
 *
 * q, k, v, out: T [tokens, heads, 64]; a block takes every n_blocks-th item: 64 query rows of one
 * prompt and head. Keys come in blocks of 64 from the prompt's start.
 *
 * Threads 0 .. 127 produce: one of them issues the TMA loads. 128 .. 255 compute: row 16 w + ..
 * of the tile belongs to warp w of the four.
 *
 * Shared memory, tiles of 64 rows of 128 bytes, swizzled: q, out, then STAGES times k, v; then
 * mbarriers. q_full, q_empty; k_v_full, k_v_empty per stage.
 *
 * HOPPER_FAULT (0: none) seeds a fault, for the test that the emulation sees it.
 */
#ifndef TEST_HOPPER_KERNEL_CUH
#define TEST_HOPPER_KERNEL_CUH

#include "hw.h"

#ifndef HOPPER_FAULT
#define HOPPER_FAULT 0
#endif
#define FAULT_K_STEP        1  /* a wrong step of the descriptor within the swizzled atom */
#define FAULT_V_STEP        2  /* a wrong step between groups of 8 keys */
#define FAULT_V_TAIL        3  /* rows behind the prompt's end are not zeroed */
#define FAULT_EMPTY_COUNT   4  /* q_empty expects one arrival of four */
#define FAULT_EXPECT_LESS   5  /* k and v are expected to be one tile */
#define FAULT_PARITY        6  /* waits for the other parity */
#define FAULT_EARLY_RELEASE 7  /* the stage is given back before v has been used */
#define FAULT_SCALE_EARLY   8  /* sums are rescaled while wgmma adds to them */
#define FAULT_STORE_SWIZZLE 9  /* out is staged without swizzle */
#define FAULT_ONE_WARP      10 /* one warp leaves out a product */

struct hopper_item {
    int32_t first; /* row of the prompt's first token */
    int32_t n;     /* its tokens */
    int32_t tile;  /* query rows 64 tile .. */
    int32_t head;
};

struct hopper_args {
    hw::tensor_map q, k, v, out;
    uint16_t *out_rows; /* the same memory as the map `out` */
    const hopper_item *items;
    int32_t n_items, n_heads;
    float scale_log2;
};

namespace hopper {

constexpr int STAGES = 2;
constexpr uint32_t TILE = 64 * 128;
constexpr uint32_t OUT = TILE, K_V = 2 * TILE, MBARRIERS = K_V + STAGES * 2 * TILE;
constexpr uint32_t SHARED_BYTES = MBARRIERS + 8 * (2 + 2 * STAGES);
constexpr int THREADS = 256;
constexpr int MATH_BARRIER = 1;

struct shared_map {
    uint32_t base;
    HW_MEMBER uint32_t q() const
    {
        return base;
    }
    HW_MEMBER uint32_t out() const
    {
        return base + OUT;
    }
    HW_MEMBER uint32_t k(int stage) const
    {
        return base + K_V + (uint32_t)stage * 2 * TILE;
    }
    HW_MEMBER uint32_t v(int stage) const
    {
        return k(stage) + TILE;
    }
    HW_MEMBER uint32_t q_full() const
    {
        return base + MBARRIERS;
    }
    HW_MEMBER uint32_t q_empty() const
    {
        return base + MBARRIERS + 8;
    }
    HW_MEMBER uint32_t full(int stage) const
    {
        return base + MBARRIERS + 16 + 16 * (uint32_t)stage;
    }
    HW_MEMBER uint32_t empty(int stage) const
    {
        return full(stage) + 8;
    }
};

/* A ring of stages: which comes next and the parity of its present round. */
struct ring {
    int stage = 0;
    uint32_t parity = 0;
    HW_MEMBER void advance()
    {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

/* 64 rows of 128 bytes, swizzled: groups of 8 rows are 1024 bytes apart. */
HW_DEVICE uint64_t descriptor(uint32_t address)
{
    return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 16 | (address >> 4);
}

HW_DEVICE void produce(const hopper_args &args, const shared_map &shared)
{
    ring ring;
    uint32_t q_parity = 0;
    for (int i = hw::block(); i < args.n_items; i += hw::n_blocks()) {
        const hopper_item item = args.items[i];
        hw::mbarrier_wait(shared.q_empty(), q_parity ^ 1);
        hw::mbarrier_expect(shared.q_full(), TILE);
        hw::tma_load_3d(shared.q(), &args.q, 0, item.head, item.first + 64 * item.tile,
                        shared.q_full());
        q_parity ^= 1;
        for (int j = 0; j <= item.tile; j++) {
            hw::mbarrier_wait(shared.empty(ring.stage), ring.parity ^ 1);
            hw::mbarrier_expect(shared.full(ring.stage),
                                HOPPER_FAULT == FAULT_EXPECT_LESS ? TILE : 2 * TILE);
            hw::tma_load_3d(shared.k(ring.stage), &args.k, 0, item.head, item.first + 64 * j,
                            shared.full(ring.stage));
            hw::tma_load_3d(shared.v(ring.stage), &args.v, 0, item.head, item.first + 64 * j,
                            shared.full(ring.stage));
            ring.advance();
        }
    }
}

/* A thread's part of the tile: two rows, of each 2 neighbours of every 8 columns. */
struct rows {
    float sums[32];
    float max[2], weight[2];
};

/* Weights of a block of scores, relative to the new maxima; old sums become relative to them too.
 * Key 64 j + column is seen from query row 64 tile + row, when both are of the prompt. */
HW_DEVICE void weigh(rows &r, float (&s)[32], int first_row, int first_key, int column, float scale)
{
    HW_UNROLL
    for (int half = 0; half < 2; half++) {
        int row = first_row + 8 * half;
        float max = r.max[half];
        HW_UNROLL
        for (int i = 0; i < 32; i++)
            if (i / 2 % 2 == half) {
                bool seen = first_key + 8 * (i / 4) + column + i % 2 <= row;
                s[i] = seen ? s[i] * scale : -INFINITY;
                max = fmaxf(max, s[i]);
            }
        max = fmaxf(max, hw::shuffle_xor(max, 1));
        max = fmaxf(max, hw::shuffle_xor(max, 2));
        float shrink = hw::exp2(r.max[half] - max), sum = 0.0f;
        HW_UNROLL
        for (int i = 0; i < 32; i++)
            if (i / 2 % 2 == half) {
                s[i] = hw::exp2(s[i] - max);
                sum += s[i];
                r.sums[i] *= shrink;
            }
        r.weight[half] = r.weight[half] * shrink + sum;
        r.max[half] = max;
    }
}

/* Zeroes rows [from, 64) of the tile: 0 times what lies there may be NaN. */
HW_DEVICE void zero_tail(uint32_t tile, int from, int thread)
{
    for (int i = 8 * from + thread; i < 8 * 64; i += 128)
        hw::store_shared(tile + 16 * (uint32_t)i, hw::vec16{{0, 0, 0, 0}});
    hw::fence_async_shared();
    hw::named_sync(MATH_BARRIER, 128);
}

template <typename T>
HW_DEVICE void add_block(rows &r, const shared_map &shared, int stage, const hopper_item &item,
                         int j, float scale, int thread)
{
    const int first_row = 64 * item.tile + thread / 32 * 16 + thread % 32 / 4;
    float s[32];
    const uint64_t q = descriptor(shared.q()), k = descriptor(shared.k(stage)),
                   v = descriptor(shared.v(stage));
    hw::wgmma_fence();
    HW_UNROLL
    for (int step = 0; step < 4; step++)
        if (HOPPER_FAULT != FAULT_ONE_WARP || step < 3 || thread / 32 != 2)
            hw::wgmma_ss<T, 64, 0>(s, q + 2 * (uint64_t)step,
                                   k + (HOPPER_FAULT == FAULT_K_STEP ? 1 : 2) * (uint64_t)step,
                                   step > 0);
    hw::wgmma_commit();
    hw::wgmma_wait<0>();
    weigh(r, s, first_row, 64 * j, thread % 4 * 2, scale);
    uint32_t weights[4][4];
    HW_UNROLL
    for (int i = 0; i < 16; i++)
        weights[i / 4][i % 4] = hw::narrow2<T>(s[2 * i], s[2 * i + 1]);
    if (64 * j + 64 > item.n && HOPPER_FAULT != FAULT_V_TAIL)
        zero_tail(shared.v(stage), item.n - 64 * j, thread);
    if (HOPPER_FAULT == FAULT_EARLY_RELEASE && thread % 32 == 0)
        hw::mbarrier_arrive(shared.empty(stage));
    hw::wgmma_fence();
    HW_UNROLL
    for (int step = 0; step < 4; step++)
        hw::wgmma_rs<T, 64, 1>(r.sums, weights[step],
                               v + (HOPPER_FAULT == FAULT_V_STEP ? 64 : 128) * (uint64_t)step, 1);
    hw::wgmma_commit();
    if (HOPPER_FAULT == FAULT_SCALE_EARLY)
        r.sums[0] *= 0.5f;
    hw::wgmma_wait<0>();
    hw::warp_sync();
    if (HOPPER_FAULT != FAULT_EARLY_RELEASE && thread % 32 == 0)
        hw::mbarrier_arrive(shared.empty(stage));
}

/* A whole tile leaves by TMA, through shared memory; the prompt's last rows one by one, because a
 * tile would overwrite the next prompt. */
template <typename T>
HW_DEVICE void finish(const hopper_args &args, const shared_map &shared, rows &r,
                      const hopper_item &item, int thread)
{
    const bool whole = 64 * item.tile + 64 <= item.n;
    HW_UNROLL
    for (int half = 0; half < 2; half++) {
        float weight = r.weight[half];
        weight += hw::shuffle_xor(weight, 1);
        weight += hw::shuffle_xor(weight, 2);
        const int row = thread / 32 * 16 + thread % 32 / 4 + 8 * half;
        const bool mine = 64 * item.tile + row < item.n;
        uint16_t *to =
            args.out_rows +
            ((int64_t)(item.first + 64 * item.tile + row) * args.n_heads + item.head) * 64;
        HW_UNROLL
        for (int i = 0; i < 8; i++) {
            uint32_t pair = hw::narrow2<T>(r.sums[4 * i + 2 * half] / weight,
                                           r.sums[4 * i + 2 * half + 1] / weight);
            uint32_t chunk = (uint32_t)i;
            if (HOPPER_FAULT != FAULT_STORE_SWIZZLE)
                chunk ^= (uint32_t)row % 8;
            if (whole)
                hw::store_shared(shared.out() + (uint32_t)row * 128 + chunk * 16 +
                                     (uint32_t)thread % 4 * 4,
                                 pair);
            else if (mine)
                *(uint32_t *)(to + 8 * i + thread % 4 * 2) = pair;
        }
    }
    if (!whole)
        return;
    hw::fence_async_shared();
    hw::named_sync(MATH_BARRIER, 128);
    if (thread == 0) {
        hw::tma_store_3d(&args.out, 0, item.head, item.first + 64 * item.tile, shared.out());
        hw::tma_store_commit();
        hw::tma_store_wait<0>();
    }
    hw::named_sync(MATH_BARRIER, 128);
}

template <typename T> HW_DEVICE void compute(const hopper_args &args, const shared_map &shared)
{
    const int thread = hw::thread() - 128;
    ring ring;
    uint32_t q_parity = HOPPER_FAULT == FAULT_PARITY;
    for (int i = hw::block(); i < args.n_items; i += hw::n_blocks()) {
        const hopper_item item = args.items[i];
        rows r;
        HW_UNROLL
        for (int e = 0; e < 32; e++)
            r.sums[e] = 0.0f;
        r.max[0] = r.max[1] = -INFINITY;
        r.weight[0] = r.weight[1] = 0.0f;
        hw::mbarrier_wait(shared.q_full(), q_parity);
        q_parity ^= 1;
        for (int j = 0; j <= item.tile; j++) {
            hw::mbarrier_wait(shared.full(ring.stage), ring.parity);
            add_block<T>(r, shared, ring.stage, item, j, args.scale_log2, thread);
            ring.advance();
        }
        if (thread % 32 == 0)
            hw::mbarrier_arrive(shared.q_empty());
        finish<T>(args, shared, r, item, thread);
    }
}

template <typename T> HW_DEVICE void attend(const hopper_args &args)
{
    const shared_map shared = {hw::shared_base()};
    if (hw::thread() == 0) {
        hw::mbarrier_init(shared.q_full(), 1);
        hw::mbarrier_init(shared.q_empty(), HOPPER_FAULT == FAULT_EMPTY_COUNT ? 1 : 4);
        for (int i = 0; i < STAGES; i++) {
            hw::mbarrier_init(shared.full(i), 1);
            hw::mbarrier_init(shared.empty(i), 4);
        }
        hw::fence_mbarrier_init();
    }
    hw::block_sync();
    if (hw::warp() < 4) {
        hw::set_registers_fewer<24>();
        if (hw::thread() == 0)
            produce(args, shared);
    } else {
        hw::set_registers_more<232>();
        compute<T>(args, shared);
    }
}

} // namespace hopper

HW_KERNEL(hopper_bf16_kernel, hopper_args, hopper::THREADS, 2)
{
    hopper::attend<hw::bf16>(args);
}

#endif
