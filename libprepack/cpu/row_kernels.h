/*
 * row_kernels.h: what kernels in plain C that are compiled for each instruction set by its file
 * share. Nothing is contracted, so every instruction set gives the same bits.
 */
#ifndef PPI_CPU_ROW_KERNELS_H
#define PPI_CPU_ROW_KERNELS_H

#include "cpu/cpu.h"
#include "dtype.h"

/* Kernels are templates: inlined where their constants are known. Under a sanitizer they are plain
 * functions, or the checks of every copy would take the compiler minutes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PPI_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PPI_SANITIZED 1
#endif
#endif
#if defined(PPI_SANITIZED)
#define PPI_INLINE static inline
#else
#define PPI_INLINE static inline __attribute__((always_inline))
#endif

PPI_INLINE void store_act(bool bf16, void *dst, int64_t i, float value)
{
    if (bf16)
        ((uint16_t *)dst)[i] = ppi_f32_to_bf16(value);
    else
        ((float *)dst)[i] = value;
}

#endif
