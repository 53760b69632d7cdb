/*
 * attention_tile.cuh: what the two attention kernels share: which rows and keys a tile has, the
 * layout of rows in shared memory, copies in and out, and the arithmetic of the online softmax. The
 * arithmetic stands here once so that both kernels give the same bits: every multiply-add is
 * written as fmaf, which leaves a compiler nothing to contract in one kernel and not in the other.
 */
#ifndef PPI_CUDA_ATTENTION_TILE_CUH
#define PPI_CUDA_ATTENTION_TILE_CUH

#include "hw.h"
#include "cuda/kernels.h"
#include "cuda/kv_address.cuh"

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

/* What a block of threads works on. */
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

template <int ROWS>
HW_DEVICE attention_tile attention_tile_of_block(const ppi_cuda_attention_args &args)
{
    attention_tile tile;
    tile.item = args.items[hw::block() / args.n_kv_heads];
    tile.kv_head = hw::block() % args.n_kv_heads;
    tile.group = args.n_heads / args.n_kv_heads;
    int32_t packed_left = tile.item.n_rows * tile.group - tile.item.packed_row;
    tile.n_packed = packed_left < ROWS ? packed_left : ROWS;
    key_range first = visible_keys(args, tile.item.n_keys, find_position(tile, 0));
    key_range last = visible_keys(args, tile.item.n_keys, find_position(tile, tile.n_packed - 1));
    tile.first_key = first.low / KEYS * KEYS;
    tile.end_key = last.high < first.low ? tile.first_key : (last.high / KEYS + 1) * KEYS;
    return tile;
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

    static HW_MEMBER uint32_t offset(uint32_t row, uint32_t chunk)
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

/* Are the tokens of every block equally far apart? (Asked again each time: one register less.) */
HW_DEVICE bool are_straight(const struct ppi_cuda_kv &kv)
{
    return (!kv.pages && !kv.block_table) || kv.page_tokens % KEYS == 0;
}

/* Of the block at `key`, the first token that this thread copies, when blocks are straight; behind
 * the last block `token` stays. Called one step before the copies that need it, because it may read
 * the page table. */
template <int D>
HW_DEVICE void find_block(const ppi_cuda_attention_args &args, const attention_tile &tile,
                          int32_t key, kv_token *token)
{
    uint32_t row = (uint32_t)hw::thread() / shared_rows<D>::LANES;
    if (key < tile.end_key && are_straight(args.kv))
        *token = kv_find(args.kv, tile.item.first, (uint32_t)key + row);
}

/* Copies keys (or values) key .. key + KEYS - 1 of the tile's kv head to `shared`, [KEYS, D];
 * first: from find_block. Zeros behind the prompt's last key, whatever is there, and right of
 * head_dim. */
template <int D, bool VALUES>
HW_DEVICE void load_keys(const ppi_cuda_attention_args &args, const attention_tile &tile,
                         kv_token first, int32_t key, uint32_t shared)
{
    using rows = shared_rows<D>;
    const copier<D> copy(args.head_dim);
    int n_left = tile.item.n_keys - key;
    if (are_straight(args.kv)) {
        int64_t stride = VALUES ? args.kv.v_token_stride : args.kv.k_token_stride;
        const char *row =
            VALUES ? kv_value(args.kv, first, tile.kv_head) : kv_key(args.kv, first, tile.kv_head);
        HW_UNROLL
        for (int i = 0; i < KEYS; i += rows::STRIDE, row += rows::STRIDE * stride)
            copy.load(shared, i, row, copy.row < n_left - i);
        return;
    }
    for (int i = 0; i < KEYS; i += rows::STRIDE) {
        bool inside = copy.row < n_left - i;
        int32_t at = inside ? key + copy.row + i : key;
        kv_token token = kv_find(args.kv, tile.item.first, (uint32_t)at);
        const char *row =
            VALUES ? kv_value(args.kv, token, tile.kv_head) : kv_key(args.kv, token, tile.kv_head);
        copy.load(shared, i, row, inside);
    }
}

/*
 * SLOTS slots of [KEYS, D] act in shared memory, from `shared` on. Keys and values take them in
 * turn, K0 V0 K1 V1 ...; a step uses one. AHEAD loads, SLOTS or one less, are started before step
 * 0. The others follow, one at the start of each step, into the slot that the step before is done
 * with: so a step has one block_sync, and a load SLOTS - 1 steps to arrive. (With AHEAD = SLOTS all
 * slots are full before step 0, which starts none.)
 */
template <int D, int SLOTS> struct slot_ring {
    static constexpr uint32_t SLOT_BYTES = KEYS * shared_rows<D>::BYTES;

    /* Offsets of slots go round. */
    static HW_MEMBER uint32_t after(uint32_t slot)
    {
        return slot == (SLOTS - 1) * SLOT_BYTES ? 0 : slot + SLOT_BYTES;
    }
    static HW_MEMBER uint32_t before(uint32_t slot)
    {
        return slot == 0 ? (SLOTS - 1) * SLOT_BYTES : slot - SLOT_BYTES;
    }

    /* The keys or values of the block at `key`, then the place of the next block; behind the last
     * it is an empty group, so that waits can count. */
    template <bool VALUES>
    static HW_MEMBER void start_load(const ppi_cuda_attention_args &args,
                                     const attention_tile &tile, kv_token *token, int32_t key,
                                     uint32_t address)
    {
        if (key < tile.end_key) {
            load_keys<D, VALUES>(args, tile, *token, key, address);
            if (VALUES)
                find_block<D>(args, tile, key + KEYS, token);
        }
        hw::cp_async_commit();
    }

    template <int AHEAD>
    static HW_MEMBER void start_first(const ppi_cuda_attention_args &args,
                                      const attention_tile &tile, kv_token *token, uint32_t shared)
    {
        static_assert(AHEAD == SLOTS || AHEAD == SLOTS - 1, "else waits miscount");
        find_block<D>(args, tile, tile.first_key, token);
        HW_UNROLL
        for (int i = 0; i < AHEAD; i++) {
            int32_t key = tile.first_key + i / 2 * KEYS;
            uint32_t address = shared + (uint32_t)i * SLOT_BYTES;
            if (i % 2 == 0)
                start_load<false>(args, tile, token, key, address);
            else
                start_load<true>(args, tile, token, key, address);
        }
    }

    /* Begins the step of the keys or values of the block at `key`: they are in the slot, for every
     * thread. */
    template <int AHEAD, bool VALUES>
    static HW_MEMBER void step(const ppi_cuda_attention_args &args, const attention_tile &tile,
                               kv_token *token, int32_t key, uint32_t shared, uint32_t slot)
    {
        if (!VALUES && AHEAD == SLOTS && key == tile.first_key) {
            hw::cp_async_wait<SLOTS - 1>();
            hw::block_sync();
            return;
        }
        hw::cp_async_wait<SLOTS - 2>();
        hw::block_sync();
        /* Of the sequence, the load SLOTS - 1 after this step's. */
        constexpr int NEXT = VALUES + SLOTS - 1;
        start_load<NEXT % 2 == 1>(args, tile, token, key + NEXT / 2 * KEYS, shared + before(slot));
    }
};

/* ---- the online softmax (Milakov and Gimelshein, arXiv 1805.02867) ----
 * A thread holds two rows of every score tile, r = 0, 1: lane / 4 + 8 r of the warp's 16; elements
 * [2 r] and [2 r + 1] of a tile are keys lane % 4 * 2 and the next of its eight.
 */

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
