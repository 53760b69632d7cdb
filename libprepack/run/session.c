/*
 * session.c: the session object: chooses device and dtype, holds memory within its limit, is
 * counted by the caller and by its caches, and is entered by one thread of one process at a time.
 * What it says about itself is in session_info.c.
 */
#include "kv/kv_blocks.h"
#include "run/session_create.h"

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
    if (params->keep_window_pages != 0 && params->keep_window_pages != 1)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.keep_window_pages is %d; allowed: 0 and 1",
                         params->keep_window_pages);
    if (params->weights < PP_WEIGHTS_AUTO || params->weights > PP_WEIGHTS_NF4)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_session_params.weights is %d; allowed: %d (auto) to %d (nf4)",
                         params->weights, PP_WEIGHTS_AUTO, PP_WEIGHTS_NF4);
    return PP_OK;
}

pp_status ppi_session_read_params(const pp_session_params *caller_params, pp_session_params *params,
                                  pp_error *err)
{
    *params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(params, sizeof *params, caller_params, "pp_session_params", err));
    return check_params(params, err);
}

static int32_t default_threads(void)
{
    int32_t n = ppi_usable_threads();
    return n < MAX_THREADS ? n : MAX_THREADS;
}

/* The dtype to compute in: the one asked for, else the model's own, else the backend's. */
static pp_status choose_dtype(struct pp_session *session, const pp_session_params *params,
                              pp_error *err)
{
    const struct ppi_backend_ops *ops = session->ops;
    session->dtype = params->dtype;
    if (params->dtype == PP_DTYPE_AUTO) {
        bool own = session->model && ops->supports_dtype(session->model->spec.dtype);
        session->dtype = own ? session->model->spec.dtype : ops->default_dtype;
    }
    if (!ops->supports_dtype(session->dtype))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_session_params.dtype is %s, which device \"%s\" does not compute in; "
                         "its own choice would be %s",
                         pp_dtype_name(session->dtype), ops->name,
                         pp_dtype_name(ops->default_dtype));
    return PP_OK;
}

/* Shapes for a backend; without a model those that pp_attention_varlen does not look at. */
static void set_shapes(const struct pp_session *session, struct ppi_backend_params *params)
{
    static const struct ppi_layer_place only_layer;
    params->n_heads = params->n_layers = params->n_page_classes = 1;
    params->places = &only_layer;
    params->classes[0] = (struct ppi_kv_class){.n_kv_heads = 1, .head_dim = 64, .n_layers = 1};
    if (!session->model)
        return;
    const struct ppi_model_spec *spec = &session->model->spec;
    params->n_heads = spec->n_heads;
    params->n_layers = spec->n_layers;
    params->places = spec->places;
    params->n_page_classes = spec->n_page_classes;
    memcpy(params->classes, spec->classes, sizeof params->classes);
    params->hidden_size = spec->hidden_size;
    params->intermediate_size = ppi_spec_widest_mlp(spec);
    params->n_experts = spec->experts.n;
    params->top_k = spec->experts.top_k;
    params->expert_size = spec->experts.intermediate_size;
    params->linear = spec->n_linear > 0 ? &spec->linear : NULL;
}

static void destroy(void *owner);

static pp_status open_store(struct pp_session *session, const struct ppi_backend_params *params,
                            const pp_session_params *wanted, pp_error *err)
{
    struct ppi_kv_shape shape = {.n_layers = params->n_layers,
                                 .dtype = session->dtype,
                                 .places = params->places,
                                 .n_classes = params->n_page_classes,
                                 .keep_all = wanted->keep_window_pages != 0,
                                 .linear = params->linear,
                                 .n_linear = session->model ? session->model->spec.n_linear : 0};
    memcpy(shape.classes, params->classes, sizeof shape.classes);
    ppi_store_init(&session->store, session->ops, session->backend, &session->mem, &session->info,
                   &shape);
    session->store.owner = session;
    session->store.last_unref = destroy;
    session->store.guard = &session->guard;
    if (wanted->kv_blocks && session->model &&
        ppi_spec_rope_depends_on_length(&session->model->spec))
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_session_params.kv_blocks is set; caches of this model may have to be "
                         "computed anew as they grow, which takes pages of the session's own");
    return wanted->kv_blocks ? ppi_store_use_blocks(&session->store, wanted->kv_blocks, err)
                             : PP_OK;
}

/* Refuses a model with a kind of layer that the device has no operations for. */
static pp_status check_layers(const struct pp_session *session, pp_error *err)
{
    const struct ppi_backend_ops *ops = session->ops;
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct {
        bool needed, there;
        const char *what;
    } kinds[] = {
        {spec->experts.n > 0, ops->route && ops->experts, "mixtures of experts"},
        {spec->experts.shared_gate, ops->add_gated != NULL, "gated shared experts"},
        {spec->n_linear > 0, ops->linear != NULL, "linear attention"},
        {spec->attn_gate, ops->gate != NULL, "gated attention"},
        {spec->layer_input_size > 0, ops->activate != NULL, "inputs of layers"},
        {spec->layer_scale, ops->multiply != NULL, "scaled layers"},
    };
    for (size_t i = 0; i < PPI_COUNT(kinds); i++)
        if (kinds[i].needed && !kinds[i].there)
            return ppi_error(err, PP_ERR_UNSUPPORTED,
                             "this model has %s, which device \"%s\" does not compute",
                             kinds[i].what, ops->name);
    return PP_OK;
}

/* Backends number the pairs of rows and experts of a pass with 32 bits. */
static pp_status check_pairs(const struct pp_session *session, const pp_session_params *params,
                             pp_error *err)
{
    int32_t top_k = session->model->spec.experts.top_k;
    if ((int64_t)params->max_pass_tokens * top_k <= INT32_MAX)
        return PP_OK;
    return ppi_error(err, PP_ERR_ARG,
                     "pp_session_params.max_pass_tokens is %d; a row of this model goes through %d "
                     "experts: allowed are at most %d",
                     params->max_pass_tokens, top_k, INT32_MAX / top_k);
}

static pp_status open_backend(struct pp_session *session, const pp_session_params *params,
                              pp_error *err)
{
    struct ppi_backend_params backend_params = {.mem = &session->mem,
                                                .log = session->log,
                                                .n_threads = session->n_threads,
                                                .max_pass_tokens = params->max_pass_tokens,
                                                .stream = params->stream,
                                                .parallel_for = params->parallel_for,
                                                .parallel_user = params->parallel_user,
                                                .device_allocator = params->device_allocator};
    set_shapes(session, &backend_params);
    PP_TRY(ppi_backend_find(params->device ? params->device : "cpu", &session->ops,
                            &backend_params.variant, err));
    if (params->parallel_for && !session->ops->has_threads)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "pp_session_params.parallel_for is set, but device \"%s\" has no threads "
                         "of this process to run; allowed: NULL",
                         params->device);
    PP_TRY(choose_dtype(session, params, err));
    backend_params.dtype = session->dtype;
    if (session->model) {
        struct ppi_weights_wish wish = ppi_session_wish(session);
        PP_TRY(check_layers(session, err));
        PP_TRY(check_pairs(session, params, err));
        PP_TRY(ppi_weights_check(session->model, &wish, err));
        session->weights_wanted = wish.weights = ppi_weights_resolve(session->model, &wish);
        ppi_weights_products(session->model, &wish, &backend_params);
    }
    PP_TRY(session->ops->open(&backend_params, &session->backend, err));
    session->ops->get_info(session->backend, &session->info);
    return open_store(session, &backend_params, params, err);
}

struct ppi_weights_wish ppi_session_wish(const struct pp_session *session)
{
    return (struct ppi_weights_wish){session->ops, session->info.weight_domain, session->dtype,
                                     session->weights_wanted};
}

/* Bytes of the device that the workspace takes; on the CPU its host part counts too. */
int64_t ppi_session_workspace_bytes(const struct pp_session *session)
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
    int64_t workspace = ppi_session_workspace_bytes(session) + memory.bytes;
    struct ppi_weights_wish wish = ppi_session_wish(session);
    int64_t weights = ppi_weights_bytes(session->model, &wish, session->backend);
    bool loaded = ppi_weights_are_loaded(session->model, &wish);
    /* available memory no longer holds weights that are loaded already */
    int64_t needed = workspace + (loaded && memory_limit == 0 ? 0 : weights);
    if (limit > 0 && needed > limit)
        return ppi_error(
            err, ppi_no_device_memory(&session->info),
            "this session needs %lld MiB (weights %lld, workspace %lld); %lld MiB may be "
            "used",
            (long long)(needed >> 20), (long long)(weights >> 20), (long long)(workspace >> 20),
            (long long)(limit >> 20));
    PP_TRY(ppi_weights_get(session->model, &wish, session->backend, &session->weights, err));
    session->ops->set_limit(session->backend, limit > 0 ? limit - (needed - workspace) : 0);
    /* what preparing takes for a while is gone before the workspace is taken */
    PP_TRY(ppi_weights_prepare(session->weights, session->backend, err));
    return ppi_workspace_create(session, err);
}

/* Frees a session, also a half-built one. */
static void destroy(void *owner)
{
    struct pp_session *session = owner;
    if (session->backend) {
        if (session->model) {
            ppi_workspace_free(session);
            ppi_angles_free(session);
        }
        ppi_free(&session->mem, session->logits);
        ppi_free(&session->mem, session->staging);
        ppi_store_close(&session->store);
        session->ops->close(session->backend);
    }
    pp_model_unref(session->model);
    struct ppi_mem mem = {.allocator = session->mem.allocator};
    ppi_free(&mem, session);
}

pp_status ppi_session_create_empty(pp_model *model, const pp_session_params *params,
                                   struct pp_session **out, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, params->allocator, 0, err));
    pp_session *session = ppi_zalloc(&mem, 1, sizeof *session);
    if (!session)
        return ppi_error_nomem(err, "a session", sizeof *session);
    ppi_mem_init(&session->mem, params->allocator, 0, NULL);
    ppi_guard_init(&session->guard);
    session->model = pp_model_ref(model);
    session->weights_wanted = params->weights;
    session->log = (struct ppi_log){params->log, params->log_user};
    session->n_threads = params->n_threads > 0 ? params->n_threads : default_threads();
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
    pp_session_params params;
    PP_TRY(ppi_session_read_params(caller_params, &params, err));
    pp_session *session;
    PP_TRY(ppi_session_create_empty(model, &params, &session, err));
    pp_status status = model ? load(session, params.memory_limit, err) : PP_OK;
    if (status < 0) {
        destroy(session);
        return status;
    }
    *out = session;
    return PP_OK;
}

void pp_session_destroy(pp_session *session)
{
    if (session && !ppi_guard_is_foreign(&session->guard)) /* a child has none of its threads */
        ppi_store_unref(&session->store);
}

/* ---- calls ---- */

pp_status ppi_session_enter(struct pp_session *session, const char *caller, bool needs_model,
                            pp_error *err)
{
    if (!session)
        return ppi_error(err, PP_ERR_ARG, "%s: session is NULL", caller);
    if (needs_model && !session->model)
        return ppi_error(err, PP_ERR_ARG, "%s: the session was created without a model", caller);
    PP_TRY(ppi_guard_enter(&session->guard, caller, err));
    atomic_store(&session->running, atomic_fetch_add(&session->n_calls, 1) + 1);
    return PP_OK;
}

void ppi_session_leave(struct pp_session *session)
{
    atomic_store(&session->running, 0);
    ppi_guard_leave(&session->guard);
}

pp_status ppi_session_check_cancelled(const struct pp_session *session, int32_t layer,
                                      pp_error *err)
{
    bool by_session = atomic_load(&session->cancelled) == atomic_load(&session->running);
    if (!by_session && !pp_cancel_is_requested(session->cancel))
        return PP_OK;
    return ppi_error(err, PP_ERR_CANCELLED, "cancelled before layer %d", layer);
}

void pp_session_cancel(pp_session *session)
{
    /* the call that is running now; 0, which no call has, when none is */
    if (session)
        atomic_store(&session->cancelled, atomic_load(&session->running));
}

pp_status ppi_session_wait(struct pp_session *session, pp_error *err)
{
    return session->ops->synchronize ? session->ops->synchronize(session->backend, err) : PP_OK;
}

pp_status pp_session_synchronize(pp_session *session, pp_error *err)
{
    PP_TRY(ppi_session_enter(session, "pp_session_synchronize", false, err));
    pp_status status = ppi_session_wait(session, err);
    ppi_session_leave(session);
    return status;
}

int64_t pp_session_trim(pp_session *session)
{
    if (ppi_session_enter(session, "pp_session_trim", false, NULL) < 0)
        return 0;
    int64_t bytes = ppi_store_trim(&session->store);
    ppi_session_leave(session);
    return bytes;
}

pp_model *pp_session_model(const pp_session *session)
{
    return session ? session->model : NULL;
}

pp_session *pp_kvcache_session(const pp_kvcache *cache)
{
    return cache ? cache->store->owner : NULL;
}
