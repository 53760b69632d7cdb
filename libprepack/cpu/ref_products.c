/*
 * ref_products.c: the reference of the product kernels in plain C; it defines their meaning. Every
 * sum is one chain over k in order from zero.
 */
#include "cpu/ref_kernels.h"
#include "dtype.h"

#include <math.h>
#include <string.h>

static float load_act(bool bf16, const void *a, int64_t i)
{
    return bf16 ? ppi_bf16_to_f32(((const uint16_t *)a)[i]) : ((const float *)a)[i];
}

/* The 64 sums of row a with a panel. */
static void multiply_row(bool bf16, const void *a, int64_t k, const void *panel,
                         float sums[PPI_CPU_PANEL])
{
    memset(sums, 0, PPI_CPU_PANEL * sizeof *sums);
    const float *wide = panel;
    const uint16_t *pairs = panel;
    for (int64_t i = 0; i < k; i++) {
        float x = load_act(bf16, a, i);
        if (bf16)
            for (int j = 0; j < PPI_CPU_PANEL; j++)
                sums[j] += x * ppi_bf16_to_f32(pairs[(i / 2 * PPI_CPU_PANEL + j) * 2 + i % 2]);
        else
            for (int j = 0; j < PPI_CPU_PANEL; j++)
                sums[j] += x * wide[i * PPI_CPU_PANEL + j];
    }
}

void ppi_cpu_ref_store(const struct ppi_cpu_product *p, int64_t row, int column, float sum)
{
    float scale = p->rows ? p->scales[row] : p->scale;
    float *out = (float *)p->out + (p->rows ? p->rows[row] : row) * p->out_stride + column;
    float value = scale * (p->bias ? sum + p->bias[column] : sum);
    *out = p->rows || p->accumulate ? *out + value : value;
}

static void products(bool bf16, const struct ppi_cpu_product *p)
{
    const char *a = p->a;
    float sums[PPI_CPU_PANEL];
    for (int64_t row = 0; row < p->n_rows; row++) {
        multiply_row(bf16, a, p->k, p->panel, sums);
        for (int j = 0; j < p->n_columns; j++)
            ppi_cpu_ref_store(p, row, j, sums[j]);
        a += (size_t)p->k * (bf16 ? sizeof(uint16_t) : sizeof(float));
    }
}

/* x / 2 (1 + tanh(y)) is x / (1 + exp(-2 y)), which keeps its digits where tanh is near -1. */
float ppi_cpu_ref_activate(int32_t activation, float x)
{
    if (activation == PPI_ACTIVATION_SILU)
        return x / (1.0f + expf(-x));
    return x / (1.0f + expf(-1.5957691216f * (x + 0.044715f * x * x * x)));
}

float ppi_cpu_ref_gate(const struct ppi_cpu_product *p, float gate, float up)
{
    if (p->activation != PPI_ACTIVATION_SWIGLU_CLAMPED)
        return ppi_cpu_ref_activate(p->activation, gate) * up;
    gate = gate > p->limit ? p->limit : gate;
    up = up > p->limit ? p->limit : up < -p->limit ? -p->limit : up;
    return gate / (1.0f + expf(-p->alpha * gate)) * (up + 1.0f);
}

static void gated(bool bf16, const struct ppi_cpu_product *p)
{
    const char *a = p->a;
    float sums[PPI_CPU_PANEL];
    for (int64_t row = 0; row < p->n_rows; row++) {
        multiply_row(bf16, a, p->k, p->panel, sums);
        for (int j = 0; j < p->n_columns; j++) {
            float gate = sums[j], up = sums[PPI_CPU_GATED + j];
            if (p->bias) {
                gate += p->bias[j];
                up += p->up_bias[j];
            }
            float value = ppi_cpu_ref_gate(p, gate, up);
            if (bf16)
                ((uint16_t *)p->out)[row * p->out_stride + j] = ppi_f32_to_bf16(value);
            else
                ((float *)p->out)[row * p->out_stride + j] = value;
        }
        a += (size_t)p->k * (bf16 ? sizeof(uint16_t) : sizeof(float));
    }
}

void ppi_cpu_ref_products_f32(const struct ppi_cpu_product *product)
{
    products(false, product);
}

void ppi_cpu_ref_products_bf16(const struct ppi_cpu_product *product)
{
    products(true, product);
}

void ppi_cpu_ref_gated_f32(const struct ppi_cpu_product *product)
{
    gated(false, product);
}

void ppi_cpu_ref_gated_bf16(const struct ppi_cpu_product *product)
{
    gated(true, product);
}
