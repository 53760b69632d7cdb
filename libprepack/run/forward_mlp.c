/*
 * forward_mlp.c: the second half of a layer: its dense MLP, its experts, or both side by side.
 */
#include "run/session_impl.h"

struct ppi_router ppi_layer_router(const struct pp_session *s, int32_t layer)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_experts_spec *experts = &s->model->spec.experts;
    return (struct ppi_router){.n = experts->n,
                               .top_k = experts->top_k,
                               .scoring = experts->scoring,
                               .normalize = experts->normalize,
                               .sum_eps = experts->sum_eps,
                               .scale = experts->scale,
                               .correction = w->router_correction,
                               .expert_scale = w->expert_scale};
}

struct ppi_experts ppi_layer_experts(const struct pp_session *s, int32_t layer)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_experts_spec *spec = &s->model->spec.experts;
    return (struct ppi_experts){.n = spec->n,
                                .top_k = spec->top_k,
                                .gate_up = w->expert_gate_up,
                                .down = w->expert_down,
                                .gate_up_bias = w->expert_gate_up_bias,
                                .down_bias = w->expert_down_bias,
                                .activation = spec->activation,
                                .limit = spec->limit,
                                .alpha = spec->alpha,
                                .scale = 1,
                                .accumulate = true};
}

/* wide = act(h Wg^T) (h Wu^T) of the dense MLP: act [rows, mlp_size]. */
static pp_status gated(struct pp_session *s, int32_t layer, const void *h, int64_t n_rows,
                       pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    return s->ops->gate_up(s->backend, h, w->gate_up, w->gate_up_bias, s->model->spec.activation,
                           n_rows, s->workspace.wide, err);
}

/* Which experts rows go through; h: what the router reads. */
static pp_status route(struct pp_session *s, int32_t layer, const void *h, int64_t n_rows,
                       pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_epilogue logits = {w->router_bias, s->model->spec.experts.router_scale, false};
    const struct ppi_router router = ppi_layer_router(s, layer);
    PP_TRY(s->ops->matmul(s->backend, h, w->router, n_rows, &logits, ws->router,
                          err)); /* [rows, experts] */
    return s->ops->route(s->backend, &router, ws->router, n_rows, &ws->routing, err);
}

/* out (+)= scale experts(h), of rows that were routed. */
static pp_status routed(struct pp_session *s, int32_t layer, const void *h, int64_t n_rows,
                        float scale, bool accumulate, float *out, pp_error *err)
{
    struct ppi_experts experts = ppi_layer_experts(s, layer);
    experts.scale = scale;
    experts.accumulate = accumulate;
    return s->ops->experts(s->backend, &experts, &s->workspace.routing, h, n_rows, out, err);
}

/* out += scale shared(h), the expert of every row, which may have a gate. */
static pp_status add_shared(struct pp_session *s, int32_t layer, const void *h, int64_t n_rows,
                            float scale, float *out, pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    struct ppi_workspace *ws = &s->workspace;
    const struct ppi_epilogue add = {NULL, scale, true}, alone = {NULL, 1, false};
    PP_TRY(s->ops->gate_up(s->backend, h, w->shared_gate_up, NULL, spec->experts.activation, n_rows,
                           ws->wide, err));
    if (!w->shared_gate)
        return s->ops->matmul(s->backend, ws->wide, w->shared_down, n_rows, &add, out, err);
    PP_TRY(s->ops->matmul(s->backend, ws->wide, w->shared_down, n_rows, &alone, ws->u, err));
    PP_TRY(s->ops->matmul(s->backend, h, w->shared_gate, n_rows, &alone, ws->router, err));
    return s->ops->add_gated(s->backend, ws->router, ws->u, scale, n_rows, spec->hidden_size, out,
                             err);
}

/* x += experts(h) */
static pp_status experts_block(struct pp_session *s, int32_t layer, int64_t n_rows, float *x,
                               const void *h, pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    bool direct = !w->mlp_post_norm;
    float *out = direct ? x : s->workspace.t, scale = direct ? spec->residual_scale : 1;
    PP_TRY(route(s, layer, h, n_rows, err));
    PP_TRY(routed(s, layer, h, n_rows, scale, direct, out, err));
    if (w->shared_gate_up)
        PP_TRY(add_shared(s, layer, h, n_rows, scale, out, err));
    if (direct)
        return PP_OK;
    const struct ppi_norm post = {w->mlp_post_norm, spec->norm_eps, spec->center};
    return s->ops->norm_add(s->backend, out, &post, spec->residual_scale, n_rows, spec->hidden_size,
                            x, err);
}

/* x += norm(norm(mlp(norm(x))) + norm(experts(norm(x)))), each norm another. */
static pp_status side_by_side(struct pp_session *s, int32_t layer, int64_t n_rows, float *x,
                              void *h, pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    int64_t hidden = spec->hidden_size;
    float *t = s->workspace.t, *u = s->workspace.u;
    const struct ppi_epilogue alone = {w->down_bias, 1, false};
    const struct ppi_norm own = {w->mlp_own_norm, spec->norm_eps, spec->center};
    const struct ppi_norm experts = {w->expert_post_norm, spec->norm_eps, spec->center};
    const struct ppi_norm both = {w->mlp_post_norm, spec->norm_eps, spec->center};
    PP_TRY(gated(s, layer, h, n_rows, err));
    PP_TRY(s->ops->matmul(s->backend, s->workspace.wide, w->down, n_rows, &alone, t, err));
    PP_TRY(s->ops->norm_parts(s->backend, t, &own, n_rows, hidden, 1, hidden, err));
    PP_TRY(ppi_forward_norm(s, x, w->router_norm, n_rows, h, err));
    PP_TRY(route(s, layer, h, n_rows, err));
    PP_TRY(ppi_forward_norm(s, x, w->expert_norm, n_rows, h, err));
    PP_TRY(routed(s, layer, h, n_rows, 1, false, u, err));
    PP_TRY(s->ops->norm_add(s->backend, u, &experts, 1, n_rows, hidden, t, err));
    return s->ops->norm_add(s->backend, t, &both, spec->residual_scale, n_rows, hidden, x, err);
}

pp_status ppi_forward_mlp(struct pp_session *s, int32_t layer, int64_t n_rows, float *x, void *h,
                          pp_error *err)
{
    const struct ppi_layer_weights *w = &s->weights->layers[layer];
    const struct ppi_model_spec *spec = &s->model->spec;
    const struct ppi_layer_spec *of = &spec->layers[layer];
    if (!spec->parallel)
        PP_TRY(ppi_forward_norm(s, x, w->mlp_norm, n_rows, h, err)); /* h [rows, hidden] */
    if (of->has_experts && spec->experts.own_norms)
        return side_by_side(s, layer, n_rows, x, h, err);
    if (of->has_experts)
        return experts_block(s, layer, n_rows, x, h, err);
    PP_TRY(gated(s, layer, h, n_rows, err));
    return ppi_forward_add(s, s->workspace.wide, w->down, w->down_bias, w->mlp_post_norm, n_rows, x,
                           err); /* x += . Wdown^T */
}
