/*
 * attention_tile.cuh: what the attention kernels share: which rows and keys a tile has, the layout
 * of rows in shared memory, copies in and out, and the arithmetic of the online softmax. The
 * arithmetic stands here once so that kernels give the same bits: every multiply-add is written as
 * fmaf, which leaves a compiler nothing to contract in one kernel and not in the other.
 */
#ifndef PPI_CUDA_ATTENTION_TILE_CUH
#define PPI_CUDA_ATTENTION_TILE_CUH

#include "hw.h"
#include "cuda/kernels_attention.h"
#include "cuda/kv_address.cuh"
#include "cuda/softcap.cuh"

namespace ppi {

constexpr int ATTENTION_THREADS = 128;
constexpr int ATTENTION_WARPS = 4;
constexpr int KEYS = PPI_CUDA_ATTENTION_KEYS;
constexpr int KEY_STEPS = KEYS / 16; /* k16 steps of weights times values */

/* ---- which keys ---- */

/* Keys low .. high; none when low > high. */
struct key_range {
    int32_t low, high;
};

/* What the query row at `position` of the prompt sees; kernels.h has the formula. Both ends grow
 * with the position. */
HW_DEVICE key_range visible_keys(const ppi_cuda_attention_args &args, int32_t n_keys,
                                 int32_t position)
{
    key_range range = {0, n_keys - 1};
    if (args.window_left >= 0 && position > args.window_left)
        range.low = position - args.window_left;
    if (args.window_right >= 0 && range.high - position > args.window_right)
        range.high = position + args.window_right;
    return range;
}

/* What a block of threads, or a part of it, works on. */
struct attention_tile {
    ppi_cuda_attention_item item;
    int32_t kv_head, group;
    int32_t n_packed;           /* rows of the tile, at least 1 */
    int32_t first_key, end_key; /* multiples of KEYS; equal when no row sees a key */
};

/* In its prompt, of row r of the tile. */
HW_DEVICE int32_t find_position(const attention_tile &tile, int32_t r)
{
    return (tile.item.packed_row + r) / tile.group + tile.item.n_keys - tile.item.n_rows;
}

/* Sets the keys that the tile's rows see. */
HW_DEVICE void find_keys(const ppi_cuda_attention_args &args, attention_tile *tile)
{
    key_range first = visible_keys(args, tile->item.n_keys, find_position(*tile, 0));
    key_range last =
        visible_keys(args, tile->item.n_keys, find_position(*tile, tile->n_packed - 1));
    tile->first_key = first.low / KEYS * KEYS;
    tile->end_key = last.high < first.low ? tile->first_key : (last.high / KEYS + 1) * KEYS;
}

template <int ROWS>
HW_DEVICE attention_tile make_tile(const ppi_cuda_attention_args &args,
                                   const ppi_cuda_attention_item &item, int32_t kv_head)
{
    attention_tile tile;
    tile.item = item;
    tile.kv_head = kv_head;
    tile.group = args.n_heads / args.n_kv_heads;
    int32_t packed_left = tile.item.n_rows * tile.group - tile.item.packed_row;
    tile.n_packed = packed_left < ROWS ? packed_left : ROWS;
    find_keys(args, &tile);
    return tile;
}

template <int ROWS>
HW_DEVICE attention_tile attention_tile_of_block(const ppi_cuda_attention_args &args)
{
    return make_tile<ROWS>(args, args.items[hw::block() / args.n_kv_heads],
                           hw::block() % args.n_kv_heads);
}

/* ---- rows of q, out and lse ---- */

struct query_row {
    int64_t row; /* of q and out */
    int32_t head;
};

/* Row r of the tile. */
HW_DEVICE query_row find_row(const attention_tile &tile, int32_t r)
{
    uint32_t packed = (uint32_t)(tile.item.packed_row + r);
    uint32_t row = packed / (uint32_t)tile.group;
    uint32_t member = packed - row * (uint32_t)tile.group;
    return {(int64_t)tile.item.q_row + row, (int32_t)(tile.kv_head * tile.group + (int32_t)member)};
}

/* ---- rows in shared memory ----
 * A row is D 16-bit elements, D / 8 chunks of 16 bytes without gap. Chunk c of row r is at
 * c ^ (r % 8), for D = 96 at c ^ (r / 2 % 4): eight rows' chunks of one column, and eight chunks of
 * one row, lie in different banks. The exclusive or touches only low bits of c, so moving by an
 * even number of chunks is one exclusive or and an addition that fits an instruction's offset.
 */
template <int D> struct shared_rows {
    static_assert(D % 64 == 0 || D == 96, "the layout is made for these");
    static constexpr int BYTES = 2 * D; /* of a row */
    static constexpr int CHUNKS = D / 8;
    static constexpr int LOW = D % 64 == 0 ? 7 : 3; /* the bits of a chunk's number that move */
    /* Threads that copy a row together, each every LANES-th chunk. */
    static constexpr int LANES = D % 64 == 0 ? 8 : 4;
    static constexpr int STRIDE = ATTENTION_THREADS / LANES; /* rows copied at a time */

    static constexpr HW_MEMBER uint32_t offset(uint32_t row, uint32_t chunk)
    {
        uint32_t turn = D % 64 == 0 ? row % 8 : row / 2 % 4;
        return row * BYTES + ((chunk ^ turn) << 4);
    }
    /* From the address of chunk 0 or 1 of a row to that `chunks` further; chunks even. The tile
     * is 1024-byte aligned. */
    static HW_MEMBER uint32_t move(uint32_t address, int chunks)
    {
        return (address ^ (uint32_t)((chunks & LOW) << 4)) + (uint32_t)((chunks & ~LOW) << 4);
    }
};

/* Do eight rows' chunks of every column lie in different banks? */
template <int D> constexpr HW_MEMBER bool has_no_conflicts()
{
    for (uint32_t chunk = 0; chunk < shared_rows<D>::CHUNKS; chunk++) {
        uint32_t banks = 0; /* in groups of 16 bytes */
        for (uint32_t row = 0; row < 8; row++)
            banks |= 1u << (shared_rows<D>::offset(row, chunk) / 16 % 8);
        if (banks != 0xff)
            return false;
    }
    return true;
}
static_assert(has_no_conflicts<64>() && has_no_conflicts<96>() && has_no_conflicts<128>() &&
                  has_no_conflicts<256>(),
              "ldmatrix reads eight rows at a time");

/* A thread's share of copies to shared memory: of rows `row`, row + STRIDE, ... the chunks `chunk`,
 * chunk + LANES, ... */
template <int D> struct copier {
    using rows = shared_rows<D>;
    int row;
    uint32_t chunk, n_chunks;

    explicit HW_MEMBER copier(int32_t head_dim)
        : row((uint32_t)hw::thread() / rows::LANES), chunk((uint32_t)hw::thread() % rows::LANES),
          n_chunks((uint32_t)head_dim / 8)
    {
    }
    /* To row this->row + i, i a multiple of STRIDE: what `from` has, or zeros. */
    HW_MEMBER void load(uint32_t shared, int i, const char *from, bool inside) const
    {
        uint32_t to = shared + rows::offset((uint32_t)row, chunk) + (uint32_t)(i * rows::BYTES);
        HW_UNROLL
        for (uint32_t c = 0; c < rows::CHUNKS; c += rows::LANES)
            hw::cp_async16(to + c * 16, from + (chunk + c) * 16,
                           inside && chunk + c < n_chunks ? 16 : 0);
    }
};

/* Copies the query rows of the tile to `shared`, [ROWS, D]: zeros behind the last and right of
 * head_dim. */
template <int D, int ROWS>
HW_DEVICE void load_queries(const ppi_cuda_attention_args &args, const attention_tile &tile,
                            uint32_t shared)
{
    const copier<D> copy(args.head_dim);
    HW_UNROLL
    for (int i = 0; i < ROWS; i += shared_rows<D>::STRIDE) {
        if (ROWS < shared_rows<D>::STRIDE && copy.row >= ROWS)
            continue;
        bool inside = copy.row < tile.n_packed - i;
        query_row at = find_row(tile, inside ? copy.row + i : 0);
        const char *row =
            (const char *)args.q + at.row * args.q_row_stride + at.head * args.q_head_stride;
        copy.load(shared, i, row, inside);
    }
}

/* ---- keys and values ---- */

/*
 * How keys and values come to shared memory. SLOTS slots of [KEYS, D] act from `shared` on; keys
 * and values take them in turn, K0 V0 K1 V1 ...; a step of the kernel uses one. K0 and V0 are
 * started before step 0, the others one at the start of each step, into the slot that the step
 * before is done with: a step has one block_sync, a load SLOTS - 1 steps to arrive. (With two slots
 * both are full before step 0, which starts none.)
 *
 * Behind the slots, the addresses of the rows of the next keys to be loaded and of the next values:
 * [2][KEYS]. Half of the threads look up the one, half the other, a row each, one step before the
 * load: at the start of a step, because it may read a page table, and what was found is written at
 * its end. So pages may have any size.
 */
template <int D, int SLOTS> struct key_ring {
    static_assert(SLOTS == 2 || SLOTS == 3, "two loads are started before step 0");
    static_assert(ATTENTION_THREADS == 2 * KEYS, "a thread looks up a row");
    using rows = shared_rows<D>;
    static constexpr uint32_t SLOT_BYTES = KEYS * rows::BYTES;
    static constexpr uint32_t TABLE = SLOTS * SLOT_BYTES;
    static constexpr uint32_t TABLE_BYTES = 2 * KEYS * sizeof(uint64_t);
    static constexpr uint32_t BYTES = TABLE + TABLE_BYTES;

    const ppi_cuda_attention_args &args;
    const attention_tile &tile;
    const uint32_t shared;
    uint32_t slot; /* offset of this step's */
    uint64_t row;  /* that this thread looked up */

    HW_MEMBER key_ring(const ppi_cuda_attention_args &args_of, const attention_tile &tile_of,
                       uint32_t address)
        : args(args_of), tile(tile_of), shared(address), slot(0), row(0)
    {
    }

    /* Looks up this thread's row of the block at `key`: of its keys or of its values. Behind the
     * last key, any row. */
    HW_MEMBER void find_row(int32_t key)
    {
        int32_t at = key + hw::thread() % KEYS;
        kv_token token = kv_find(args.kv, tile.item.first,
                                 (uint32_t)(at < tile.item.n_keys ? at : tile.item.n_keys - 1));
        int64_t head_stride = finds_values() ? args.kv.v_head_stride : args.kv.k_head_stride;
        row = (finds_values() ? token.v : token.k) + (uint64_t)(tile.kv_head * head_stride);
    }
    HW_MEMBER void keep_row() const
    {
        hw::store_shared(shared + TABLE + (uint32_t)hw::thread() * 8, row);
    }
    static HW_MEMBER bool finds_values()
    {
        return hw::thread() >= KEYS;
    }

    /* Starts the copies of a block's keys or values: zeros behind the prompt's last key, whatever
     * is there, and right of head_dim. An empty group behind the last block, so that waits can
     * count. */
    template <bool VALUES> HW_MEMBER void load(int32_t key, uint32_t to) const
    {
        if (key < tile.end_key) {
            const copier<D> copy(args.head_dim);
            uint32_t table = shared + TABLE + (VALUES ? KEYS * 8 : 0) + (uint32_t)copy.row * 8;
            int32_t n_left = tile.item.n_keys - key;
            HW_UNROLL
            for (int i = 0; i < KEYS; i += rows::STRIDE)
                copy.load(to, i, (const char *)hw::load_shared<uint64_t>(table + (uint32_t)i * 8),
                          copy.row < n_left - i);
        }
        hw::cp_async_commit();
    }

    /* Before step 0, for tiles that have a key. Between find_first and load_first and between
     * load_first and wait_first other work may wait for memory. */
    HW_MEMBER void find_first()
    {
        find_row(tile.first_key);
    }
    HW_MEMBER void load_first()
    {
        keep_row();
        hw::block_sync();
        load<false>(tile.first_key, shared);
        load<true>(tile.first_key, shared + SLOT_BYTES);
        if (SLOTS == 3 && tile.first_key + KEYS < tile.end_key)
            find_row(tile.first_key + KEYS);
    }
    /* All that was started before load_first has arrived, for every thread. */
    HW_MEMBER void wait_first() const
    {
        hw::cp_async_wait<2>();
        hw::block_sync();
        if (SLOTS == 3 && !finds_values())
            keep_row();
    }

    /* Begins the step of the keys or values of the block at `key`, which have arrived for every
     * thread, and starts the load SLOTS - 1 after them. Address of the slot. */
    template <bool VALUES> HW_MEMBER uint32_t begin_step(int32_t key)
    {
        constexpr int LOAD = VALUES + SLOTS - 1, FIND = LOAD + 1;
        if (SLOTS == 2 && !VALUES && key == tile.first_key) {
            hw::cp_async_wait<1>();
            hw::block_sync();
        } else {
            hw::cp_async_wait<SLOTS - 2>();
            hw::block_sync();
            uint32_t before = slot == 0 ? (SLOTS - 1) * SLOT_BYTES : slot - SLOT_BYTES;
            load<LOAD % 2 == 1>(key + LOAD / 2 * KEYS, shared + before);
        }
        if (finds_values() == (FIND % 2 == 1) && key + FIND / 2 * KEYS < tile.end_key)
            find_row(key + FIND / 2 * KEYS);
        return shared + slot;
    }
    /* Ends it. What begin_step found is kept for the next. */
    template <bool VALUES> HW_MEMBER void end_step()
    {
        if (finds_values() == ((VALUES + SLOTS) % 2 == 1))
            keep_row();
        slot = slot == (SLOTS - 1) * SLOT_BYTES ? 0 : slot + SLOT_BYTES;
    }
};

/* ---- the online softmax (Milakov and Gimelshein, arXiv 1805.02867) ----
 * A thread holds two rows of every score tile, r = 0, 1: lane / 4 + 8 r of the warp's 16; elements
 * [2 r] and [2 r + 1] of a tile are keys lane % 4 * 2 and the next of its eight.
 */

/* Scores s become tanh(softmax_scale s / softcap), if there is a softcap: scale_log2 is softcap *
 * log2(e) then, so that what follows knows nothing of it. Before any becomes -infinity. */
template <bool CAPPED, int TILES>
HW_DEVICE void cap_scores(const ppi_cuda_attention_args &args, float (&scores)[TILES][4])
{
    if (CAPPED) {
        HW_UNROLL
        for (int n = 0; n < TILES; n++) {
            HW_UNROLL
            for (int e = 0; e < 4; e++)
                scores[n][e] = soft_tanh(scores[n][e], args.cap_log2);
        }
    }
}

/*
 * Scores of keys that a row does not see become -infinity. key: the block's first; position: of the
 * lane's two rows; first: of the block's keys, that of element [0] of the first tile. Lanes whose
 * rows see the whole block skip it. Everything counts from `key`, so that no register holds it
 * across blocks.
 */
template <int TILES>
HW_DEVICE void mask_scores(const ppi_cuda_attention_args &args, float (&scores)[TILES][4],
                           const int32_t (&position)[2], int32_t n_keys, int32_t key, int32_t first)
{
    const key_range visible[2] = {visible_keys(args, n_keys - key, position[0] - key),
                                  visible_keys(args, n_keys - key, position[1] - key)};
    if (visible[1].low <= 0 && visible[0].high >= KEYS - 1)
        return;
    HW_UNROLL
    for (int n = 0; n < TILES; n++) {
        HW_UNROLL
        for (int e = 0; e < 4; e++) {
            int32_t k = n * 8 + e % 2;
            if (k < visible[e / 2].low - first || k > visible[e / 2].high - first)
                scores[n][e] = -INFINITY;
        }
    }
}

/* The largest of row r's scores of the warp and of `max`, the same in its four lanes. */
template <int TILES> HW_DEVICE float row_max(const float (&scores)[TILES][4], int r, float max)
{
    HW_UNROLL
    for (int n = 0; n < TILES; n++)
        max = fmaxf(max, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
    max = fmaxf(max, hw::shuffle_xor(max, 1));
    return fmaxf(max, hw::shuffle_xor(max, 2));
}

/* A row that has seen no key has max -infinity; any finite base gives weights 0. */
HW_DEVICE float finite_max(float max)
{
    return max == -INFINITY ? 0.0f : max;
}

/* What multiplies the sums of a row whose maximum moves on: exactly 1 when it does not. */
HW_DEVICE float shrink_factor(float old_max, float new_max, float scale)
{
    return hw::exp2((old_max - finite_max(new_max)) * scale);
}

/* Scores of row r become weights. */
template <int TILES>
HW_DEVICE void weigh_scores(float (&scores)[TILES][4], int r, float max, float scale)
{
    float base = finite_max(max) * scale;
    HW_UNROLL
    for (int n = 0; n < TILES; n++) {
        scores[n][2 * r] = hw::exp2(fmaf(scores[n][2 * r], scale, -base));
        scores[n][2 * r + 1] = hw::exp2(fmaf(scores[n][2 * r + 1], scale, -base));
    }
}

/* This lane's share of the sum of row r's weights of the 16 keys of a key step. */
HW_DEVICE float add_weights(const float (&low)[4], const float (&high)[4], int r)
{
    return (low[2 * r] + low[2 * r + 1]) + (high[2 * r] + high[2 * r + 1]);
}

/* ... and of a block's, from those of its steps. */
HW_DEVICE float add_steps(const float (&sums)[KEY_STEPS])
{
    static_assert(KEY_STEPS == 4, "the tree");
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* The a operand of a key step: 16 rows of weights of 16 keys, narrowed. */
template <class T>
HW_DEVICE void pack_weights(uint32_t (&a)[4], const float (&low)[4], const float (&high)[4])
{
    a[0] = hw::narrow2<T>(low[0], low[1]);
    a[1] = hw::narrow2<T>(low[2], low[3]);
    a[2] = hw::narrow2<T>(high[0], high[1]);
    a[3] = hw::narrow2<T>(high[2], high[3]);
}

/* Moves the softmax of row r on by a block of keys: scores become weights. What multiplies the
 * row's sums before those of the block are added. */
HW_DEVICE float soften_row(float (&scores)[KEYS / 8][4], int r, float scale, float *max,
                           float *total)
{
    float new_max = row_max(scores, r, *max);
    float shrink = shrink_factor(*max, new_max, scale);
    weigh_scores(scores, r, new_max, scale);
    float steps[KEY_STEPS];
    HW_UNROLL
    for (int step = 0; step < KEY_STEPS; step++)
        steps[step] = add_weights(scores[2 * step], scores[2 * step + 1], r);
    *total = fmaf(*total, shrink, add_steps(steps));
    *max = new_max;
    return shrink;
}

template <int TILES> HW_DEVICE void shrink_sums(float (&sums)[TILES][4], int r, float shrink)
{
    HW_UNROLL
    for (int n = 0; n < TILES; n++) {
        sums[n][2 * r] *= shrink;
        sums[n][2 * r + 1] *= shrink;
    }
}

HW_DEVICE float add_lanes(float sum)
{
    sum += hw::shuffle_xor(sum, 1);
    return sum + hw::shuffle_xor(sum, 2);
}

/* A row that saw nothing is 0. */
HW_DEVICE float inverse_sum(float sum)
{
    return sum == 0.0f ? 0.0f : 1.0f / sum;
}

/* What multiplies the sums of row r of the tile, max and sum being its own: the inverse of the sum,
 * with the head's sink. Whichever of the two exponents is larger is the base of both. */
HW_DEVICE float inverse_of_row(const ppi_cuda_attention_args &args, const attention_tile &tile,
                               int r, float max, float sum)
{
    if (!args.sinks)
        return inverse_sum(sum);
    const float log2_e = 1.4426950408889634f;
    const float sink = args.sinks[find_row(tile, r < tile.n_packed ? r : 0).head] * log2_e;
    const float base = finite_max(max) * args.scale_log2, top = fmaxf(base, sink);
    const float share = hw::exp2(base - top);
    return share * inverse_sum(fmaf(sum, share, hw::exp2(sink - top)));
}

HW_DEVICE float log_sum(float max, float sum, float scale)
{
    const float ln_2 = 0.693147180559945309417f;
    return max == -INFINITY ? -INFINITY : fmaf(max, scale, hw::log2(sum)) * ln_2;
}

/* An element of the result. Adding 0 turns -0 into 0: its sign could depend on masked keys. */
HW_DEVICE float finish_sum(float sum, float inverse)
{
    return fmaf(sum, inverse, 0.0f);
}

/* ---- results ---- */

/* N_ROWS rows of the tile from first_row on, from `shared` [.., D] (where row 0 of the tile is) to
 * out, by N_THREADS threads of which this is number `thread`. */
template <int D, int N_ROWS, int N_THREADS>
HW_DEVICE void store_rows(const ppi_cuda_attention_args &args, const attention_tile &tile,
                          uint32_t shared, int first_row, int thread)
{
    using rows = shared_rows<D>;
    constexpr int STRIDE = N_THREADS / rows::LANES;
    uint32_t n_chunks = (uint32_t)args.head_dim / 8, chunk = (uint32_t)thread % rows::LANES;
    HW_UNROLL
    for (int i = 0; i < (N_ROWS + STRIDE - 1) / STRIDE; i++) {
        int r = thread / rows::LANES + i * STRIDE;
        if (r >= N_ROWS || first_row + r >= tile.n_packed)
            continue;
        r += first_row;
        query_row at = find_row(tile, r);
        char *row =
            (char *)args.out + at.row * args.out_row_stride + at.head * args.out_head_stride;
        HW_UNROLL
        for (uint32_t c = chunk; c < rows::CHUNKS; c += rows::LANES)
            if (c < n_chunks)
                hw::store16(row + c * 16,
                            hw::load_shared<hw::vec16>(shared + rows::offset((uint32_t)r, c)));
    }
}

/* Row r of the tile, by one lane. */
HW_DEVICE void store_lse(const ppi_cuda_attention_args &args, const attention_tile &tile, int r,
                         float lse)
{
    if (r >= tile.n_packed)
        return;
    query_row at = find_row(tile, r);
    args.lse[at.head * args.lse_stride + at.row] = lse;
}

} // namespace ppi

#endif
