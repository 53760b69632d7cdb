/*
 * softcap.cuh: the hyperbolic tangent that logits and scores of attention are capped by.
 */
#ifndef PPI_CUDA_SOFTCAP_CUH
#define PPI_CUDA_SOFTCAP_CUH

#include "hw.h"

namespace ppi {

/*
 * tanh(x / c), factor being 2 / c log2(e): 1 - 2 / (1 + exp(2 x / c)), to within 2^-22 of 1. Small
 * results have that error too, which cap times them leaves far below what act resolves; a series
 * for them would cost attention two more instructions a score than it can hide.
 */
HW_DEVICE float soft_tanh(float x, float factor)
{
    return fmaf(-2.0f, hw::reciprocal(1.0f + hw::exp2(x * factor)), 1.0f);
}

} // namespace ppi

#endif
