/*
 * rope_kernels.h: one row of q, k and v to where attention reads it, in plain C, compiled for each
 * instruction set by its file.
 */
#ifndef PPI_CPU_ROPE_KERNELS_H
#define PPI_CPU_ROPE_KERNELS_H

#include "cpu/row_kernels.h"

#include <string.h>

/* out = scale * x, its pairs (x, y) turned: (x cos - y sin, y cos + x sin). */
PPI_INLINE void rotate_head(bool bf16, const struct ppi_cpu_rope *row, const float *x, float scale,
                            void *out)
{
    int32_t h = row->rotary_dim / 2;
    const float *cosine = row->angles, *sine = h > 0 ? cosine + h : NULL;
    if (row->interleaved)
        for (int32_t i = 0; i < h; i++) {
            float a = x[2 * i], b = x[2 * i + 1];
            store_act(bf16, out, 2 * i, (a * cosine[i] - b * sine[i]) * scale);
            store_act(bf16, out, 2 * i + 1, (b * cosine[i] + a * sine[i]) * scale);
        }
    else
        for (int32_t i = 0; i < h; i++) {
            float a = x[i], b = x[i + h];
            store_act(bf16, out, i, (a * cosine[i] - b * sine[i]) * scale);
            store_act(bf16, out, i + h, (b * cosine[i] + a * sine[i]) * scale);
        }
    for (int32_t i = row->rotary_dim; i < row->head_dim; i++)
        store_act(bf16, out, i, x[i] * scale);
}

PPI_INLINE void rope_row(bool bf16, const struct ppi_cpu_rope *row)
{
    int32_t head_dim = row->head_dim;
    size_t act_bytes = bf16 ? sizeof(uint16_t) : sizeof(float);
    const float *x = row->qkv;
    for (int32_t h = 0; h < row->n_heads; h++, x += head_dim)
        rotate_head(bf16, row, x, row->q_scale,
                    (char *)row->q + (size_t)h * (size_t)head_dim * act_bytes);

    /* K: group g of the head goes to lane [g][slot]. */
    char *kv = row->kv;
    int32_t n_groups = bf16 ? head_dim / 2 : head_dim;
    _Alignas(64) char key[PPI_CPU_MAX_HEAD_DIM * sizeof(float)];
    for (int32_t h = 0; h < row->n_kv_heads; h++, x += head_dim, kv += row->stride) {
        rotate_head(bf16, row, x, 1, key);
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
