/*
 * dtype.h: the 16-bit float formats: exact widening to f32, narrowing with round to nearest even.
 * NaN stays NaN (quiet), overflow becomes infinity, subnormals are kept.
 */
#ifndef PPI_DTYPE_H
#define PPI_DTYPE_H

#include <stdint.h>
#include <string.h>

static inline float ppi_f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t ppi_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float ppi_bf16_to_f32(uint16_t value)
{
    return ppi_f32_from_bits((uint32_t)value << 16);
}

static inline uint16_t ppi_f32_to_bf16(float value)
{
    uint32_t bits = ppi_f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u); /* quiet NaN */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float ppi_f16_to_f32(uint16_t value);
uint16_t ppi_f32_to_f16(float value);

/* value rounded to a float dtype (PP_DTYPE_*). */
float ppi_round_to(float value, int32_t dtype);

/* n elements of a float dtype (PP_DTYPE_*) to f32. */
void ppi_to_f32(float *dst, const void *src, int32_t dtype, size_t n);

#endif
