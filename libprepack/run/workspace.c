/*
 * workspace.c: the buffers of a forward pass, sized once when the session is created.
 */
#include "run/session_impl.h"

/* Bytes of each device buffer; 0: there is none. */
struct sizes {
    size_t x, h, a, q, wide, t, logits;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct sizes buffer_sizes(const struct pp_session *session)
{
    const struct ppi_model_spec *spec = &session->model->spec;
    size_t n = (size_t)ppi_round_up(session->info.max_pass_tokens, session->info.row_padding);
    size_t act = pp_dtype_size(session->dtype);
    size_t hidden = (size_t)spec->hidden_size;
    size_t q_dim = (size_t)spec->n_heads * (size_t)spec->head_dim;
    size_t kv_dim = (size_t)spec->n_kv_heads * (size_t)spec->head_dim;
    size_t x = n * hidden * sizeof(float);
    return (struct sizes){
        .x = x,
        .h = n * larger(hidden, q_dim) * act,
        .a = spec->parallel ? n * q_dim * act : 0,
        .q = n * (spec->parallel ? larger(hidden, q_dim) : q_dim) * act,
        .wide =
            n * larger((q_dim + 2 * kv_dim) * sizeof(float), (size_t)spec->intermediate_size * act),
        .t = ppi_model_has_post_norms(session->model) ? x : 0,
        .logits = PPI_LOGIT_ROWS * (size_t)ppi_session_n_logits(session) * sizeof(float),
    };
}

int64_t ppi_workspace_bytes(const struct pp_session *session)
{
    struct sizes s = buffer_sizes(session);
    return (int64_t)(2 * s.x + s.h + s.a + s.q + s.wide + s.t + s.logits);
}

int64_t ppi_workspace_host_bytes(const struct pp_session *session)
{
    const struct ppi_workspace *ws = &session->workspace;
    return session->info.max_pass_tokens *
           (int64_t)(sizeof *ws->tokens + sizeof *ws->segments + sizeof *ws->last +
                     sizeof *ws->last_rows + sizeof *ws->wanted + sizeof *ws->kinds);
}

static pp_status no_room(const struct pp_session *session, pp_status code, pp_error *err)
{
    return ppi_error(err, code,
                     "no memory for the workspace of %d tokens (%lld bytes); set a smaller "
                     "max_pass_tokens",
                     session->info.max_pass_tokens, (long long)session->workspace.device_bytes);
}

/* Memory of the device; of 0 bytes none, which is no failure. */
static void *take(struct pp_session *session, size_t bytes, bool *failed)
{
    void *memory = bytes > 0 ? session->ops->alloc(session->backend, bytes) : NULL;
    *failed |= bytes > 0 && !memory;
    return memory;
}

pp_status ppi_workspace_create(struct pp_session *session, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    struct sizes sizes = buffer_sizes(session);
    bool failed = false;
    ws->device_bytes = ppi_workspace_bytes(session);
    ws->x = take(session, sizes.x, &failed);
    ws->x_last = take(session, sizes.x, &failed);
    ws->h = take(session, sizes.h, &failed);
    ws->a = sizes.a > 0 ? take(session, sizes.a, &failed) : ws->h;
    ws->q = take(session, sizes.q, &failed);
    ws->wide = take(session, sizes.wide, &failed);
    ws->t = take(session, sizes.t, &failed);
    ws->logits = take(session, sizes.logits, &failed);
    if (failed)
        return no_room(session, ppi_no_device_memory(&session->info), err);
    size_t rows = (size_t)session->info.max_pass_tokens;
    ws->tokens = ppi_alloc(&session->mem, rows, sizeof *ws->tokens);
    ws->segments = ppi_alloc(&session->mem, rows, sizeof *ws->segments);
    ws->last = ppi_alloc(&session->mem, rows, sizeof *ws->last);
    ws->last_rows = ppi_alloc(&session->mem, rows, sizeof *ws->last_rows);
    ws->wanted = ppi_alloc(&session->mem, rows, sizeof *ws->wanted);
    ws->kinds = ppi_alloc(&session->mem, rows, sizeof *ws->kinds);
    if (!ws->tokens || !ws->segments || !ws->last || !ws->last_rows || !ws->wanted || !ws->kinds)
        return no_room(session, PP_ERR_NOMEM, err);
    return PP_OK;
}

void ppi_workspace_free(struct pp_session *session)
{
    struct ppi_workspace *ws = &session->workspace;
    struct sizes sizes = buffer_sizes(session);
    void *device[] = {ws->x, ws->x_last, ws->h, sizes.a > 0 ? ws->a : NULL,
                      ws->q, ws->wide,   ws->t, ws->logits};
    size_t bytes[] = {sizes.x, sizes.x,    sizes.h, sizes.a,
                      sizes.q, sizes.wide, sizes.t, sizes.logits};
    for (size_t i = 0; i < PPI_COUNT(device); i++)
        session->ops->release(session->backend, device[i], bytes[i]);
    void *host[] = {ws->tokens, ws->segments, ws->last,    ws->last_rows,
                    ws->wanted, ws->kinds,    ws->pages[0]};
    for (size_t i = 0; i < PPI_COUNT(host); i++)
        ppi_free(&session->mem, host[i]);
}
