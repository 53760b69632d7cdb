/*
 * product.cu: the matrix product that every other is compared with, in two tile shapes that give
 * the same bits; the contract is struct ppi_cuda_product_args in kernels.h. It is what runs where
 * cuBLASLt is not used: shapes it does not take, classes whose self-test it fails.
 */
#include "cuda/product_tiles.cuh"

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

const struct ppi_cuda_kernel ppi_cuda_product[PPI_CUDA_N_ACT][PPI_CUDA_PRODUCT_TILES] = {
    {PPI_TILE_ENTRY(product_bf16_64x64_kernel, few),
     PPI_TILE_ENTRY(product_bf16_128x128_kernel, many)},
    {PPI_TILE_ENTRY(product_f16_64x64_kernel, few),
     PPI_TILE_ENTRY(product_f16_128x128_kernel, many)}};

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
