/*
 * packed_products.c: products with matrices in another form than their kernel reads: activations
 * become integers once for all panels, a panel is taken apart once for all rows of a block.
 */
#include "cpu/packed_products.h"

#include <assert.h>
#include <string.h>

#define QUANTIZE_NS 0.5 /* of an activation by one thread */

/* The longest rows of activations. */
static int64_t widest(const struct ppi_backend_params *params)
{
    int64_t k = (int64_t)params->n_heads * ppi_params_max_head_dim(params);
    int64_t linear = params->linear ? ppi_linear_v_size(params->linear) : 0;
    k = params->hidden_size > k ? params->hidden_size : k;
    k = params->intermediate_size > k ? params->intermediate_size : k;
    k = params->expert_size > k ? params->expert_size : k;
    k = linear > k ? linear : k;
    return ppi_round_up(k, PPI_ROTATED);
}

static int64_t groups_of(const struct ppi_matrix *w, int64_t k)
{
    return w->format == PPI_FORMAT_INT8 ? 1 : k / PPI_CPU_CODE_GROUP;
}

static struct ppi_cpu_codes codes_from(const struct ppi_cpu_codes *codes, int64_t row, int64_t k,
                                       int64_t groups)
{
    return (struct ppi_cpu_codes){codes->codes + row * k, codes->scales + row * groups,
                                  codes->starts + row * groups, codes->sums + row * groups};
}

void ppi_cpu_copy_codes(const struct ppi_matrix *w, const struct ppi_cpu_codes *from,
                        int64_t from_row, const struct ppi_cpu_codes *to, int64_t to_row)
{
    int64_t k = ppi_format_k(w->format, w->k), groups = groups_of(w, k);
    struct ppi_cpu_codes src = codes_from(from, from_row, k, groups);
    struct ppi_cpu_codes dst = codes_from(to, to_row, k, groups);
    memcpy(dst.codes, src.codes, (size_t)k);
    memcpy(dst.scales, src.scales, (size_t)groups * sizeof *src.scales);
    memcpy(dst.starts, src.starts, (size_t)groups * sizeof *src.starts);
    memcpy(dst.sums, src.sums, (size_t)groups * sizeof *src.sums);
}

struct quantize {
    const struct ppi_backend *backend;
    const struct ppi_matrix *w;
    const char *a;
    const struct ppi_cpu_codes *to;
};

static void run_quantize(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    const struct quantize *job = arg;
    const struct ppi_matrix *w = job->w;
    int64_t k = ppi_format_k(w->format, w->k);
    struct ppi_cpu_quantize rows = {
        .a = job->a + (size_t)(first * w->k) * job->backend->act_bytes,
        .n_rows = end - first,
        .k = w->k,
        .k_padded = k,
        .rotated = w->format == PPI_FORMAT_INT8,
        .zero = ppi_formats[w->format].zero,
        .to = codes_from(job->to, first, k, groups_of(w, k)),
        .room = (float *)(void *)(job->backend->scratch +
                                  (size_t)i_thread * job->backend->scratch_bytes),
    };
    job->backend->kernels->quantize(&rows);
}

void ppi_cpu_quantize_activations(struct ppi_backend *backend, const struct ppi_matrix *w,
                                  const void *a, int64_t n_rows, const struct ppi_cpu_codes *to)
{
    assert(w->integer && to->codes);
    assert(ppi_format_k(w->format, w->k) <= widest(&backend->params));
    struct quantize job = {backend, w, a, to};
    ppi_cpu_run(backend->pool, n_rows, QUANTIZE_NS * (double)w->k, run_quantize, &job);
}

/* What the kernel reads: byte codes and f32 scales where they are, or taken apart into scratch; for
 * few rows the panel as it is. */
static void find_codes(const struct ppi_backend *backend, const struct ppi_matrix *w, int64_t k,
                       char *scratch, struct ppi_cpu_integer *p)
{
    const char *panel = p->product.panel;
    if (w->format == PPI_FORMAT_INT8) {
        p->scales = (const float *)(const void *)(panel + ppi_cpu_code_bytes(w->format, k));
        return;
    }
    if (p->product.n_rows <= backend->kernels->packed_rows) {
        p->format = w->format;
        return;
    }
    struct ppi_cpu_unpack unpack = {
        .format = w->format, .k = w->k, .k_padded = k, .panel = panel, .codes = (void *)scratch};
    unpack.scales = (float *)(void *)(scratch + k * PPI_CPU_PANEL);
    unpack.offsets = unpack.scales + k / PPI_CPU_CODE_GROUP * PPI_CPU_PANEL;
    backend->kernels->unpack_codes(&unpack);
    p->product.panel = unpack.codes;
    p->product.next_panel = NULL;
    p->scales = unpack.scales;
    p->offsets = ppi_formats[w->format].has_offsets ? unpack.offsets : NULL;
}

static void multiply_integers(const struct ppi_backend *backend, const struct ppi_matrix *w,
                              const struct ppi_cpu_product *product,
                              const struct ppi_cpu_codes *codes, int64_t row, char *scratch)
{
    const struct ppi_cpu_kernels *kernels = backend->kernels;
    int64_t k = ppi_format_k(w->format, w->k);
    struct ppi_cpu_integer p = {.product = *product, .n_groups = groups_of(w, k)};
    struct ppi_cpu_codes rows = codes_from(codes, row, k, p.n_groups);
    p.product.a = rows.codes;
    p.product.k = k;
    p.a_scales = rows.scales;
    p.a_starts = rows.starts;
    p.a_sums = rows.sums;
    find_codes(backend, w, k, scratch, &p);
    (w->kind == PPI_MATRIX_GATE_UP ? kernels->integer_gated : kernels->integer_products)(&p);
}

void ppi_cpu_panel_product(const struct ppi_backend *backend, const struct ppi_matrix *w,
                           const struct ppi_cpu_product *product, const struct ppi_cpu_codes *codes,
                           int64_t row, char *scratch)
{
    const struct ppi_cpu_kernels *kernels = backend->kernels;
    struct ppi_cpu_product p = *product;
    if (w->integer) {
        multiply_integers(backend, w, product, codes, row, scratch);
        return;
    }
    if (w->format != PPI_FORMAT_ACT) {
        struct ppi_cpu_unpack unpack = {.format = w->format,
                                        .k = w->k,
                                        .k_padded = ppi_format_k(w->format, w->k),
                                        .panel = product->panel,
                                        .numbers = scratch};
        kernels->unpack_numbers(&unpack);
        p.panel = scratch;
        p.next_panel = NULL;
    }
    (w->kind == PPI_MATRIX_GATE_UP ? kernels->gated : kernels->products)(&p);
}

/* ---- memory ---- */

size_t ppi_cpu_packed_scratch(const struct ppi_backend_params *params)
{
    size_t k = (size_t)widest(params), codes = 0, numbers = 0;
    size_t scales = k / PPI_CPU_CODE_GROUP * PPI_CPU_PANEL * sizeof(float);
    if (params->integer_products)
        codes = k * PPI_CPU_PANEL + 2 * scales;
    if (params->unpacked_products)
        numbers = k * PPI_CPU_PANEL * pp_dtype_size(params->dtype);
    return codes > numbers ? codes : numbers;
}

pp_status ppi_cpu_codes_create(const struct ppi_backend_params *params, int64_t n_rows,
                               struct ppi_cpu_codes *codes, pp_error *err)
{
    if (!params->integer_products)
        return PP_OK;
    size_t k = (size_t)widest(params), n = (size_t)n_rows, groups = k / PPI_CPU_CODE_GROUP;
    size_t bytes = n * (k + groups * (2 * sizeof(float) + sizeof(int32_t)));
    codes->codes = ppi_alloc(params->mem, bytes, 1);
    if (!codes->codes)
        return ppi_error_nomem(err, "activations as integers", bytes);
    codes->scales = (float *)(void *)(codes->codes + n * k);
    codes->sums = codes->scales + n * groups;
    codes->starts = (int32_t *)(void *)(codes->sums + n * groups);
    return PP_OK;
}
