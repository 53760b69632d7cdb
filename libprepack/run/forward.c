/*
 * forward.c: the model, in mathematical order, one operation of the backend after the other. It
 * never knows which backend or which model it has, and it never looks at a number: what a model
 * lacks is a NULL among its weights.
 *
 * The rows of a pass are tokens of many prompts. Only attention looks beyond a row, and only at its
 * own prompt's pages, so nothing of one prompt can reach another.
 */
#include "dtype.h"
#include "run/session_impl.h"

/* out = norm(x), narrowed; without a weight just narrowed. */
static pp_status normalize(struct pp_session *s, const float *x, const struct ppi_matrix *weight,
                           int64_t n_rows, void *out, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_norm norm = {weight, spec->norm_eps, spec->center};
    return s->ops->norm(s->backend, x, weight ? &norm : NULL, n_rows, spec->hidden_size, out, err);
}

/* x += block, where block = a w^T + bias, normed if a norm stands behind it. */
static pp_status add_block(struct pp_session *s, const void *a, const struct ppi_matrix *w,
                           const struct ppi_matrix *bias, const struct ppi_matrix *post_norm,
                           int64_t n_rows, float *x, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_epilogue add = {bias, spec->residual_scale, true};
    if (!post_norm)
        return s->ops->matmul(s->backend, a, w, n_rows, &add, x, err);
    const struct ppi_epilogue alone = {bias, 1, false};
    const struct ppi_norm norm = {post_norm, spec->norm_eps, spec->center};
    float *t = s->workspace.t; /* [rows, hidden] */
    PP_TRY(s->ops->matmul(s->backend, a, w, n_rows, &alone, t, err));
    return s->ops->norm_add(s->backend, t, &norm, spec->residual_scale, n_rows, spec->hidden_size,
                            x, err);
}

/* Norms of q and k, where a model has them: of each head, or of all heads together. */
static pp_status normalize_qk(struct pp_session *s, const struct ppi_layer_weights *w,
                              int64_t n_rows, float *qkv, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    if (spec->qk_norm == PPI_QK_NORM_NONE)
        return PP_OK;
    int64_t q_dim = (int64_t)spec->n_heads * spec->head_dim;
    int64_t k_dim = (int64_t)spec->n_kv_heads * spec->head_dim;
    bool whole = spec->qk_norm == PPI_QK_NORM_WHOLE;
    const struct ppi_norm q = {w->q_norm, spec->norm_eps, spec->center};
    const struct ppi_norm k = {w->k_norm, spec->norm_eps, spec->center};
    PP_TRY(s->ops->norm_parts(s->backend, qkv, &q, n_rows, q_dim + 2 * k_dim,
                              whole ? 1 : spec->n_heads, whole ? q_dim : spec->head_dim, err));
    return s->ops->norm_parts(s->backend, qkv + q_dim, &k, n_rows, q_dim + 2 * k_dim,
                              whole ? 1 : spec->n_kv_heads, whole ? k_dim : spec->head_dim, err);
}

struct ppi_rope ppi_layer_rope(const struct pp_session *s, int32_t layer)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    int32_t i_rope = spec->layers[layer].i_rope;
    struct ppi_rope rope = {
        .layer = layer, .interleaved = spec->interleaved, .q_scale = s->angles.q_scale};
    if (i_rope >= 0) {
        rope.rotary_dim = spec->ropes[i_rope].rotary_dim;
        rope.angles = s->angles.tables[i_rope];
    }
    return rope;
}

struct ppi_attention ppi_layer_attention(const struct pp_session *s, int32_t layer)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    return (struct ppi_attention){layer, spec->layers[layer].window, spec->softmax_scale,
                                  spec->attn_softcap};
}

/* x += attention(norm(x)) for the rows of `out_rows`; K and V are written for all rows of `pass`.
 * On return h holds the normed input of out_rows, where blocks are parallel. */
static pp_status attention_block(struct pp_session *s, int32_t layer, const struct ppi_pass *pass,
                                 const struct ppi_pass *out_rows, float **x, void **h,
                                 pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    size_t act_size = pp_dtype_size(s->dtype);
    size_t hidden = (size_t)spec->hidden_size;
    size_t q_dim = (size_t)spec->n_heads * (size_t)spec->head_dim;
    const struct ppi_epilogue project = {w->qkv_bias, 1, false};
    const struct ppi_rope rope = ppi_layer_rope(s, layer);
    const struct ppi_attention attention = ppi_layer_attention(s, layer);
    float *qkv = ws->wide;
    void *q = ws->q;

    PP_TRY(normalize(s, *x, w->attn_norm, pass->n_rows, *h, err)); /* h [rows, hidden] */
    PP_TRY(ops->matmul(s->backend, *h, w->qkv, pass->n_rows, &project, qkv,
                       err)); /* [rows, (n_heads + 2 n_kv_heads) head_dim] */
    PP_TRY(normalize_qk(s, w, pass->n_rows, qkv, err));
    PP_TRY(ops->rope_kv(s->backend, pass, &rope, qkv, q, err)); /* q [rows, q_dim]; K, V -> pages */
    if (!out_rows)
        return PP_OK;       /* nobody needs more than K and V of the last layer */
    if (out_rows != pass) { /* from here on only the wanted rows matter */
        PP_TRY(ops->gather_rows(s->backend, q, out_rows, q_dim * act_size, ws->wide, err));
        PP_TRY(ops->gather_rows(s->backend, *x, out_rows, hidden * sizeof(float), ws->x_last, err));
        if (spec->parallel)
            PP_TRY(ops->gather_rows(s->backend, *h, out_rows, hidden * act_size, ws->q, err));
        *h = spec->parallel ? ws->q : *h;
        q = ws->wide;
        *x = ws->x_last;
    }
    PP_TRY(ops->attention(s->backend, out_rows, &attention, q, ws->a, err)); /* a [rows, q_dim] */
    return add_block(s, ws->a, w->o, w->o_bias, w->attn_post_norm, out_rows->n_rows, *x,
                     err); /* x += a Wo^T */
}

/* x += mlp(norm(x)); where blocks are parallel the normed input is in h already. */
static pp_status mlp_block(struct pp_session *s, int32_t layer, int64_t n_rows, float *x, void *h,
                           pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;

    if (!spec->parallel)
        PP_TRY(normalize(s, x, w->mlp_norm, n_rows, h, err)); /* h [rows, hidden] */
    PP_TRY(s->ops->gate_up(s->backend, h, w->gate_up, w->gate_up_bias, spec->activation, n_rows,
                           ws->wide, err)); /* act(h Wg^T) * (h Wu^T) [rows, intermediate] */
    return add_block(s, ws->wide, w->down, w->down_bias, w->mlp_post_norm, n_rows, x,
                     err); /* x += . Wdown^T */
}

/* logits = norm(x) Wlm^T of n rows, handed over. */
static pp_status head_logits(struct pp_session *s, const float *x, int32_t first, int32_t n,
                             const struct ppi_take *take, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_epilogue scale = {NULL, spec->logit_scale, false};
    struct ppi_workspace *ws = &s->workspace;
    PP_TRY(normalize(s, x, s->weights->final_norm, n, ws->h, err));
    PP_TRY(s->ops->matmul(s->backend, ws->h, s->weights->lm_head, n, &scale, ws->logits, err));
    if (spec->logit_softcap > 0)
        PP_TRY(s->ops->softcap(s->backend, ws->logits, (int64_t)n * ppi_session_n_logits(s),
                               spec->logit_softcap, err));
    return take->logits(take->user, first, n, err);
}

/* The states norm(x) of n rows, in f32 and in place, handed over. */
static pp_status head_hidden(struct pp_session *s, float *x, int32_t first, int32_t n,
                             const struct ppi_take *take, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_norm norm = {s->weights->final_norm, spec->norm_eps, spec->center};
    PP_TRY(
        s->ops->norm_parts(s->backend, x, &norm, n, spec->hidden_size, 1, spec->hidden_size, err));
    return take->hidden(take->user, first, n, x, err);
}

/* What is wanted of the rows, a few of a kind at a time; x [n_rows, hidden] is used up. */
static pp_status head(struct pp_session *s, float *x, int32_t n_rows, const struct ppi_take *take,
                      pp_error *err)
{
    const struct ppi_wanted *wanted = s->workspace.wanted;
    for (int32_t first = 0, n; first < n_rows; first += n) {
        int32_t most = n_rows - first < PPI_LOGIT_ROWS ? n_rows - first : PPI_LOGIT_ROWS;
        uint8_t kinds = wanted[first].kinds;
        float *rows = x + (int64_t)first * s->model->spec.hidden_size;
        for (n = 1; n < most && wanted[first + n].kinds == kinds;)
            n++;
        if (kinds & PPI_WANT_LOGITS)
            PP_TRY(head_logits(s, rows, first, n, take, err));
        if (kinds & PPI_WANT_HIDDEN)
            PP_TRY(head_hidden(s, rows, first, n, take, err));
    }
    return PP_OK;
}

/* Announces a pass; free KV pages make room for its tables if they must. */
static pp_status begin(struct pp_session *s, const struct ppi_pass *pass, pp_error *err)
{
    pp_status status = s->ops->pass_begin(s->backend, pass, err);
    if (status == ppi_no_device_memory(&s->info) && ppi_store_trim(&s->store) > 0)
        status = s->ops->pass_begin(s->backend, pass, err);
    return status;
}

/* The factor of embeddings; some models round it to what they compute in. */
static float embed_scale(const struct pp_session *s)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    float scale = (float)spec->embed_scale;
    return spec->embed_scale_rounds ? ppi_round_to(scale, s->dtype) : scale;
}

pp_status ppi_forward(struct pp_session *s, const struct ppi_pass *pass,
                      const struct ppi_pass *wanted, const struct ppi_take *take, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    float *x = s->workspace.x;

    PP_TRY(begin(s, pass, err));
    if (wanted && wanted != pass)
        PP_TRY(begin(s, wanted, err));
    PP_TRY(s->ops->embed(s->backend, s->weights->embed, pass, embed_scale(s), x,
                         err)); /* x [rows, hidden] */
    for (int32_t layer = 0; layer < spec->n_layers; layer++) {
        PP_TRY(ppi_session_check_cancelled(s, layer, err));
        const struct ppi_pass *out_rows = layer == spec->n_layers - 1 ? wanted : pass;
        void *h = s->workspace.h;
        PP_TRY(attention_block(s, layer, pass, out_rows, &x, &h, err));
        if (out_rows)
            PP_TRY(mlp_block(s, layer, out_rows->n_rows, x, h, err));
    }
    return wanted ? head(s, x, wanted->n_rows, take, err) : PP_OK;
}
