/*
 * tensor_rules.c: the fields that weights go to, their shapes and stored names.
 */
#include "model/tensor_rules.h"
#include "model/model_impl.h"

#include <stdio.h>
#include <string.h>

#define OUTER(field)    false, PPI_OF_ANY, offsetof(struct ppi_weights, field)
#define OF(what, field) true, PPI_OF_##what, offsetof(struct ppi_layer_weights, field)
#define NORM(where)                                                                                \
    {                                                                                              \
        PPI_MEANS_NORM, false, PPI_MATRIX_VECTOR, where                                            \
    }
#define PLAIN_NORM(where)                                                                          \
    {                                                                                              \
        PPI_MEANS_NORM, true, PPI_MATRIX_VECTOR, where                                             \
    }
#define BIAS(where)                                                                                \
    {                                                                                              \
        PPI_MEANS_BIAS, false, PPI_MATRIX_VECTOR, where                                            \
    }
#define MATRIX(as, where)                                                                          \
    {                                                                                              \
        PPI_MEANS_MATRIX, false, PPI_MATRIX_##as, where                                            \
    }
/* Numbers that are neither. */
#define VALUES BIAS

const struct ppi_weight_kind ppi_weight_kinds[PPI_N_WEIGHTS] = {
    [PPI_WEIGHT_EMBED] = MATRIX(TABLE, OUTER(embed)),
    [PPI_WEIGHT_FINAL_NORM] = NORM(OUTER(final_norm)),
    [PPI_WEIGHT_LM_HEAD] = MATRIX(LINEAR, OUTER(lm_head)),
    [PPI_WEIGHT_LAYER_TABLE] = MATRIX(TABLE, OUTER(layer_table)),
    [PPI_WEIGHT_LAYER_PROJECTION] = MATRIX(LINEAR, OUTER(layer_projection)),
    [PPI_WEIGHT_LAYER_PROJECTION_NORM] = NORM(OUTER(layer_projection_norm)),
    [PPI_WEIGHT_ATTN_NORM] = NORM(OF(ANY, attn_norm)),
    [PPI_WEIGHT_QKV] = MATRIX(LINEAR, OF(ATTENTION, qkv)),
    [PPI_WEIGHT_QKV_BIAS] = BIAS(OF(ATTENTION, qkv_bias)),
    [PPI_WEIGHT_Q_NORM] = NORM(OF(ATTENTION, q_norm)),
    [PPI_WEIGHT_K_NORM] = NORM(OF(ATTENTION, k_norm)),
    [PPI_WEIGHT_O] = MATRIX(LINEAR, OF(ATTENTION, o)),
    [PPI_WEIGHT_O_BIAS] = BIAS(OF(ATTENTION, o_bias)),
    [PPI_WEIGHT_ATTN_POST_NORM] = NORM(OF(ANY, attn_post_norm)),
    [PPI_WEIGHT_MLP_NORM] = NORM(OF(ANY, mlp_norm)),
    [PPI_WEIGHT_GATE_UP] = MATRIX(GATE_UP, OF(MLP, gate_up)),
    [PPI_WEIGHT_GATE_UP_BIAS] = BIAS(OF(MLP, gate_up_bias)),
    [PPI_WEIGHT_DOWN] = MATRIX(LINEAR, OF(MLP, down)),
    [PPI_WEIGHT_DOWN_BIAS] = BIAS(OF(MLP, down_bias)),
    [PPI_WEIGHT_MLP_POST_NORM] = NORM(OF(ANY, mlp_post_norm)),
    [PPI_WEIGHT_V_NORM] = NORM(OF(ATTENTION, v_norm)),
    [PPI_WEIGHT_ATTN_GATE] = MATRIX(LINEAR, OF(ATTENTION, attn_gate)),
    [PPI_WEIGHT_SINKS] = VALUES(OF(ATTENTION, sinks)),
    [PPI_WEIGHT_LINEAR_IN] = MATRIX(LINEAR, OF(LINEAR, linear_in)),
    [PPI_WEIGHT_LINEAR_IN_BIAS] = BIAS(OF(LINEAR, linear_in_bias)),
    [PPI_WEIGHT_LINEAR_CONV] = VALUES(OF(LINEAR, linear_conv)),
    [PPI_WEIGHT_LINEAR_CONV_BIAS] = BIAS(OF(LINEAR, linear_conv_bias)),
    [PPI_WEIGHT_LINEAR_A_LOG] = VALUES(OF(LINEAR, linear_a_log)),
    [PPI_WEIGHT_LINEAR_DT_BIAS] = VALUES(OF(LINEAR, linear_dt_bias)),
    [PPI_WEIGHT_LINEAR_D] = VALUES(OF(LINEAR, linear_d)),
    [PPI_WEIGHT_LINEAR_NORM] = PLAIN_NORM(OF(LINEAR, linear_norm)),
    [PPI_WEIGHT_LINEAR_OUT] = MATRIX(LINEAR, OF(LINEAR, linear_out)),
    [PPI_WEIGHT_LINEAR_OUT_BIAS] = BIAS(OF(LINEAR, linear_out_bias)),
    [PPI_WEIGHT_ROUTER] = MATRIX(LINEAR, OF(EXPERTS, router)),
    [PPI_WEIGHT_ROUTER_NORM] = NORM(OF(EXPERTS, router_norm)),
    [PPI_WEIGHT_ROUTER_BIAS] = BIAS(OF(EXPERTS, router_bias)),
    [PPI_WEIGHT_ROUTER_CORRECTION] = VALUES(OF(EXPERTS, router_correction)),
    [PPI_WEIGHT_EXPERT_SCALE] = VALUES(OF(EXPERTS, expert_scale)),
    [PPI_WEIGHT_EXPERT_GATE_UP] = MATRIX(GATE_UP, OF(EXPERTS, expert_gate_up)),
    [PPI_WEIGHT_EXPERT_GATE_UP_BIAS] = BIAS(OF(EXPERTS, expert_gate_up_bias)),
    [PPI_WEIGHT_EXPERT_DOWN] = MATRIX(LINEAR, OF(EXPERTS, expert_down)),
    [PPI_WEIGHT_EXPERT_DOWN_BIAS] = BIAS(OF(EXPERTS, expert_down_bias)),
    [PPI_WEIGHT_SHARED_GATE_UP] = MATRIX(GATE_UP, OF(EXPERTS, shared_gate_up)),
    [PPI_WEIGHT_SHARED_DOWN] = MATRIX(LINEAR, OF(EXPERTS, shared_down)),
    [PPI_WEIGHT_SHARED_GATE] = MATRIX(LINEAR, OF(EXPERTS, shared_gate)),
    [PPI_WEIGHT_MLP_OWN_NORM] = NORM(OF(EXPERTS, mlp_own_norm)),
    [PPI_WEIGHT_EXPERT_NORM] = NORM(OF(EXPERTS, expert_norm)),
    [PPI_WEIGHT_EXPERT_POST_NORM] = NORM(OF(EXPERTS, expert_post_norm)),
    [PPI_WEIGHT_LAYER_INPUT_GATE] = MATRIX(LINEAR, OF(ANY, layer_input_gate)),
    [PPI_WEIGHT_LAYER_INPUT_UP] = MATRIX(LINEAR, OF(ANY, layer_input_up)),
    [PPI_WEIGHT_LAYER_INPUT_NORM] = NORM(OF(ANY, layer_input_norm)),
    [PPI_WEIGHT_LAYER_SCALE] = VALUES(OF(ANY, layer_scale)),
};

/* Whether a layer has what the weight is of. */
static bool layer_has(enum ppi_of of, const struct ppi_layer_spec *layer)
{
    switch (of) {
    case PPI_OF_ATTENTION:
        return layer->kind == PPI_LAYER_ATTENTION;
    case PPI_OF_LINEAR:
        return layer->kind == PPI_LAYER_LINEAR;
    case PPI_OF_MLP:
        return layer->mlp_size > 0;
    case PPI_OF_EXPERTS:
        return layer->has_experts;
    default:
        return true;
    }
}

/* Keys and values of a layer that sees another's are that one's. */
static bool part_is_there(const struct ppi_tensor_rule *rule, const struct ppi_layer_spec *layer,
                          int32_t number)
{
    bool keys = rule->weight == PPI_WEIGHT_K_NORM || rule->weight == PPI_WEIGHT_V_NORM;
    if (rule->weight == PPI_WEIGHT_QKV || rule->weight == PPI_WEIGHT_QKV_BIAS)
        keys = rule->part == PPI_PART_K || rule->part == PPI_PART_V;
    return !keys || layer->kv_layer == number;
}

bool ppi_rule_is_of_other_keys(const struct ppi_tensor_rule *rule,
                               const struct ppi_model_spec *spec, int32_t layer)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    return of->kind == PPI_LAYER_ATTENTION && !part_is_there(rule, of, layer);
}

bool ppi_weight_has_codes(enum ppi_weight weight)
{
    switch (weight) {
    case PPI_WEIGHT_ROUTER:
    case PPI_WEIGHT_SHARED_GATE:
    case PPI_WEIGHT_LAYER_INPUT_GATE:
    case PPI_WEIGHT_LAYER_INPUT_UP:
        return false;
    default:
        return ppi_weight_kinds[weight].meaning == PPI_MEANS_MATRIX;
    }
}

int32_t ppi_experts_form(const struct ppi_tensor_rule *rules, enum ppi_when wish)
{
    int32_t first = PPI_ALWAYS;
    for (; rules->name; rules++) {
        if (rules->weight != PPI_WEIGHT_EXPERT_GATE_UP)
            continue;
        if (rules->when == wish)
            return (int32_t)wish;
        first = first == PPI_ALWAYS ? (int32_t)rules->when : first;
    }
    return first;
}

/* Of weights that a class has or has not, as keys say. */
static bool weight_is_there(enum ppi_weight weight, const struct ppi_model_spec *spec)
{
    switch (weight) {
    case PPI_WEIGHT_Q_NORM:
    case PPI_WEIGHT_K_NORM:
        return spec->qk_norm != PPI_QK_NORM_NONE;
    case PPI_WEIGHT_SHARED_GATE_UP:
    case PPI_WEIGHT_SHARED_DOWN:
    case PPI_WEIGHT_SHARED_GATE:
        return spec->experts.shared_size > 0;
    default:
        return true;
    }
}

bool ppi_rule_holds(const struct ppi_tensor_rule *rule, const struct ppi_model_spec *spec,
                    int32_t layer)
{
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
    const struct ppi_layer_spec *of = &spec->layers[layer];
    if (!weight_is_there(rule->weight, spec) ||
        (kind->in_layer && (!layer_has(kind->of, of) || !part_is_there(rule, of, layer))))
        return false;
    switch (rule->when) {
    case PPI_WHEN_HEAD:
        return spec->has_lm_head || spec->n_labels > 0;
    case PPI_WHEN_QKV_BIAS:
        return spec->qkv_bias;
    case PPI_WHEN_O_BIAS:
        return spec->o_bias;
    case PPI_WHEN_MLP_BIAS:
        return spec->mlp_bias;
    case PPI_WHEN_V:
        return !of->v_is_k;
    case PPI_WHEN_V_IS_K:
        return of->v_is_k;
    case PPI_WHEN_LINEAR_BIAS:
        return spec->linear_bias;
    case PPI_WHEN_CONV_BIAS:
        return spec->conv_bias;
    case PPI_WHEN_LAYER_INPUTS:
        return spec->layer_input_size > 0;
    case PPI_WHEN_EXPERTS_SINGLE:
    case PPI_WHEN_EXPERTS_FUSED:
    case PPI_WHEN_EXPERTS_PACKED:
        return spec->experts.files == (int32_t)rule->when;
    case PPI_WHEN_EXPERT_BIAS:
        return spec->experts.biases;
    default:
        return true;
    }
}

bool ppi_rule_names_each(const struct ppi_tensor_rule *rule)
{
    return strstr(rule->name, "%d") != NULL;
}

int32_t ppi_rule_n_parts(const struct ppi_tensor_rule *rule)
{
    int32_t n = 1;
    while (rule[n].name && rule[n].weight == rule->weight)
        n++;
    return n;
}

int32_t ppi_rules_count(const struct ppi_tensor_rule *rules)
{
    int32_t n = 0;
    while (rules[n].name)
        n++;
    return n;
}

/* ---- shapes ---- */

/* Rows of q, k and v of attention. */
static int64_t attention_rows(const struct ppi_model_spec *spec, int32_t layer, enum ppi_part part)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    int64_t q = (int64_t)spec->n_heads * of->head_dim, kv = (int64_t)of->n_kv_heads * of->head_dim;
    if (part == PPI_PART_Q)
        return q;
    if (part == PPI_PART_K || part == PPI_PART_V)
        return kv;
    return of->kv_layer == layer ? q + 2 * kv : q;
}

/* Of what a linear layer projects to, or of its channels. */
static int64_t linear_rows(const struct ppi_linear_shape *shape, enum ppi_part part, int64_t all)
{
    switch (part) {
    case PPI_PART_Q:
    case PPI_PART_K:
        return ppi_linear_k_size(shape);
    case PPI_PART_V:
    case PPI_PART_Z:
        return ppi_linear_v_size(shape);
    case PPI_PART_A:
    case PPI_PART_B:
        return shape->n_v_heads;
    case PPI_PART_QKV:
        return ppi_linear_channels(shape);
    default:
        return all;
    }
}

/* Of gate and up; one of the two is half. */
static int64_t gated_rows(enum ppi_part part, int64_t size)
{
    return part == PPI_PART_GATE || part == PPI_PART_UP ? size : 2 * size;
}

void ppi_part_shape(const struct ppi_model_spec *spec, int32_t layer, enum ppi_weight weight,
                    enum ppi_part part, int64_t *n_rows, int64_t *n_cols)
{
    const struct ppi_layer_spec *of = &spec->layers[layer];
    const struct ppi_experts_spec *experts = &spec->experts;
    const struct ppi_linear_shape *linear = &spec->linear;
    int64_t head_dim = of->head_dim, hidden = spec->hidden_size;
    bool whole = spec->qk_norm == PPI_QK_NORM_WHOLE;
    int64_t rows = 1, cols = hidden; /* most vectors */
    switch (weight) {
    case PPI_WEIGHT_EMBED:
        rows = spec->vocab_size;
        break;
    case PPI_WEIGHT_LM_HEAD:
        rows = spec->n_labels > 0 ? spec->n_labels : spec->vocab_size;
        break;
    case PPI_WEIGHT_LAYER_TABLE:
        rows = spec->layer_input_vocab;
        cols = (int64_t)spec->n_layers * spec->layer_input_size;
        break;
    case PPI_WEIGHT_LAYER_PROJECTION:
        rows = (int64_t)spec->n_layers * spec->layer_input_size;
        break;
    case PPI_WEIGHT_LAYER_PROJECTION_NORM:
        cols = spec->layer_input_size;
        break;
    case PPI_WEIGHT_QKV:
        rows = attention_rows(spec, layer, part);
        break;
    case PPI_WEIGHT_QKV_BIAS:
        cols = attention_rows(spec, layer, part);
        break;
    case PPI_WEIGHT_Q_NORM:
        cols = whole ? spec->n_heads * head_dim : head_dim;
        break;
    case PPI_WEIGHT_K_NORM:
        cols = whole ? of->n_kv_heads * head_dim : head_dim;
        break;
    case PPI_WEIGHT_V_NORM:
        cols = head_dim;
        break;
    case PPI_WEIGHT_ATTN_GATE:
        rows = spec->n_heads * head_dim;
        break;
    case PPI_WEIGHT_SINKS:
        cols = spec->n_heads;
        break;
    case PPI_WEIGHT_O:
        rows = hidden;
        cols = spec->n_heads * head_dim;
        break;
    case PPI_WEIGHT_GATE_UP:
        rows = gated_rows(part, of->mlp_size);
        break;
    case PPI_WEIGHT_GATE_UP_BIAS:
        cols = gated_rows(part, of->mlp_size);
        break;
    case PPI_WEIGHT_DOWN:
        rows = hidden;
        cols = of->mlp_size;
        break;
    case PPI_WEIGHT_LINEAR_IN:
        rows = linear_rows(linear, part, ppi_linear_row(linear));
        break;
    case PPI_WEIGHT_LINEAR_IN_BIAS:
        cols = linear_rows(linear, part, ppi_linear_row(linear));
        break;
    case PPI_WEIGHT_LINEAR_CONV:
        cols = linear_rows(linear, part, ppi_linear_channels(linear)) * linear->conv_kernel;
        break;
    case PPI_WEIGHT_LINEAR_CONV_BIAS:
        cols = linear_rows(linear, part, ppi_linear_channels(linear));
        break;
    case PPI_WEIGHT_LINEAR_A_LOG:
    case PPI_WEIGHT_LINEAR_DT_BIAS:
    case PPI_WEIGHT_LINEAR_D:
        cols = linear->n_v_heads;
        break;
    case PPI_WEIGHT_LINEAR_NORM:
        cols = linear->rule == PPI_LINEAR_DELTA ? linear->v_dim : ppi_linear_v_size(linear);
        break;
    case PPI_WEIGHT_LINEAR_OUT:
        rows = hidden;
        cols = ppi_linear_v_size(linear);
        break;
    case PPI_WEIGHT_ROUTER:
        rows = experts->n;
        break;
    case PPI_WEIGHT_ROUTER_BIAS:
    case PPI_WEIGHT_ROUTER_CORRECTION:
    case PPI_WEIGHT_EXPERT_SCALE:
        cols = experts->n;
        break;
    case PPI_WEIGHT_EXPERT_GATE_UP:
        rows = experts->n * gated_rows(part, experts->intermediate_size);
        break;
    case PPI_WEIGHT_EXPERT_GATE_UP_BIAS:
        cols = experts->n * gated_rows(part, experts->intermediate_size);
        break;
    case PPI_WEIGHT_EXPERT_DOWN:
        rows = experts->n * hidden;
        cols = experts->intermediate_size;
        break;
    case PPI_WEIGHT_EXPERT_DOWN_BIAS:
        cols = experts->n * hidden;
        break;
    case PPI_WEIGHT_SHARED_GATE_UP:
        rows = gated_rows(part, experts->shared_size);
        break;
    case PPI_WEIGHT_SHARED_DOWN:
        rows = hidden;
        cols = experts->shared_size;
        break;
    case PPI_WEIGHT_LAYER_INPUT_GATE:
        rows = spec->layer_input_size;
        break;
    case PPI_WEIGHT_LAYER_INPUT_UP:
        rows = hidden;
        cols = spec->layer_input_size;
        break;
    case PPI_WEIGHT_LAYER_SCALE:
        cols = 1;
        break;
    default:
        break;
    }
    *n_rows = rows;
    *n_cols = cols;
}

void ppi_rule_name(const struct ppi_tensor_rule *rule, const struct ppi_name_prefixes *prefixes,
                   const struct ppi_model_spec *spec, int32_t layer,
                   char name[PPI_TENSOR_NAME_BYTES])
{
    if (rule->weight == PPI_WEIGHT_LM_HEAD && spec->n_labels > 0)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "score.weight");
    else if (ppi_weight_kinds[rule->weight].in_layer)
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%slayers.%d.%s", prefixes->model, layer, rule->name);
    else
        snprintf(name, PPI_TENSOR_NAME_BYTES, "%s%s",
                 rule->weight == PPI_WEIGHT_LM_HEAD ? prefixes->head : prefixes->model, rule->name);
}
