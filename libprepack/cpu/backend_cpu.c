/*
 * backend_cpu.c: the CPU's table of operations: opening a context, its memory, and what it says
 * about itself. The operations are in products.c (matmul, gate_up), ref_route.c (route), experts.c
 * (experts), matrix.c (weights), row_ops.c (norms, softcap, gather_rows, copy), linear_ops.c
 * (linear), gate_ops.c (gate, activate, add_gated, multiply), page_ops.c (rope_kv, attention),
 * page_copies.c (kv_read, kv_write, kv_layout), ref_sample.c (sample), score_ops.c (score) and
 * varlen_cpu.c (varlen_*).
 */
#include "cpu/expert_rows.h"
#include "cpu/packed_products.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PASS_TOKENS 1536

/* What the C library knows of the third-level cache; some count those of all cores together. */
static int64_t cache_bytes(void)
{
#ifdef _SC_LEVEL3_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return bytes > 0 ? bytes : 0;
#else
    return 0;
#endif
}

static int32_t max_pass_tokens(const struct ppi_backend_params *params)
{
    int32_t wanted = params->max_pass_tokens ? params->max_pass_tokens : DEFAULT_PASS_TOKENS;
    return (int32_t)ppi_round_up(wanted, PPI_CPU_CHUNK);
}

static void cpu_close(struct ppi_backend *backend)
{
    if (!backend)
        return;
    struct ppi_mem *mem = backend->params.mem;
    ppi_cpu_pool_destroy(backend->pool);
    ppi_free(mem, backend->score_parts);
    ppi_cpu_expert_rows_destroy(backend);
    ppi_free(mem, backend->codes.codes);
    ppi_free(mem, backend->scratch);
    ppi_free(mem, backend);
}

static pp_status cpu_open(const struct ppi_backend_params *params, struct ppi_backend **backend,
                          pp_error *err)
{
    assert(params->dtype == PP_DTYPE_F32 || params->dtype == PP_DTYPE_BF16);
    assert(params->n_threads >= 1);
    assert(params->n_page_classes >= 1 && params->n_page_classes <= PPI_MAX_PAGE_CLASSES);
    for (int32_t c = 0; c < params->n_page_classes; c++) {
        const struct ppi_kv_class *shape = &params->classes[c];
        assert(shape->n_kv_heads >= 1 && params->n_heads % shape->n_kv_heads == 0);
        assert(shape->head_dim >= 2 && shape->head_dim % 2 == 0 &&
               shape->head_dim <= PPI_CPU_MAX_HEAD_DIM);
        (void)shape;
    }

    const struct ppi_cpu_variant *variant;
    PP_TRY(ppi_cpu_find_variant(params->variant, &variant, err));
    struct ppi_backend *b = ppi_zalloc(params->mem, 1, sizeof *b);
    if (!b)
        return ppi_error_nomem(err, "a CPU context", sizeof *b);
    b->params = *params;
    b->params.variant = NULL; /* the caller's text */
    b->variant = variant;
    b->kernels = params->dtype == PP_DTYPE_BF16 ? &variant->bf16 : &variant->f32;
    b->act_bytes = pp_dtype_size(params->dtype);
    b->scratch_bytes = ppi_cpu_tile_scratch(ppi_params_max_head_dim(params));
    if (ppi_cpu_packed_scratch(params) > b->scratch_bytes)
        b->scratch_bytes = ppi_cpu_packed_scratch(params);
    if (ppi_cpu_route_scratch(params) > b->scratch_bytes)
        b->scratch_bytes = ppi_cpu_route_scratch(params);
    if (ppi_cpu_linear_scratch(params->linear) > b->scratch_bytes)
        b->scratch_bytes = ppi_cpu_linear_scratch(params->linear);
    b->scratch_bytes = (b->scratch_bytes + 63) & ~(size_t)63;

    pp_status status = ppi_cpu_pool_create(params->mem, params->n_threads, params->parallel_for,
                                           params->parallel_user, &b->pool, err);
    if (status < 0)
        goto fail;
    b->scratch = ppi_alloc(params->mem, (size_t)params->n_threads, b->scratch_bytes);
    if (!b->scratch) {
        status = ppi_error_nomem(err, "scratch of threads",
                                 (size_t)params->n_threads * b->scratch_bytes);
        goto fail;
    }
    status = ppi_cpu_codes_create(params, max_pass_tokens(params), &b->codes, err);
    if (status < 0)
        goto fail;
    status = ppi_cpu_expert_rows_create(b, max_pass_tokens(params), err);
    if (status < 0)
        goto fail;
    *backend = b;
    return PP_OK;
fail:
    cpu_close(b);
    return status;
}

static void cpu_get_info(const struct ppi_backend *backend, struct ppi_backend_info *info)
{
    const struct ppi_backend_params *params = &backend->params;
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "cpu:%s", backend->variant->name);
    info->page_tokens = PPI_CPU_PAGE;
    for (int32_t c = 0; c < params->n_page_classes; c++) {
        const struct ppi_kv_class *shape = &params->classes[c];
        info->page_bytes[c] = (int64_t)shape->n_layers * shape->n_kv_heads *
                              (int64_t)ppi_cpu_head_kv_bytes(backend, shape);
    }
    info->chunk_tokens = PPI_CPU_CHUNK;
    info->max_pass_tokens = max_pass_tokens(params);
    info->row_padding = 1;
    info->cache_bytes = cache_bytes();
    snprintf(info->attention, sizeof info->attention, "%s", backend->variant->name);
}

/* A figure of the machine's memory in bytes; 0 when it does not say. format: for its line. */
static int64_t read_memory(const char *format)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file)
        return 0;
    char line[128];
    long long kib = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, format, &kib) == 1)
            break;
    fclose(file);
    return (int64_t)kib * 1024;
}

static int64_t available_memory(void)
{
    return read_memory("MemAvailable: %lld kB");
}

static pp_status cpu_describe(int32_t i, pp_device_info *info, pp_error *err)
{
    const struct ppi_cpu_variant *variant;
    if (i > 0)
        return PP_GONE;
    PP_TRY(ppi_cpu_find_variant(NULL, &variant, err));
    info->n_units = ppi_count_processors();
    info->memory_bytes = read_memory("MemTotal: %lld kB");
    info->available_bytes = available_memory();
    snprintf(info->device, sizeof info->device, "cpu");
    snprintf(info->kernels, sizeof info->kernels, "%s", variant->name);
    return PP_OK;
}

static void cpu_get_memory(const struct ppi_backend *backend, struct ppi_backend_memory *memory)
{
    memory->bytes = atomic_load(&backend->params.mem->bytes);
    memory->peak = atomic_load(&backend->params.mem->peak);
    memory->available = available_memory();
}

static void cpu_set_limit(struct ppi_backend *backend, int64_t bytes)
{
    backend->params.mem->limit = bytes;
}

static bool cpu_supports_dtype(int32_t dtype)
{
    return dtype == PP_DTYPE_F32 || dtype == PP_DTYPE_BF16;
}

static bool cpu_supports_format(int32_t dtype, int32_t format)
{
    return format != PPI_FORMAT_BF16 || dtype == PP_DTYPE_F32;
}

static void *cpu_alloc(struct ppi_backend *backend, size_t bytes)
{
    return ppi_alloc(backend->params.mem, bytes, 1);
}

static void cpu_release(struct ppi_backend *backend, void *memory, size_t bytes)
{
    (void)bytes;
    ppi_free(backend->params.mem, memory);
}

static pp_status cpu_upload(struct ppi_backend *backend, void *device, const void *host,
                            size_t bytes, pp_error *err)
{
    (void)backend;
    (void)err;
    memcpy(device, host, bytes);
    return PP_OK;
}

static pp_status cpu_download_rows(struct ppi_backend *backend, void *const *rows,
                                   const void *device, int64_t n, size_t row_bytes, pp_error *err)
{
    (void)backend;
    (void)err;
    for (int64_t i = 0; i < n; i++)
        memcpy(rows[i], (const char *)device + (size_t)i * row_bytes, row_bytes);
    return PP_OK;
}

static pp_status cpu_pass_begin(struct ppi_backend *backend, const struct ppi_pass *pass,
                                pp_error *err)
{
    (void)backend;
    (void)pass;
    (void)err;
    return PP_OK; /* the arrays are where the operations read them */
}

const struct ppi_backend_ops ppi_cpu_ops = {
    .name = "cpu",
    .supports_dtype = cpu_supports_dtype,
    .supports_format = cpu_supports_format,
    .has_threads = true,
    .default_dtype = PP_DTYPE_F32,
    .describe = cpu_describe,
    .open = cpu_open,
    .close = cpu_close,
    .get_info = cpu_get_info,
    .get_memory = cpu_get_memory,
    .set_limit = cpu_set_limit,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_upload,
    .download_rows = cpu_download_rows,
    .matrix_bytes = ppi_cpu_matrix_bytes,
    .matrix_create = ppi_cpu_matrix_create,
    .matrix_fill = ppi_cpu_matrix_fill,
    .matrix_fill_codes = ppi_cpu_matrix_fill_codes,
    .matrix_destroy = ppi_cpu_matrix_destroy,
    .pass_begin = cpu_pass_begin,
    .embed = ppi_cpu_embed,
    .norm = ppi_cpu_norm,
    .norm_add = ppi_cpu_norm_add,
    .norm_parts = ppi_cpu_norm_parts,
    .matmul = ppi_cpu_matmul,
    .gate_up = ppi_cpu_gate_up,
    .route = ppi_cpu_route,
    .experts = ppi_cpu_experts,
    .linear = ppi_cpu_linear,
    .gate = ppi_cpu_gate,
    .activate = ppi_cpu_activate,
    .add_gated = ppi_cpu_add_gated,
    .multiply = ppi_cpu_multiply,
    .softcap = ppi_cpu_softcap,
    .rope_kv = ppi_cpu_rope_kv,
    .attention = ppi_cpu_attention,
    .gather_rows = ppi_cpu_gather_rows,
    .sample = ppi_cpu_sample,
    .score = ppi_cpu_score,
    .kv_read = ppi_cpu_kv_read,
    .kv_write = ppi_cpu_kv_write,
    .kv_layout = ppi_cpu_kv_layout,
    .copy = ppi_cpu_copy,
    .varlen_plan_create = ppi_cpu_varlen_plan_create,
    .varlen_plan_destroy = ppi_cpu_varlen_plan_destroy,
    .varlen_upload = ppi_cpu_varlen_upload,
    .varlen_run = ppi_cpu_varlen_run,
};
