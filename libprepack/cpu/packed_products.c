/*
 * packed_products.c: products with matrices in another form than their kernel reads: activations
 * become integers once for all panels, a panel is taken apart once for all rows of a block.
 */
#include "cpu/packed_products.h"

#include <assert.h>
#include <string.h>

#define QUANTIZE_NS 0.5 /* of an activation by one thread */

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

struct quantize {
    const struct ppi_backend *backend;
    const struct ppi_matrix *w;
    const char *a;
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
        .to = codes_from(&job->backend->codes, first, k, groups_of(w, k)),
        .room = (float *)(void *)(job->backend->scratch +
                                  (size_t)i_thread * job->backend->scratch_bytes),
    };
    job->backend->kernels->quantize(&rows);
}

void ppi_cpu_quantize_activations(struct ppi_backend *backend, const struct ppi_matrix *w,
                                  const void *a, int64_t n_rows)
{
    assert(w->integer && backend->codes.codes);
    struct quantize job = {backend, w, a};
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

void ppi_cpu_packed_product(const struct ppi_backend *backend, const struct ppi_matrix *w,
                            const struct ppi_cpu_product *product, int64_t row, char *scratch)
{
    const struct ppi_cpu_kernels *kernels = backend->kernels;
    bool gated = w->kind == PPI_MATRIX_GATE_UP;
    int64_t k = ppi_format_k(w->format, w->k);
    if (w->integer) {
        struct ppi_cpu_integer p = {.product = *product, .n_groups = groups_of(w, k)};
        struct ppi_cpu_codes rows = codes_from(&backend->codes, row, k, p.n_groups);
        p.product.a = rows.codes;
        p.product.k = k;
        p.a_scales = rows.scales;
        p.a_starts = rows.starts;
        p.a_sums = rows.sums;
        find_codes(backend, w, k, scratch, &p);
        (gated ? kernels->integer_gated : kernels->integer_products)(&p);
        return;
    }
    struct ppi_cpu_unpack unpack = {
        .format = w->format, .k = w->k, .k_padded = k, .panel = product->panel, .numbers = scratch};
    struct ppi_cpu_product p = *product;
    kernels->unpack_numbers(&unpack);
    p.panel = scratch;
    p.next_panel = NULL;
    (gated ? kernels->gated : kernels->products)(&p);
}

/* ---- memory ---- */

static int64_t widest(const struct ppi_backend_params *params)
{
    int64_t k = (int64_t)params->n_heads * ppi_params_max_head_dim(params);
    k = params->hidden_size > k ? params->hidden_size : k;
    k = params->intermediate_size > k ? params->intermediate_size : k;
    return ppi_round_up(k, PPI_ROTATED);
}

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

pp_status ppi_cpu_codes_create(struct ppi_backend *backend, int64_t n_rows, pp_error *err)
{
    const struct ppi_backend_params *params = &backend->params;
    if (!params->integer_products)
        return PP_OK;
    size_t k = (size_t)widest(params), n = (size_t)n_rows, groups = k / PPI_CPU_CODE_GROUP;
    size_t bytes = n * (k + groups * (2 * sizeof(float) + sizeof(int32_t)));
    struct ppi_cpu_codes *codes = &backend->codes;
    codes->codes = ppi_alloc(params->mem, bytes, 1);
    if (!codes->codes)
        return ppi_error_nomem(err, "activations as integers", bytes);
    codes->scales = (float *)(void *)(codes->codes + n * k);
    codes->sums = codes->scales + n * groups;
    codes->starts = (int32_t *)(void *)(codes->sums + n * groups);
    return PP_OK;
}
