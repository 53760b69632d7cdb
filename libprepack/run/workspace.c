/*
 * workspace.c: the buffers of a forward pass, sized once when the session is created.
 */
#include "run/session_impl.h"

#define N_DEVICE_BUFFERS 8

/* Bytes of each device buffer, in the order of `device_buffers`; 0: there is none. */
struct sizes {
    size_t bytes[N_DEVICE_BUFFERS];
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Whether a norm stands behind a block of the model. */
static bool has_post_norms(const struct pp_session *session)
{
    return ppi_model_has_post_norms(session->model);
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
    return (struct sizes){{
        x,                                                          /* x */
        x,                                                          /* x_last */
        n * larger(hidden, q_dim) * act,                            /* h */
        spec->parallel ? n * q_dim * act : 0,                       /* a */
        n * (spec->parallel ? larger(hidden, q_dim) : q_dim) * act, /* q */
        n * larger((q_dim + 2 * kv_dim) * sizeof(float),
                   (size_t)spec->intermediate_size * act),         /* wide */
        has_post_norms(session) ? x : 0,                           /* t */
        PPI_LOGIT_ROWS * (size_t)spec->vocab_size * sizeof(float), /* logits */
    }};
}

static void device_buffers(struct ppi_workspace *ws, void **places[N_DEVICE_BUFFERS])
{
    places[0] = (void **)(void *)&ws->x;
    places[1] = (void **)(void *)&ws->x_last;
    places[2] = &ws->h;
    places[3] = &ws->a;
    places[4] = &ws->q;
    places[5] = &ws->wide;
    places[6] = (void **)(void *)&ws->t;
    places[7] = (void **)(void *)&ws->logits;
}

int64_t ppi_workspace_bytes(const struct pp_session *session)
{
    struct sizes sizes = buffer_sizes(session);
    int64_t total = 0;
    for (int i = 0; i < N_DEVICE_BUFFERS; i++)
        total += (int64_t)sizes.bytes[i];
    return total;
}

int64_t ppi_workspace_host_bytes(const struct pp_session *session)
{
    const struct ppi_workspace *ws = &session->workspace;
    return session->info.max_pass_tokens *
           (int64_t)(sizeof *ws->tokens + sizeof *ws->positions + sizeof *ws->segments +
                     sizeof *ws->last + sizeof *ws->last_rows + sizeof *ws->wanted);
}

static pp_status no_room(const struct pp_session *session, pp_status code, pp_error *err)
{
    return ppi_error(err, code,
                     "no memory for the workspace of %d tokens (%lld bytes); set a smaller "
                     "max_pass_tokens",
                     session->info.max_pass_tokens, (long long)session->workspace.device_bytes);
}

pp_status ppi_workspace_create(struct pp_session *session, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    struct sizes sizes = buffer_sizes(session);
    void **places[N_DEVICE_BUFFERS];
    device_buffers(ws, places);
    ws->device_bytes = ppi_workspace_bytes(session);
    for (int i = 0; i < N_DEVICE_BUFFERS; i++) {
        if (sizes.bytes[i] == 0)
            continue;
        *places[i] = session->ops->alloc(session->backend, sizes.bytes[i]);
        if (!*places[i])
            return no_room(session, ppi_no_device_memory(&session->info), err);
    }
    if (!ws->a)
        ws->a = ws->h;
    size_t rows = (size_t)session->info.max_pass_tokens;
    ws->tokens = ppi_alloc(&session->mem, rows, sizeof *ws->tokens);
    ws->positions = ppi_alloc(&session->mem, rows, sizeof *ws->positions);
    ws->segments = ppi_alloc(&session->mem, rows, sizeof *ws->segments);
    ws->last = ppi_alloc(&session->mem, rows, sizeof *ws->last);
    ws->last_rows = ppi_alloc(&session->mem, rows, sizeof *ws->last_rows);
    ws->wanted = ppi_alloc(&session->mem, rows, sizeof *ws->wanted);
    if (!ws->tokens || !ws->positions || !ws->segments || !ws->last || !ws->last_rows ||
        !ws->wanted)
        return no_room(session, PP_ERR_NOMEM, err);
    return PP_OK;
}

void ppi_workspace_free(struct pp_session *session)
{
    struct ppi_workspace *ws = &session->workspace;
    struct sizes sizes = buffer_sizes(session);
    void **places[N_DEVICE_BUFFERS];
    device_buffers(ws, places);
    if (ws->a == ws->h)
        ws->a = NULL;
    for (int i = 0; i < N_DEVICE_BUFFERS; i++)
        if (*places[i])
            session->ops->release(session->backend, *places[i], sizes.bytes[i]);
    void *host[] = {ws->tokens,    ws->positions, ws->segments, ws->last,
                    ws->last_rows, ws->wanted,    ws->pages[0]};
    for (size_t i = 0; i < PPI_COUNT(host); i++)
        ppi_free(&session->mem, host[i]);
}
