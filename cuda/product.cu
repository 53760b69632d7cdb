/*
 * product.cu: the matrix product that every other is compared with, in two tile shapes that give
 * the same bits; the contract is struct ppi_cuda_product_args in kernels.h. It is what runs where
 * cuBLASLt is not used: shapes it does not take, classes whose self-test it fails.
 *
 * Few rows (decode, last rows): 64 x 64, so that a weight is read once and there are enough blocks
 * to keep the memory busy, 4 stages of k 64. Many rows: 128 x 128 by four warps of 64 x 64, which
 * read one byte of shared memory for 32 operations; 4 stages of k 32, two blocks on a
 * multiprocessor.
 */
#include "product_mma.cuh"

namespace product {

typedef tile<64, 64, 64, 4, 32, 32> few;
typedef tile<128, 128, 32, 4, 64, 64> many;

/* Up to here tiles of 64 x 64 keep more of a large GPU busy than those of 128 x 128. */
constexpr int32_t FEW_ROWS = 128;

} // namespace product

HW_KERNEL(product_bf16_64x64_kernel, struct ppi_cuda_product_args, product::few::THREADS, 2)
{
    product::run<hw::bf16, product::few>(args);
}

HW_KERNEL(product_f16_64x64_kernel, struct ppi_cuda_product_args, product::few::THREADS, 2)
{
    product::run<hw::f16, product::few>(args);
}

HW_KERNEL(product_bf16_128x128_kernel, struct ppi_cuda_product_args, product::many::THREADS, 2)
{
    product::run<hw::bf16, product::many>(args);
}

HW_KERNEL(product_f16_128x128_kernel, struct ppi_cuda_product_args, product::many::THREADS, 2)
{
    product::run<hw::f16, product::many>(args);
}

#define KERNEL(name, tile)                                                                         \
    {                                                                                              \
#name, HW_KERNEL_ENTRY(name), product::tile::THREADS, product::tile::SHARED_BYTES          \
    }

const struct ppi_cuda_kernel ppi_cuda_product[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES] = {
    {KERNEL(product_bf16_64x64_kernel, few), KERNEL(product_bf16_128x128_kernel, many)},
    {KERNEL(product_f16_64x64_kernel, few), KERNEL(product_f16_128x128_kernel, many)}};

int32_t ppi_cuda_product_tile(int32_t n_rows)
{
    return n_rows <= product::FEW_ROWS ? 0 : 1;
}

int64_t ppi_cuda_product_blocks(int32_t tile, int32_t n_rows, int32_t n)
{
    int64_t rows = tile == 0 ? product::few::ROWS : product::many::ROWS;
    int64_t cols = tile == 0 ? product::few::COLS : product::many::COLS;
    return (n_rows + rows - 1) / rows * ((n + cols - 1) / cols);
}
