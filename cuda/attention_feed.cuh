/*
 * attention_feed.cuh: the four warps of attention_wgmma.cuh that copy Q, K and V into its ring of
 * slots.
 */
#ifndef PPI_CUDA_ATTENTION_FEED_CUH
#define PPI_CUDA_ATTENTION_FEED_CUH

#include "cuda/attention_slots.cuh"

namespace ppi {

/*
 * Each warp copies rows 16 w .. 16 w + 15 of every slot, eight lanes a row, so warps do not wait
 * for one another. A slot's copies are a group of cp.async; LAG groups later they have landed, and
 * a fence makes them visible to wgmma.
 *
 * A row of K and V is looked up by one lane, a block ahead, because that may read a page table.
 */
template <class T, int D> struct feeder {
    using shape = wgmma_shape<D>;
    static constexpr int STEPS = 4; /* of four rows */

    const ppi_cuda_attention_args &args;
    slot_cursor<D> next, landing; /* to be filled; the oldest on its way */
    int n_landing;
    const uint32_t row, chunk; /* of step 0 */
    const uint32_t n_chunks;   /* of a row */
    const uint32_t table;
    uint64_t found; /* of the lane's row: of K in lanes 0 .. 15, else of V */

    HW_MEMBER feeder(const ppi_cuda_attention_args &args_of, uint32_t shared)
        : args(args_of), next(shared), landing(shared), n_landing(0),
          row((uint32_t)hw::warp() * 16 + (uint32_t)hw::lane() / 8),
          chunk((uint32_t)hw::lane() % 8), n_chunks((uint32_t)args_of.head_dim / 8),
          table(shared + shape::TABLES + (uint32_t)hw::warp() * shape::TABLE_BYTES), found(0)
    {
    }

    /* ---- slots ---- */

    HW_MEMBER void begin_slot() const
    {
        hw::mbarrier_wait(next.empty(), next.parity ^ 1);
    }
    HW_MEMBER void end_slot()
    {
        hw::cp_async_commit();
        next.advance();
        if (++n_landing > shape::LAG) {
            hw::cp_async_wait<shape::LAG>();
            announce();
        }
    }
    /* The oldest slot on its way has landed, this lane's part of it. */
    HW_MEMBER void announce()
    {
        hw::fence_async_shared();
        hw::warp_sync();
        if (hw::lane() == 0)
            hw::mbarrier_arrive(landing.full());
        landing.advance();
        n_landing--;
    }
    HW_MEMBER void finish()
    {
        hw::cp_async_wait<0>();
        while (n_landing > 0)
            announce();
    }
    /* Row `row` + 4 step of the slot: what `from` has, or zeros, also right of head_dim. */
    HW_MEMBER void copy_row(int step, const char *from, bool inside) const
    {
        uint32_t to = next.data() + slot_offset(row + 4 * (uint32_t)step, chunk);
        HW_UNROLL
        for (uint32_t c = 0; c < D / 8; c += 8)
            hw::cp_async16(to + c / 8 * 8192, from + (chunk + c) * 16,
                           inside && chunk + c < n_chunks ? 16 : 0);
    }

    /* ---- queries ---- */

    /* Rows of the unit's tile for one maths; a slot that has no row is not read. */
    HW_MEMBER void send_queries(const attention_tile &tile, int maths)
    {
        begin_slot();
        int32_t n_left = tile.n_packed - 64 * maths - (int32_t)row;
        if (64 * maths < tile.n_packed) {
            HW_UNROLL
            for (int step = 0; step < STEPS; step++) {
                bool inside = 4 * step < n_left;
                query_row at = find_row(tile, inside ? 64 * maths + (int32_t)row + 4 * step : 0);
                copy_row(step,
                         (const char *)args.q + at.row * args.q_row_stride +
                             at.head * args.q_head_stride,
                         inside);
            }
        }
        end_slot();
    }

    /* ---- keys and values ---- */

    /* Looks up the lane's row of the block at `key`; behind the prompt's last key, any row. */
    HW_MEMBER void look_up(const attention_tile &tile, int32_t key)
    {
        int32_t at = key + hw::warp() * 16 + hw::lane() % 16;
        kv_token token = kv_find(args.kv, tile.item.first,
                                 (uint32_t)(at < tile.item.n_keys ? at : tile.item.n_keys - 1));
        bool is_value = hw::lane() >= 16;
        int64_t head_stride = is_value ? args.kv.v_head_stride : args.kv.k_head_stride;
        found = (is_value ? token.v : token.k) + (uint64_t)(tile.kv_head * head_stride);
    }
    /* Lets the warp's lanes have what they looked up. */
    HW_MEMBER void share_rows() const
    {
        hw::warp_sync(); /* the last ones have been read */
        hw::store_shared(table + (uint32_t)hw::lane() * 8, found);
        hw::warp_sync();
    }
    /* Keys or values of a block of which n_left are the prompt's: zeros behind, whatever is there.
     */
    template <bool VALUES> HW_MEMBER void send_keys(int32_t n_left)
    {
        begin_slot();
        uint32_t from = table + (VALUES ? 128 : 0) + (uint32_t)hw::lane() / 8 * 8;
        HW_UNROLL
        for (int step = 0; step < STEPS; step++)
            copy_row(step, (const char *)hw::load_shared<uint64_t>(from + (uint32_t)step * 32),
                     (int32_t)row + 4 * step < n_left);
        end_slot();
    }
};

/* A unit that has keys, or none any more. */
template <int D> struct unit_walk {
    const ppi_cuda_attention_args &args;
    uint32_t round;
    attention_tile tile;
    bool is_over;

    explicit HW_MEMBER unit_walk(const ppi_cuda_attention_args &args_of)
        : args(args_of), round(0), is_over(false)
    {
    }
    /* To the next one that sees a key. */
    HW_MEMBER void advance()
    {
        for (;;) {
            uint32_t unit = unit_of_round(round++);
            is_over = unit >= count_units(args);
            if (is_over)
                return;
            tile = tile_of_unit<D>(args, unit);
            if (tile.first_key < tile.end_key)
                return;
        }
    }
};

template <class T, int D>
HW_DEVICE void feed_maths(const ppi_cuda_attention_args &args, uint32_t shared)
{
    feeder<T, D> feed(args, shared);
    unit_walk<D> unit(args);
    unit.advance();
    if (!unit.is_over)
        feed.look_up(unit.tile, unit.tile.first_key);
    while (!unit.is_over) {
        HW_UNROLL
        for (int maths = 0; maths < wgmma_shape<D>::MATHS; maths++)
            feed.send_queries(unit.tile, maths);
        int32_t key = unit.tile.first_key, end_key = unit.tile.end_key;
        int32_t n_keys = unit.tile.item.n_keys;
        for (; key < end_key; key += KEYS) {
            feed.share_rows();
            if (key + KEYS < end_key) {
                feed.look_up(unit.tile, key + KEYS);
            } else {
                unit.advance();
                if (!unit.is_over)
                    feed.look_up(unit.tile, unit.tile.first_key);
            }
            feed.template send_keys<false>(n_keys - key);
            feed.template send_keys<true>(n_keys - key);
        }
    }
    feed.finish();
}

} // namespace ppi

#endif
