/*
 * measure_ops.c: the operations that can be measured: their operands, their floating point
 * operations, the bytes they must move, and one run of each. Those of experts and of linear layers
 * are in measure_mixed.c.
 */
#include "measure/measure_impl.h"

#define COPY_BYTES ((size_t)64 << 20)

/* Dimensions that the formulas below share. */
struct dims {
    int64_t hidden, q_dim, kv_dim, intermediate, vocab, head_dim;
    int64_t head_rows; /* of the matrix behind the last norm */
    int64_t act;       /* bytes of an activation */
};

static struct dims dims_of(const struct measure *measure)
{
    const struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_layer_spec *layer = &spec->layers[ppi_measure_layer(measure, 0)];
    return (struct dims){.hidden = spec->hidden_size,
                         .q_dim = (int64_t)spec->n_heads * layer->head_dim,
                         .kv_dim = (int64_t)layer->n_kv_heads * layer->head_dim,
                         .intermediate = layer->mlp_size,
                         .vocab = spec->vocab_size,
                         .head_dim = layer->head_dim,
                         .head_rows = spec->n_labels > 0 ? spec->n_labels : spec->vocab_size,
                         .act = (int64_t)pp_dtype_size(session->dtype)};
}

/* ---- products ---- */

/* Rows of the matrix, all of them, and its columns. */
static void product_shape(const struct measure *measure, int64_t *n, int64_t *k)
{
    struct dims d = dims_of(measure);
    const struct ppi_linear_shape *linear = &measure->session->model->spec.linear;
    switch (measure->params->operation) {
    case PP_MEASURE_QKV:
        *n = d.q_dim + 2 * d.kv_dim, *k = d.hidden;
        return;
    case PP_MEASURE_O:
        *n = d.hidden, *k = d.q_dim;
        return;
    case PP_MEASURE_GATE_UP:
        *n = 2 * d.intermediate, *k = d.hidden;
        return;
    case PP_MEASURE_DOWN:
        *n = d.hidden, *k = d.intermediate;
        return;
    case PP_MEASURE_LINEAR_IN:
        *n = ppi_linear_row(linear), *k = d.hidden;
        return;
    case PP_MEASURE_LINEAR_OUT:
        *n = d.hidden, *k = ppi_linear_v_size(linear);
        return;
    default:
        *n = d.head_rows, *k = d.hidden;
        return;
    }
}

const struct ppi_matrix *ppi_measure_weights(const struct measure *measure, int64_t i)
{
    const struct ppi_weights *weights = measure->session->weights;
    const struct ppi_layer_weights *layer = &weights->layers[ppi_measure_layer(measure, i)];
    switch (measure->params->operation) {
    case PP_MEASURE_QKV:
        return layer->qkv;
    case PP_MEASURE_O:
        return layer->o;
    case PP_MEASURE_GATE_UP:
        return layer->gate_up;
    case PP_MEASURE_DOWN:
        return layer->down;
    case PP_MEASURE_LINEAR_IN:
        return layer->linear_in;
    case PP_MEASURE_LINEAR_OUT:
        return layer->linear_out;
    default:
        return weights->lm_head;
    }
}

/* Of the matrix of a product, as it is kept. */
static int64_t weight_bytes(const struct measure *measure)
{
    static const enum ppi_weight weights[] = {[PP_MEASURE_QKV] = PPI_WEIGHT_QKV,
                                              [PP_MEASURE_O] = PPI_WEIGHT_O,
                                              [PP_MEASURE_GATE_UP] = PPI_WEIGHT_GATE_UP,
                                              [PP_MEASURE_DOWN] = PPI_WEIGHT_DOWN,
                                              [PP_MEASURE_LM_HEAD] = PPI_WEIGHT_LM_HEAD,
                                              [PP_MEASURE_LINEAR_IN] = PPI_WEIGHT_LINEAR_IN,
                                              [PP_MEASURE_LINEAR_OUT] = PPI_WEIGHT_LINEAR_OUT};
    const struct pp_session *session = measure->session;
    struct ppi_weights_wish wish = ppi_session_wish(session);
    return ppi_weight_bytes(session->model, &wish, weights[measure->params->operation],
                            session->backend);
}

bool ppi_measure_accumulates(const struct measure *measure)
{
    int32_t operation = measure->params->operation;
    return operation == PP_MEASURE_O || operation == PP_MEASURE_DOWN ||
           operation == PP_MEASURE_LINEAR_OUT;
}

static pp_status prepare_product(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct dims d = dims_of(measure);
    int64_t n, k, rows = measure->n_rows;
    int64_t room = ppi_round_up(rows, session->info.row_padding);
    product_shape(measure, &n, &k);
    bool is_gated = measure->params->operation == PP_MEASURE_GATE_UP;
    int64_t out_bytes = is_gated ? n / 2 * d.act : n * (int64_t)sizeof(float); /* of a row */
    measure->flop = 2.0 * (double)rows * (double)n * (double)k;
    measure->bytes = (double)(rows * k * d.act + weight_bytes(measure)) +
                     (double)(rows * out_bytes) * (ppi_measure_accumulates(measure) ? 2 : 1);
    if (measure->params->unguarded)
        out_bytes = n * (int64_t)sizeof(float); /* product_times wants it */
    return ppi_measure_operands(measure, (size_t)(room * k * d.act), session->dtype,
                                (size_t)(room * out_bytes),
                                is_gated ? session->dtype : PP_DTYPE_F32, err);
}

static pp_status run_product(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_epilogue epilogue = {NULL, 1, ppi_measure_accumulates(measure)};
    return session->ops->matmul(session->backend, ppi_ring_at(&measure->in, i),
                                ppi_measure_weights(measure, i), measure->n_rows, &epilogue,
                                ppi_ring_at(&measure->out, i), err);
}

static pp_status run_gate_up(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    return session->ops->gate_up(
        session->backend, ppi_ring_at(&measure->in, i), ppi_measure_weights(measure, i), NULL,
        session->model->spec.activation, measure->n_rows, ppi_ring_at(&measure->out, i), err);
}

/* ---- attention ---- */

/* Pairs of a row and a position it sees, for rows `begin` .. length - 1 of a prompt. */
static double seen_pairs(int64_t begin, int64_t length, int64_t window)
{
    double pairs = 0;
    for (int64_t p = begin; p < length; p++)
        pairs += (double)(window > 0 && p + 1 > window ? window : p + 1);
    return pairs;
}

/* Positions that some row of `begin` .. length - 1 sees. */
static int64_t seen_keys(int64_t begin, int64_t length, int64_t window)
{
    int64_t first = window > 0 && begin + 1 > window ? begin + 1 - window : 0;
    return length - first;
}

static pp_status prepare_attention_of(struct measure *measure, bool last_only, pp_error *err)
{
    struct pp_session *session = measure->session;
    const pp_measure_params *params = measure->params;
    struct dims d = dims_of(measure);
    const struct ppi_model_spec *spec = &session->model->spec;
    double pairs = 0, keys = 0, n_layers = ppi_measure_n_layers(measure); /* of a layer on average:
                                                               windows may differ */
    PP_TRY((last_only ? ppi_measure_last_tokens : ppi_measure_prompts)(measure, params->lengths,
                                                                       params->n_prompts, err));
    for (int64_t i = 0; i < params->n_prompts; i++) {
        int64_t begin = last_only ? params->lengths[i] - 1 : 0;
        for (int32_t layer = 0; layer < spec->n_layers; layer++) {
            if (!ppi_measure_has_layer(measure, layer))
                continue;
            int64_t window = spec->layers[layer].window;
            pairs += seen_pairs(begin, params->lengths[i], window) / n_layers;
            keys += (double)seen_keys(begin, params->lengths[i], window) / n_layers;
        }
    }
    measure->flop = 4 * pairs * (double)d.q_dim; /* q k^T and the sum of v, 2 each */
    measure->bytes =
        ((double)(2 * measure->n_rows * d.q_dim) + 2 * keys * (double)d.kv_dim) * (double)d.act;
    size_t q_bytes = (size_t)(measure->n_rows * d.q_dim * d.act);
    return ppi_measure_operands(measure, q_bytes, session->dtype, q_bytes, session->dtype, err);
}

static pp_status prepare_attention(struct measure *measure, pp_error *err)
{
    return prepare_attention_of(measure, false, err);
}

static pp_status prepare_decode(struct measure *measure, pp_error *err)
{
    return prepare_attention_of(measure, true, err);
}

static pp_status run_attention(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_attention attention =
        ppi_layer_attention(session, ppi_measure_layer(measure, i));
    return session->ops->attention(session->backend, &measure->pass, &attention,
                                   ppi_ring_at(&measure->in, i), ppi_ring_at(&measure->out, i),
                                   err);
}

/* ---- rows ---- */

static pp_status prepare_embed(struct measure *measure, pp_error *err)
{
    struct dims d = dims_of(measure);
    int64_t row = d.hidden * (int64_t)sizeof(float);
    PP_TRY(ppi_measure_rows(measure, PPI_MEASURE_SHORT, err));
    measure->bytes = (double)(measure->n_rows * (d.hidden * d.act + row));
    return ppi_measure_operands(measure, 1, PP_DTYPE_F32, (size_t)(measure->n_rows * row),
                                PP_DTYPE_F32, err);
}

static pp_status run_embed(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    return session->ops->embed(session->backend, session->weights->embed, &measure->pass, 1,
                               ppi_ring_at(&measure->out, i), err);
}

static pp_status prepare_rmsnorm(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct dims d = dims_of(measure);
    int64_t in = measure->n_rows * d.hidden * (int64_t)sizeof(float);
    int64_t out = measure->n_rows * d.hidden * d.act;
    measure->bytes = (double)(in + out + d.hidden * (int64_t)sizeof(float));
    return ppi_measure_operands(measure, (size_t)in, PP_DTYPE_F32, (size_t)out, session->dtype,
                                err);
}

static pp_status run_rmsnorm(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_model_spec *spec = &session->model->spec;
    const struct ppi_layer_weights *layer =
        &session->weights->layers[ppi_measure_layer(measure, i)];
    /* every model has one of the two */
    const struct ppi_norm norm = {layer->attn_norm ? layer->attn_norm : layer->attn_post_norm,
                                  spec->norm_eps, spec->center};
    return session->ops->norm(session->backend, ppi_ring_at(&measure->in, i), &norm,
                              measure->n_rows, spec->hidden_size, ppi_ring_at(&measure->out, i),
                              err);
}

static pp_status prepare_rope_kv(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct dims d = dims_of(measure);
    PP_TRY(ppi_measure_rows(measure, PPI_MEASURE_SHORT, err));
    int64_t in = measure->n_rows * (d.q_dim + 2 * d.kv_dim) * (int64_t)sizeof(float);
    int64_t written = measure->n_rows * (d.q_dim + 2 * d.kv_dim) * d.act;
    measure->bytes = (double)(in + written);
    return ppi_measure_operands(measure, (size_t)in, PP_DTYPE_F32,
                                (size_t)(measure->n_rows * d.q_dim * d.act), session->dtype, err);
}

static pp_status run_rope_kv(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    const struct ppi_rope rope = ppi_layer_rope(session, ppi_measure_layer(measure, i));
    return session->ops->rope_kv(session->backend, &measure->pass, &rope,
                                 ppi_ring_at(&measure->in, i), ppi_ring_at(&measure->out, i), err);
}

/* A permutation: every row is read once, in no order that a prefetcher follows. */
static pp_status make_source_rows(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    int64_t n = measure->n_rows;
    measure->source_rows = ppi_alloc(&session->mem, (size_t)n, sizeof(int32_t));
    if (!measure->source_rows)
        return ppi_error_nomem(err, "rows to gather", (size_t)n * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++)
        measure->source_rows[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)((uint64_t)i * 0x9e3779b97f4a7c15u >> 33) % (i + 1);
        int32_t row = measure->source_rows[i];
        measure->source_rows[i] = measure->source_rows[j];
        measure->source_rows[j] = row;
    }
    return PP_OK;
}

static pp_status prepare_gather(struct measure *measure, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct dims d = dims_of(measure);
    PP_TRY(make_source_rows(measure, err));
    PP_TRY(ppi_measure_rows(measure, PPI_MEASURE_SHORT, err));
    measure->pass.source_rows = measure->source_rows;
    PP_TRY(session->ops->pass_begin(session->backend, &measure->pass, err));
    size_t bytes = (size_t)(measure->n_rows * d.hidden) * sizeof(float);
    measure->bytes = 2.0 * (double)bytes;
    return ppi_measure_operands(measure, bytes, PP_DTYPE_F32, bytes, PP_DTYPE_F32, err);
}

static pp_status run_gather(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    size_t row_bytes = (size_t)session->model->spec.hidden_size * sizeof(float);
    return session->ops->gather_rows(session->backend, ppi_ring_at(&measure->in, i), &measure->pass,
                                     row_bytes, ppi_ring_at(&measure->out, i), err);
}

static pp_status prepare_sample(struct measure *measure, pp_error *err)
{
    struct dims d = dims_of(measure);
    size_t bytes = (size_t)(measure->n_rows * d.vocab) * sizeof(float);
    measure->bytes = (double)bytes;
    return ppi_measure_operands(measure, bytes, PP_DTYPE_F32, 1, PP_DTYPE_F32, err);
}

static pp_status run_sample(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    struct ppi_draw draws[PPI_LOGIT_ROWS];
    int32_t tokens[PPI_LOGIT_ROWS];
    for (int32_t row = 0; row < measure->n_rows; row++)
        draws[row] = (struct ppi_draw){.temperature = 1, .top_p = 1, .position = row};
    return session->ops->sample(session->backend, ppi_ring_at(&measure->in, i), measure->n_rows,
                                session->model->spec.vocab_size, draws, tokens, err);
}

/* ---- copying ---- */

static pp_status prepare_copy(struct measure *measure, pp_error *err)
{
    measure->bytes = 2.0 * COPY_BYTES;
    return ppi_measure_operands(measure, COPY_BYTES, PP_DTYPE_F32, COPY_BYTES, PP_DTYPE_F32, err);
}

static pp_status run_copy(const struct measure *measure, int64_t i, pp_error *err)
{
    struct pp_session *session = measure->session;
    return session->ops->copy(session->backend, ppi_ring_at(&measure->out, i),
                              ppi_ring_at(&measure->in, i), COPY_BYTES, err);
}

const struct measure_operation *ppi_measure_find(int32_t operation)
{
    static const struct measure_operation operations[] = {
        [PP_MEASURE_QKV] = {"qkv", true, prepare_product, run_product},
        [PP_MEASURE_O] = {"o", true, prepare_product, run_product},
        [PP_MEASURE_GATE_UP] = {"gate_up", true, prepare_product, run_gate_up},
        [PP_MEASURE_DOWN] = {"down", true, prepare_product, run_product},
        [PP_MEASURE_LM_HEAD] = {"lm_head", true, prepare_product, run_product},
        [PP_MEASURE_ATTENTION] = {"attention", false, prepare_attention, run_attention},
        [PP_MEASURE_DECODE] = {"decode", false, prepare_decode, run_attention},
        [PP_MEASURE_EMBED] = {"embed", false, prepare_embed, run_embed},
        [PP_MEASURE_RMSNORM] = {"rmsnorm", false, prepare_rmsnorm, run_rmsnorm},
        [PP_MEASURE_ROPE_KV] = {"rope_kv", false, prepare_rope_kv, run_rope_kv},
        [PP_MEASURE_GATHER] = {"gather", false, prepare_gather, run_gather},
        [PP_MEASURE_SAMPLE] = {"sample", false, prepare_sample, run_sample},
        [PP_MEASURE_COPY] = {"copy", false, prepare_copy, run_copy},
        [PP_MEASURE_EXPERTS] = {"experts", false, ppi_measure_prepare_experts,
                                ppi_measure_run_experts},
        [PP_MEASURE_ROUTE] = {"route", false, ppi_measure_prepare_route, ppi_measure_run_route},
        [PP_MEASURE_LINEAR] = {"linear", false, ppi_measure_prepare_linear, ppi_measure_run_linear},
        [PP_MEASURE_LINEAR_IN] = {"linear_in", true, prepare_product, run_product},
        [PP_MEASURE_LINEAR_OUT] = {"linear_out", true, prepare_product, run_product},
    };
    if (operation < 1 || (size_t)operation >= PPI_COUNT(operations))
        return NULL;
    return &operations[operation];
}
