/*
 * activation.cuh: what gates of MLPs, experts and linear layers go through.
 */
#ifndef PPI_CUDA_ACTIVATION_CUH
#define PPI_CUDA_ACTIVATION_CUH

#include "hw.h"
#include "cuda/kernels.h"

namespace ppi {

constexpr float LOG2_E = 1.4426950408889634f;

/*
 * x / (1 + exp(-x)); gelu is x / (1 + exp(-2 u)), because (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u)).
 * Where x is minus infinity this is -0, its limit; the first factor only matters there.
 */
template <int ACTIVATION> HW_DEVICE float activate(float x)
{
    const float root = 0.7978845608028654f; /* of 2 / pi */
    float exponent = ACTIVATION == PPI_CUDA_SILU
                         ? x * -LOG2_E
                         : x * (1.0f + 0.044715f * x * x) * (-2.0f * root * LOG2_E);
    return fmaxf(x, -1.0e6f) / (1.0f + hw::exp2(exponent));
}

HW_DEVICE float silu(float x)
{
    return activate<PPI_CUDA_SILU>(x);
}

HW_DEVICE float sigmoid(float x)
{
    return 1.0f / (1.0f + hw::exp2(x * -LOG2_E));
}

/* Of a gate and an up. A NaN stays one. */
HW_DEVICE float swiglu_clamped(float gate, float up, float limit, float alpha)
{
    gate = gate > limit ? limit : gate;
    up = up > limit ? limit : up < -limit ? -limit : up;
    return (up + 1.0f) * gate * sigmoid(alpha * gate);
}

} // namespace ppi

#endif
