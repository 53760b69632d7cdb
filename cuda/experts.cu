/*
 * experts.cu: the products of experts over the lists of their rows, and what becomes of a row's.
 * Contracts are in kernels_layers.h.
 *
 * A block owns a tile of one expert's rows and COLS rows of its matrix, and runs the chain of
 * product_mma.cuh over them: the rows of a lie anywhere, and for gated products each warp's columns
 * are half gates, half the ups of the same numbers, so that a lane has both of an element in its
 * registers. Blocks of empty tiles, which stand at the end, leave at once.
 */
#include "cuda/activation.cuh"
#include "cuda/kernels_layers.h"
#include "cuda/product_mma.cuh"
#include "cuda/product_tiles.cuh"
#include "cuda/quads.cuh"

using namespace ppi;

namespace experts {

/* What a thread copies of the N rows of one operand, which lie anywhere: as product::copier. */
template <typename TILE, int N> struct row_copier {
    static constexpr int ROWS_APART = TILE::THREADS / TILE::CHUNKS;
    static constexpr int COPIES = N / ROWS_APART;

    const char *from[COPIES]; /* the thread's chunk of k block 0 */
    uint32_t inside;          /* bits: rows that exist */
    uint32_t to;              /* offset in the stage */

    explicit HW_MEMBER row_copier(int offset) : inside(0)
    {
        int row = hw::thread() / TILE::CHUNKS, chunk = hw::thread() % TILE::CHUNKS;
        to = (uint32_t)(offset + row * TILE::ROW_BYTES + (chunk ^ TILE::swizzle(row)) * 16);
    }

    /* Of copy i: its row in the tile. */
    static HW_MEMBER int row_of(int i)
    {
        return hw::thread() / TILE::CHUNKS + i * ROWS_APART;
    }
    /* Any row where there is none. */
    HW_MEMBER void set(int i, const void *row, bool exists)
    {
        from[i] = (const char *)row + hw::thread() % TILE::CHUNKS * 16;
        inside |= (uint32_t)exists << i;
    }
    HW_MEMBER void copy(uint32_t stage, int k_block, int k_left) const
    {
        bool in_k = hw::thread() % TILE::CHUNKS * 8 < k_left;
        HW_UNROLL
        for (int i = 0; i < COPIES; i++)
            hw::cp_async16(stage + to + (uint32_t)(i * ROWS_APART * TILE::ROW_BYTES),
                           from[i] + (int64_t)k_block * TILE::ROW_BYTES,
                           in_k && inside >> i & 1 ? 16 : 0);
    }
};

/* Rows of a: of the tile's places, or, with a list, the rows there. */
template <typename TILE>
HW_DEVICE row_copier<TILE, TILE::ROWS> copy_rows(const struct ppi_cuda_experts_args &args,
                                                 const struct ppi_cuda_expert_tile &tile,
                                                 const int32_t *list)
{
    row_copier<TILE, TILE::ROWS> copy(0);
    HW_UNROLL
    for (int i = 0; i < copy.COPIES; i++) {
        bool exists = copy.row_of(i) < tile.n_rows;
        int64_t place = tile.first + (exists ? copy.row_of(i) : 0);
        copy.set(i, (const char *)args.a + (list ? list[place] : place) * args.k * 2, exists);
    }
    return copy;
}

/* Columns of a block, of the outputs. */
template <typename TILE, bool GATED> constexpr int COLS = GATED ? TILE::COLS / 2 : TILE::COLS;

/* Rows of the expert's matrix for the outputs from col on. */
template <typename TILE, bool GATED>
HW_DEVICE row_copier<TILE, TILE::COLS> copy_weights(const struct ppi_cuda_experts_args &args,
                                                    int32_t expert, int col)
{
    row_copier<TILE, TILE::COLS> copy(TILE::ROWS * TILE::ROW_BYTES);
    HW_UNROLL
    for (int i = 0; i < copy.COPIES; i++) {
        int row = copy.row_of(i), up = 0;
        if (GATED) {
            constexpr int HALF = TILE::WARP_COLS / 2;
            up = row / HALF % 2;
            row = row / TILE::WARP_COLS * HALF + row % HALF;
        }
        bool exists = col + row < args.n;
        int64_t at = ((int64_t)expert * (GATED ? 2 : 1) + up) * args.n + (exists ? col + row : 0);
        copy.set(i, (const char *)args.w + at * args.k * 2, exists);
    }
    return copy;
}

/* Two neighbouring biases of an expert. */
HW_DEVICE product::pair load_biases(const float *bias, int64_t at)
{
    return bias ? *(const product::pair *)(bias + at) : product::pair{0, 0};
}

HW_DEVICE float gate_one(const struct ppi_cuda_experts_args &args, float gate, float up)
{
    if (args.activation == PPI_CUDA_SWIGLU_CLAMPED)
        return swiglu_clamped(gate, up, args.limit, args.alpha);
    return up * (args.activation == PPI_CUDA_SILU ? activate<PPI_CUDA_SILU>(gate)
                                                  : activate<PPI_CUDA_GELU_TANH>(gate));
}

/* What a block has: a tile, and outputs from col on. */
template <typename TILE, bool GATED>
HW_DEVICE struct ppi_cuda_expert_tile find_tile(const struct ppi_cuda_experts_args &args, int *col)
{
    int n_cols = (args.n + COLS<TILE, GATED> - 1) / COLS<TILE, GATED>;
    *col = hw::block() % n_cols * COLS<TILE, GATED>;
    return args.tiles[hw::block() / n_cols];
}

template <typename T, typename TILE>
HW_DEVICE void multiply_gated(const struct ppi_cuda_experts_args &args)
{
    int col;
    const struct ppi_cuda_expert_tile tile = find_tile<TILE, true>(args, &col);
    if (tile.n_rows == 0)
        return;
    float sums[TILE::WARP_ROWS / 16][TILE::WARP_COLS / 8][4] = {};
    product::walk<T, TILE>(sums, copy_rows<TILE>(args, tile, args.rows),
                           copy_weights<TILE, true>(args, tile.expert, col), args.k);

    constexpr int PAIRS = TILE::WARP_COLS / 16; /* of 8 gates with their ups */
    const int row = product::warp_row<TILE>() + hw::lane() / 4;
    col += product::warp_col<TILE>() / 2 + hw::lane() % 4 * 2;
    HW_UNROLL
    for (int j = 0; j < PAIRS; j++) {
        if (col + j * 8 >= args.n)
            continue;
        int64_t of_expert = (int64_t)tile.expert * 2 * args.n + col + j * 8;
        product::pair gate = load_biases(args.bias, of_expert);
        product::pair up = load_biases(args.bias, of_expert + args.n);
        HW_UNROLL
        for (int i = 0; i < TILE::WARP_ROWS / 8; i++) {
            const float *gates = sums[i / 2][j] + i % 2 * 2;
            const float *ups = sums[i / 2][PAIRS + j] + i % 2 * 2;
            if (row + i * 8 >= tile.n_rows)
                continue;
            T *out = (T *)args.out + (int64_t)(tile.first + row + i * 8) * args.n + col + j * 8;
            *(uint32_t *)out = hw::narrow2<T>(gate_one(args, gates[0] + gate.x, ups[0] + up.x),
                                              gate_one(args, gates[1] + gate.y, ups[1] + up.y));
        }
    }
}

template <typename T, typename TILE>
HW_DEVICE void multiply_down(const struct ppi_cuda_experts_args &args)
{
    int col;
    const struct ppi_cuda_expert_tile tile = find_tile<TILE, false>(args, &col);
    if (tile.n_rows == 0)
        return;
    float sums[TILE::WARP_ROWS / 16][TILE::WARP_COLS / 8][4] = {};
    product::walk<T, TILE>(sums, copy_rows<TILE>(args, tile, nullptr),
                           copy_weights<TILE, false>(args, tile.expert, col), args.k);

    const int row = product::warp_row<TILE>() + hw::lane() / 4;
    col += product::warp_col<TILE>() + hw::lane() % 4 * 2;
    HW_UNROLL
    for (int j = 0; j < TILE::WARP_COLS / 8; j++) {
        if (col + j * 8 >= args.n)
            continue;
        product::pair bias = load_biases(args.bias, (int64_t)tile.expert * args.n + col + j * 8);
        HW_UNROLL
        for (int i = 0; i < TILE::WARP_ROWS / 8; i++) {
            const float *of = sums[i / 2][j] + i % 2 * 2;
            if (row + i * 8 >= tile.n_rows)
                continue;
            float *out =
                (float *)args.out + (int64_t)(tile.first + row + i * 8) * args.n + col + j * 8;
            *(product::pair *)out = {of[0] + bias.x, of[1] + bias.y};
        }
    }
}

} // namespace experts

#define EXPERTS_KERNEL(name, run, type, tile)                                                      \
    HW_KERNEL(name, struct ppi_cuda_experts_args, product::tile::THREADS, 2)                       \
    {                                                                                              \
        experts::run<hw::type, product::tile>(args);                                               \
    }

EXPERTS_KERNEL(experts_gated_bf16_64x64_kernel, multiply_gated, bf16, few)
EXPERTS_KERNEL(experts_gated_f16_64x64_kernel, multiply_gated, f16, few)
EXPERTS_KERNEL(experts_gated_bf16_128x128_kernel, multiply_gated, bf16, many)
EXPERTS_KERNEL(experts_gated_f16_128x128_kernel, multiply_gated, f16, many)
EXPERTS_KERNEL(experts_down_bf16_64x64_kernel, multiply_down, bf16, few)
EXPERTS_KERNEL(experts_down_f16_64x64_kernel, multiply_down, f16, few)
EXPERTS_KERNEL(experts_down_bf16_128x128_kernel, multiply_down, bf16, many)
EXPERTS_KERNEL(experts_down_f16_128x128_kernel, multiply_down, f16, many)

/* ---- combine ---- A block takes a row, quads of it go to its threads in turn. Moves 4 bytes for
 * each element of a row's top_k places, and 4 or 8 for each of out.
 */
#define COMBINE_THREADS 256

HW_KERNEL(combine_kernel, struct ppi_cuda_combine_args, COMBINE_THREADS, 4)
{
    int64_t row = hw::block();
    if (row >= args.n_rows)
        return;
    const int32_t *places = args.places + row * args.top_k;
    const float *weights = args.weights + row * args.top_k;
    float *out = args.out + row * args.dim;
    for (int q = hw::thread(); q < args.dim / 4; q += COMBINE_THREADS) {
        quad sum = args.accumulate ? widen_quad(load_quad(out + 4 * q)) : quad{{0, 0, 0, 0}};
        for (int32_t j = 0; j < args.top_k; j++)
            sum = add_quads(
                sum, widen_quad(load_quad(args.down + (int64_t)places[j] * args.dim + 4 * q)),
                args.scale * weights[j]);
        store_quad(out + 4 * q, sum);
    }
}

/* ---- tables ---- */

const struct ppi_cuda_kernel ppi_cuda_experts_gated[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES] = {
    {PPI_TILE_ENTRY(experts_gated_bf16_64x64_kernel, few),
     PPI_TILE_ENTRY(experts_gated_bf16_128x128_kernel, many)},
    {PPI_TILE_ENTRY(experts_gated_f16_64x64_kernel, few),
     PPI_TILE_ENTRY(experts_gated_f16_128x128_kernel, many)}};
const struct ppi_cuda_kernel ppi_cuda_experts_down[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES] = {
    {PPI_TILE_ENTRY(experts_down_bf16_64x64_kernel, few),
     PPI_TILE_ENTRY(experts_down_bf16_128x128_kernel, many)},
    {PPI_TILE_ENTRY(experts_down_f16_64x64_kernel, few),
     PPI_TILE_ENTRY(experts_down_f16_128x128_kernel, many)}};
const struct ppi_cuda_kernel ppi_cuda_combine[1] = {
    PPI_KERNEL_ENTRY(combine_kernel, COMBINE_THREADS, 0)};

/* ---- grids ---- */

int32_t ppi_cuda_experts_tile(int64_t n_places, int32_t n_experts)
{
    return n_places / n_experts <= product::FEW_ROWS ? 0 : 1;
}

int32_t ppi_cuda_experts_tile_rows(int32_t tile)
{
    return tile == 0 ? product::few::ROWS : product::many::ROWS;
}

/* Every expert's last tile may have a single row. */
int64_t ppi_cuda_expert_tiles(int32_t tile, int64_t n_places, int32_t n_experts)
{
    int64_t begun = n_places < n_experts ? n_places : n_experts;
    return begun + (n_places - begun) / ppi_cuda_experts_tile_rows(tile);
}

int64_t ppi_cuda_experts_blocks(int32_t tile, int32_t is_gated, int64_t n_tiles, int32_t n)
{
    int64_t cols = (tile == 0 ? product::few::COLS : product::many::COLS) / (is_gated ? 2 : 1);
    return n_tiles * ((n + cols - 1) / cols);
}
