/*
 * row_kernels.h: kernels on single rows in plain C, compiled for each instruction set by its file.
 * Sums have a fixed shape (64 lanes, then a tree) and nothing is contracted, so every instruction
 * set gives the same bits.
 */
#ifndef PPI_CPU_ROW_KERNELS_H
#define PPI_CPU_ROW_KERNELS_H

#include "cpu/cpu.h"
#include "dtype.h"

#include <math.h>

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

#define NORM_LANES 64

PPI_INLINE void store_act(bool bf16, void *dst, int64_t i, float value)
{
    if (bf16)
        ((uint16_t *)dst)[i] = ppi_f32_to_bf16(value);
    else
        ((float *)dst)[i] = value;
}

PPI_INLINE float sum_of_squares(const float *x, int64_t n)
{
    float lanes[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int l = 0; l < NORM_LANES; l++)
            lanes[l] += x[i + l] * x[i + l];
    for (int l = 0; i + l < n; l++)
        lanes[l] += x[i + l] * x[i + l];
    for (int half = NORM_LANES / 2; half >= 1; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

PPI_INLINE void rmsnorm_rows(bool bf16, const float *x, const float *weight, double eps,
                             int64_t n_rows, int64_t dim, void *out)
{
    for (int64_t row = 0; row < n_rows; row++, x += dim) {
        double mean = (double)sum_of_squares(x, dim) / (double)dim;
        float scale = (float)(1.0 / sqrt(mean + eps));
        for (int64_t i = 0; i < dim; i++)
            store_act(bf16, out, row * dim + i, x[i] * scale * weight[i]);
    }
}

/* out[i] = x[i] cos - x[i + h] sin, out[i + h] = x[i + h] cos + x[i] sin */
PPI_INLINE void rotate_head(bool bf16, const float *x, const float *rope, int32_t head_dim,
                            void *out)
{
    int32_t h = head_dim / 2;
    const float *cosine = rope, *sine = rope + h;
    for (int32_t i = 0; i < h; i++) {
        store_act(bf16, out, i, x[i] * cosine[i] - x[i + h] * sine[i]);
        store_act(bf16, out, i + h, x[i + h] * cosine[i] + x[i] * sine[i]);
    }
}

PPI_INLINE void rope_row(bool bf16, const struct ppi_cpu_rope *row)
{
    int32_t head_dim = row->head_dim;
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    const float *x = row->qkv;
    for (int32_t h = 0; h < row->n_heads; h++, x += head_dim)
        rotate_head(bf16, x, row->rope, head_dim,
                    (char *)row->q + (size_t)h * (size_t)head_dim * act_bytes);

    /* K: group g of the head goes to lane [g][slot]. */
    char *kv = row->kv;
    int32_t n_groups = bf16 ? head_dim / 2 : head_dim;
    _Alignas(64) char key[PPI_CPU_MAX_HEAD_DIM * sizeof(float)];
    for (int32_t h = 0; h < row->n_kv_heads; h++, x += head_dim, kv += row->stride) {
        rotate_head(bf16, x, row->rope, head_dim, key);
        uint32_t *k = (uint32_t *)(void *)kv + row->slot;
        for (int32_t g = 0; g < n_groups; g++)
            memcpy(&k[g * PPI_CPU_PAGE], key + 4 * g, sizeof *k);
    }

    /* V: an even slot opens its pair and zeroes the other half, so that a half-filled pair holds
     * nothing but numbers; an odd slot completes it. */
    int32_t columns = ppi_cpu_v_columns(head_dim);
    kv = row->kv + ppi_cpu_k_bytes(act_bytes, head_dim);
    for (int32_t h = 0; h < row->n_kv_heads; h++, x += head_dim, kv += row->stride) {
        if (!bf16) {
            memcpy(kv + (size_t)(row->slot * columns) * sizeof(float), x,
                   (size_t)head_dim * sizeof(float));
            continue;
        }
        uint32_t *v = (uint32_t *)(void *)kv + row->slot / 2 * columns;
        if (row->slot % 2 == 0)
            for (int32_t d = 0; d < head_dim; d++)
                v[d] = ppi_f32_to_bf16(x[d]);
        else
            for (int32_t d = 0; d < head_dim; d++)
                v[d] = (v[d] & 0xffffu) | (uint32_t)ppi_f32_to_bf16(x[d]) << 16;
    }
}

#endif
