/*
 * attention_few.cuh: the attention of attention_mma.cuh for at most 16 packed rows: decode, short
 * tails. Same contract, same bits.
 *
 * Sixteen rows are one row of tensor core tiles, so the four warps share out the keys instead: warp
 * w has the scores of keys 16 w .. 16 w + 15 of a block, and then columns D / 4 w .. of the sums.
 * Row maxima, weights and their sums go between the warps through shared memory. Bound by memory:
 * what counts is that loads are always under way.
 *
 * The bits are those of attention_mma.cuh because every number is made the same way: a score is one
 * chain over D; the maximum of a row is exact in any order; a lane of warp w adds the weights that
 * the same lane adds there in key step w, and the steps are added by the same tree; an element of
 * the sums is one chain over key steps, shrunk before each block.
 *
 * Shared memory: a key_ring; behind it Q [16, D] until it is in registers, then what warps tell
 * each other, weights [4 steps][32 lanes] of a operands, sums of weights [4 steps][32 lanes][2
 * rows], maxima [16 rows][4 warps], and at last the results [16, D].
 */
#ifndef PPI_CUDA_ATTENTION_FEW_CUH
#define PPI_CUDA_ATTENTION_FEW_CUH

#include "cuda/attention_tile.cuh"

namespace ppi {

template <int D> struct few_shape {
    static constexpr int ROWS = PPI_CUDA_ATTENTION_FEW_ROWS;
    static constexpr int SLOTS = D <= 128 ? 3 : 2;
    static constexpr int TILES = D / 8 / ATTENTION_WARPS; /* of sums, of a warp */
    using ring = key_ring<D, SLOTS>;
    static constexpr uint32_t WEIGHTS = ring::BYTES;
    static constexpr uint32_t SUMS = WEIGHTS + KEY_STEPS * 32 * 16;
    static constexpr uint32_t MAXIMA = SUMS + KEY_STEPS * 32 * 8;
    static constexpr uint32_t EXCHANGE_BYTES = MAXIMA + ROWS * ATTENTION_WARPS * 4 - WEIGHTS;
    static constexpr uint32_t Q = ring::BYTES, Q_BYTES = ROWS * shared_rows<D>::BYTES;
    static constexpr uint32_t SHARED_BYTES =
        ring::BYTES + (Q_BYTES > EXCHANGE_BYTES ? Q_BYTES : EXCHANGE_BYTES);
    static_assert(ROWS == 16 && KEY_STEPS == ATTENTION_WARPS, "a key step for each warp");
    static_assert(SHARED_BYTES <= 99 * 1024, "what sm_86 and sm_89 have");
};

/* Of a lane's two rows. */
struct row_pair {
    float row[2];
};

/* Of a row, one from each warp. */
struct warp_values {
    float warp[ATTENTION_WARPS];
};

/* An a operand. */
struct operand {
    uint32_t a[4];
};

template <class T, int D, bool CAPPED = false>
HW_DEVICE void attend_few_rows(const ppi_cuda_attention_args &args)
{
    using rows = shared_rows<D>;
    using shape = few_shape<D>;
    using ring = typename shape::ring;
    const uint32_t shared = hw::shared_base();
    const uint32_t lane = (uint32_t)hw::lane(), warp = (uint32_t)hw::warp();
    const attention_tile tile = attention_tile_of_block<shape::ROWS>(args);
    const int32_t position[2] = {find_position(tile, (int)lane / 4),
                                 find_position(tile, (int)lane / 4 + 8)};

    /* Where this lane's rows of ldmatrix begin: keys of the warp; values, 32 keys of 8 columns. */
    const uint32_t k_offset = rows::offset(warp * 16 + lane % 8 + lane / 16 * 8, lane / 8 % 2);
    const uint32_t first_tile = warp * shape::TILES;

    /* 1. The first copies; Q to registers. */
    ring keys(args, tile, shared);
    uint32_t q[D / 16][4];
    float sums[shape::TILES][4], max[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    HW_UNROLL
    for (int n = 0; n < shape::TILES; n++) {
        HW_UNROLL
        for (int e = 0; e < 4; e++)
            sums[n][e] = 0;
    }
    if (tile.first_key < tile.end_key) {
        keys.find_first();
        load_queries<D, shape::ROWS>(args, tile, shared + shape::Q);
        hw::cp_async_commit();
        keys.load_first();
        keys.wait_first();
        uint32_t from = shared + shape::Q + rows::offset(lane % 16, lane / 16);
        HW_UNROLL
        for (int step = 0; step < D / 16; step++)
            hw::ldmatrix_x4(q[step], rows::move(from, 2 * step));
    }

    /* 2. Blocks of keys in order. */
    for (int32_t key = tile.first_key; key < tile.end_key; key += KEYS) {
        /* Scores of the warp's keys; the maxima of rows over all keys. */
        uint32_t slot = keys.template begin_step<false>(key);
        float scores[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
        HW_UNROLL
        for (int step = 0; step < D / 16; step++) {
            uint32_t b[4];
            hw::ldmatrix_x4(b, rows::move(slot + k_offset, 2 * step));
            hw::mma_16816<T>(scores[0], q[step], {b[0], b[1]});
            hw::mma_16816<T>(scores[1], q[step], {b[2], b[3]});
        }
        keys.template end_step<false>();
        cap_scores<CAPPED>(args, scores);
        mask_scores(args, scores, position, tile.item.n_keys, key,
                    (int32_t)(warp * 16 + lane % 4 * 2));
        const uint32_t maxima = shared + shape::MAXIMA + lane / 4 * sizeof(warp_values);
        HW_UNROLL
        for (int r = 0; r < 2; r++) {
            float of_warp = row_max(scores, r, -INFINITY);
            if (lane % 4 == 0)
                hw::store_shared(maxima + r * 8 * sizeof(warp_values) + warp * 4, of_warp);
        }
        hw::block_sync();

        /* Weights, and this lane's sums of them, for all warps. */
        row_pair step_sums;
        float shrink[2];
        HW_UNROLL
        for (int r = 0; r < 2; r++) {
            warp_values of = hw::load_shared<warp_values>(maxima + r * 8 * sizeof(warp_values));
            float new_max =
                fmaxf(max[r], fmaxf(fmaxf(of.warp[0], of.warp[1]), fmaxf(of.warp[2], of.warp[3])));
            shrink[r] = shrink_factor(max[r], new_max, args.scale_log2);
            weigh_scores(scores, r, new_max, args.scale_log2);
            step_sums.row[r] = add_weights(scores[0], scores[1], r);
            max[r] = new_max;
        }
        operand weights;
        pack_weights<T>(weights.a, scores[0], scores[1]);
        hw::store_shared(shared + shape::SUMS + (warp * 32 + lane) * 8, step_sums);
        hw::store_shared(shared + shape::WEIGHTS + (warp * 32 + lane) * 16, weights);

        /* Weights of all keys times the warp's columns of the values. */
        slot = keys.template begin_step<true>(key);
        float of_step[2][KEY_STEPS];
        HW_UNROLL
        for (uint32_t step = 0; step < KEY_STEPS; step++) {
            row_pair of = hw::load_shared<row_pair>(shared + shape::SUMS + (step * 32 + lane) * 8);
            of_step[0][step] = of.row[0];
            of_step[1][step] = of.row[1];
        }
        HW_UNROLL
        for (int r = 0; r < 2; r++) {
            total[r] = fmaf(total[r], shrink[r], add_steps(of_step[r]));
            HW_UNROLL
            for (int n = 0; n < shape::TILES; n++) {
                sums[n][2 * r] *= shrink[r];
                sums[n][2 * r + 1] *= shrink[r];
            }
        }
        HW_UNROLL
        for (uint32_t step = 0; step < KEY_STEPS; step += 2) {
            uint32_t from = shared + shape::WEIGHTS + (step * 32 + lane) * 16;
            operand a0 = hw::load_shared<operand>(from);
            operand a1 = hw::load_shared<operand>(from + 32 * 16);
            HW_UNROLL
            for (uint32_t n = 0; n < shape::TILES; n++) {
                uint32_t b[4];
                hw::ldmatrix_x4_trans(b, slot + rows::offset(step * 16 + lane, first_tile + n));
                hw::mma_16816<T>(sums[n], a0.a, {b[0], b[1]});
                hw::mma_16816<T>(sums[n], a1.a, {b[2], b[3]});
            }
        }
        keys.template end_step<true>();
    }

    /* 3. Results through Q's place, when no warp reads weights any more. */
    hw::block_sync();
    HW_UNROLL
    for (uint32_t r = 0; r < 2; r++) {
        uint32_t row = lane / 4 + 8 * r;
        float sum = add_lanes(total[r]);
        float inverse = inverse_of_row(args, tile, (int)row, max[r], sum);
        HW_UNROLL
        for (uint32_t n = 0; n < shape::TILES; n++)
            hw::store_shared<uint32_t>(shared + shape::Q + rows::offset(row, first_tile + n) +
                                           lane % 4 * 4,
                                       hw::narrow2<T>(finish_sum(sums[n][2 * r], inverse),
                                                      finish_sum(sums[n][2 * r + 1], inverse)));
        if (args.lse && warp == 0 && lane % 4 == 0)
            store_lse(args, tile, (int)row, log_sum(max[r], sum, args.scale_log2));
    }
    hw::block_sync();
    store_rows<D, shape::ROWS, ATTENTION_THREADS>(args, tile, shared + shape::Q, 0, hw::thread());
}

} // namespace ppi

#endif
