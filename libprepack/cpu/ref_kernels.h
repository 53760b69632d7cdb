/*
 * ref_kernels.h: the kernels of ref_products.c, ref_packed.c, ref_attention.c, ref_linear.c and
 * ref_score.c, for the table in ref_variant.c, and the drawing of ref_draw.c.
 */
#ifndef PPI_CPU_REF_KERNELS_H
#define PPI_CPU_REF_KERNELS_H

#include "cpu/cpu.h"

void ppi_cpu_ref_products_f32(const struct ppi_cpu_product *product);
void ppi_cpu_ref_products_bf16(const struct ppi_cpu_product *product);
void ppi_cpu_ref_gated_f32(const struct ppi_cpu_product *product);
void ppi_cpu_ref_gated_bf16(const struct ppi_cpu_product *product);
void ppi_cpu_ref_attend_f32(const struct ppi_cpu_tile *tile);
void ppi_cpu_ref_attend_bf16(const struct ppi_cpu_tile *tile);

/* What products do with value j of a row: the sum of a column. */
void ppi_cpu_ref_store(const struct ppi_cpu_product *product, int64_t row, int column, float sum);
float ppi_cpu_ref_activate(int32_t activation, float x);
/* What a gate makes of an up. */
float ppi_cpu_ref_gate(const struct ppi_cpu_product *product, float gate, float up);
void ppi_cpu_ref_quantize_f32(const struct ppi_cpu_quantize *rows);
void ppi_cpu_ref_quantize_bf16(const struct ppi_cpu_quantize *rows);
void ppi_cpu_ref_integer_products(const struct ppi_cpu_integer *product);
void ppi_cpu_ref_integer_gated_f32(const struct ppi_cpu_integer *product);
void ppi_cpu_ref_integer_gated_bf16(const struct ppi_cpu_integer *product);
void ppi_cpu_ref_unpack_codes(const struct ppi_cpu_unpack *panel);
void ppi_cpu_ref_unpack_numbers_f32(const struct ppi_cpu_unpack *panel);
void ppi_cpu_ref_unpack_numbers_bf16(const struct ppi_cpu_unpack *panel);

void ppi_cpu_ref_convolve(const struct ppi_cpu_conv *conv);
void ppi_cpu_ref_scan(const struct ppi_cpu_scan *scan);
void ppi_cpu_ref_norm_gated_f32(const struct ppi_cpu_linear_norm *norm);
void ppi_cpu_ref_norm_gated_bf16(const struct ppi_cpu_linear_norm *norm);
void ppi_cpu_ref_gate_f32(const float *gate, int64_t n, void *a);
void ppi_cpu_ref_gate_bf16(const float *gate, int64_t n, void *a);
void ppi_cpu_ref_activate_f32(int32_t activation, const float *gate, const float *x, int64_t n,
                              void *out);
void ppi_cpu_ref_activate_bf16(int32_t activation, const float *gate, const float *x, int64_t n,
                               void *out);

struct ppi_score_part ppi_cpu_ref_sum_exp(const float *x, int64_t n);

/* A token of a row that has filters and a temperature; max: its largest logit. No logit is NaN, one
 * is finite. */
int32_t ppi_cpu_ref_draw(const float *logits, int64_t vocab, float max,
                         const struct ppi_draw *draw);

#endif
