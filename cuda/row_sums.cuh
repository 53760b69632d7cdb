/*
 * row_sums.cuh: sums over the threads of a row, in one fixed order.
 */
#ifndef PPI_CUDA_ROW_SUMS_CUH
#define PPI_CUDA_ROW_SUMS_CUH

#include "hw.h"

namespace ppi {

HW_DEVICE float sum_of_warp(float sum)
{
    HW_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2)
        sum += hw::shuffle_xor(sum, mask);
    return sum;
}

/* Of a row's N threads, a warp or a block: a butterfly over each warp, then the warps in order.
 * sums: shared, N / 32 floats of this sum alone. */
template <int N> HW_DEVICE float sum_of_threads(float sum, uint32_t sums)
{
    sum = sum_of_warp(sum);
    if (N == 32)
        return sum;
    if (hw::lane() == 0)
        hw::store_shared(sums + 4 * (uint32_t)hw::warp(), sum);
    hw::block_sync();
    sum = 0;
    HW_UNROLL
    for (int i = 0; i < N / 32; i++)
        sum += hw::load_shared<float>(sums + 4 * (uint32_t)i);
    return sum;
}

} // namespace ppi

#endif
