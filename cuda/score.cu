/*
 * score.cu: what log-probabilities are made of: the sum of exp over tiles of the vocabulary, ranks
 * of targets, the most likely tokens. The contract is in kernels.h.
 *
 * A block takes a tile of a row and keeps it in registers: thread i has quads i, i + THREADS, ...,
 * which it adds up in order; lanes join by a tree, warps in order. So a tile's bits are a matter of
 * its logits alone. Ranks are whole numbers, added up in global memory. Reads 4 bytes for each
 * logit, once. Shared memory: [WARPS] maxima, [WARPS] sums.
 */
#include "cuda/sample_row.cuh"
#include "score.h"

using namespace ppi;

#define THREADS 256
#define WARPS   (THREADS / 32)
#define QUADS   (PPI_CUDA_SCORE_TILE / 4 / THREADS) /* of a thread */

static_assert(QUADS * THREADS * 4 == PPI_CUDA_SCORE_TILE, "threads share a tile evenly");

#define LOG2_E 1.44269504f

struct logit_tile {
    quad x[QUADS];
    int64_t first_quad; /* the thread's; others are THREADS apart */
};

HW_DEVICE logit_tile load_tile(const struct ppi_cuda_score_args &args, const float *logits,
                               int32_t i_tile)
{
    bool aligned = (uint64_t)logits % 16 == 0;
    logit_tile tile;
    tile.first_quad = (int64_t)i_tile * (QUADS * THREADS) + hw::thread();
    raw_quad<float> raw[QUADS];
    HW_UNROLL
    for (int i = 0; i < QUADS; i++)
        raw[i] = load_logits(logits, tile.first_quad + i * THREADS, args.vocab, aligned);
    HW_UNROLL
    for (int i = 0; i < QUADS; i++)
        tile.x[i] = widen_quad(raw[i]);
    return tile;
}

HW_DEVICE int64_t token_at(const logit_tile &tile, int i, int j)
{
    return 4 * (tile.first_quad + i * THREADS) + j;
}

/* The largest of the block's, for every thread; NaN is passed over. */
HW_DEVICE float find_max(const logit_tile &tile, uint32_t maxima)
{
    float max = -INFINITY;
    HW_UNROLL
    for (int i = 0; i < QUADS; i++)
        HW_UNROLL
    for (int j = 0; j < 4; j++)
        max = fmaxf(max, tile.x[i].x[j]);
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        max = fmaxf(max, hw::shuffle_xor(max, mask));
    if (hw::lane() == 0)
        hw::store_shared(maxima + 4 * (uint32_t)hw::warp(), max);
    hw::block_sync();
    HW_UNROLL
    for (uint32_t i = 0; i < WARPS; i++)
        max = fmaxf(max, hw::load_shared<float>(maxima + 4 * i));
    return max;
}

/* The sum of exp(x - max), for thread 0. From itself minus infinity differs by NaN. */
HW_DEVICE float sum_exp(const logit_tile &tile, float max, uint32_t sums)
{
    float origin = max == -INFINITY ? 0.0f : max, sum = 0;
    HW_UNROLL
    for (int i = 0; i < QUADS; i++) {
        float e[4];
        HW_UNROLL
        for (int j = 0; j < 4; j++)
            e[j] = hw::exp2((tile.x[i].x[j] - origin) * LOG2_E);
        sum += (e[0] + e[1]) + (e[2] + e[3]);
    }
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        sum += hw::shuffle_xor(sum, mask);
    if (hw::lane() == 0)
        hw::store_shared(sums + 4 * (uint32_t)hw::warp(), sum);
    hw::block_sync();
    for (uint32_t i = 1; i < WARPS; i++)
        sum += hw::load_shared<float>(sums + 4 * i);
    return sum;
}

/* Adds the tile's tokens that come before the target. */
HW_DEVICE void count_before(const logit_tile &tile, const float *logits,
                            struct ppi_cuda_score *score)
{
    int32_t target = score->target;
    float bound = logits[target];
    uint32_t n = 0;
    HW_UNROLL
    for (int i = 0; i < QUADS; i++) {
        HW_UNROLL
        for (int j = 0; j < 4; j++) {
            float x = tile.x[i].x[j];
            n += x > bound || (x == bound && token_at(tile, i, j) < target);
        }
    }
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        n += hw::shuffle_xor(n, mask);
    if (hw::lane() == 0 && n > 0)
        hw::atomic_add(&score->rank, n);
}

HW_DEVICE void choose(const struct ppi_cuda_score_args &args, const logit_tile &tile, int64_t row)
{
    uint64_t least = args.bounds[row].rank;
    HW_UNROLL
    for (int i = 0; i < QUADS; i++) {
        HW_UNROLL
        for (int j = 0; j < 4; j++) {
            int64_t token = token_at(tile, i, j);
            if (token >= args.vocab || rank_of(tile.x[i].x[j], (uint32_t)token) < least)
                continue;
            uint32_t at = hw::atomic_add(&args.n_choices[row], 1);
            if (at < (uint32_t)args.n_top) /* beyond it only where there is a NaN */
                args.choices[row * args.n_top + at] = {tile.x[i].x[j], (int32_t)token};
        }
    }
}

HW_KERNEL(score_kernel, struct ppi_cuda_score_args, THREADS, 4)
{
    int64_t row = hw::block() / args.n_tiles;
    int32_t i_tile = hw::block() % args.n_tiles;
    if (row >= args.n_rows)
        return;
    const float *logits = args.logits + row * args.stride;
    const logit_tile tile = load_tile(args, logits, i_tile);

    uint32_t maxima = hw::shared_base(), sums = maxima + 4 * WARPS;
    float max = find_max(tile, maxima), sum = sum_exp(tile, max, sums);
    if (hw::thread() == 0)
        args.parts[row * args.n_tiles + i_tile] = {max, sum};

    for (int32_t i = args.first_score[row]; i < args.first_score[row + 1]; i++) {
        count_before(tile, logits, &args.scores[i]);
        if (i_tile == 0 && hw::thread() == 0)
            args.scores[i].logit = logits[args.scores[i].target];
    }
    if (args.bounds)
        choose(args, tile, row);
}

const struct ppi_cuda_kernel ppi_cuda_score[1] = {
    PPI_KERNEL_ENTRY(score_kernel, THREADS, 8 * WARPS),
};
