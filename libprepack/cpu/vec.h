/*
 * vec.h: vectors of f32 lanes in the widest registers the including file is compiled for, and the
 * few operations the kernels need. Each processor's file gives types and operations of the same
 * names; what follows from them is here.
 *
 *   LANES, VECTORS     lanes of a vector, vectors of a row of a product tile
 *   vf, vi             f32 lanes, and their bits
 *   v_dot_pairs        where it is a macro: sum + a b of two bf16 pairs in each lane
 */
#ifndef PPI_CPU_VEC_H
#define PPI_CPU_VEC_H

#include "cpu/row_kernels.h"

/* Loops over tiles of registers must vanish: what is left as memory would be read each time. */
#if defined(PPI_SANITIZED)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

PPI_INLINE uint32_t load_u32(const char *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

PPI_INLINE uint32_t load_u16(const char *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

#if defined(__aarch64__)
#include "cpu/arm_vec.h"
#else
#include "cpu/x86_vec.h"
#endif

PPI_INLINE void v_store_act(bool bf16, void *p, vf x)
{
    if (bf16)
        v_store_bf16(p, x);
    else
        v_store(p, x);
}

/* Stores the first n lanes, all of them from LANES on. */
PPI_INLINE void v_store_act_part(bool bf16, void *p, vf x, int32_t n)
{
    if (n >= LANES) {
        v_store_act(bf16, p, x);
        return;
    }
    char lanes[LANES * sizeof(float)];
    v_store_act(bf16, lanes, x);
    memcpy(p, lanes, (size_t)n * (bf16 ? sizeof(uint16_t) : sizeof(float)));
}

/* The first n floats, zeros behind them. */
PPI_INLINE vf v_load_part(const float *p, int32_t n)
{
    if (n >= LANES)
        return v_load(p);
    float lanes[LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v_load(lanes);
}

/* The first n numbers of act, widened, zeros behind them. */
PPI_INLINE vf v_load_act_part(bool bf16, const void *p, int32_t n)
{
    if (!bf16)
        return v_load_part(p, n);
    uint16_t halves[LANES] = {0};
    uint32_t lanes[LANES];
    memcpy(halves, p, (size_t)(n < LANES ? n : LANES) * sizeof *halves);
    for (int l = 0; l < LANES; l++)
        lanes[l] = (uint32_t)halves[l] << 16;
    return v_bits_as_f32(v_bits_load(lanes));
}

/* As v_store_act, but what is too small for a normal bf16 may become 0, as in products. */
PPI_INLINE void v_store_narrow(bool bf16, void *p, vf x)
{
    if (bf16)
        v_store_bf16_narrow(p, x);
    else
        v_store(p, x);
}

#endif
