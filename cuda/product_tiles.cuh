/*
 * product_tiles.cuh: the two tile shapes of our own products, which give the same bits.
 *
 * Few rows (decode, last rows): 64 x 64, so that a weight is read once and there are enough blocks
 * to keep the memory busy, 4 stages of k 64. Many rows: 128 x 128 by four warps of 64 x 64, which
 * read one byte of shared memory for 32 operations; 4 stages of k 32, two blocks on a
 * multiprocessor.
 */
#ifndef PPI_CUDA_PRODUCT_TILES_CUH
#define PPI_CUDA_PRODUCT_TILES_CUH

#include "cuda/product_mma.cuh"

namespace product {

typedef tile<64, 64, 64, 4, 32, 32> few;
typedef tile<128, 128, 32, 4, 64, 64> many;

/* Up to here tiles of 64 x 64 keep more of a large GPU busy than those of 128 x 128. */
constexpr int32_t FEW_ROWS = 128;

} // namespace product

/* An entry of a table of kernels. */
#define PPI_TILE_ENTRY(name, tile)                                                                 \
    {                                                                                              \
#name, HW_KERNEL_ENTRY(name), product::tile::THREADS, product::tile::SHARED_BYTES          \
    }

#endif
