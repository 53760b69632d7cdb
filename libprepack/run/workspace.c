/*
 * workspace.c: the buffers of a forward pass, sized once when the session is created.
 */
#include "run/session_impl.h"

/* Of each device buffer; of 0 bytes there is none. */
enum buffer {
    X,
    X_LAST,
    H,
    A,
    Q,
    WIDE,
    T,
    U,
    ROUTER,
    CHOSEN,
    WEIGHTS,
    INPUTS,
    INPUTS_LAST,
    LOGITS
};
#define N_BUFFERS (LOGITS + 1)

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool ppi_workspace_keeps_h(const struct pp_session *session)
{
    return session->model->spec.parallel || session->model->spec.attn_gate;
}

/* The widest rows over layers: of q, of qkv, of an MLP between its products. */
struct widths {
    size_t q, qkv, mlp;
};

static struct widths find_widths(const struct ppi_model_spec *spec)
{
    struct widths w = {.mlp = (size_t)ppi_spec_widest_mlp(spec)};
    for (int32_t i = 0; i < spec->n_layers; i++) {
        const struct ppi_layer_spec *layer = &spec->layers[i];
        if (layer->kind != PPI_LAYER_ATTENTION)
            continue;
        size_t q = (size_t)spec->n_heads * (size_t)layer->head_dim;
        size_t kv = (size_t)layer->n_kv_heads * (size_t)layer->head_dim;
        w.q = larger(w.q, q);
        w.qkv = larger(w.qkv, q + 2 * kv);
    }
    return w;
}

static void buffer_sizes(const struct pp_session *session, size_t bytes[N_BUFFERS])
{
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_experts_spec *experts = &spec->experts;
    struct widths w = find_widths(spec);
    size_t n = (size_t)ppi_round_up(session->info.max_pass_tokens, session->info.row_padding);
    size_t act = pp_dtype_size(session->dtype), hidden = (size_t)spec->hidden_size;
    size_t linear = spec->n_linear > 0 ? (size_t)ppi_linear_v_size(&spec->linear) : 0;
    size_t projected = spec->n_linear > 0 ? (size_t)ppi_linear_row(&spec->linear) : 0;
    size_t input = (size_t)spec->layer_input_size, x = n * hidden * sizeof(float);
    size_t mixed = larger(w.q, linear);
    bool keeps_h = ppi_workspace_keeps_h(session);
    bool post_norms = ppi_model_has_post_norms(session->model) || input > 0;
    bytes[X] = bytes[X_LAST] = x;
    bytes[H] = n * larger(hidden, mixed) * act;
    bytes[A] = keeps_h ? n * mixed * act : 0;
    bytes[Q] = n * larger(larger(keeps_h ? hidden : 0, mixed), input) * act;
    bytes[WIDE] = n * larger(larger(w.qkv, larger(projected, input)) * sizeof(float), w.mlp * act);
    bytes[T] = post_norms ? x : 0;
    bytes[U] = experts->own_norms || experts->shared_gate ? x : 0;
    bytes[ROUTER] = n * (size_t)experts->n * sizeof(float);
    bytes[CHOSEN] = n * (size_t)experts->top_k * sizeof(int32_t);
    bytes[WEIGHTS] = n * (size_t)experts->top_k * sizeof(float);
    bytes[INPUTS] = bytes[INPUTS_LAST] = n * (size_t)spec->n_layers * input * sizeof(float);
    bytes[LOGITS] = PPI_LOGIT_ROWS * (size_t)ppi_session_n_logits(session) * sizeof(float);
}

int64_t ppi_workspace_bytes(const struct pp_session *session)
{
    size_t bytes[N_BUFFERS], all = 0;
    buffer_sizes(session, bytes);
    for (int32_t i = 0; i < N_BUFFERS; i++)
        all += bytes[i];
    return (int64_t)all;
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

static void set_buffers(struct ppi_workspace *ws, void *const memory[N_BUFFERS])
{
    ws->x = memory[X];
    ws->x_last = memory[X_LAST];
    ws->h = memory[H];
    ws->a = memory[A] ? memory[A] : memory[H];
    ws->q = memory[Q];
    ws->wide = memory[WIDE];
    ws->t = memory[T];
    ws->u = memory[U];
    ws->router = memory[ROUTER];
    ws->routing = (struct ppi_routing){memory[CHOSEN], memory[WEIGHTS]};
    ws->inputs = memory[INPUTS];
    ws->inputs_last = memory[INPUTS_LAST];
    ws->logits = memory[LOGITS];
}

pp_status ppi_workspace_create(struct pp_session *session, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    void *memory[N_BUFFERS] = {NULL};
    size_t bytes[N_BUFFERS];
    bool failed = false;
    buffer_sizes(session, bytes);
    ws->device_bytes = ppi_workspace_bytes(session);
    for (int32_t i = 0; i < N_BUFFERS; i++) {
        if (bytes[i] > 0)
            memory[i] = session->ops->alloc(session->backend, bytes[i]);
        failed |= bytes[i] > 0 && !memory[i];
    }
    set_buffers(ws, memory);
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
    size_t bytes[N_BUFFERS];
    buffer_sizes(session, bytes);
    void *device[N_BUFFERS] = {ws->x,
                               ws->x_last,
                               ws->h,
                               ws->a != ws->h ? ws->a : NULL,
                               ws->q,
                               ws->wide,
                               ws->t,
                               ws->u,
                               ws->router,
                               ws->routing.chosen,
                               ws->routing.weights,
                               ws->inputs,
                               ws->inputs_last,
                               ws->logits};
    for (size_t i = 0; i < PPI_COUNT(device); i++)
        session->ops->release(session->backend, device[i], bytes[i]);
    void *host[] = {ws->tokens, ws->segments, ws->last,    ws->last_rows,
                    ws->wanted, ws->kinds,    ws->pages[0]};
    for (size_t i = 0; i < PPI_COUNT(host); i++)
        ppi_free(&session->mem, host[i]);
}
