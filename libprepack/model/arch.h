/*
 * arch.h: the architectures, one constant row each, by their classes in transformers. A row says
 * how config.json is to be read (defaults of omitted keys, which keys count), which blocks the
 * class has, and which tensors it stores. What comes out of it is a spec (spec.h), in which no
 * name of a class is left.
 *
 * To add one: docs/adding-a-model.md.
 */
#ifndef PPI_ARCH_H
#define PPI_ARCH_H

#include "model/config_keys.h"
#include "model/spec.h"
#include "model/tensor_rules.h"

/* Which layers have a window. */
enum ppi_window_rule {
    PPI_WINDOW_NONE,  /* none, whatever the file says */
    PPI_WINDOW_SAME,  /* all, when sliding_window is set */
    PPI_WINDOW_USED,  /* all, when it is set and use_sliding_window is true */
    PPI_WINDOW_TYPES, /* by layer_types; without them all but every n-th (ppi_arch.full_every) */
    PPI_WINDOW_UPPER, /* by layer_types; without them those from max_window_layers on, */
    PPI_WINDOW_LOWER, /* or every second, the first among them, of those before it */
    PPI_WINDOW_NOPE   /* by layer_types; without them those that do not rotate */
};

/* In which layers queries and keys rotate. */
enum ppi_rotates {
    PPI_ROTATES_ALWAYS,
    PPI_ROTATES_LISTED,          /* no_rope_layers, no_rope_layer_interval */
    PPI_ROTATES_WINDOWED,        /* those with a window */
    PPI_ROTATES_WINDOWED_IF_ANY, /* those with a window, or all where sliding_window is null */
    PPI_ROTATES_STATED           /* all where position_embedding_type is "rope", else none */
};

/* Which biases a class has. */
enum ppi_bias {
    PPI_BIAS_NEVER,
    PPI_BIAS_BY_KEY, /* as a key of config.json says; false without it */
    PPI_BIAS_BY_KEY_TRUE,
    PPI_BIAS_ALWAYS
};

/* What stands behind the last norm. */
enum ppi_head {
    PPI_HEAD_LM,     /* ...ForCausalLM: logits of the vocabulary */
    PPI_HEAD_LABELS, /* ...ForSequenceClassification: scores of labels */
    PPI_HEAD_NONE    /* ...Model */
};

/* Which layers have experts in the place of the dense MLP. */
enum ppi_experts_in {
    PPI_EXPERTS_IN_ALL,
    PPI_EXPERTS_IN_STEPS, /* every decoder_sparse_step-th, but none of mlp_only_layers */
    PPI_EXPERTS_IN_UPPER  /* those from first_k_dense_replace on */
};

/* How a class's experts are read (config_experts.c), and what an omitted key means. */
struct ppi_arch_experts {
    const char *n_key, *n_other_key; /* how many; NULL: it has no other name */
    const char *size_key;            /* an expert's intermediate size; NULL: intermediate_size */
    const char *shared_key;          /* that of the shared expert; NULL: there is none */
    bool shared_counts;              /* the key says how many of an expert's size it has */
    bool shared_is_mlp;              /* without experts it is the dense MLP */
    bool optional;                   /* 0 experts are allowed */
    enum ppi_experts_in in;
    int32_t scoring;    /* PPI_SCORING_* */
    bool normalize;     /* as in the spec, */
    bool normalize_key; /* unless norm_topk_prob says otherwise */
    float sum_eps;
    bool router_bias, router_correction, biases, shared_gate; /* as in the spec */
    int32_t activation; /* PPI_ACTIVATION_*; 0: that of the MLP */
    bool packed;        /* files may have them in MXFP4 */
    int32_t n, top_k, size, shared;
    int32_t first; /* first_k_dense_replace */
};

/* Linear layers beside attention (config_linear.c). */
struct ppi_arch_linear {
    struct ppi_linear_shape shape; /* what omitted keys mean; v_dim 0: it follows */
    int32_t full_every;            /* without layer_types every n-th layer attends; 0: none does */
    const char *other_types_key;   /* another name of layer_types, or NULL */
};

/* Blocks whose order differs from x += attention(norm(x)); x += mlp(norm(x)) need no field: which
 * norms there are follows from the tensors. */
struct ppi_arch {
    int32_t id; /* PP_ARCH_* */
    const char *model_type;
    const char *class_name; /* with an LM head */
    const char *stem;       /* of the names of its other classes; NULL: that of class_name */
    bool no_labels;         /* none of them scores labels */
    const struct ppi_tensor_rule *tensors;

    /* the block */
    bool parallel, center, interleaved; /* as in the spec */
    bool norm_plus_one;    /* norms multiply by 1 + the stored weight; plain ones do not, whatever
                              the class: see ppi_weight_kind */
    bool attn_gate, sinks; /* as in the spec */
    int32_t qk_norm;       /* enum ppi_qk_norm */
    enum ppi_bias qkv_bias, o_bias; /* by attention_bias, or bias_key */
    enum ppi_bias mlp_bias;         /* by mlp_bias */
    enum ppi_window_rule windows;
    enum ppi_rotates rotates;
    bool rope_by_type;                      /* full and sliding layers rotate by themselves */
    const struct ppi_arch_experts *experts; /* NULL: it has none */
    const struct ppi_arch_linear *linear;   /* NULL: all its layers attend */
    const char *ignores; /* stored names that begin so are passed over; NULL: none are */
    bool ignores_behind; /* so are layers behind the last */

    /* names of keys that differ */
    const char *activation_key; /* NULL: hidden_act */
    const char *eps_key;        /* NULL: rms_norm_eps */
    const char *bias_key;       /* NULL: attention_bias */

    /* what an omitted key means */
    int32_t vocab_size, hidden_size, intermediate_size, n_layers, n_heads;
    int32_t n_kv_heads; /* 0: as many as heads */
    int32_t head_dim;   /* 0: hidden_size / n_heads */
    int32_t max_position;
    int32_t window;             /* sliding_window; 0: null */
    int32_t full_every;         /* every n-th layer has no window; 0: all have one */
    const char *full_every_key; /* NULL: no key changes it */
    int32_t max_window_layers;
    int32_t activation; /* PPI_ACTIVATION_* */
    bool tied;
    double norm_eps;
    double theta;
    double sliding_theta; /* with rope_by_type; its key, or NULL */
    const char *sliding_theta_key;
    double partial_rotary; /* 0: the class rotates whole heads, whatever the file says */
    bool longrope_only;    /* rope types are default and longrope, by some other names too */
    const char *rope;      /* text of rope_parameters; NULL: rope_type default. With rope_by_type
                              its types are all needed, and rope_scaling is not read */
    int32_t original_max_position; /* original_max_position_embeddings; 0: see config_rope.c */
    int32_t bos_token;             /* -1: none */
    int32_t n_eos_tokens;
    int32_t eos_tokens[3];

    /* Keys that config.c refuses and these calls read instead,
     * NULL behind the last; or NULL. */
    const char *const *own_keys;
    /* Reads in what else layers differ, once their windows are known. May be NULL. */
    pp_status (*read_layers)(const struct ppi_config_reader *reader, struct ppi_model_spec *spec);
    /* Reads the keys that no other class has. May be NULL. */
    pp_status (*read_more)(const struct ppi_config_reader *reader, struct ppi_model_spec *spec);
};

extern const struct ppi_arch ppi_arch_llama, ppi_arch_mistral, ppi_arch_ministral,
    ppi_arch_ministral3, ppi_arch_qwen2, ppi_arch_qwen3, ppi_arch_gemma2, ppi_arch_gemma3,
    ppi_arch_phi3, ppi_arch_olmo2, ppi_arch_olmo3, ppi_arch_granite, ppi_arch_smollm3,
    ppi_arch_cohere2, ppi_arch_glm4, ppi_arch_exaone4, ppi_arch_mixtral, ppi_arch_qwen2_moe,
    ppi_arch_qwen3_moe, ppi_arch_olmoe, ppi_arch_granitemoe, ppi_arch_granitemoeshared,
    ppi_arch_gpt_oss, ppi_arch_glm4_moe, ppi_arch_qwen3_next, ppi_arch_qwen3_5,
    ppi_arch_qwen3_5_moe, ppi_arch_granitemoehybrid, ppi_arch_gemma4, ppi_arch_gemma4_unified;

/* A model that has a text model inside: text_config. */
struct ppi_wrapper {
    const char *model_type;
    const char *class_name;
    const char *text_type; /* of a text_config without model_type */
    bool tied;             /* what an omitted tie_word_embeddings means, here and not inside */
    bool no_labels;        /* as in ppi_arch */
    bool drops_softcap;    /* its class never applies the text model's softcap of logits */
};

/* read_more of Granite, its multipliers, which its kin have too. */
pp_status ppi_arch_read_granite(const struct ppi_config_reader *reader,
                                struct ppi_model_spec *spec);

/* The i-th row; NULL past the last. */
const struct ppi_arch *ppi_arch_at(size_t i);

/* The class that scores labels; false where there is none. */
#define PPI_CLASS_NAME_BYTES 64
bool ppi_arch_labels_class(const struct ppi_arch *arch, char name[PPI_CLASS_NAME_BYTES]);

/* What config.json describes. *wrapper is NULL for a text model on its own; reader->root becomes
 * the text model's object. *head is that of the class in `architectures`; without one LM. Errors:
 * PP_ERR_FORMAT, PP_ERR_UNSUPPORTED. */
pp_status ppi_arch_find(struct ppi_config_reader *reader, const struct ppi_arch **arch,
                        const struct ppi_wrapper **wrapper, enum ppi_head *head);

#endif
