/*
 * tensor_rules.h: the weights that a model may have, and the rules by which they come from stored
 * tensors. An architecture's list of rules (arch.h) is the only place that knows names; the shapes
 * follow here from a weight and the spec. Loading, checking, counting, sizing and freeing walk
 * these lists.
 */
#ifndef PPI_TENSOR_RULES_H
#define PPI_TENSOR_RULES_H

#include "model/spec.h"

/* The fields of ppi_weights and ppi_layer_weights. The numbers are frozen, as those of parts are: a
 * model's identity counts them, and caches that were saved keep it. */
enum ppi_weight {
    PPI_WEIGHT_EMBED,
    PPI_WEIGHT_FINAL_NORM,
    PPI_WEIGHT_LM_HEAD,   /* or what scores labels */
    PPI_WEIGHT_ATTN_NORM, /* from here on: one for each layer */
    PPI_WEIGHT_QKV,
    PPI_WEIGHT_QKV_BIAS,
    PPI_WEIGHT_Q_NORM,
    PPI_WEIGHT_K_NORM,
    PPI_WEIGHT_O,
    PPI_WEIGHT_O_BIAS,
    PPI_WEIGHT_ATTN_POST_NORM,
    PPI_WEIGHT_MLP_NORM,
    PPI_WEIGHT_GATE_UP,
    PPI_WEIGHT_GATE_UP_BIAS,
    PPI_WEIGHT_DOWN,
    PPI_WEIGHT_DOWN_BIAS,
    PPI_WEIGHT_MLP_POST_NORM,
    PPI_WEIGHT_V_NORM, /* of ones */
    PPI_WEIGHT_ATTN_GATE,
    PPI_WEIGHT_SINKS,
    PPI_WEIGHT_LINEAR_IN, /* of linear layers */
    PPI_WEIGHT_LINEAR_IN_BIAS,
    PPI_WEIGHT_LINEAR_CONV,
    PPI_WEIGHT_LINEAR_CONV_BIAS,
    PPI_WEIGHT_LINEAR_A_LOG,
    PPI_WEIGHT_LINEAR_DT_BIAS,
    PPI_WEIGHT_LINEAR_D,
    PPI_WEIGHT_LINEAR_NORM,
    PPI_WEIGHT_LINEAR_OUT,
    PPI_WEIGHT_LINEAR_OUT_BIAS,
    PPI_WEIGHT_ROUTER, /* of layers with experts */
    PPI_WEIGHT_ROUTER_NORM,
    PPI_WEIGHT_ROUTER_BIAS,
    PPI_WEIGHT_ROUTER_CORRECTION,
    PPI_WEIGHT_EXPERT_SCALE,
    PPI_WEIGHT_EXPERT_GATE_UP,
    PPI_WEIGHT_EXPERT_GATE_UP_BIAS,
    PPI_WEIGHT_EXPERT_DOWN,
    PPI_WEIGHT_EXPERT_DOWN_BIAS,
    PPI_WEIGHT_SHARED_GATE_UP,
    PPI_WEIGHT_SHARED_DOWN,
    PPI_WEIGHT_SHARED_GATE,
    PPI_WEIGHT_MLP_OWN_NORM, /* of what the dense MLP gives, where experts stand beside it */
    PPI_WEIGHT_EXPERT_NORM,
    PPI_WEIGHT_EXPERT_POST_NORM,
    PPI_WEIGHT_LAYER_INPUT_GATE, /* of inputs of layers */
    PPI_WEIGHT_LAYER_INPUT_UP,
    PPI_WEIGHT_LAYER_INPUT_NORM,
    PPI_WEIGHT_LAYER_SCALE,
    PPI_WEIGHT_LAYER_TABLE,      /* of the model, for inputs of layers: by token, */
    PPI_WEIGHT_LAYER_PROJECTION, /* by embedding */
    PPI_WEIGHT_LAYER_PROJECTION_NORM,
    PPI_N_WEIGHTS
};

/* Which rows of a weight a stored tensor holds; parts stand in this order. A tensor with the rows
 * of q, k and v, or of gate and up, one after the other is simply the whole. */
enum ppi_part {
    PPI_PART_ALL,
    PPI_PART_Q, /* of attention, or of a linear layer */
    PPI_PART_K,
    PPI_PART_V,
    PPI_PART_GATE,
    PPI_PART_UP,
    PPI_PART_Z, /* of a linear layer, with those behind it */
    PPI_PART_B,
    PPI_PART_A,  /* MAMBA2: dt */
    PPI_PART_QKV /* q, k and v, where more stands behind them */
};

enum ppi_meaning { PPI_MEANS_MATRIX, PPI_MEANS_NORM, PPI_MEANS_BIAS };

/* What holds for a weight in every model. */
struct ppi_weight_kind {
    enum ppi_meaning meaning;
    bool plain;     /* a norm's weights are stored with their 1 in every class */
    int32_t matrix; /* PPI_MATRIX_* */
    bool in_layer;
    enum ppi_of { PPI_OF_ANY, PPI_OF_ATTENTION, PPI_OF_LINEAR, PPI_OF_MLP, PPI_OF_EXPERTS } of;
    size_t offset; /* of its field in ppi_layer_weights, or in ppi_weights */
};

extern const struct ppi_weight_kind ppi_weight_kinds[PPI_N_WEIGHTS];

/* Which models have the weight. */
enum ppi_when {
    PPI_ALWAYS,
    PPI_WHEN_HEAD,
    PPI_WHEN_QKV_BIAS,
    PPI_WHEN_O_BIAS,
    PPI_WHEN_MLP_BIAS,
    PPI_WHEN_V,      /* values are a projection of their own, */
    PPI_WHEN_V_IS_K, /* or that of the keys */
    PPI_WHEN_LINEAR_BIAS,
    PPI_WHEN_CONV_BIAS,
    PPI_WHEN_LAYER_INPUTS,
    PPI_WHEN_EXPERTS_SINGLE, /* as the files have experts: one tensor for each, */
    PPI_WHEN_EXPERTS_FUSED,  /* all in one, */
    PPI_WHEN_EXPERTS_PACKED, /* all in one, in MXFP4 */
    PPI_WHEN_EXPERT_BIAS
};

/* How the rows of a part lie in its tensor. Experts in one tensor are its slowest dimension. */
enum ppi_stored_as {
    PPI_AS_IS,
    PPI_AS_ONES,        /* nothing is stored: every number is 1 */
    PPI_AS_HEAD_FIRST,  /* [n_heads, 2, head_dim] rows: the first half of each head, */
    PPI_AS_HEAD_SECOND, /* or the second */
    PPI_AS_KEY_HEADS,   /* DELTA: key head after key head, of each its q, k, v, z, or its b, a */
    PPI_AS_SLICE,       /* MAMBA2: z, v, k, q, a one below the other; of channels v, k, q */
    PPI_AS_TURNS,       /* of gated products: gate and up in turns */
    PPI_AS_TURNED,      /* of experts: rows and columns exchanged; gate and up in turns */
    PPI_AS_BLOCKS /* of experts: MXFP4 as NAME_blocks [n, rows, k / 32, 16], NAME_scales [n, rows, k
                     / 32]; gate and up in turns */
};

/* One stored tensor, or one a layer, or (with %d in its name) one for each expert. Rules of one
 * weight stand together, in the order of their parts. */
struct ppi_tensor_rule {
    enum ppi_weight weight;
    enum ppi_part part;
    const char *name; /* below the place of its kind: see ppi_rule_name; NULL: the end of a list */
    enum ppi_when when;
    enum ppi_stored_as as;
};

#define PPI_TENSORS_ENDS                                                                           \
    {PPI_WEIGHT_EMBED, PPI_PART_ALL, "embed_tokens.weight", PPI_ALWAYS, PPI_AS_IS},                \
        {PPI_WEIGHT_FINAL_NORM, PPI_PART_ALL, "norm.weight", PPI_ALWAYS, PPI_AS_IS},               \
    {                                                                                              \
        PPI_WEIGHT_LM_HEAD, PPI_PART_ALL, "lm_head.weight", PPI_WHEN_HEAD, PPI_AS_IS               \
    }
#define PPI_TENSORS_QKV                                                                            \
    {PPI_WEIGHT_QKV, PPI_PART_Q, "self_attn.q_proj.weight", PPI_ALWAYS, PPI_AS_IS},                \
        {PPI_WEIGHT_QKV, PPI_PART_K, "self_attn.k_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
    {                                                                                              \
        PPI_WEIGHT_QKV, PPI_PART_V, "self_attn.v_proj.weight", PPI_ALWAYS, PPI_AS_IS               \
    }
#define PPI_TENSORS_QKV_BIAS                                                                       \
    {PPI_WEIGHT_QKV_BIAS, PPI_PART_Q, "self_attn.q_proj.bias", PPI_WHEN_QKV_BIAS, PPI_AS_IS},      \
        {PPI_WEIGHT_QKV_BIAS, PPI_PART_K, "self_attn.k_proj.bias", PPI_WHEN_QKV_BIAS, PPI_AS_IS},  \
    {                                                                                              \
        PPI_WEIGHT_QKV_BIAS, PPI_PART_V, "self_attn.v_proj.bias", PPI_WHEN_QKV_BIAS, PPI_AS_IS     \
    }
#define PPI_TENSORS_QK_NORM                                                                        \
    {PPI_WEIGHT_Q_NORM, PPI_PART_ALL, "self_attn.q_norm.weight", PPI_ALWAYS, PPI_AS_IS},           \
    {                                                                                              \
        PPI_WEIGHT_K_NORM, PPI_PART_ALL, "self_attn.k_norm.weight", PPI_ALWAYS, PPI_AS_IS          \
    }
#define PPI_TENSORS_O                                                                              \
    {                                                                                              \
        PPI_WEIGHT_O, PPI_PART_ALL, "self_attn.o_proj.weight", PPI_ALWAYS, PPI_AS_IS               \
    }
#define PPI_TENSORS_O_BIAS                                                                         \
    {                                                                                              \
        PPI_WEIGHT_O_BIAS, PPI_PART_ALL, "self_attn.o_proj.bias", PPI_WHEN_O_BIAS, PPI_AS_IS       \
    }
#define PPI_TENSORS_MLP                                                                            \
    {PPI_WEIGHT_GATE_UP, PPI_PART_GATE, "mlp.gate_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
        {PPI_WEIGHT_GATE_UP, PPI_PART_UP, "mlp.up_proj.weight", PPI_ALWAYS, PPI_AS_IS},            \
        PPI_TENSORS_DOWN
#define PPI_TENSORS_MLP_BIAS                                                                       \
    {PPI_WEIGHT_GATE_UP_BIAS, PPI_PART_GATE, "mlp.gate_proj.bias", PPI_WHEN_MLP_BIAS, PPI_AS_IS},  \
        {PPI_WEIGHT_GATE_UP_BIAS, PPI_PART_UP, "mlp.up_proj.bias", PPI_WHEN_MLP_BIAS, PPI_AS_IS},  \
    {                                                                                              \
        PPI_WEIGHT_DOWN_BIAS, PPI_PART_ALL, "mlp.down_proj.bias", PPI_WHEN_MLP_BIAS, PPI_AS_IS     \
    }
#define PPI_TENSORS_GATE_UP                                                                        \
    {                                                                                              \
        PPI_WEIGHT_GATE_UP, PPI_PART_ALL, "mlp.gate_up_proj.weight", PPI_ALWAYS, PPI_AS_IS         \
    }
#define PPI_TENSORS_DOWN                                                                           \
    {                                                                                              \
        PPI_WEIGHT_DOWN, PPI_PART_ALL, "mlp.down_proj.weight", PPI_ALWAYS, PPI_AS_IS               \
    }
/* Experts and the expert of every row, under the names that most classes have. */
#define PPI_TENSORS_EXPERTS                                                                        \
    {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_GATE, "mlp.experts.%d.gate_proj.weight",                  \
     PPI_WHEN_EXPERTS_SINGLE, PPI_AS_IS},                                                          \
        {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_UP, "mlp.experts.%d.up_proj.weight",                  \
         PPI_WHEN_EXPERTS_SINGLE, PPI_AS_IS},                                                      \
        {PPI_WEIGHT_EXPERT_GATE_UP, PPI_PART_ALL, "mlp.experts.gate_up_proj",                      \
         PPI_WHEN_EXPERTS_FUSED, PPI_AS_IS},                                                       \
        {PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "mlp.experts.%d.down_proj.weight",                  \
         PPI_WHEN_EXPERTS_SINGLE, PPI_AS_IS},                                                      \
    {                                                                                              \
        PPI_WEIGHT_EXPERT_DOWN, PPI_PART_ALL, "mlp.experts.down_proj", PPI_WHEN_EXPERTS_FUSED,     \
            PPI_AS_IS                                                                              \
    }
#define PPI_TENSORS_SHARED(place)                                                                  \
    {PPI_WEIGHT_SHARED_GATE_UP, PPI_PART_GATE, place ".gate_proj.weight", PPI_ALWAYS, PPI_AS_IS},  \
        {PPI_WEIGHT_SHARED_GATE_UP, PPI_PART_UP, place ".up_proj.weight", PPI_ALWAYS, PPI_AS_IS},  \
    {                                                                                              \
        PPI_WEIGHT_SHARED_DOWN, PPI_PART_ALL, place ".down_proj.weight", PPI_ALWAYS, PPI_AS_IS     \
    }
#define PPI_TENSOR_OF(which, name)                                                                 \
    {                                                                                              \
        PPI_WEIGHT_##which, PPI_PART_ALL, name, PPI_ALWAYS, PPI_AS_IS                              \
    }
#define PPI_NORM_OF(which, name)                                                                   \
    {                                                                                              \
        PPI_WEIGHT_##which, PPI_PART_ALL, name ".weight", PPI_ALWAYS, PPI_AS_IS                    \
    }
#define PPI_TENSORS_END                                                                            \
    {                                                                                              \
        PPI_N_WEIGHTS, PPI_PART_ALL, NULL, PPI_ALWAYS, PPI_AS_IS                                   \
    }

/* Whether a layer has what the rule names; of outer weights whatever the layer. */
bool ppi_rule_holds(const struct ppi_tensor_rule *rule, const struct ppi_model_spec *spec,
                    int32_t layer);

/* Whether it is for keys or values of a layer that sees another's. */
bool ppi_rule_is_of_other_keys(const struct ppi_tensor_rule *rule,
                               const struct ppi_model_spec *spec, int32_t layer);

/* Whether a weight is one of those that may be kept in few bits: a matrix, but not what decides for
 * much (routers, gates of a row) or is small. */
bool ppi_weight_has_codes(enum ppi_weight weight);

/* The form of experts in files (PPI_WHEN_EXPERTS_*) that a list has: the wished one, or its first;
 * PPI_ALWAYS: it has no experts, or one form alone. */
int32_t ppi_experts_form(const struct ppi_tensor_rule *rules, enum ppi_when wish);

/* Whether it names a tensor for each expert. */
bool ppi_rule_names_each(const struct ppi_tensor_rule *rule);

/* The rules of the weight that `rule` begins: 1 or more. */
int32_t ppi_rule_n_parts(const struct ppi_tensor_rule *rule);

int32_t ppi_rules_count(const struct ppi_tensor_rule *rules);

/* Rows and columns of a part in a layer; a vector is one row. Those of all experts are rows of one
 * matrix. */
void ppi_part_shape(const struct ppi_model_spec *spec, int32_t layer, enum ppi_weight weight,
                    enum ppi_part part, int64_t *n_rows, int64_t *n_cols);

/* Where the tensors of a model hang: a layer's tensor is PREFIXlayers.N.NAME, others are
 * PREFIX NAME, and the LM head is HEAD_PREFIX NAME. What scores labels hangs nowhere. */
struct ppi_name_prefixes {
    const char *model, *head;
    bool bare; /* as a model without a head is saved */
};

#define PPI_TENSOR_NAME_BYTES 128
void ppi_rule_name(const struct ppi_tensor_rule *rule, const struct ppi_name_prefixes *prefixes,
                   const struct ppi_model_spec *spec, int32_t layer,
                   char name[PPI_TENSOR_NAME_BYTES]);

#endif
