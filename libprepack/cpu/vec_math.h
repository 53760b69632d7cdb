/*
 * vec_math.h: functions of vectors: powers of two, what gates a product, tanh.
 */
#ifndef PPI_CPU_VEC_MATH_H
#define PPI_CPU_VEC_MATH_H

#include "cpu/vec.h"

/* 2^n 2^f with f in [-1/2, 1/2]: a polynomial (relative error below 1e-8, before rounding) that
 * interpolates (2^f - 1) / f at Chebyshev nodes. */
PPI_INLINE vf v_exp2_parts(vf n, vf f)
{
    vf y = v_set1(0x1.44138ap-13f);
    y = v_fma(y, f, v_set1(0x1.5f0890p-10f));
    y = v_fma(y, f, v_set1(0x1.3b2a54p-7f));
    y = v_fma(y, f, v_set1(0x1.c6af6cp-5f));
    y = v_fma(y, f, v_set1(0x1.ebfbe0p-3f));
    y = v_fma(y, f, v_set1(0x1.62e430p-1f));
    y = v_fma(y, f, v_set1(1.0f));
    return v_scale_by_2(y, n);
}

/* 2^x for x of at most about 100; -infinity gives 0, NaN stays. */
PPI_INLINE vf v_exp2(vf x)
{
    x = v_max(v_set1(-200.0f), x);
    vf n = v_round(x);
    return v_exp2_parts(n, v_sub(x, n));
}

/* 2^x for x of at most 0 or little more, a weight of the softmax; -infinity gives exactly 0, NaN
 * stays. For bf16 a polynomial of degree 4, 1 at 0, with a relative error of at most 2.9e-6 where
 * rounding to bf16 has up to 2e-3. */
PPI_INLINE vf v_weight(bool bf16, vf x)
{
    if (!bf16)
        return v_exp2(x);
    vf f = v_fraction(x);
    vf y = v_fma(v_set1(0x1.b7f730p-7f), f, v_set1(0x1.abf868p-5f));
    y = v_fma(y, f, v_set1(0x1.ee2450p-3f));
    y = v_fma(y, f, v_set1(0x1.62d6c6p-1f));
    y = v_fma(y, f, v_set1(1.0f));
    return v_scale_weight(y, x);
}

/* log2(e) in two parts: the error of the exponent stays that of f32. NaN stays. */
PPI_INLINE vf v_exp(vf x)
{
    vf high = v_set1(0x1.715476p+0f), low = v_set1(1.9259630e-8f);
    x = v_min(v_set1(150.0f), v_max(v_set1(-150.0f), x));
    vf product = v_mul(x, high), n = v_round(product);
    vf rest = v_fma(x, low, v_fma(x, high, v_sub(v_zero(), product)));
    return v_exp2_parts(n, v_add(v_sub(product, n), rest));
}

/* x / (1 + exp(-t)) */
PPI_INLINE vf v_gate(vf x, vf t)
{
    return v_div(x, v_add(v_set1(1.0f), v_exp(v_sub(v_zero(), t))));
}

PPI_INLINE vf v_sigmoid(vf x)
{
    return v_gate(v_set1(1.0f), x);
}

/* log(1 + exp(x)): the larger of x and 0, and log(1 + u), u = exp(-|x|), which is 2 atanh(s), s =
 * u / (2 + u): an odd polynomial (relative error below 1e-9, before rounding) that interpolates
 * (atanh(s) / s - 1) / s^2 at Chebyshev nodes of s^2. */
PPI_INLINE vf v_softplus(vf x)
{
    vf u = v_exp(v_sub(v_zero(), v_abs(x)));
    vf s = v_div(u, v_add(v_set1(2.0f), u)), z = v_mul(s, s);
    vf y = v_set1(0x1.dba25ep-4f);
    y = v_fma(y, z, v_set1(0x1.bc8cfap-4f));
    y = v_fma(y, z, v_set1(0x1.24c926p-3f));
    y = v_fma(y, z, v_set1(0x1.9998d4p-3f));
    y = v_fma(y, z, v_set1(0x1.555556p-2f));
    vf twice = v_add(s, s);
    return v_add(v_max(v_zero(), x), v_fma(v_mul(twice, z), y, twice));
}

PPI_INLINE vf v_silu(vf x)
{
    return v_gate(x, x);
}

/* x / 2 (1 + tanh(y)) is x / (1 + exp(-2 y)); y = sqrt(2 / pi) (x + 0.044715 x^3). Beyond 200 the
 * result is x or 0, and x^3 does not overflow. */
PPI_INLINE vf v_gelu_tanh(vf x)
{
    vf near = v_min(v_set1(200.0f), v_max(v_set1(-200.0f), x));
    vf cube = v_mul(v_mul(near, near), near);
    vf y = v_fma(v_set1(0.044715f), cube, near);
    return v_gate(x, v_mul(v_set1(1.5957691216f), y));
}

/* Below 0.55 an odd polynomial (relative error below 1e-8, before rounding) that interpolates
 * (tanh(x) / x - 1) / x^2 at Chebyshev nodes of x^2; else 1 - 2 / (exp(2 x) + 1). NaN stays. */
PPI_INLINE vf v_tanh(vf x)
{
    vf a = v_abs(x), z = v_mul(a, a);
    vf y = v_set1(-0x1.b13538p-8f);
    y = v_fma(y, z, v_set1(0x1.5d220ep-6f));
    y = v_fma(y, z, v_set1(-0x1.b9a044p-5f));
    y = v_fma(y, z, v_set1(0x1.110feap-3f));
    y = v_fma(y, z, v_set1(-0x1.555554p-2f));
    vf low = v_fma(v_mul(a, z), y, a);
    vf power = v_exp2(v_mul(v_set1(2.8853901f), v_min(v_set1(10.0f), a)));
    vf high = v_sub(v_set1(1.0f), v_div(v_set1(2.0f), v_add(power, v_set1(1.0f))));
    return v_with_sign(v_where_less(a, v_set1(0.55f), low, high), x);
}

/* x = cap tanh(x / cap) */
PPI_INLINE void cap_values(float *x, int64_t n, float cap)
{
    for (int64_t i = 0; i < n; i += LANES) {
        int32_t left = n - i < LANES ? (int32_t)(n - i) : LANES;
        vf value = v_div(v_load_part(x + i, left), v_set1(cap));
        v_store_act_part(false, x + i, v_mul(v_set1(cap), v_tanh(value)), left);
    }
}

#endif
