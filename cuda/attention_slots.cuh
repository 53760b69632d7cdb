/*
 * attention_slots.cuh: what the warps of attention_wgmma.cuh that copy and those that compute have
 * to agree on: budgets, the order of the work, the ring of slots in shared memory.
 */
#ifndef PPI_CUDA_ATTENTION_SLOTS_CUH
#define PPI_CUDA_ATTENTION_SLOTS_CUH

#include "cuda/attention_tile.cuh"

namespace ppi {

template <int D> struct wgmma_shape {
    static_assert(D == 64 || D == 128, "the budgets are made for these");
    static constexpr int MATHS = D == 64 ? 3 : 2;
    static constexpr int ROWS = 64 * MATHS; /* of a unit */
    static_assert(ROWS == (D == 64 ? PPI_CUDA_ATTENTION_SM90_ROWS_64
                                   : PPI_CUDA_ATTENTION_SM90_ROWS_128),
                  "as the host makes items");
    static constexpr int THREADS = 128 * (1 + MATHS);
    /* Of a thread: a multiprocessor has 65536. */
    static constexpr int COPY_REGISTERS = 56;
    static constexpr int MATH_REGISTERS = D == 64 ? 152 : 224;
    static_assert(128 * (COPY_REGISTERS + MATHS * MATH_REGISTERS) <= 65536, "one block");

    static constexpr uint32_t SLOT_BYTES = 64 * 2 * D;
    static constexpr int SLOTS = D == 64 ? 24 : 14;
    /* Slots that are on their way before the oldest is waited for: 112 or 128 KiB of copies at a
     * time. The others are full or read. */
    static constexpr int LAG = D == 64 ? 13 : 7;
    static_assert(LAG <= SLOTS - 3, "K of the next block and V of this one are needed at a time");
    static constexpr uint32_t TABLES = SLOTS * SLOT_BYTES;
    static constexpr uint32_t TABLE_BYTES = 2 * 16 * sizeof(uint64_t); /* of a warp */
    static constexpr uint32_t BARRIERS = TABLES + 4 * TABLE_BYTES;
    static constexpr uint32_t SHARED_BYTES = BARRIERS + SLOTS * 16;
    static_assert(SHARED_BYTES <= 227 * 1024, "what sm_90 has");
};

/* ---- units ---- */

/* The unit that a block takes in a round: there and back over the blocks, so that who had the
 * longest of one round has the shortest of the next. None: at or behind n_units. */
HW_DEVICE uint32_t unit_of_round(uint32_t round)
{
    uint32_t n = (uint32_t)hw::n_blocks(), at = (uint32_t)hw::block();
    return round * n + (round % 2 == 0 ? at : n - 1 - at);
}

HW_DEVICE uint32_t count_units(const ppi_cuda_attention_args &args)
{
    return (uint32_t)args.n_items * (uint32_t)args.n_kv_heads;
}

template <int D>
HW_DEVICE attention_tile tile_of_unit(const ppi_cuda_attention_args &args, uint32_t unit)
{
    uint32_t item = unit / (uint32_t)args.n_kv_heads;
    return make_tile<wgmma_shape<D>::ROWS>(args, args.items[item],
                                           (int32_t)(unit - item * (uint32_t)args.n_kv_heads));
}

/* The 64 rows of the unit's tile that a maths has; n_packed 0 or less: none. */
HW_DEVICE attention_tile tile_of_maths(const ppi_cuda_attention_args &args,
                                       const attention_tile &unit, int maths)
{
    attention_tile tile = unit;
    tile.item.packed_row += 64 * maths;
    tile.n_packed -= 64 * maths;
    tile.n_packed = tile.n_packed < 64 ? tile.n_packed : 64;
    if (tile.n_packed > 0)
        find_keys(args, &tile);
    if (tile.n_packed <= 0 || tile.first_key == tile.end_key)
        tile.first_key = tile.end_key = unit.end_key;
    return tile;
}

/* ---- slots ---- */

/* Where 16-byte chunk `chunk` of row `row` is in a slot. */
HW_DEVICE uint32_t slot_offset(uint32_t row, uint32_t chunk)
{
    return chunk / 8 * 8192 + row * 128 + ((chunk ^ row) % 8 << 4);
}

/* What wgmma takes for a slot's rows of 128 bytes: groups of 8 rows are 1024 bytes apart, columns
 * of 64 are 8192 bytes apart (read for values alone, whose rows are k). */
HW_DEVICE uint64_t slot_descriptor(uint32_t address)
{
    return (uint64_t)1 << 62 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)(8192 >> 4) << 16 |
           address >> 4;
}

/* A place in the sequence of slots. */
template <int D> struct slot_cursor {
    using shape = wgmma_shape<D>;
    uint32_t base;   /* of shared memory */
    uint32_t slot;   /* 0 .. SLOTS - 1 */
    uint32_t parity; /* of its round */

    explicit HW_MEMBER slot_cursor(uint32_t shared) : base(shared), slot(0), parity(0) {}
    HW_MEMBER void advance()
    {
        if (++slot == shape::SLOTS) {
            slot = 0;
            parity ^= 1;
        }
    }
    HW_MEMBER uint32_t data() const
    {
        return base + slot * shape::SLOT_BYTES;
    }
    HW_MEMBER uint32_t full() const
    {
        return base + shape::BARRIERS + slot * 16;
    }
    HW_MEMBER uint32_t empty() const
    {
        return full() + 8;
    }
};

} // namespace ppi

#endif
