/*
 * tensor_rules.c: the fields that weights go to, their shapes and stored names.
 */
#include "model/tensor_rules.h"
#include "model/model_impl.h"

#include <stdio.h>

#define OUTER(field)    false, offsetof(struct ppi_weights, field)
#define IN_LAYER(field) true, offsetof(struct ppi_layer_weights, field)
#define NORM(where)                                                                                \
    {                                                                                              \
        PPI_MEANS_NORM, PPI_MATRIX_VECTOR, where                                                   \
    }
#define BIAS(where)                                                                                \
    {                                                                                              \
        PPI_MEANS_BIAS, PPI_MATRIX_VECTOR, where                                                   \
    }
#define MATRIX(as, where)                                                                          \
    {                                                                                              \
        PPI_MEANS_MATRIX, PPI_MATRIX_##as, where                                                   \
    }

const struct ppi_weight_kind ppi_weight_kinds[PPI_N_WEIGHTS] = {
    [PPI_WEIGHT_EMBED] = MATRIX(TABLE, OUTER(embed)),
    [PPI_WEIGHT_FINAL_NORM] = NORM(OUTER(final_norm)),
    [PPI_WEIGHT_LM_HEAD] = MATRIX(LINEAR, OUTER(lm_head)),
    [PPI_WEIGHT_ATTN_NORM] = NORM(IN_LAYER(attn_norm)),
    [PPI_WEIGHT_QKV] = MATRIX(LINEAR, IN_LAYER(qkv)),
    [PPI_WEIGHT_QKV_BIAS] = BIAS(IN_LAYER(qkv_bias)),
    [PPI_WEIGHT_Q_NORM] = NORM(IN_LAYER(q_norm)),
    [PPI_WEIGHT_K_NORM] = NORM(IN_LAYER(k_norm)),
    [PPI_WEIGHT_O] = MATRIX(LINEAR, IN_LAYER(o)),
    [PPI_WEIGHT_O_BIAS] = BIAS(IN_LAYER(o_bias)),
    [PPI_WEIGHT_ATTN_POST_NORM] = NORM(IN_LAYER(attn_post_norm)),
    [PPI_WEIGHT_MLP_NORM] = NORM(IN_LAYER(mlp_norm)),
    [PPI_WEIGHT_GATE_UP] = MATRIX(GATE_UP, IN_LAYER(gate_up)),
    [PPI_WEIGHT_GATE_UP_BIAS] = BIAS(IN_LAYER(gate_up_bias)),
    [PPI_WEIGHT_DOWN] = MATRIX(LINEAR, IN_LAYER(down)),
    [PPI_WEIGHT_DOWN_BIAS] = BIAS(IN_LAYER(down_bias)),
    [PPI_WEIGHT_MLP_POST_NORM] = NORM(IN_LAYER(mlp_post_norm)),
};

bool ppi_rule_holds(const struct ppi_tensor_rule *rule, const struct ppi_model_spec *spec)
{
    switch (rule->when) {
    case PPI_WHEN_HEAD:
        return spec->has_lm_head || spec->n_labels > 0;
    case PPI_WHEN_QKV_BIAS:
        return spec->qkv_bias;
    case PPI_WHEN_O_BIAS:
        return spec->o_bias;
    case PPI_WHEN_MLP_BIAS:
        return spec->mlp_bias;
    default:
        return true;
    }
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

/* Of q, k and v, or gate and up. */
static int64_t part_rows(const struct ppi_model_spec *spec, enum ppi_part part, int64_t all)
{
    switch (part) {
    case PPI_PART_Q:
        return (int64_t)spec->n_heads * spec->head_dim;
    case PPI_PART_K:
    case PPI_PART_V:
        return (int64_t)spec->n_kv_heads * spec->head_dim;
    case PPI_PART_GATE:
    case PPI_PART_UP:
        return spec->intermediate_size;
    default:
        return all;
    }
}

void ppi_part_shape(const struct ppi_model_spec *spec, enum ppi_weight weight, enum ppi_part part,
                    int64_t *n_rows, int64_t *n_cols)
{
    int64_t head_dim = spec->head_dim, hidden = spec->hidden_size;
    int64_t qkv = part_rows(spec, part, (spec->n_heads + 2 * (int64_t)spec->n_kv_heads) * head_dim);
    int64_t gate_up = part_rows(spec, part, 2 * (int64_t)spec->intermediate_size);
    bool whole = spec->qk_norm == PPI_QK_NORM_WHOLE;
    int64_t rows = 1, cols = hidden; /* most vectors */
    switch (weight) {
    case PPI_WEIGHT_EMBED:
        rows = spec->vocab_size;
        break;
    case PPI_WEIGHT_LM_HEAD:
        rows = spec->n_labels > 0 ? spec->n_labels : spec->vocab_size;
        break;
    case PPI_WEIGHT_QKV:
        rows = qkv;
        break;
    case PPI_WEIGHT_QKV_BIAS:
        cols = qkv;
        break;
    case PPI_WEIGHT_Q_NORM:
        cols = whole ? spec->n_heads * head_dim : head_dim;
        break;
    case PPI_WEIGHT_K_NORM:
        cols = whole ? spec->n_kv_heads * head_dim : head_dim;
        break;
    case PPI_WEIGHT_O:
        rows = hidden;
        cols = spec->n_heads * head_dim;
        break;
    case PPI_WEIGHT_GATE_UP:
        rows = gate_up;
        break;
    case PPI_WEIGHT_GATE_UP_BIAS:
        cols = gate_up;
        break;
    case PPI_WEIGHT_DOWN:
        rows = hidden;
        cols = spec->intermediate_size;
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
