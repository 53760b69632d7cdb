/*
 * forward.c: the model, in mathematical order, one operation of the backend after the other; what
 * stands behind the mixing of tokens, MLP and experts, is in forward_mlp.c. It
 * never knows which backend or which model it has, and it never looks at a number: what a model
 * lacks is a NULL among its weights.
 *
 * The rows of a pass are tokens of many prompts. Only attention and linear layers look beyond a
 * row, and only at their own prompt's pages and state, so nothing of one prompt can reach another.
 */
#include "dtype.h"
#include "run/session_impl.h"

#include <math.h>

pp_status ppi_forward_norm(struct pp_session *s, const float *x, const struct ppi_matrix *weight,
                           int64_t n_rows, void *out, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_norm norm = {weight, spec->norm_eps, spec->center};
    return s->ops->norm(s->backend, x, weight ? &norm : NULL, n_rows, spec->hidden_size, out, err);
}

pp_status ppi_forward_add(struct pp_session *s, const void *a, const struct ppi_matrix *w,
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

/* Norms of q, k and v, where a model has them: of each head, or of all heads together. */
static pp_status normalize_qkv(struct pp_session *s, int32_t layer, int64_t n_rows, float *qkv,
                               pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_layer_spec *of = &spec->layers[layer];
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    int64_t q_dim = (int64_t)spec->n_heads * of->head_dim;
    int64_t k_dim = of->kv_layer == layer ? (int64_t)of->n_kv_heads * of->head_dim : 0;
    int64_t stride = q_dim + 2 * k_dim;
    bool whole = spec->qk_norm == PPI_QK_NORM_WHOLE;
    const struct ppi_norm q = {w->q_norm, spec->norm_eps, spec->center};
    const struct ppi_norm k = {w->k_norm, spec->norm_eps, spec->center};
    const struct ppi_norm v = {w->v_norm, spec->norm_eps, spec->center};
    if (w->q_norm)
        PP_TRY(s->ops->norm_parts(s->backend, qkv, &q, n_rows, stride, whole ? 1 : spec->n_heads,
                                  whole ? q_dim : of->head_dim, err));
    if (w->k_norm)
        PP_TRY(s->ops->norm_parts(s->backend, qkv + q_dim, &k, n_rows, stride,
                                  whole ? 1 : of->n_kv_heads, whole ? k_dim : of->head_dim, err));
    if (w->v_norm)
        PP_TRY(s->ops->norm_parts(s->backend, qkv + q_dim + k_dim, &v, n_rows, stride,
                                  of->n_kv_heads, of->head_dim, err));
    return PP_OK;
}

struct ppi_rope ppi_layer_rope(const struct pp_session *s, int32_t layer)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    int32_t i_rope = spec->layers[layer].i_rope;
    struct ppi_rope rope = {.layer = layer,
                            .interleaved = spec->interleaved,
                            .q_only = spec->layers[layer].kv_layer != layer,
                            .q_scale = s->angles.q_scale};
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
                                  spec->attn_softcap, s->weights->layers[layer].sinks};
}

struct ppi_linear ppi_layer_linear(const struct pp_session *s, int32_t layer)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    return (struct ppi_linear){.shape = &spec->linear,
                               .index = spec->places[layer].index,
                               .conv = w->linear_conv,
                               .conv_bias = w->linear_conv_bias,
                               .a_log = w->linear_a_log,
                               .dt_bias = w->linear_dt_bias,
                               .d = w->linear_d,
                               .norm = w->linear_norm,
                               .norm_eps = spec->norm_eps};
}

/* Rows of a pass, of which from a layer on only some matter. */
struct rows {
    const struct ppi_pass *all;
    const struct ppi_pass *wanted; /* NULL: none */
    float *x;                      /* residual stream [all or wanted, hidden] */
    void *h;                       /* act: its norm, of the layer that runs */
    const float *inputs;           /* of layers, [all or wanted, n_layers, size]; or NULL */
};

/* From here on only the wanted rows matter: theirs of what a layer's mixer reads or has given, act
 * [rows, dim], go to *out. */
static pp_status keep_wanted(struct pp_session *s, struct rows *rows, const void *a, int64_t dim,
                             void *out, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_pass *wanted = rows->wanted;
    size_t act_size = pp_dtype_size(s->dtype), hidden = (size_t)spec->hidden_size;
    size_t inputs = (size_t)spec->n_layers * (size_t)spec->layer_input_size * sizeof(float);
    PP_TRY(ops->gather_rows(s->backend, a, wanted, (size_t)dim * act_size, out, err));
    PP_TRY(ops->gather_rows(s->backend, rows->x, wanted, hidden * sizeof(float), ws->x_last, err));
    if (ppi_workspace_keeps_h(s)) {
        PP_TRY(ops->gather_rows(s->backend, rows->h, wanted, hidden * act_size, ws->q, err));
        rows->h = ws->q;
    }
    if (rows->inputs) {
        PP_TRY(ops->gather_rows(s->backend, rows->inputs, wanted, inputs, ws->inputs_last, err));
        rows->inputs = ws->inputs_last;
    }
    rows->all = wanted;
    rows->x = ws->x_last;
    return PP_OK;
}

/* x += attention(norm(x)); K and V are written for all rows. On return h holds the normed input of
 * the rows, where it is needed longer. */
static pp_status attention_block(struct pp_session *s, int32_t layer, struct rows *rows,
                                 pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    int64_t q_dim = (int64_t)spec->n_heads * spec->layers[layer].head_dim;
    const struct ppi_epilogue project = {w->qkv_bias, 1, false};
    const struct ppi_epilogue gate = {NULL, 1, false};
    const struct ppi_rope rope = ppi_layer_rope(s, layer);
    const struct ppi_attention attention = ppi_layer_attention(s, layer);
    int64_t n = rows->all->n_rows;
    float *qkv = ws->wide;
    void *q = ws->q;

    PP_TRY(ppi_forward_norm(s, rows->x, w->attn_norm, n, rows->h, err)); /* h [rows, hidden] */
    PP_TRY(ops->matmul(s->backend, rows->h, w->qkv, n, &project, qkv,
                       err)); /* [rows, (n_heads + 2 n_kv_heads) head_dim] */
    PP_TRY(normalize_qkv(s, layer, n, qkv, err));
    PP_TRY(ops->rope_kv(s->backend, rows->all, &rope, qkv, q,
                        err)); /* q [rows, q_dim]; K, V -> pages */
    if (layer == spec->last_writer && !rows->wanted)
        return PP_OK; /* nobody needs more than K and V */
    if (layer == spec->last_writer && rows->wanted != rows->all) {
        PP_TRY(keep_wanted(s, rows, q, q_dim, ws->wide, err));
        q = ws->wide;
    }
    n = rows->all->n_rows;
    PP_TRY(ops->attention(s->backend, rows->all, &attention, q, ws->a, err)); /* a [rows, q_dim] */
    if (w->attn_gate) {
        PP_TRY(ops->matmul(s->backend, rows->h, w->attn_gate, n, &gate, ws->wide, err));
        PP_TRY(ops->gate(s->backend, ws->wide, n, q_dim, ws->a, err));
    }
    return ppi_forward_add(s, ws->a, w->o, w->o_bias, w->attn_post_norm, n, rows->x,
                           err); /* x += a Wo^T */
}

/* x += linear(norm(x)); states are written whatever is wanted. */
static pp_status linear_block(struct pp_session *s, int32_t layer, struct rows *rows, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_linear linear = ppi_layer_linear(s, layer);
    const struct ppi_epilogue project = {w->linear_in_bias, 1, false};
    void *a = ws->a;
    PP_TRY(ppi_forward_norm(s, rows->x, w->attn_norm, rows->all->n_rows, rows->h, err));
    PP_TRY(ops->matmul(s->backend, rows->h, w->linear_in, rows->all->n_rows, &project, ws->wide,
                       err)); /* [rows, ppi_linear_row] */
    PP_TRY(ops->linear(s->backend, rows->all, &linear, ws->wide, a, err)); /* a [rows, v size] */
    if (layer == spec->last_writer && !rows->wanted)
        return PP_OK;
    if (layer == spec->last_writer && rows->wanted != rows->all) {
        PP_TRY(keep_wanted(s, rows, a, ppi_linear_v_size(&spec->linear), ws->wide, err));
        a = ws->wide;
    }
    return ppi_forward_add(s, a, w->linear_out, w->linear_out_bias, w->attn_post_norm,
                           rows->all->n_rows, rows->x, err);
}

/* logits = norm(x) Wlm^T of n rows, handed over. */
static pp_status head_logits(struct pp_session *s, const float *x, int32_t first, int32_t n,
                             const struct ppi_take *take, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_epilogue scale = {NULL, spec->logit_scale, false};
    struct ppi_workspace *ws = &s->workspace;
    PP_TRY(ppi_forward_norm(s, x, s->weights->final_norm, n, ws->h, err));
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

/* ---- inputs of layers ---- */

/* Of each layer, by token and by embedding: sum of the two over sqrt(2), the first times
 * sqrt(size), the second normed. */
static pp_status make_layer_inputs(struct pp_session *s, struct rows *rows, pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_norm norm = {s->weights->layer_projection_norm, spec->norm_eps, spec->center};
    const struct ppi_epilogue project = {NULL, (float)(1 / sqrt((double)spec->hidden_size)), false};
    float half = (float)sqrt(0.5);
    float by_token = (float)sqrt((double)spec->layer_input_size);
    if (spec->embed_scale_rounds)
        by_token = ppi_round_to(by_token, s->dtype);
    int64_t n = rows->all->n_rows;
    PP_TRY(ops->embed(s->backend, s->weights->layer_table, rows->all, by_token * half, ws->inputs,
                      err));
    PP_TRY(ppi_forward_norm(s, rows->x, NULL, n, ws->h, err));
    PP_TRY(ops->matmul(s->backend, ws->h, s->weights->layer_projection, n, &project,
                       ws->inputs_last, err));
    PP_TRY(ops->norm_add(s->backend, ws->inputs_last, &norm, half, n * spec->n_layers,
                         spec->layer_input_size, ws->inputs, err));
    rows->inputs = ws->inputs;
    return PP_OK;
}

/* x += norm((activation(x Wg^T) input) Wup^T) */
static pp_status add_layer_input(struct pp_session *s, int32_t layer, const struct rows *rows,
                                 pp_error *err)
{
    const struct ppi_backend_ops *ops = s->ops;
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_epilogue project = {NULL, 1, false};
    int64_t n = rows->all->n_rows, size = spec->layer_input_size;
    PP_TRY(ppi_forward_norm(s, rows->x, NULL, n, ws->h, err));
    PP_TRY(ops->matmul(s->backend, ws->h, w->layer_input_gate, n, &project, ws->wide, err));
    PP_TRY(ops->activate(s->backend, spec->activation, ws->wide, rows->inputs + layer * size,
                         spec->n_layers * size, n, size, ws->q, err));
    PP_TRY(ops->matmul(s->backend, ws->q, w->layer_input_up, n, &project, ws->t, err));
    const struct ppi_norm norm = {w->layer_input_norm, spec->norm_eps, spec->center};
    return ops->norm_add(s->backend, ws->t, &norm, 1, n, spec->hidden_size, rows->x, err);
}

pp_status ppi_forward(struct pp_session *s, const struct ppi_pass *pass,
                      const struct ppi_pass *wanted, const struct ppi_take *take, pp_error *err)
{
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    struct rows rows = {.all = pass, .wanted = wanted, .x = ws->x};

    PP_TRY(begin(s, pass, err));
    if (wanted && wanted != pass)
        PP_TRY(begin(s, wanted, err));
    PP_TRY(s->ops->embed(s->backend, s->weights->embed, pass, embed_scale(s), rows.x,
                         err)); /* x [rows, hidden] */
    if (spec->layer_input_size > 0)
        PP_TRY(make_layer_inputs(s, &rows, err));
    for (int32_t layer = 0; layer < spec->n_layers; layer++) {
        PP_TRY(ppi_session_check_cancelled(s, layer, err));
        rows.h = ws->h;
        PP_TRY(spec->layers[layer].kind == PPI_LAYER_LINEAR
                   ? linear_block(s, layer, &rows, err)
                   : attention_block(s, layer, &rows, err));
        if (layer >= spec->last_writer && !wanted)
            return PP_OK;
        PP_TRY(ppi_forward_mlp(s, layer, rows.all->n_rows, rows.x, rows.h, err));
        if (spec->layer_input_size > 0)
            PP_TRY(add_layer_input(s, layer, &rows, err));
        if (spec->layer_scale)
            PP_TRY(s->ops->multiply(s->backend, rows.x,
                                    (int64_t)rows.all->n_rows * spec->hidden_size,
                                    s->weights->layers[layer].layer_scale, err));
    }
    return head(s, rows.x, wanted->n_rows, take, err);
}
