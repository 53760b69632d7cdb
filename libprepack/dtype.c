/*
 * dtype.c: element types: sizes, names, and the conversions that are not one-liners.
 */
#include "dtype.h"

#include <prepack/common.h>

size_t pp_dtype_size(int32_t dtype)
{
    switch (dtype) {
    case PP_DTYPE_F32:
        return 4;
    case PP_DTYPE_F16:
    case PP_DTYPE_BF16:
        return 2;
    case PP_DTYPE_BOOL:
        return 1;
    }
    return 0;
}

const char *pp_dtype_name(int32_t dtype)
{
    switch (dtype) {
    case PP_DTYPE_AUTO:
        return "auto";
    case PP_DTYPE_F32:
        return "f32";
    case PP_DTYPE_F16:
        return "f16";
    case PP_DTYPE_BF16:
        return "bf16";
    case PP_DTYPE_BOOL:
        return "bool";
    }
    return "unknown";
}

float ppi_f16_to_f32(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000u) << 16;
    uint32_t exponent = (value >> 10) & 0x1fu;
    uint32_t mantissa = value & 0x3ffu;
    if (exponent == 0x1f)
        return ppi_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent)
        return ppi_f32_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
    float magnitude = (float)mantissa * 0x1p-24f; /* subnormal or zero, exact */
    return ppi_f32_from_bits(sign | ppi_f32_bits(magnitude));
}

uint16_t ppi_f32_to_f16(float value)
{
    uint32_t bits = ppi_f32_bits(value);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* rounds to 2^16 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: subnormal; adding 0.5 aligns and rounds */
        float aligned = ppi_f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (ppi_f32_bits(aligned) - 0x3f000000u));
    }
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

void ppi_to_f32(float *dst, const void *src, int32_t dtype, size_t n)
{
    const uint16_t *half = src;
    switch (dtype) {
    case PP_DTYPE_F32:
        memcpy(dst, src, n * sizeof *dst);
        break;
    case PP_DTYPE_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = ppi_f16_to_f32(half[i]);
        break;
    default: /* PP_DTYPE_BF16 */
        for (size_t i = 0; i < n; i++)
            dst[i] = ppi_bf16_to_f32(half[i]);
        break;
    }
}

float ppi_round_to(float value, int32_t dtype)
{
    if (dtype == PP_DTYPE_BF16)
        return ppi_bf16_to_f32(ppi_f32_to_bf16(value));
    return dtype == PP_DTYPE_F16 ? ppi_f16_to_f32(ppi_f32_to_f16(value)) : value;
}
