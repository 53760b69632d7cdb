/*
 * workspace.c: the buffers of a forward pass, sized once when the session is created, and the host
 * buffer of logits, which grows with the number of prompts of a call.
 */
#include "model/session_impl.h"

#define N_DEVICE_BUFFERS 6

/* Bytes of each device buffer. */
struct sizes {
    size_t x, h, q, wide, logits;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct sizes buffer_sizes(const struct pp_session *session)
{
    const pp_model_config *config = &session->model->config;
    size_t n = (size_t)ppi_round_up(session->info.max_pass_tokens, session->info.row_padding);
    size_t act = pp_dtype_size(session->dtype);
    size_t hidden = (size_t)config->hidden_size;
    size_t q_dim = (size_t)config->n_heads * (size_t)config->head_dim;
    size_t kv_dim = (size_t)config->n_kv_heads * (size_t)config->head_dim;
    return (struct sizes){
        .x = n * hidden * sizeof(float),
        .h = n * larger(hidden, q_dim) * act,
        .q = n * q_dim * act,
        .wide = n * larger((q_dim + 2 * kv_dim) * sizeof(float),
                           (size_t)config->intermediate_size * act),
        .logits = PPI_LOGIT_ROWS * (size_t)config->vocab_size * sizeof(float),
    };
}

int64_t ppi_workspace_bytes(const struct pp_session *session)
{
    struct sizes sizes = buffer_sizes(session);
    return (int64_t)(2 * sizes.x + sizes.h + sizes.q + sizes.wide + sizes.logits);
}

int64_t ppi_workspace_host_bytes(const struct pp_session *session)
{
    const struct ppi_workspace *ws = &session->workspace;
    return session->info.max_pass_tokens *
           (int64_t)(sizeof *ws->tokens + sizeof *ws->positions + sizeof *ws->segments +
                     sizeof *ws->last + sizeof *ws->last_rows + sizeof *ws->last_positions +
                     sizeof *ws->outputs);
}

pp_status ppi_workspace_create(struct pp_session *session, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    const struct ppi_backend_ops *ops = session->ops;
    struct ppi_backend *backend = session->backend;
    size_t rows = (size_t)session->info.max_pass_tokens;
    struct sizes sizes = buffer_sizes(session);

    ws->device_bytes = ppi_workspace_bytes(session);
    ws->x = ops->alloc(backend, sizes.x);
    ws->x_last = ops->alloc(backend, sizes.x);
    ws->h = ops->alloc(backend, sizes.h);
    ws->q = ops->alloc(backend, sizes.q);
    ws->wide = ops->alloc(backend, sizes.wide);
    ws->logits = ops->alloc(backend, sizes.logits);
    ws->tokens = ppi_alloc(&session->mem, rows, sizeof *ws->tokens);
    ws->positions = ppi_alloc(&session->mem, rows, sizeof *ws->positions);
    ws->segments = ppi_alloc(&session->mem, rows, sizeof *ws->segments);
    ws->last = ppi_alloc(&session->mem, rows, sizeof *ws->last);
    ws->last_rows = ppi_alloc(&session->mem, rows, sizeof *ws->last_rows);
    ws->last_positions = ppi_alloc(&session->mem, rows, sizeof *ws->last_positions);
    ws->outputs = ppi_alloc(&session->mem, rows, sizeof *ws->outputs);
    const void *all[] = {ws->x,         ws->x_last,         ws->h,         ws->q,        ws->wide,
                         ws->logits,    ws->tokens,         ws->positions, ws->segments, ws->last,
                         ws->last_rows, ws->last_positions, ws->outputs};
    for (size_t i = 0; i < PPI_COUNT(all); i++)
        if (!all[i])
            return ppi_error(
                err, i < N_DEVICE_BUFFERS ? ppi_no_device_memory(&session->info) : PP_ERR_NOMEM,
                "no memory for the workspace of %zu tokens (%lld bytes); set a smaller "
                "max_pass_tokens",
                rows, (long long)ws->device_bytes);
    return PP_OK;
}

void ppi_workspace_free(struct pp_session *session)
{
    struct ppi_workspace *ws = &session->workspace;
    struct sizes sizes = buffer_sizes(session);
    void *device[N_DEVICE_BUFFERS] = {ws->x, ws->x_last, ws->h, ws->q, ws->wide, ws->logits};
    size_t bytes[N_DEVICE_BUFFERS] = {sizes.x, sizes.x, sizes.h, sizes.q, sizes.wide, sizes.logits};
    for (size_t i = 0; i < N_DEVICE_BUFFERS; i++)
        session->ops->release(session->backend, device[i], bytes[i]);
    void *host[] = {ws->tokens,    ws->positions,      ws->segments, ws->last,
                    ws->last_rows, ws->last_positions, ws->outputs,  ws->pages};
    for (size_t i = 0; i < PPI_COUNT(host); i++)
        ppi_free(&session->mem, host[i]);
}

pp_status ppi_logits_reserve(struct pp_session *session, size_t n, const char *caller, float **out,
                             pp_error *err)
{
    PP_TRY(ppi_session_check(session, caller, err));
    *out = session->logits;
    if (n <= session->logits_rows && session->logits)
        return PP_OK;
    size_t row_bytes = (size_t)session->model->config.vocab_size * sizeof(float);
    float *logits = ppi_alloc(&session->mem, n, row_bytes);
    if (!logits)
        return ppi_error(err, PP_ERR_NOMEM, "no memory for logits of %zu prompts (%zu bytes each)",
                         n, row_bytes);
    ppi_free(&session->mem, session->logits);
    session->logits = logits;
    session->logits_rows = n;
    *out = logits;
    return PP_OK;
}
