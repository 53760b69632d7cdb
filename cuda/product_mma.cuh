/*
 * product_mma.cuh: a tile of a matrix product on the tensor cores of sm_80 and newer. Tiles differ
 * in shape only: every output element is one chain of m16n8k16 steps over k, in order, of which
 * there are as many in every tile. So all tiles give the same bits, wherever a row lies in them.
 *
 * A block owns ROWS x COLS of out and walks over k in blocks of K, STAGES of which are in shared
 * memory or on their way. A warp owns WARP_ROWS x WARP_COLS. A lane's sums are those of the
 * instruction: rows lane / 4 and lane / 4 + 8, columns 2 (lane % 4) and the next, of each 16 x 8.
 *
 * Shared memory, per stage: rows of a [ROWS, K], then rows of w [COLS, K]. Chunks of 16 bytes are
 * swizzled within a row so that the eight rows that ldmatrix reads at once are in eight different
 * groups of four banks. Rows outside the matrices and k beyond its end are zeros there, which add
 * exactly nothing.
 */
#ifndef PPI_CUDA_PRODUCT_MMA_CUH
#define PPI_CUDA_PRODUCT_MMA_CUH

#include "cuda/kernels.h"
#include "hw.h"

namespace product {

/* Row tiles that run over all columns before the next group of them: what they share stays in the
 * L2 cache. */
constexpr int GROUP = 8;
/* k is walked to the next multiple of this, so that the number of steps is the same in all tiles.
 */
constexpr int K_STEP = 64;

template <int TILE_ROWS, int TILE_COLS, int TILE_K, int N_STAGES, int ROWS_OF_WARP,
          int COLS_OF_WARP>
struct tile {
    static constexpr int ROWS = TILE_ROWS, COLS = TILE_COLS, K = TILE_K, STAGES = N_STAGES;
    static constexpr int WARP_ROWS = ROWS_OF_WARP, WARP_COLS = COLS_OF_WARP;
    static constexpr int WARPS_DOWN = ROWS / WARP_ROWS;
    static constexpr int THREADS = WARPS_DOWN * (COLS / WARP_COLS) * 32;
    static constexpr int ROW_BYTES = K * 2, CHUNKS = K / 8;
    static constexpr int STAGE_BYTES = (ROWS + COLS) * ROW_BYTES;
    static constexpr int SHARED_BYTES = STAGES * STAGE_BYTES;

    static_assert(K_STEP % K == 0 && (CHUNKS == 4 || CHUNKS == 8), "swizzles for 32 and 64 only");
    static_assert(SHARED_BYTES <= 99 * 1024, "all GPUs since sm_80 have 99 KB for a block");
    static_assert(WARP_ROWS % 16 == 0 && WARP_COLS % 16 == 0, "ldmatrix takes 16 rows at once");
    static_assert(ROWS % (THREADS / CHUNKS) == 0 && COLS % (THREADS / CHUNKS) == 0,
                  "threads share the copies evenly");

    /* XORed into the number of a row's chunk. Rows that are 16 apart have the same. */
    static HW_MEMBER int swizzle(int row)
    {
        return CHUNKS == 8 ? row % 8 : row / 2 % 4;
    }
};

/* What a thread copies of the N rows of one operand: one chunk of every ROWS_APART-th row. */
template <typename TILE, int N> struct copier {
    static constexpr int ROWS_APART = TILE::THREADS / TILE::CHUNKS;
    static constexpr int COPIES = N / ROWS_APART;

    const char *from; /* its first chunk, of k block 0 */
    int64_t apart;    /* bytes between its rows in the matrix */
    int n_copies;     /* of rows that exist */
    uint32_t to;      /* offset in the stage */

    HW_MEMBER copier(const void *matrix, int64_t ld, int first_row, int n_rows, int offset)
    {
        int row = hw::thread() / TILE::CHUNKS, chunk = hw::thread() % TILE::CHUNKS;
        int rows_left = n_rows - first_row - row;
        from = (const char *)matrix + ((int64_t)(first_row + row) * ld + chunk * 8) * 2;
        apart = ROWS_APART * ld * 2;
        n_copies = rows_left <= 0 ? 0 : (rows_left + ROWS_APART - 1) / ROWS_APART;
        to = (uint32_t)(offset + row * TILE::ROW_BYTES + (chunk ^ TILE::swizzle(row)) * 16);
    }

    /* k_left: elements of k from the start of this k block */
    HW_MEMBER void copy(uint32_t stage, int k_block, int k_left) const
    {
        bool in_k = hw::thread() % TILE::CHUNKS * 8 < k_left;
        HW_UNROLL
        for (int i = 0; i < COPIES; i++)
            hw::cp_async16(stage + to + (uint32_t)(i * ROWS_APART * TILE::ROW_BYTES),
                           from + i * apart + (int64_t)k_block * TILE::ROW_BYTES,
                           in_k && i < n_copies ? 16 : 0);
    }
};

/* What one k16 step of a warp multiplies. */
template <typename TILE> struct fragments {
    uint32_t a[TILE::WARP_ROWS / 16][4];
    uint32_t w[TILE::WARP_COLS / 16][4]; /* two of the instruction's 8 columns each */
};

/* Where a lane reads a warp's fragments. */
template <typename TILE> struct reader {
    uint32_t a, w;        /* offsets of the lane's rows in the stage */
    int a_chunk, w_chunk; /* of a k16 step's two chunks, the lane's */
    int a_swizzle, w_swizzle;

    HW_MEMBER reader(int first_row, int first_col)
    {
        int a_row = first_row + hw::lane() % 16;
        int w_row = first_col + hw::lane() % 8 + hw::lane() / 16 * 8;
        a = (uint32_t)(a_row * TILE::ROW_BYTES);
        w = (uint32_t)((TILE::ROWS + w_row) * TILE::ROW_BYTES);
        a_chunk = hw::lane() / 16;
        w_chunk = hw::lane() / 8 % 2;
        a_swizzle = TILE::swizzle(a_row);
        w_swizzle = TILE::swizzle(w_row);
    }

    HW_MEMBER void read(fragments<TILE> &f, uint32_t stage, int step) const
    {
        uint32_t a_from = stage + a + (uint32_t)(((step * 2 + a_chunk) ^ a_swizzle) * 16);
        uint32_t w_from = stage + w + (uint32_t)(((step * 2 + w_chunk) ^ w_swizzle) * 16);
        HW_UNROLL
        for (int i = 0; i < TILE::WARP_ROWS / 16; i++)
            hw::ldmatrix_x4(f.a[i], a_from + (uint32_t)(i * 16 * TILE::ROW_BYTES));
        HW_UNROLL
        for (int j = 0; j < TILE::WARP_COLS / 16; j++)
            hw::ldmatrix_x4(f.w[j], w_from + (uint32_t)(j * 16 * TILE::ROW_BYTES));
    }
};

template <typename T, typename TILE>
HW_DEVICE void multiply(float (&sums)[TILE::WARP_ROWS / 16][TILE::WARP_COLS / 8][4],
                        const fragments<TILE> &f)
{
    HW_UNROLL
    for (int i = 0; i < TILE::WARP_ROWS / 16; i++) {
        HW_UNROLL
        for (int j = 0; j < TILE::WARP_COLS / 8; j++) {
            const uint32_t w[2] = {f.w[j / 2][j % 2 * 2], f.w[j / 2][j % 2 * 2 + 1]};
            hw::mma_16816<T>(sums[i][j], f.a[i], w);
        }
    }
}

/* Where in the block's tile the warp's begins. */
template <typename TILE> HW_DEVICE int warp_row()
{
    return hw::warp() % TILE::WARPS_DOWN * TILE::WARP_ROWS;
}

template <typename TILE> HW_DEVICE int warp_col()
{
    return hw::warp() / TILE::WARPS_DOWN * TILE::WARP_COLS;
}

/* Adds the products of the warp's rows and columns over all of k to sums. The copiers bring the
 * block's rows of a and of w. */
template <typename T, typename TILE, typename COPY_A, typename COPY_W>
HW_DEVICE void walk(float (&sums)[TILE::WARP_ROWS / 16][TILE::WARP_COLS / 8][4],
                    const COPY_A &copy_a, const COPY_W &copy_w, int k)
{
    /* 1. All but one stage are set going. */
    const uint32_t shared = hw::shared_base();
    const int k_blocks = (k + K_STEP - 1) / K_STEP * (K_STEP / TILE::K);
    HW_UNROLL
    for (int i = 0; i < TILE::STAGES - 1; i++) {
        if (i < k_blocks) {
            copy_a.copy(shared + i * TILE::STAGE_BYTES, i, k - i * TILE::K);
            copy_w.copy(shared + i * TILE::STAGE_BYTES, i, k - i * TILE::K);
        }
        hw::cp_async_commit();
    }

    /* 2. The chain over k. The stage that the last round read is free once all threads are past the
     * barrier, which also shows everybody's copies to everybody. */
    const reader<TILE> reader(warp_row<TILE>(), warp_col<TILE>());
    int reading = 0, writing = TILE::STAGES - 1;
    for (int k_block = 0; k_block < k_blocks; k_block++) {
        hw::cp_async_wait<TILE::STAGES - 2>();
        hw::block_sync();
        int next = k_block + TILE::STAGES - 1;
        if (next < k_blocks) {
            copy_a.copy(shared + writing * TILE::STAGE_BYTES, next, k - next * TILE::K);
            copy_w.copy(shared + writing * TILE::STAGE_BYTES, next, k - next * TILE::K);
        }
        hw::cp_async_commit();

        const uint32_t stage = shared + reading * TILE::STAGE_BYTES;
        fragments<TILE> now, later;
        reader.read(now, stage, 0);
        HW_UNROLL
        for (int step = 0; step < TILE::K / 16; step++) {
            if (step + 1 < TILE::K / 16)
                reader.read(later, stage, step + 1);
            multiply<T, TILE>(sums, now);
            now = later;
        }
        writing = reading;
        reading = reading + 1 == TILE::STAGES ? 0 : reading + 1;
    }
}

struct alignas(8) pair {
    float x, y;
};

/* Two columns of a row; in pairs where the row's start allows it. */
template <typename T>
HW_DEVICE void store(const struct ppi_cuda_product_args &args, int row, int col, float x, float y)
{
    if (row >= args.n_rows || col >= args.n)
        return;
    int64_t at = (int64_t)row * args.ldo + col;
    bool both = col + 1 < args.n, in_pairs = both && args.ldo % 2 == 0;
    if (args.out_type == PPI_CUDA_F32) {
        float *out = (float *)args.out + at;
        if (args.accumulate) {
            x = fmaf(args.scale, x, out[0]);
            y = both ? fmaf(args.scale, y, out[1]) : y;
        } else {
            x *= args.scale;
            y *= args.scale;
        }
        if (in_pairs) {
            *(pair *)out = {x, y};
        } else {
            out[0] = x;
            if (both)
                out[1] = y;
        }
    } else {
        T *out = (T *)args.out + at;
        x *= args.scale;
        y *= args.scale;
        if (in_pairs) {
            *(uint32_t *)out = hw::narrow2<T>(x, y);
        } else {
            out[0] = hw::narrow<T>(x);
            if (both)
                out[1] = hw::narrow<T>(y);
        }
    }
}

template <typename T, typename TILE> HW_DEVICE void run(const struct ppi_cuda_product_args &args)
{
    /* 1. The block's tile: GROUP row tiles at a time go over all column tiles. */
    int row_tiles = (args.n_rows + TILE::ROWS - 1) / TILE::ROWS;
    int col_tiles = (args.n + TILE::COLS - 1) / TILE::COLS;
    int group = hw::block() / (GROUP * col_tiles), in_group = hw::block() % (GROUP * col_tiles);
    int height = row_tiles - group * GROUP < GROUP ? row_tiles - group * GROUP : GROUP;
    int row = (group * GROUP + in_group % height) * TILE::ROWS;
    int col = in_group / height * TILE::COLS;

    /* 2. Its sums. */
    const copier<TILE, TILE::ROWS> copy_a(args.a, args.lda, row, args.n_rows, 0);
    const copier<TILE, TILE::COLS> copy_w(args.w, args.ldw, col, args.n,
                                          TILE::ROWS * TILE::ROW_BYTES);
    float sums[TILE::WARP_ROWS / 16][TILE::WARP_COLS / 8][4] = {};
    walk<T, TILE>(sums, copy_a, copy_w, args.k);

    /* 3. Out, or the residual that was there. */
    row += warp_row<TILE>() + hw::lane() / 4;
    col += warp_col<TILE>() + hw::lane() % 4 * 2;
    HW_UNROLL
    for (int i = 0; i < TILE::WARP_ROWS / 16; i++) {
        HW_UNROLL
        for (int j = 0; j < TILE::WARP_COLS / 8; j++) {
            store<T>(args, row + i * 16, col + j * 8, sums[i][j][0], sums[i][j][1]);
            store<T>(args, row + i * 16 + 8, col + j * 8, sums[i][j][2], sums[i][j][3]);
        }
    }
}

} // namespace product

#endif
