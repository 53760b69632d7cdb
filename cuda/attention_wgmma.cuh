/*
 * attention_wgmma.cuh: varlen attention on Hopper (sm_90a). Contract: struct
 * ppi_cuda_attention_args in kernels.h; arithmetic: attention_tile.cuh, and blocks of 64 keys in
 * order from key 0, as everywhere.
 *
 * A block stays on its multiprocessor and takes one unit after another: an item, up to ROWS packed
 * rows of one prompt, and a kv head. Its warps have roles:
 *
 *   warps 0 .. 3     copy rows of Q, K and V to shared memory (cp.async, since rows of a tile may
 *                    be anywhere: pages of any size, heads of any group), into one ring of slots
 *                    for all units, as far ahead as there is room: the next units' tiles are on
 *                    their way while this one is computed.
 *   then MATHS groups of four warps ("maths") compute, 64 packed rows each, warp w of the four rows
 *                    16 w .. 16 w + 15: Q in registers, scores and weights in registers, K and V
 *                    from the ring, which all maths read.
 *
 * Both walk over the same sequence of slots: of each unit that sees a key Q of every maths, then K
 * and V of every block of keys. A slot is [64, D] act: columns of 64, each 64 rows of 128 bytes
 * with the 128-byte swizzle. Of each slot two mbarriers: `full`, where the four warps that copy
 * arrive when their copies have landed, and `empty`, where every warp of the maths arrives when it
 * is done with it, or has nothing to do with it.
 *
 * Shared memory: the slots; the addresses of the next rows of K and V, a table for each warp that
 * copies; the mbarriers.
 */
#ifndef PPI_CUDA_ATTENTION_WGMMA_CUH
#define PPI_CUDA_ATTENTION_WGMMA_CUH

#include "cuda/attention_feed.cuh"

namespace ppi {

/* ---- the warps that compute ---- */

template <int N> HW_DEVICE float (&as_sums(float (&tiles)[N / 8][4]))[N / 2]
{
    return reinterpret_cast<float(&)[N / 2]>(tiles);
}

template <int D> HW_DEVICE void wait_full(const slot_cursor<D> &at)
{
    hw::mbarrier_wait(at.full(), at.parity);
}

/* This warp is done with the slot. */
template <int D> HW_DEVICE void release(const slot_cursor<D> &at)
{
    hw::warp_sync();
    if (hw::lane() == 0)
        hw::mbarrier_arrive(at.empty());
}

/* Slots that other maths read. They are waited for, so that this warp arrives once in each round.
 */
template <int D> HW_DEVICE void pass_slots(slot_cursor<D> *at, int n)
{
    for (int i = 0; i < n; i++) {
        wait_full(*at);
        release(*at);
        at->advance();
    }
}

/* The a operands of D / 16 k16 steps; shared: the slot; row: of the lane's matrices. */
template <int D>
HW_DEVICE void load_queries(uint32_t (&q)[D / 16][4], uint32_t shared, uint32_t row)
{
    uint32_t at = shared + slot_offset(row, (uint32_t)hw::lane() / 16);
    HW_UNROLL
    for (int step = 0; step < D / 16; step++)
        hw::ldmatrix_x4(q[step], (at ^ (uint32_t)(step % 4 * 32)) + (uint32_t)(step / 4 * 8192));
}

/* Starts scores = q k^T of 64 keys, as a group. */
template <class T, int D>
HW_DEVICE void start_scores(float (&scores)[KEYS / 8][4], const uint32_t (&q)[D / 16][4],
                            uint32_t shared)
{
    const uint64_t k = slot_descriptor(shared);
    hw::wgmma_hold(as_sums<KEYS>(scores));
    hw::wgmma_fence();
    HW_UNROLL
    for (int step = 0; step < D / 16; step++)
        hw::wgmma_rs<T, KEYS, 0>(as_sums<KEYS>(scores), q[step],
                                 k + (uint64_t)(step / 4 * (8192 >> 4) + step % 4 * (32 >> 4)),
                                 step > 0);
    hw::wgmma_commit();
}

/* Starts sums += weights v, as a group. */
template <class T, int D>
HW_DEVICE void start_values(float (&sums)[D / 8][4], const uint32_t (&weights)[KEY_STEPS][4],
                            uint32_t shared)
{
    const uint64_t v = slot_descriptor(shared);
    hw::wgmma_hold(as_sums<D>(sums));
    hw::wgmma_fence();
    HW_UNROLL
    for (int step = 0; step < KEY_STEPS; step++)
        hw::wgmma_rs<T, D, 1>(as_sums<D>(sums), weights[step], v + (uint64_t)(step * (2048 >> 4)),
                              1);
    hw::wgmma_commit();
}

/* What 64 rows are in the middle of: a lane's two rows. */
template <int D> struct math_state {
    float sums[D / 8][4], max[2], total[2];
    int32_t position[2];
    key_range whole; /* blocks inside it are seen by every row */
};

/* Scores of the block at `key` become weights. shrink: what the sums before it are multiplied by.
 */
template <int D, bool CAPPED>
HW_DEVICE void soften(const ppi_cuda_attention_args &args, math_state<D> *state,
                      float (&scores)[KEYS / 8][4], int32_t n_keys, int32_t key, float (&shrink)[2])
{
    cap_scores<CAPPED>(args, scores);
    if (key < state->whole.low || key + KEYS - 1 > state->whole.high)
        mask_scores(args, scores, state->position, n_keys, key, hw::lane() % 4 * 2);
    HW_UNROLL
    for (int r = 0; r < 2; r++)
        shrink[r] = soften_row(scores, r, args.scale_log2, &state->max[r], &state->total[r]);
}

/* Exchanges among four lanes: lane i has word i of four chunks before, chunk i after. */
HW_DEVICE hw::vec16 gather_chunk(const uint32_t (&words)[4], bool odd, bool high)
{
    /* Chunks odd, 2 + odd: their words 2 high, 2 high + 1. */
    uint32_t pair[2][2];
    HW_UNROLL
    for (int p = 0; p < 2; p++) {
        uint32_t other = hw::shuffle_xor(odd ? words[2 * p] : words[2 * p + 1], 1);
        uint32_t own = odd ? words[2 * p + 1] : words[2 * p];
        pair[p][0] = odd ? other : own;
        pair[p][1] = odd ? own : other;
    }
    hw::vec16 chunk;
    HW_UNROLL
    for (int i = 0; i < 2; i++) {
        uint32_t other = hw::shuffle_xor(high ? pair[0][i] : pair[1][i], 2);
        uint32_t own = high ? pair[1][i] : pair[0][i];
        chunk.x[i] = high ? other : own;
        chunk.x[2 + i] = high ? own : other;
    }
    return chunk;
}

/* Rows of the tile to out and lse; first_row: of the warp. */
template <class T, int D>
HW_DEVICE void store_results(const ppi_cuda_attention_args &args, const attention_tile &tile,
                             const math_state<D> &state, int first_row)
{
    const int lane = hw::lane(), n_chunks = args.head_dim / 8;
    HW_UNROLL
    for (int r = 0; r < 2; r++) {
        int row = first_row + lane / 4 + 8 * r;
        float sum = add_lanes(state.total[r]);
        float inverse = inverse_of_row(args, tile, row, state.max[r], sum);
        bool inside = row < tile.n_packed;
        query_row at = find_row(tile, inside ? row : 0);
        char *to = (char *)args.out + at.row * args.out_row_stride + at.head * args.out_head_stride;
        HW_UNROLL
        for (int n = 0; n < D / 8; n += 4) {
            uint32_t words[4];
            HW_UNROLL
            for (int i = 0; i < 4; i++)
                words[i] = hw::narrow2<T>(finish_sum(state.sums[n + i][2 * r], inverse),
                                          finish_sum(state.sums[n + i][2 * r + 1], inverse));
            hw::vec16 chunk = gather_chunk(words, lane % 2 != 0, lane % 4 >= 2);
            if (inside && n + lane % 4 < n_chunks)
                hw::store16(to + (n + lane % 4) * 16, chunk);
        }
        if (args.lse && lane % 4 == 0)
            store_lse(args, tile, row, log_sum(state.max[r], sum, args.scale_log2));
    }
}

/* The blocks of keys that the tile sees, in order; at: the slot of the first one's keys. While a
 * block's weights multiply its values, the next one's scores are computed and softened. */
template <class T, int D, bool CAPPED>
HW_DEVICE void attend_keys(const ppi_cuda_attention_args &args, const attention_tile &tile,
                           math_state<D> *state, const uint32_t (&q)[D / 16][4], slot_cursor<D> *at)
{
    const int32_t n_keys = tile.item.n_keys;
    float scores[KEYS / 8][4], shrink[2];
    uint32_t weights[KEY_STEPS][4];
    int32_t key = tile.first_key;

    wait_full(*at);
    start_scores<T, D>(scores, q, at->data());
    hw::wgmma_wait<0>();
    hw::wgmma_hold(as_sums<KEYS>(scores));
    release(*at);
    at->advance();
    soften<D, CAPPED>(args, state, scores, n_keys, key, shrink); /* there is nothing to shrink */
    HW_UNROLL
    for (int step = 0; step < KEY_STEPS; step++)
        pack_weights<T>(weights[step], scores[2 * step], scores[2 * step + 1]);

    for (key += KEYS; key < tile.end_key; key += KEYS) {
        const slot_cursor<D> values = *at;
        at->advance();
        wait_full(*at);
        start_scores<T, D>(scores, q, at->data());
        wait_full(values);
        start_values<T, D>(state->sums, weights, values.data());
        hw::wgmma_wait<1>();
        hw::wgmma_hold(as_sums<KEYS>(scores));
        release(*at);
        at->advance();
        soften<D, CAPPED>(args, state, scores, n_keys, key, shrink);
        hw::wgmma_wait<0>();
        hw::wgmma_hold(as_sums<D>(state->sums));
        release(values);
        HW_UNROLL
        for (int r = 0; r < 2; r++)
            shrink_sums(state->sums, r, shrink[r]);
        HW_UNROLL
        for (int step = 0; step < KEY_STEPS; step++)
            pack_weights<T>(weights[step], scores[2 * step], scores[2 * step + 1]);
    }

    wait_full(*at);
    start_values<T, D>(state->sums, weights, at->data());
    hw::wgmma_wait<0>();
    hw::wgmma_hold(as_sums<D>(state->sums));
    release(*at);
    at->advance();
}

template <class T, int D, bool CAPPED>
HW_DEVICE void compute_rows(const ppi_cuda_attention_args &args, uint32_t shared)
{
    using shape = wgmma_shape<D>;
    const int maths = hw::warp() / 4 - 1, first_row = hw::warp() % 4 * 16, lane = hw::lane();
    slot_cursor<D> at(shared);
    for (uint32_t round = 0;; round++) {
        uint32_t number = unit_of_round(round);
        if (number >= count_units(args))
            break;
        const attention_tile unit = tile_of_unit<D>(args, number);
        const attention_tile tile = tile_of_maths(args, unit, maths);
        math_state<D> state;
        HW_UNROLL
        for (int r = 0; r < 2; r++) {
            state.max[r] = -INFINITY;
            state.total[r] = 0;
            state.position[r] = find_position(tile, first_row + lane / 4 + 8 * r);
        }
        HW_UNROLL
        for (int n = 0; n < D / 8; n++) {
            HW_UNROLL
            for (int e = 0; e < 4; e++)
                state.sums[n][e] = 0;
        }
        /* Both ends grow with the position. */
        state.whole = {
            visible_keys(args, tile.item.n_keys, find_position(tile, tile.n_packed - 1)).low,
            visible_keys(args, tile.item.n_keys, find_position(tile, 0)).high};

        if (unit.first_key < unit.end_key) {
            uint32_t q[D / 16][4];
            pass_slots(&at, maths);
            wait_full(at);
            load_queries<D>(q, at.data(), (uint32_t)first_row + (uint32_t)lane % 16);
            release(at);
            at.advance();
            pass_slots(&at, shape::MATHS - 1 - maths);
            pass_slots(&at, (tile.first_key - unit.first_key) / KEYS * 2);
            if (tile.first_key < tile.end_key)
                attend_keys<T, D, CAPPED>(args, tile, &state, q, &at);
            pass_slots(&at, (unit.end_key - tile.end_key) / KEYS * 2);
        }
        store_results<T, D>(args, tile, state, first_row);
    }
}

template <class T, int D, bool CAPPED = false>
HW_DEVICE void attend_units(const ppi_cuda_attention_args &args)
{
    using shape = wgmma_shape<D>;
    const uint32_t shared = hw::shared_base();
    if (hw::thread() == 0) {
        slot_cursor<D> at(shared);
        for (int i = 0; i < shape::SLOTS; i++) {
            hw::mbarrier_init(at.full(), 4);
            hw::mbarrier_init(at.empty(), 4 * shape::MATHS);
            at.advance();
        }
    }
    hw::block_sync();
    if (hw::warp() < 4) {
        hw::set_registers_fewer<shape::COPY_REGISTERS>();
        feed_maths<T, D>(args, shared);
    } else {
        hw::set_registers_more<shape::MATH_REGISTERS>();
        compute_rows<T, D, CAPPED>(args, shared);
    }
}

} // namespace ppi

#endif
