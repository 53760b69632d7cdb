/*
 * identity.c: what tells one model from another, summed up: the spec field by field, the stored
 * tensors, and samples of their bytes, at places that follow from a tensor's size.
 */
#include "model/identity.h"

#include "checksum.h"

#include <prepack/kvcache_save.h>

#include <string.h>

#define SAMPLE_BYTES 128
#define N_SAMPLES    2 /* of each tensor: at a third and at two thirds */

static void add_integer(struct ppi_checksum *sum, int64_t value)
{
    ppi_checksum_add(sum, &value, sizeof value);
}

static void add_real(struct ppi_checksum *sum, double value)
{
    ppi_checksum_add(sum, &value, sizeof value);
}

static void add_factors(struct ppi_checksum *sum, const float *factors, int32_t n)
{
    add_integer(sum, factors ? n : 0);
    if (factors)
        ppi_checksum_add(sum, factors, (size_t)n * sizeof *factors);
}

static void add_rope(struct ppi_checksum *sum, const struct ppi_rope_spec *rope)
{
    add_integer(sum, rope->type);
    add_integer(sum, rope->rotary_dim);
    add_integer(sum, rope->exponent_dim);
    add_real(sum, rope->theta);
    add_real(sum, rope->factor);
    add_real(sum, rope->low_freq_factor);
    add_real(sum, rope->high_freq_factor);
    add_real(sum, rope->beta_fast);
    add_real(sum, rope->beta_slow);
    add_integer(sum, rope->truncate);
    add_real(sum, rope->magnitude);
    add_integer(sum, rope->original_max_position);
    if (rope->type == PP_ROPE_PROPORTIONAL)
        add_integer(sum, rope->n_turning);
    add_factors(sum, rope->short_factors, rope->rotary_dim / 2);
    add_factors(sum, rope->long_factors, rope->rotary_dim / 2);
}

static void add_spec(struct ppi_checksum *sum, const struct ppi_model_spec *spec)
{
    add_integer(sum, spec->hidden_size);
    add_integer(sum, spec->intermediate_size);
    add_integer(sum, spec->n_layers);
    add_integer(sum, spec->n_heads);
    add_integer(sum, spec->n_kv_heads);
    add_integer(sum, spec->head_dim);
    add_integer(sum, spec->qkv_bias);
    add_integer(sum, spec->o_bias);
    add_integer(sum, spec->mlp_bias);
    add_integer(sum, spec->parallel);
    add_integer(sum, spec->center);
    add_real(sum, spec->norm_eps);
    add_integer(sum, spec->qk_norm);
    add_integer(sum, spec->activation);
    add_integer(sum, spec->interleaved);
    add_real(sum, (double)spec->softmax_scale);
    add_real(sum, (double)spec->attn_softcap);
    add_real(sum, (double)spec->residual_scale);
    add_real(sum, spec->q_scale_beta);
    add_integer(sum, spec->q_scale_period);
    add_real(sum, spec->embed_scale);
    add_integer(sum, spec->embed_scale_rounds);
    add_integer(sum, spec->n_ropes);
    for (int32_t i = 0; i < spec->n_ropes; i++)
        add_rope(sum, &spec->ropes[i]);
    for (int32_t i = 0; i < spec->n_layers; i++) {
        add_integer(sum, spec->layers[i].window);
        add_integer(sum, spec->layers[i].i_rope);
    }
}

static void add_experts(struct ppi_checksum *sum, const struct ppi_experts_spec *experts)
{
    add_integer(sum, experts->n);
    add_integer(sum, experts->top_k);
    add_integer(sum, experts->intermediate_size);
    add_integer(sum, experts->shared_size);
    add_integer(sum, experts->scoring);
    add_integer(sum, experts->normalize);
    add_real(sum, (double)experts->sum_eps);
    add_real(sum, (double)experts->scale);
    add_real(sum, (double)experts->router_scale);
    add_integer(sum, experts->activation);
    add_real(sum, (double)experts->limit);
    add_real(sum, (double)experts->alpha);
    add_integer(sum, experts->own_norms);
}

static void add_linear(struct ppi_checksum *sum, const struct ppi_linear_shape *shape)
{
    add_integer(sum, shape->rule);
    add_integer(sum, shape->n_k_heads);
    add_integer(sum, shape->n_v_heads);
    add_integer(sum, shape->k_dim);
    add_integer(sum, shape->v_dim);
    add_integer(sum, shape->conv_kernel);
    add_integer(sum, shape->norm_groups);
    add_real(sum, (double)shape->dt_min);
    add_real(sum, (double)shape->dt_max);
}

/* A layer that is not attention with keys of its own, in the model's shapes, and a dense MLP. */
static void add_other_layer(struct ppi_checksum *sum, const struct ppi_model_spec *spec, int32_t i)
{
    const struct ppi_layer_spec *layer = &spec->layers[i];
    if (layer->kind == PPI_LAYER_ATTENTION && layer->n_kv_heads == spec->n_kv_heads &&
        layer->head_dim == spec->head_dim && layer->kv_layer == i && !layer->v_is_k &&
        layer->mlp_size == spec->intermediate_size && !layer->has_experts)
        return;
    add_integer(sum, i);
    add_integer(sum, layer->kind);
    add_integer(sum, layer->n_kv_heads);
    add_integer(sum, layer->head_dim);
    add_integer(sum, layer->kv_layer);
    add_integer(sum, layer->v_is_k);
    add_integer(sum, layer->mlp_size);
    add_integer(sum, layer->has_experts);
}

/* What most models have not. It is added where it is there, so that theirs stays what it was. */
static void add_rest(struct ppi_checksum *sum, const struct ppi_model_spec *spec)
{
    int64_t flags = (int64_t)spec->attn_gate | (int64_t)spec->sinks << 1 |
                    (int64_t)spec->v_norm << 2 | (int64_t)spec->layer_scale << 3;
    if (flags)
        add_integer(sum, flags);
    if (spec->layer_input_size > 0)
        add_integer(sum, spec->layer_input_size);
    if (spec->experts.n > 0)
        add_experts(sum, &spec->experts);
    if (spec->n_linear > 0)
        add_linear(sum, &spec->linear);
    for (int32_t i = 0; i < spec->n_layers; i++)
        add_other_layer(sum, spec, i);
}

static pp_status add_stored(struct ppi_checksum *sum, const struct ppi_stored *stored,
                            pp_error *err)
{
    const struct ppi_stored_entry *entry = stored->entry;
    unsigned char sample[SAMPLE_BYTES];
    if (!entry)
        return PP_OK;
    ppi_checksum_add(sum, entry->dtype_name, strlen(entry->dtype_name) + 1);
    for (int32_t i = 0; i < entry->rank; i++)
        add_integer(sum, entry->shape[i]);
    int64_t bytes = entry->end - entry->begin, n = bytes < SAMPLE_BYTES ? bytes : SAMPLE_BYTES;
    for (int64_t i = 1; i <= N_SAMPLES; i++) {
        PP_TRY(ppi_stored_read_bytes(stored, (bytes - n) / (N_SAMPLES + 1) * i, n, sample, err));
        ppi_checksum_add(sum, sample, (size_t)n);
    }
    return PP_OK;
}

/* Of several tensors those at a third and at two thirds. */
static pp_status add_rule(struct ppi_checksum *sum, const pp_model *model, int32_t i_rule,
                          int32_t layer, pp_error *err)
{
    const struct ppi_tensors *tensors = &model->tensors;
    const struct ppi_rule_at at = ppi_tensors_rule(tensors, &model->spec, i_rule, layer);
    int64_t n = ppi_rule_n_tensors(&at);
    if (n == 1)
        return add_stored(sum, ppi_tensors_place(tensors, i_rule, layer), err);
    for (int32_t i = 1; i <= N_SAMPLES; i++) {
        int32_t i_tensor = (int32_t)(n * i / (N_SAMPLES + 1));
        PP_TRY(add_stored(sum, ppi_tensors_place_of(tensors, i_rule, layer, i_tensor), err));
    }
    return PP_OK;
}

static pp_status add_tensors(struct ppi_checksum *sum, const pp_model *model, pp_error *err)
{
    const struct ppi_tensors *tensors = &model->tensors;
    for (int32_t i = 0; i < tensors->n_rules; i++) {
        const struct ppi_tensor_rule *rule = &tensors->rules[i];
        if (rule->weight == PPI_WEIGHT_LM_HEAD || rule->weight == PPI_WEIGHT_FINAL_NORM)
            continue;
        bool in_layer = ppi_weight_kinds[rule->weight].in_layer;
        for (int32_t layer = 0; layer < (in_layer ? model->spec.n_layers : 1); layer++) {
            if (!ppi_rule_holds(rule, &model->spec, layer))
                continue;
            add_integer(sum, rule->weight);
            add_integer(sum, rule->part);
            PP_TRY(add_rule(sum, model, i, layer, err));
        }
    }
    return PP_OK;
}

pp_status ppi_model_identity(const pp_model *model, uint64_t *identity, pp_error *err)
{
    struct ppi_checksum sum;
    ppi_checksum_begin(&sum);
    add_spec(&sum, &model->spec);
    add_rest(&sum, &model->spec);
    add_integer(&sum, model->is_random);
    if (model->is_random) {
        ppi_checksum_add(&sum, &model->tensors.seed, sizeof model->tensors.seed);
        add_integer(&sum, model->tensors.random_dtype);
        add_integer(&sum, model->spec.vocab_size);
    } else {
        PP_TRY(add_tensors(&sum, model, err));
    }
    *identity = ppi_checksum_end(&sum);
    return PP_OK;
}

pp_status pp_model_identity(const pp_model *model, uint64_t *identity, pp_error *err)
{
    if (!model || !identity)
        return ppi_error(err, PP_ERR_ARG, "pp_model_identity: %s is NULL",
                         model ? "identity" : "model");
    return ppi_model_identity(model, identity, err);
}
