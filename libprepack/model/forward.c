/*
 * forward.c: the model, in mathematical order, one operation of the backend after the other. It
 * never knows which backend it has, and it never looks at a number.
 *
 * The rows of a pass are tokens of many prompts. Only attention looks beyond a row, and only at its
 * own prompt's pages, so nothing of one prompt can reach another.
 */
#include "model/session_impl.h"

#include <math.h>

/* One layer's names, so that the code below reads like the formulas. */
struct shape {
    int64_t hidden;
    int64_t q_dim; /* n_heads * head_dim */
};

static const struct ppi_epilogue replace = {.scale = 1}, add = {.scale = 1, .accumulate = true};

struct ppi_rope ppi_rope_of_layer(const struct pp_session *session, int32_t layer)
{
    return (struct ppi_rope){
        .layer = layer, .rotary_dim = session->model->config.head_dim, .angles = session->rope};
}

struct ppi_attention ppi_attention_of_layer(const struct pp_session *session, int32_t layer)
{
    const pp_model_config *config = &session->model->config;
    return (struct ppi_attention){.layer = layer,
                                  .window = config->sliding_window,
                                  .softmax_scale = (float)(1 / sqrt((double)config->head_dim))};
}

/* x = x + attention(norm(x)) for the rows of `out_rows`; K and V are written for all rows of
 * `pass`. */
static pp_status attention_block(struct pp_session *s, const struct shape *shape, int32_t layer,
                                 const struct ppi_pass *pass, const struct ppi_pass *out_rows,
                                 float **x, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const pp_model_config *config = &s->model->config;
    struct ppi_workspace *ws = &s->workspace;
    size_t act_size = pp_dtype_size(s->dtype);
    void *q = ws->q;
    const struct ppi_norm norm = {.weight = w->attn_norm, .eps = config->rms_norm_eps};
    const struct ppi_rope rope = ppi_rope_of_layer(s, layer);
    const struct ppi_attention attention = ppi_attention_of_layer(s, layer);

    PP_TRY(ops->norm(s->backend, *x, &norm, pass->n_rows, shape->hidden, ws->h,
                     err)); /* h [rows, hidden] */
    PP_TRY(ops->matmul(s->backend, ws->h, w->qkv, pass->n_rows, &replace, ws->wide,
                       err)); /* [rows, (n_heads + 2 n_kv_heads) head_dim] */
    PP_TRY(ops->rope_kv(s->backend, pass, &rope, ws->wide, q,
                        err)); /* q [rows, q_dim]; K, V -> pages */
    if (!out_rows)
        return PP_OK;       /* nobody needs more than K and V of the last layer */
    if (out_rows != pass) { /* from here on only the last rows matter */
        PP_TRY(ops->gather_rows(s->backend, q, out_rows, (size_t)shape->q_dim * act_size, ws->wide,
                                err));
        PP_TRY(ops->gather_rows(s->backend, *x, out_rows, (size_t)shape->hidden * sizeof(float),
                                ws->x_last, err));
        q = ws->wide;
        *x = ws->x_last;
    }
    PP_TRY(ops->attention(s->backend, out_rows, &attention, q, ws->h, err)); /* h [rows, q_dim] */
    return ops->matmul(s->backend, ws->h, w->o, out_rows->n_rows, &add, *x, err); /* x += h Wo^T */
}

/* x = x + mlp(norm(x)) */
static pp_status mlp_block(struct pp_session *s, const struct shape *shape, int32_t layer,
                           int64_t n_rows, float *x, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_norm norm = {.weight = w->mlp_norm, .eps = s->model->config.rms_norm_eps};

    PP_TRY(
        ops->norm(s->backend, x, &norm, n_rows, shape->hidden, ws->h, err)); /* h [rows, hidden] */
    PP_TRY(ops->gate_up(s->backend, ws->h, w->gate_up, NULL, PPI_ACTIVATION_SILU, n_rows, ws->wide,
                        err)); /* silu(h Wg^T) * (h Wu^T) [rows, intermediate] */
    return ops->matmul(s->backend, ws->wide, w->down, n_rows, &add, x, err); /* x += . Wdown^T */
}

/* Draws a token from each of n rows of logits; the rows are rows first .. of the pass. */
static pp_status choose_tokens(struct pp_session *s, const struct ppi_pass *last, int32_t first,
                               int32_t n, const int32_t *outputs, const struct ppi_sink *sink,
                               pp_error *err)
{
    struct ppi_draw draws[PPI_LOGIT_ROWS];
    int32_t tokens[PPI_LOGIT_ROWS];
    for (int32_t i = 0; i < n; i++)
        draws[i] = (struct ppi_draw){.temperature = sink->temperature,
                                     .top_p = 1,
                                     .seed = sink->seeds ? sink->seeds[outputs[i]] : 0,
                                     .position = last->positions[first + i] + 1}; /* the new's */
    PP_TRY(s->ops->sample(s->backend, s->workspace.logits, n, s->model->config.vocab_size, draws,
                          tokens, err));
    for (int32_t i = 0; i < n; i++)
        sink->tokens[outputs[i]] = tokens[i];
    return PP_OK;
}

/* logits = norm(x) Wlm^T, a few rows at a time, each sent to where its prompt wants it. */
static pp_status head(struct pp_session *s, const struct shape *shape, const float *x,
                      const struct ppi_pass *last, const int32_t *outputs,
                      const struct ppi_sink *sink, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    struct ppi_workspace *ws = &s->workspace;
    size_t vocab = (size_t)s->model->config.vocab_size;
    const struct ppi_norm norm = {.weight = s->weights->final_norm,
                                  .eps = s->model->config.rms_norm_eps};

    for (int32_t first = 0; first < last->n_rows; first += PPI_LOGIT_ROWS) {
        int32_t n = last->n_rows - first < PPI_LOGIT_ROWS ? last->n_rows - first : PPI_LOGIT_ROWS;
        PP_TRY(
            ops->norm(s->backend, x + first * shape->hidden, &norm, n, shape->hidden, ws->h, err));
        PP_TRY(ops->matmul(s->backend, ws->h, s->weights->lm_head, n, &replace, ws->logits, err));
        if (sink->tokens)
            PP_TRY(choose_tokens(s, last, first, n, outputs + first, sink, err));
        else
            PP_TRY(ops->download_rows(s->backend, sink->logits, outputs + first, ws->logits, n,
                                      vocab * sizeof(float), err));
    }
    return PP_OK;
}

/* Announces a pass; free KV pages make room for its tables if they must. */
static pp_status begin(struct pp_session *s, const struct ppi_pass *pass, pp_error *err)
{
    pp_status status = s->ops->pass_begin(s->backend, pass, err);
    if (status == ppi_no_device_memory(&s->info) && ppi_pool_trim(&s->pool) > 0)
        status = s->ops->pass_begin(s->backend, pass, err);
    return status;
}

pp_status ppi_forward(struct pp_session *s, const struct ppi_pass *pass,
                      const struct ppi_pass *last, const int32_t *outputs,
                      const struct ppi_sink *sink, pp_error *err)
{
    const pp_model_config *config = &s->model->config;
    const struct shape shape = {config->hidden_size, (int64_t)config->n_heads * config->head_dim};
    float *x = s->workspace.x;

    PP_TRY(begin(s, pass, err));
    if (last && last != pass)
        PP_TRY(begin(s, last, err));
    PP_TRY(s->ops->embed(s->backend, s->weights->embed, pass, 1, x, err)); /* x [rows, hidden] */
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        if (atomic_exchange(&s->cancelled, 0))
            return ppi_error(err, PP_ERR_CANCELLED, "cancelled before layer %d", layer);
        const struct ppi_pass *out_rows = layer == config->n_layers - 1 ? last : pass;
        PP_TRY(attention_block(s, &shape, layer, pass, out_rows, &x, err));
        if (out_rows)
            PP_TRY(mlp_block(s, &shape, layer, out_rows->n_rows, x, err));
    }
    return last ? head(s, &shape, x, last, outputs, sink, err) : PP_OK;
}
