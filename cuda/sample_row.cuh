/*
 * sample_row.cuh: what the kernels that look at rows of logits share: loads, and which tokens the
 * filters of a draw leave.
 */
#ifndef PPI_CUDA_SAMPLE_ROW_CUH
#define PPI_CUDA_SAMPLE_ROW_CUH

#include "cuda/quads.cuh"

#define PPI_DRAW_FUNCTION HW_DEVICE
#include "draw.h"

namespace ppi {

constexpr uint32_t SIGN = 0x80000000u;
constexpr uint32_t INFINITE = 0x7f800000u; /* its bits */

/* Tokens 4 i_quad .. 4 i_quad + 3; minus infinity behind vocab. */
HW_DEVICE raw_quad<float> load_logits(const float *logits, int64_t i_quad, int32_t vocab,
                                      bool aligned)
{
    if (aligned && 4 * i_quad + 4 <= vocab)
        return load_quad(logits + 4 * i_quad);
    raw_quad<float> out;
    HW_UNROLL
    for (int i = 0; i < 4; i++)
        out.bits.x[i] = 4 * i_quad + i < vocab ? f32_bits(logits[4 * i_quad + i]) : SIGN | INFINITE;
    return out;
}

/* A token's place in the order of draw.h, 0 the last: by its logit, of equals the smaller first. */
HW_DEVICE uint64_t rank_of(float logit, uint32_t token)
{
    return (uint64_t)ppi_draw_key(logit) << 32 | (uint32_t)~token;
}

HW_DEVICE bool stays(const struct ppi_cuda_bound &bound, float logit, uint32_t token)
{
    return rank_of(logit, token) >= bound.rank &&
           (bound.weight == 0 ||
            ppi_draw_weight(logit, bound.max, bound.steepness) >= bound.weight);
}

} // namespace ppi

#endif
