/*
 * measure_mixed.c: operations that only some models have: experts and the choice among them, and
 * what is between the two products of a linear layer.
 */
#include "measure/measure_impl.h"

#include <math.h>

/* ---- experts ---- */

/* Each row chooses by random logits, the same ones for every run and layer. */
static pp_status choose_at_random(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct ppi_workspace *ws = &session->workspace;
    const struct ppi_router router = ppi_layer_router(session, ppi_measure_layer(measure, 0));
    size_t bytes = (size_t)measure->n_rows * (size_t)router.n * sizeof(float);
    PP_TRY(ppi_measure_fill(session, ws->router, bytes, PP_DTYPE_F32, err));
    return session->ops->route(session->backend, &router, ws->router, measure->n_rows, &ws->routing,
                               err);
}

/* How many of the experts some of n rows are expected to choose. */
static double expected_experts(const struct ppi_experts_spec *experts, int64_t n)
{
    double share = (double)experts->top_k / experts->n;
    return experts->n * (1 - pow(1 - share, (double)n));
}

pp_status ppi_measure_prepare_experts(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_experts_spec *experts = &spec->experts;
    struct ppi_weights_wish wish = ppi_session_wish(session);
    int64_t rows = measure->n_rows, hidden = spec->hidden_size;
    int64_t in_row = hidden * (int64_t)pp_dtype_size(session->dtype);
    int64_t out_row = hidden * (int64_t)sizeof(float);
    int64_t stacks =
        ppi_weight_bytes(session->model, &wish, PPI_WEIGHT_EXPERT_GATE_UP, session->backend) +
        ppi_weight_bytes(session->model, &wish, PPI_WEIGHT_EXPERT_DOWN, session->backend);
    measure->flop = 2.0 * (double)rows * experts->top_k * 3 * (double)hidden *
                    (double)experts->intermediate_size;
    measure->bytes = (double)(rows * (in_row + 2 * out_row)) +
                     (double)stacks / experts->n * expected_experts(experts, rows);
    PP_TRY(choose_at_random(measure, err));
    int64_t room = ppi_round_up(rows, session->info.row_padding);
    return ppi_measure_operands(measure, (size_t)(room * in_row), session->dtype,
                                (size_t)(room * out_row), PP_DTYPE_F32, err);
}

pp_status ppi_measure_run_experts(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_experts experts = ppi_layer_experts(session, ppi_measure_layer(measure, i));
    return session->ops->experts(session->backend, &experts, &session->workspace.routing,
                                 ppi_ring_at(&measure->in, i), measure->n_rows,
                                 ppi_ring_at(&measure->out, i), err);
}

pp_status ppi_measure_prepare_route(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_experts_spec *experts = &spec->experts;
    struct ppi_weights_wish wish = ppi_session_wish(session);
    int64_t rows = measure->n_rows;
    int64_t in_row = spec->hidden_size * (int64_t)pp_dtype_size(session->dtype);
    int64_t room = ppi_round_up(rows, session->info.row_padding);
    /* logits are written and read, then numbers and weights of experts written */
    int64_t out_row = (2 * (int64_t)experts->n + 2 * (int64_t)experts->top_k) * 4;
    measure->flop = 2.0 * (double)rows * experts->n * spec->hidden_size;
    measure->bytes =
        (double)(rows * (in_row + out_row) +
                 ppi_weight_bytes(session->model, &wish, PPI_WEIGHT_ROUTER, session->backend));
    return ppi_measure_operands(measure, (size_t)(room * in_row), session->dtype,
                                (size_t)(room * experts->n) * sizeof(float), PP_DTYPE_F32, err);
}

pp_status ppi_measure_run_route(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    int32_t layer = ppi_measure_layer(measure, i);
    const struct ppi_layer_weights *w = &session->weights->layers[layer];
    const struct ppi_router router = ppi_layer_router(session, layer);
    const struct ppi_epilogue logits = {w->router_bias, session->model->spec.experts.router_scale,
                                        false};
    float *out = ppi_ring_at(&measure->out, i);
    PP_TRY(session->ops->matmul(session->backend, ppi_ring_at(&measure->in, i), w->router,
                                measure->n_rows, &logits, out, err));
    return session->ops->route(session->backend, &router, out, measure->n_rows,
                               &session->workspace.routing, err);
}

/* ---- linear layers ---- */

/* Of a token: the convolution; S times its decay, S^T k, S^T q and the update of S, of which Mamba
 * 2 needs no S^T k. */
static double flop_of_token(const struct ppi_linear_shape *shape)
{
    double s = (double)shape->n_v_heads * shape->k_dim * shape->v_dim;
    double conv = 2.0 * shape->conv_kernel * (double)ppi_linear_channels(shape);
    return conv + s * (shape->rule == PPI_LINEAR_DELTA ? 7 : 5);
}

static pp_status take_states(struct measure *measure, int64_t n, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    measure->state_bytes = spec->n_linear * ppi_linear_state_bytes(&spec->linear);
    measure->states_bytes = (size_t)(n * measure->state_bytes);
    measure->states = session->ops->alloc(session->backend, measure->states_bytes);
    if (measure->states)
        return PP_OK;
    return ppi_error(err, ppi_no_device_memory(&session->info),
                     "no memory for the states of %lld prompts (%zu bytes)", (long long)n,
                     measure->states_bytes);
}

pp_status ppi_measure_prepare_linear(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    int64_t rows = measure->n_rows, longest = spec->max_position;
    int64_t n_prompts = ppi_div_up(rows, longest);
    int64_t in_row = ppi_linear_row(&spec->linear) * (int64_t)sizeof(float);
    int64_t out_row = ppi_linear_v_size(&spec->linear) * (int64_t)pp_dtype_size(session->dtype);
    PP_TRY(take_states(measure, n_prompts, err));
    PP_TRY(ppi_measure_rows(measure, longest, err));
    measure->flop = (double)rows * flop_of_token(&spec->linear);
    measure->bytes =
        (double)(rows * (in_row + out_row) + n_prompts * ppi_linear_state_bytes(&spec->linear));
    return ppi_measure_operands(measure, (size_t)(rows * in_row), PP_DTYPE_F32,
                                (size_t)(rows * out_row), session->dtype, err);
}

pp_status ppi_measure_run_linear(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_linear linear = ppi_layer_linear(session, ppi_measure_layer(measure, i));
    return session->ops->linear(session->backend, &measure->pass, &linear,
                                ppi_ring_at(&measure->in, i), ppi_ring_at(&measure->out, i), err);
}
