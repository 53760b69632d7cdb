/*
 * attention_mma.cuh: varlen attention on the tensor cores of sm_80 and newer, for prompts of many
 * rows.
 *
 * A block of 128 threads takes one item: up to 64 packed rows (query row, query head of the group)
 * of one prompt and kv head, row by row, so any group size. Contract: struct
 * ppi_cuda_attention_args in kernels.h.
 *
 *   out[r] = sum_j w_rj v_j / sum_j w_rj,   w_rj = exp(softmax_scale (q_r k_j - max_j q_r k_j))
 *
 * (or, CAPPED, exp(softcap (t_rj - max_j t_rj)), t_rj = tanh(softmax_scale q_r k_j / softcap)) by
 * blocks of 64 keys in order. Warp w owns rows 16 w .. 16 w + 15: their scores of a block
 * (m16n8k16, 8 tiles of 8 keys), softmax state and sums (D / 8 tiles of 8 columns) are in its
 * registers, weights go from scores to the second product without leaving them.
 *
 * Shared memory: a key_ring. Q begins in its last slot and moves to registers before that slot is
 * wanted; for D = 256 registers are too few and it has a place of its own behind the slots. The
 * result leaves through a slot that is free by then.
 */
#ifndef PPI_CUDA_ATTENTION_MMA_CUH
#define PPI_CUDA_ATTENTION_MMA_CUH

#include "cuda/attention_tile.cuh"

namespace ppi {

template <int D> struct attention_shape {
    static constexpr int ROWS = PPI_CUDA_ATTENTION_ROWS;
    static constexpr bool Q_IN_REGISTERS = D <= 128;
    static constexpr int SLOTS = Q_IN_REGISTERS ? 3 : 2;
    using ring = key_ring<D, SLOTS>;
    static constexpr uint32_t Q = Q_IN_REGISTERS ? (SLOTS - 1) * ring::SLOT_BYTES : ring::BYTES;
    static constexpr uint32_t SHARED_BYTES =
        ring::BYTES + (Q_IN_REGISTERS ? 0 : ROWS * shared_rows<D>::BYTES);
    static_assert(ROWS == KEYS && ROWS == 16 * ATTENTION_WARPS, "slots hold either");
    static_assert(SHARED_BYTES <= 99 * 1024, "what sm_86 and sm_89 have");
};

/* This warp's rows of Q as the a operands of D / 16 k16 steps, in registers or read when wanted. */
template <int D, bool IN_REGISTERS> struct query_operands;

template <int D> struct query_operands<D, true> {
    uint32_t a[D / 16][4];

    HW_MEMBER void open(uint32_t address)
    {
        HW_UNROLL
        for (int step = 0; step < D / 16; step++)
            hw::ldmatrix_x4(a[step], shared_rows<D>::move(address, 2 * step));
    }
    HW_MEMBER void read(uint32_t (&to)[4], int step) const
    {
        HW_UNROLL
        for (int i = 0; i < 4; i++)
            to[i] = a[step][i];
    }
};

template <int D> struct query_operands<D, false> {
    uint32_t address;

    HW_MEMBER void open(uint32_t of_lane)
    {
        address = of_lane;
    }
    HW_MEMBER void read(uint32_t (&to)[4], int step) const
    {
        hw::ldmatrix_x4(to, shared_rows<D>::move(address, 2 * step));
    }
};

/* scores = q k^T of 64 keys; address: of the lane's row of the keys' matrices. */
template <class T, int D, class Q>
HW_DEVICE void score_block(float (&scores)[KEYS / 8][4], const Q &q, uint32_t address)
{
    using rows = shared_rows<D>;
    HW_UNROLL
    for (int n = 0; n < KEYS / 8; n++) {
        HW_UNROLL
        for (int e = 0; e < 4; e++)
            scores[n][e] = 0;
    }
    HW_UNROLL
    for (int step = 0; step < D / 16; step++) {
        uint32_t a[4], from = rows::move(address, 2 * step);
        q.read(a, step);
        HW_UNROLL
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t b[4];
            hw::ldmatrix_x4(b, from + (uint32_t)(n * 8 * rows::BYTES));
            hw::mma_16816<T>(scores[n], a, {b[0], b[1]});
            hw::mma_16816<T>(scores[n + 1], a, {b[2], b[3]});
        }
    }
}

/* sums += weights v; address: of the lane's row of the values' matrices. */
template <class T, int D>
HW_DEVICE void add_values(float (&sums)[D / 8][4], const uint32_t (&weights)[KEY_STEPS][4],
                          uint32_t address)
{
    using rows = shared_rows<D>;
    HW_UNROLL
    for (int step = 0; step < KEY_STEPS; step++) {
        HW_UNROLL
        for (int n = 0; n < D / 8; n += 2) {
            uint32_t b[4];
            hw::ldmatrix_x4_trans(b, rows::move(address, n) + (uint32_t)(step * 16 * rows::BYTES));
            hw::mma_16816<T>(sums[n], weights[step], {b[0], b[1]});
            hw::mma_16816<T>(sums[n + 1], weights[step], {b[2], b[3]});
        }
    }
}

template <class T, int D, bool CAPPED = false>
HW_DEVICE void attend_rows(const ppi_cuda_attention_args &args)
{
    using rows = shared_rows<D>;
    using shape = attention_shape<D>;
    using ring = typename shape::ring;
    const uint32_t shared = hw::shared_base();
    const uint32_t lane = (uint32_t)hw::lane();
    const int warp_row = hw::warp() * 16;
    const attention_tile tile = attention_tile_of_block<shape::ROWS>(args);

    /* Where this lane's rows of ldmatrix begin: the a operand (two matrices down, two across),
     * keys (two across, two down), values (as a, transposed). */
    const uint32_t q_offset = rows::offset((uint32_t)warp_row + lane % 16, lane / 16);
    const uint32_t k_offset = rows::offset(lane % 8 + lane / 16 * 8, lane / 8 % 2);
    const uint32_t v_offset = rows::offset(lane % 16, lane / 16);

    /* 1. The first copies; Q to where it is read from. */
    ring keys(args, tile, shared);
    query_operands<D, shape::Q_IN_REGISTERS> q;
    float sums[D / 8][4], max[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    HW_UNROLL
    for (int n = 0; n < D / 8; n++) {
        HW_UNROLL
        for (int e = 0; e < 4; e++)
            sums[n][e] = 0;
    }
    const int32_t position[2] = {find_position(tile, warp_row + (int)lane / 4),
                                 find_position(tile, warp_row + (int)lane / 4 + 8)};
    if (tile.first_key < tile.end_key) {
        keys.find_first();
        load_queries<D, shape::ROWS>(args, tile, shared + shape::Q);
        hw::cp_async_commit();
        keys.load_first();
        keys.wait_first();
        q.open(shared + shape::Q + q_offset);
    }

    /* 2. Blocks of keys in order. */
    for (int32_t key = tile.first_key; key < tile.end_key; key += KEYS) {
        float scores[KEYS / 8][4];
        uint32_t slot = keys.template begin_step<false>(key);
        score_block<T, D>(scores, q, slot + k_offset);
        keys.template end_step<false>();

        cap_scores<CAPPED>(args, scores);
        mask_scores(args, scores, position, tile.item.n_keys, key, (int)lane % 4 * 2);
        HW_UNROLL
        for (int r = 0; r < 2; r++)
            shrink_sums(sums, r, soften_row(scores, r, args.scale_log2, &max[r], &total[r]));
        uint32_t weights[KEY_STEPS][4];
        HW_UNROLL
        for (int step = 0; step < KEY_STEPS; step++)
            pack_weights<T>(weights[step], scores[2 * step], scores[2 * step + 1]);

        slot = keys.template begin_step<true>(key);
        add_values<T, D>(sums, weights, slot + v_offset);
        keys.template end_step<true>();
    }

    /* 3. Results through the next slot, which every warp is done with and no copy is on its way to.
     * Each warp reads only what it wrote. */
    uint32_t out = shared + keys.slot;
    HW_UNROLL
    for (int r = 0; r < 2; r++) {
        int row = warp_row + (int)lane / 4 + 8 * r;
        float sum = add_lanes(total[r]), inverse = inverse_of_row(args, tile, row, max[r], sum);
        HW_UNROLL
        for (int n = 0; n < D / 8; n++)
            hw::store_shared<uint32_t>(out + rows::offset((uint32_t)row, n) + lane % 4 * 4,
                                       hw::narrow2<T>(finish_sum(sums[n][2 * r], inverse),
                                                      finish_sum(sums[n][2 * r + 1], inverse)));
        if (args.lse && lane % 4 == 0)
            store_lse(args, tile, row, log_sum(max[r], sum, args.scale_log2));
    }
    hw::warp_sync();
    store_rows<D, 16, 32>(args, tile, out, warp_row, (int)lane);
}

} // namespace ppi

#endif
