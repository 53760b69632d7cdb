/*
 * session.c: the session object: chooses device and dtype, holds memory within its limit, is
 * counted by the caller and by its caches.
 */
#define _GNU_SOURCE
#include "model/session_impl.h"

#include <sched.h>
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
        params->dtype != PP_DTYPE_F16 && params->dtype != PP_DTYPE_BF16)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.dtype is %s (%d); use auto, f32, f16 or bf16",
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

/* The dtype to compute in: the one asked for, else the model's own, else the backend's. */
static pp_status choose_dtype(struct pp_session *session, const pp_session_params *params,
                              pp_error *err)
{
    const struct ppi_backend_ops *ops = session->ops;
    session->dtype = params->dtype;
    if (params->dtype == PP_DTYPE_AUTO) {
        bool own = session->model && ops->supports_dtype(session->model->config.dtype);
        session->dtype = own ? session->model->config.dtype : ops->default_dtype;
    }
    if (!ops->supports_dtype(session->dtype))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_session_params.dtype is %s, which device \"%s\" does not compute in; "
                         "its own choice would be %s",
                         pp_dtype_name(session->dtype), ops->name,
                         pp_dtype_name(ops->default_dtype));
    return PP_OK;
}

/* One class of pages holds all layers. */
static pp_status make_places(struct pp_session *session, int32_t n_layers, pp_error *err)
{
    session->places = ppi_zalloc(&session->mem, (size_t)n_layers, sizeof *session->places);
    if (!session->places)
        return ppi_error_nomem(err, "places of layers", (size_t)n_layers * sizeof *session->places);
    for (int32_t layer = 0; layer < n_layers; layer++)
        session->places[layer].index = layer;
    return PP_OK;
}

static pp_status open_backend(struct pp_session *session, const pp_session_params *params,
                              pp_error *err)
{
    struct ppi_backend_params backend_params = {.mem = &session->mem,
                                                .log = session->log,
                                                .n_threads = session->n_threads,
                                                .n_heads = 1,
                                                .n_kv_heads = 1,
                                                .head_dim = 64,
                                                .n_layers = 1,
                                                .n_page_classes = 1,
                                                .max_pass_tokens = params->max_pass_tokens,
                                                .stream = params->stream,
                                                .device_allocator = params->device_allocator};
    if (session->model) {
        const pp_model_config *config = &session->model->config;
        backend_params.n_heads = config->n_heads;
        backend_params.n_kv_heads = config->n_kv_heads;
        backend_params.head_dim = config->head_dim;
        backend_params.n_layers = config->n_layers;
        backend_params.hidden_size = config->hidden_size;
        backend_params.intermediate_size = config->intermediate_size;
    }
    PP_TRY(make_places(session, backend_params.n_layers, err));
    backend_params.places = session->places;
    backend_params.n_class_layers[0] = backend_params.n_layers;
    PP_TRY(ppi_backend_find(params->device ? params->device : "cpu", &session->ops,
                            &backend_params.variant, err));
    PP_TRY(choose_dtype(session, params, err));
    backend_params.dtype = session->dtype;
    PP_TRY(session->ops->open(&backend_params, &session->backend, err));
    session->ops->get_info(session->backend, &session->info);
    ppi_pool_init(&session->pool, session->ops, session->backend, &session->mem, &session->info);
    return PP_OK;
}

/* Bytes of the device that the workspace takes; on the CPU its host part counts too. */
static int64_t workspace_device_bytes(const struct pp_session *session)
{
    return ppi_workspace_bytes(session) +
           (session->info.has_own_memory ? 0 : ppi_workspace_host_bytes(session));
}

/* Weights and workspace, within the limit: the weights count, though they belong to the model. */
static pp_status load(struct pp_session *session, int64_t memory_limit, pp_error *err)
{
    struct ppi_backend_memory memory;
    session->ops->get_memory(session->backend, &memory);
    int64_t limit = memory_limit > 0 ? memory_limit : memory.available / 10 * 9;
    int64_t workspace = workspace_device_bytes(session) + memory.bytes;
    int64_t weights = ppi_weights_bytes(session->model, session->ops, session->backend);
    bool loaded = ppi_weights_are_loaded(session->model, session->ops, session->info.weight_domain,
                                         session->dtype);
    /* available memory no longer holds weights that are loaded already */
    int64_t needed = workspace + (loaded && memory_limit == 0 ? 0 : weights);
    if (limit > 0 && needed > limit)
        return ppi_error(
            err, ppi_no_device_memory(&session->info),
            "this session needs %lld MiB (weights %lld, workspace %lld); %lld MiB may be "
            "used",
            (long long)(needed >> 20), (long long)(weights >> 20), (long long)(workspace >> 20),
            (long long)(limit >> 20));
    PP_TRY(ppi_weights_get(session->model, session->ops, session->backend,
                           session->info.weight_domain, session->dtype, &session->weights, err));
    session->ops->set_limit(session->backend, limit > 0 ? limit - (needed - workspace) : 0);
    /* what preparing takes for a while is gone before the workspace is taken */
    PP_TRY(ppi_weights_prepare(session->weights, session->backend, err));
    return ppi_workspace_create(session, err);
}

/* Frees a session, also a half-built one. */
static void destroy(struct pp_session *session)
{
    if (session->backend) {
        if (session->model) {
            ppi_workspace_free(session);
            ppi_rope_free(session);
        }
        ppi_free(&session->mem, session->logits);
        ppi_pool_close(&session->pool);
        session->ops->close(session->backend);
    }
    ppi_free(&session->mem, session->places);
    pp_model_unref(session->model);
    struct ppi_mem mem = {.allocator = session->mem.allocator};
    ppi_free(&mem, session);
}

/* A session with its backend open and nothing loaded. */
static pp_status create_empty(pp_model *model, const pp_session_params *params,
                              struct pp_session **out, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, params->allocator, 0, err));
    pp_session *session = ppi_zalloc(&mem, 1, sizeof *session);
    if (!session)
        return ppi_error_nomem(err, "a session", sizeof *session);
    ppi_mem_init(&session->mem, params->allocator, 0, NULL);
    atomic_init(&session->refs, 1);
    session->model = pp_model_ref(model);
    session->log = (struct ppi_log){params->log, params->log_user};
    session->n_threads = params->n_threads > 0 ? params->n_threads : count_processors();
    pp_status status = open_backend(session, params, err);
    if (status < 0) {
        destroy(session);
        return status;
    }
    *out = session;
    return PP_OK;
}

pp_status pp_session_create(pp_model *model, const pp_session_params *caller_params,
                            pp_session **out, pp_error *err)
{
    if (!out)
        return ppi_error(err, PP_ERR_ARG, "pp_session_create: session is NULL");
    pp_session_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_session_params", err));
    PP_TRY(check_params(&params, err));
    pp_session *session;
    PP_TRY(create_empty(model, &params, &session, err));
    pp_status status = model ? load(session, params.memory_limit, err) : PP_OK;
    if (status < 0) {
        destroy(session);
        return status;
    }
    *out = session;
    return PP_OK;
}

pp_status ppi_session_check(const struct pp_session *session, const char *caller, pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "%s: session is NULL", caller);
    if (!session->model)
        return ppi_error(err, PP_ERR_ARG, "%s: the session was created without a model", caller);
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

pp_status pp_session_synchronize(pp_session *session, pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "pp_session_synchronize: session is NULL");
    return session->ops->synchronize ? session->ops->synchronize(session->backend, err) : PP_OK;
}

int64_t pp_session_trim(pp_session *session)
{
    return session ? ppi_pool_trim(&session->pool) : 0;
}

void pp_session_cancel(pp_session *session)
{
    if (session)
        atomic_store(&session->cancelled, 1);
}

static void read_info(const struct pp_session *session, int64_t weights, pp_session_info *info)
{
    const struct ppi_page_pool *pool = &session->pool;
    int64_t n_pages, n_free;
    ppi_pool_count(pool, &n_pages, &n_free); /* caches may be destroyed by other threads */
    struct ppi_backend_memory memory;
    session->ops->get_memory(session->backend, &memory);
    *info = (pp_session_info){
        .struct_size = sizeof *info,
        .dtype = session->dtype,
        .n_threads = session->n_threads,
        .max_pass_tokens = session->info.max_pass_tokens,
        .page_tokens = session->info.page_tokens,
        .chunk_tokens = session->info.chunk_tokens,
        .page_bytes = session->info.page_bytes[0],
        .weight_bytes = weights,
        .workspace_bytes = session->workspace.device_bytes,
        .kv_bytes = (n_pages - n_free) * pool->page_bytes,
        .kv_pool_bytes = n_pages * pool->page_bytes,
        .memory_bytes = memory.bytes + weights,
        .peak_memory_bytes = memory.peak + weights,
        .tokens_computed = session->tokens_computed,
        .passes = session->passes,
        .host_bytes = session->info.has_own_memory ? atomic_load(&session->mem.bytes) : 0,
    };
    memcpy(info->device, session->info.name, sizeof info->device);
    memcpy(info->device_name, session->info.device_name, sizeof info->device_name);
    memcpy(info->attention, session->info.attention, sizeof info->attention);
    memcpy(info->pci_address, session->info.pci_address, sizeof info->pci_address);
}

pp_status pp_session_get_info(const pp_session *session, pp_session_info *out, pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "pp_session_get_info: session is NULL");
    pp_session_info info;
    read_info(session, session->weights ? session->weights->bytes : 0, &info);
    return ppi_struct_write(out, &info, sizeof info, "pp_session_info", err);
}

/* Adds the workspace that a session without one would have. */
static void add_workspace(const struct pp_session *session, pp_session_info *info)
{
    info->workspace_bytes = ppi_workspace_bytes(session);
    info->memory_bytes += workspace_device_bytes(session);
    info->peak_memory_bytes = info->memory_bytes;
    if (session->info.has_own_memory)
        info->host_bytes += ppi_workspace_host_bytes(session);
}

pp_status pp_session_estimate(pp_model *model, const pp_session_params *caller_params,
                              pp_session_info *out, pp_error *err)
{
    if (!model)
        return ppi_error(err, PP_ERR_ARG, "pp_session_estimate: model is NULL");
    pp_session_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_session_params", err));
    PP_TRY(check_params(&params, err));
    pp_session *session;
    PP_TRY(create_empty(model, &params, &session, err));
    pp_session_info info;
    read_info(session, ppi_weights_bytes(model, session->ops, session->backend), &info);
    add_workspace(session, &info);
    destroy(session);
    return ppi_struct_write(out, &info, sizeof info, "pp_session_info", err);
}
