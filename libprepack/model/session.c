/*
 * session.c: the session object: chooses device and dtype, holds memory within its limit, is
 * counted by the caller and by its caches.
 */
#define _GNU_SOURCE
#include "model/session_impl.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define MIN_PASS_TOKENS 64
#define MAX_PASS_TOKENS (1 << 20)
#define MAX_THREADS     256

static const pp_session_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS,
                                                 .device = "cpu"};

void pp_session_params_init(pp_session_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

static pp_status check_params(const pp_session_params *params, pp_error *err)
{
    PP_TRY(ppi_reserved_check(params->reserved, PPI_COUNT(params->reserved), "pp_session_params",
                              err));
    if (params->dtype != PP_DTYPE_AUTO && params->dtype != PP_DTYPE_F32 &&
        params->dtype != PP_DTYPE_BF16)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.dtype is %s (%d); use auto, f32 or bf16",
                         pp_dtype_name(params->dtype), params->dtype);
    if (params->n_threads < 0 || params->n_threads > MAX_THREADS)
        return ppi_error(err, PP_ERR_ARG, "pp_session_params.n_threads is %d; allowed: 0 to %d",
                         params->n_threads, MAX_THREADS);
    if (params->max_pass_tokens != 0 &&
        (params->max_pass_tokens < MIN_PASS_TOKENS || params->max_pass_tokens > MAX_PASS_TOKENS))
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.max_pass_tokens is %d; allowed: 0 or %d to %d",
                         params->max_pass_tokens, MIN_PASS_TOKENS, MAX_PASS_TOKENS);
    if (params->memory_limit < 0)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.memory_limit is %lld; allowed: 0 and up",
                         (long long)params->memory_limit);
    return PP_OK;
}

/* Processors that this process may use. */
static int32_t count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

/* Nine tenths of the memory that the machine says is available; 0 when it does not say. */
static int64_t default_memory_limit(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file)
        return 0;
    char line[128];
    long long kib = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1)
            break;
    fclose(file);
    return (int64_t)kib * 1024 / 10 * 9;
}

static pp_status open_backend(struct pp_session *session, const pp_session_params *params,
                              pp_error *err)
{
    const pp_model_config *config = &session->model->config;
    struct ppi_backend_params backend_params = {.mem = &session->mem,
                                                .log = session->log,
                                                .dtype = session->dtype,
                                                .n_threads = session->n_threads,
                                                .n_heads = config->n_heads,
                                                .n_kv_heads = config->n_kv_heads,
                                                .head_dim = config->head_dim,
                                                .n_layers = config->n_layers};
    PP_TRY(ppi_backend_find(params->device ? params->device : "cpu", &session->ops,
                            &backend_params.variant, err));
    PP_TRY(session->ops->open(&backend_params, &session->backend, err));
    session->ops->get_info(session->backend, &session->info);
    int64_t tokens = params->max_pass_tokens;
    if (tokens == 0)
        tokens = session->info.default_pass_tokens;
    session->max_pass_tokens = (int32_t)ppi_round_up(tokens, session->info.chunk_tokens);
    return PP_OK;
}

/* Weights and workspace, within the limit: the weights count, though they belong to the model. */
static pp_status load(struct pp_session *session, int64_t memory_limit, pp_error *err)
{
    const pp_model_config *config = &session->model->config;
    int64_t limit = memory_limit > 0 ? memory_limit : default_memory_limit();
    int64_t workspace = ppi_workspace_bytes(config, session->dtype, session->max_pass_tokens);
    int64_t weights = ppi_weights_bytes(session->model, session->ops, session->backend);
    bool loaded = ppi_weights_are_loaded(session->model, session->ops, session->dtype);
    /* available memory no longer holds weights that are loaded already */
    int64_t needed = workspace + (loaded && memory_limit == 0 ? 0 : weights);
    if (limit > 0 && needed > limit)
        return ppi_error(
            err, PP_ERR_NOMEM,
            "this session needs %lld MiB (weights %lld, workspace %lld); %lld MiB may be "
            "used",
            (long long)(needed >> 20), (long long)(weights >> 20), (long long)(workspace >> 20),
            (long long)(limit >> 20));
    PP_TRY(ppi_weights_get(session->model, session->ops, session->backend, session->dtype,
                           &session->weights, err));
    session->mem.limit = limit > 0 ? limit - (needed - workspace) : 0;
    return ppi_workspace_create(session, err);
}

/* Frees a session, also a half-built one. */
static void destroy(struct pp_session *session)
{
    if (session->backend) {
        ppi_workspace_free(session);
        session->ops->release(session->backend, session->rope);
        ppi_free(&session->mem, session->logits);
        ppi_pool_close(&session->pool);
        session->ops->close(session->backend);
    }
    pp_model_unref(session->model);
    struct ppi_mem mem = {.allocator = session->mem.allocator};
    ppi_free(&mem, session);
}

static int32_t choose_dtype(int32_t wanted, const pp_model_config *config)
{
    if (wanted != PP_DTYPE_AUTO)
        return wanted;
    return config->dtype == PP_DTYPE_BF16 ? PP_DTYPE_BF16 : PP_DTYPE_F32;
}

pp_status pp_session_create(pp_model *model, const pp_session_params *caller_params,
                            pp_session **out, pp_error *err)
{
    if (!model || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_session_create: %s is NULL",
                         model ? "session" : "model");
    pp_session_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_session_params", err));
    PP_TRY(check_params(&params, err));
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, params.allocator, 0, err));
    pp_session *session = ppi_zalloc(&mem, 1, sizeof *session);
    if (!session)
        return ppi_error_nomem(err, "a session", sizeof *session);
    ppi_mem_init(&session->mem, params.allocator, 0, NULL);
    atomic_init(&session->refs, 1);
    session->model = pp_model_ref(model);
    session->log = (struct ppi_log){params.log, params.log_user};
    session->dtype = choose_dtype(params.dtype, &model->config);
    session->n_threads = params.n_threads > 0 ? params.n_threads : count_processors();

    pp_status status = open_backend(session, &params, err);
    if (status >= 0) {
        ppi_pool_init(&session->pool, session->ops, session->backend, &session->mem,
                      &session->info);
        status = load(session, params.memory_limit, err);
    }
    if (status < 0) {
        destroy(session);
        return status;
    }
    *out = session;
    return PP_OK;
}

struct pp_session *ppi_session_ref(struct pp_session *session)
{
    atomic_fetch_add(&session->refs, 1);
    return session;
}

void ppi_session_unref(struct pp_session *session)
{
    if (atomic_fetch_sub(&session->refs, 1) == 1)
        destroy(session);
}

void pp_session_destroy(pp_session *session)
{
    if (session)
        ppi_session_unref(session);
}

void pp_session_cancel(pp_session *session)
{
    if (session)
        atomic_store(&session->cancelled, 1);
}

pp_status pp_session_get_info(const pp_session *session, pp_session_info *out, pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "pp_session_get_info: session is NULL");
    const struct ppi_page_pool *pool = &session->pool;
    int64_t n_pages, n_free;
    ppi_pool_count(pool, &n_pages, &n_free); /* caches may be destroyed by other threads */
    int64_t weights = session->weights->bytes;
    pp_session_info info = {
        .struct_size = sizeof info,
        .dtype = session->dtype,
        .n_threads = session->n_threads,
        .max_pass_tokens = session->max_pass_tokens,
        .page_tokens = session->info.page_tokens,
        .page_bytes = session->info.page_bytes,
        .weight_bytes = weights,
        .workspace_bytes = session->workspace.device_bytes,
        .kv_bytes = (n_pages - n_free) * pool->page_bytes,
        .kv_pool_bytes = n_pages * pool->page_bytes,
        .memory_bytes = atomic_load(&session->mem.bytes) + weights,
        .peak_memory_bytes = atomic_load(&session->mem.peak) + weights,
        .tokens_computed = session->tokens_computed,
        .passes = session->passes,
    };
    memcpy(info.device, session->info.name, sizeof info.device);
    return ppi_struct_write(out, &info, sizeof info, "pp_session_info", err);
}
