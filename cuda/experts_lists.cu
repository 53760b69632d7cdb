/*
 * experts_lists.cu: which experts rows go through, and the lists of each expert's rows that
 * products run over. Contracts are in kernels_layers.h. Every list and every sum has one order,
 * which follows from the rows' own order: nothing is added by atomics.
 */
#include "cuda/activation.cuh"
#include "cuda/kernels_layers.h"
#include "cuda/quads.cuh"
#include "cuda/row_sums.cuh"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)

/* ---- route ----
 * A warp has a row; expert e is number e / 32 of lane e % 32, in a register. The best is taken
 * top_k times, then experts and their weights go out in order.
 */
#define HELD (PPI_CUDA_MAX_EXPERTS / 32)

/* Of the warp's values. */
HW_DEVICE float max_of_warp(float x)
{
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        x = fmaxf(x, hw::shuffle_xor(x, mask));
    return x;
}

HW_DEVICE uint32_t min_of_warp(uint32_t x)
{
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2) {
        uint32_t other = hw::shuffle_xor(x, mask);
        x = other < x ? other : x;
    }
    return x;
}

/* A lane's experts. Behind the last: what loses. */
struct lane_experts {
    float score[HELD];
    uint32_t chosen; /* bits */
};

HW_DEVICE int expert_of(int i)
{
    return 32 * i + hw::lane();
}

/* exp(x - max) of them, and its sum over the warp. */
HW_DEVICE float weigh(lane_experts &of, int n, float max)
{
    float sum = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        if (expert_of(i) < n) {
            of.score[i] = hw::exp2((of.score[i] - max) * LOG2_E);
            sum += of.score[i];
        }
    return sum_of_warp(sum);
}

HW_DEVICE float largest(const lane_experts &of, int n)
{
    float max = -INFINITY;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        if (expert_of(i) < n)
            max = fmaxf(max, of.score[i]);
    return max_of_warp(max);
}

/* Sets the bits of the top_k best by score and correction, the smaller of equals first. */
HW_DEVICE void choose(lane_experts &of, const struct ppi_cuda_route_args &args)
{
    for (int32_t k = 0; k < args.top_k; k++) {
        float best = -INFINITY;
        uint32_t number = ~0u; /* none left */
        HW_UNROLL
        for (int i = 0; i < HELD; i++) {
            int e = expert_of(i);
            if (e >= args.n || of.chosen >> i & 1)
                continue;
            float score = of.score[i] + (args.correction ? args.correction[e] : 0.0f);
            if (score > best || number == ~0u) {
                best = score > -INFINITY ? score : -INFINITY; /* NaN */
                number = (uint32_t)e;
            }
        }
        float of_all = max_of_warp(best);
        number = min_of_warp(best == of_all ? number : ~0u);
        if (number % 32 == (uint32_t)hw::lane())
            of.chosen |= 1u << (number / 32);
    }
}

/* The sum of the chosen's scores. */
HW_DEVICE float sum_chosen(const lane_experts &of)
{
    float sum = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        sum += of.chosen >> i & 1 ? of.score[i] : 0.0f;
    return sum_of_warp(sum);
}

HW_KERNEL(route_kernel, struct ppi_cuda_route_args, THREADS, 1)
{
    int64_t row = (int64_t)hw::block() * WARPS + hw::warp();
    if (row >= args.n_rows)
        return;

    /* 1. Scores. */
    lane_experts of;
    of.chosen = 0;
    HW_UNROLL
    for (int i = 0; i < HELD; i++)
        of.score[i] = expert_of(i) < args.n ? args.logits[row * args.n + expert_of(i)] : 0.0f;
    if (args.scoring == PPI_CUDA_SCORING_SOFTMAX) {
        float sum = weigh(of, args.n, largest(of, args.n));
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            of.score[i] /= sum;
    } else if (args.scoring == PPI_CUDA_SCORING_SIGMOID) {
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            of.score[i] = sigmoid(of.score[i]);
    }

    /* 2. The choice, and the chosen's weights. */
    choose(of, args);
    if (args.scoring == PPI_CUDA_SCORING_CHOSEN) {
        float max = -INFINITY;
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            if (of.chosen >> i & 1)
                max = fmaxf(max, of.score[i]);
        max = max_of_warp(max);
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            if (of.chosen >> i & 1)
                of.score[i] = hw::exp2((of.score[i] - max) * LOG2_E);
        float sum = sum_chosen(of);
        HW_UNROLL
        for (int i = 0; i < HELD; i++)
            of.score[i] /= sum;
    }
    float divisor = args.normalize ? sum_chosen(of) + args.sum_eps : 1.0f;

    /* 3. Out, in ascending order. */
    for (int32_t k = 0; k < args.top_k; k++) {
        uint32_t mine = ~0u;
        float weight = 0;
        HW_UNROLL
        for (int i = HELD - 1; i >= 0; i--)
            if (of.chosen >> i & 1) {
                mine = (uint32_t)expert_of(i);
                weight = of.score[i];
            }
        if (min_of_warp(mine) != mine)
            continue;
        weight = weight / divisor * args.scale;
        if (args.expert_scale)
            weight *= args.expert_scale[mine];
        args.chosen[row * args.top_k + k] = (int32_t)mine;
        args.weights[row * args.top_k + k] = weight;
        of.chosen &= of.chosen - 1;
    }
}

/* ---- lists ----
 * A block has an expert and walks over the rows in order, a row for each thread at a time. Reads
 * chosen once for each expert, from a cache. Shared memory: what warps tell each other.
 */
#define SHARED_BYTES (2 * 2 * WARPS * 4)

/* Which of the row's experts this block's is; -1: none. */
HW_DEVICE int32_t find_expert(const struct ppi_cuda_expert_lists_args &args, int64_t row)
{
    int32_t found = -1;
    for (int32_t j = 0; j < args.top_k && row < args.n_rows; j++)
        if (args.chosen[row * args.top_k + j] == hw::block())
            found = j;
    return found;
}

/* How many threads before this one say `has`, and, in *all, how many of the block do. Two rounds in
 * turn have rooms of their own: `round` says which. */
HW_DEVICE uint32_t count_before(bool has, int round, uint32_t *all)
{
    uint32_t before = 0, sum = has;
    HW_UNROLL
    for (int mask = 1; mask < 32; mask *= 2) {
        uint32_t other = hw::shuffle_xor(sum, mask);
        before += hw::lane() & mask ? other : 0;
        sum += other;
    }
    const uint32_t room = hw::shared_base() + (uint32_t)(round % 2 * WARPS * 4);
    if (hw::lane() == 0)
        hw::store_shared(room + 4 * (uint32_t)hw::warp(), sum);
    hw::block_sync();
    *all = 0;
    for (int w = 0; w < WARPS; w++) {
        uint32_t of_warp = hw::load_shared<uint32_t>(room + 4 * (uint32_t)w);
        before += w < hw::warp() ? of_warp : 0;
        *all += of_warp;
    }
    return before;
}

HW_KERNEL(count_experts_kernel, struct ppi_cuda_expert_lists_args, THREADS, 4)
{
    uint32_t count = 0;
    for (int64_t row = hw::thread(); row < args.n_rows; row += THREADS)
        count += find_expert(args, row) >= 0;
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        count += hw::shuffle_xor(count, mask);
    if (hw::lane() == 0)
        hw::store_shared(hw::shared_base() + 4 * (uint32_t)hw::warp(), count);
    hw::block_sync();
    if (hw::thread() > 0)
        return;
    count = 0;
    for (int w = 0; w < WARPS; w++)
        count += hw::load_shared<uint32_t>(hw::shared_base() + 4 * (uint32_t)w);
    args.counts[hw::block()] = (int32_t)count;
}

/* Places and tiles of experts. */
struct extent {
    uint32_t places, tiles;
};

/* Of the first n experts. */
HW_DEVICE extent add_experts(const struct ppi_cuda_expert_lists_args &args, int32_t n,
                             uint32_t room)
{
    extent of = {0, 0};
    for (int32_t e = hw::thread(); e < n; e += THREADS) {
        of.places += (uint32_t)args.counts[e];
        of.tiles += (uint32_t)((args.counts[e] + args.tile_rows - 1) / args.tile_rows);
    }
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2) {
        of.places += hw::shuffle_xor(of.places, mask);
        of.tiles += hw::shuffle_xor(of.tiles, mask);
    }
    if (hw::lane() == 0)
        hw::store_shared(room + 8 * (uint32_t)hw::warp(), of);
    hw::block_sync();
    of = {0, 0};
    for (int w = 0; w < WARPS; w++) {
        extent of_warp = hw::load_shared<extent>(room + 8 * (uint32_t)w);
        of.places += of_warp.places;
        of.tiles += of_warp.tiles;
    }
    return of;
}

HW_KERNEL(place_experts_kernel, struct ppi_cuda_expert_lists_args, THREADS, 4)
{
    /* 1. The expert's tiles; behind the last expert's, empty ones. */
    const int32_t expert = hw::block();
    const extent before = add_experts(args, expert, hw::shared_base() + 2 * WARPS * 4);
    const int32_t first = (int32_t)before.places, count = args.counts[expert];
    const int32_t n_tiles = (count + args.tile_rows - 1) / args.tile_rows;
    const int32_t end = expert == args.n - 1 ? args.n_tiles - (int32_t)before.tiles : n_tiles;
    for (int32_t i = hw::thread(); i < end; i += THREADS) {
        int32_t left = count - i * args.tile_rows;
        int32_t n_rows = left < args.tile_rows ? left : args.tile_rows;
        args.tiles[(int32_t)before.tiles + i] = {expert, first + i * args.tile_rows,
                                                 n_rows > 0 ? n_rows : 0, 0};
    }

    /* 2. Its rows. */
    int32_t place = first;
    for (int32_t row = hw::thread(), round = 0; row - hw::thread() < args.n_rows;
         row += THREADS, round++) {
        int32_t j = find_expert(args, row);
        uint32_t all;
        int32_t at = place + (int32_t)count_before(j >= 0, round, &all);
        if (j >= 0) {
            args.rows[at] = row;
            args.places[(int64_t)row * args.top_k + j] = at;
        }
        place += (int32_t)all;
    }
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_route[1] = {PPI_KERNEL_ENTRY(route_kernel, THREADS, 0)};
const struct ppi_cuda_kernel ppi_cuda_count_experts[1] = {
    PPI_KERNEL_ENTRY(count_experts_kernel, THREADS, SHARED_BYTES)};
const struct ppi_cuda_kernel ppi_cuda_place_experts[1] = {
    PPI_KERNEL_ENTRY(place_experts_kernel, THREADS, SHARED_BYTES)};
