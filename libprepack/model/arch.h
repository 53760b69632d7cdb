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
    PPI_WINDOW_TYPES, /* by layer_types; without them all but every n-th (ppi_arch.full_every) */
    PPI_WINDOW_UPPER, /* by layer_types; without them those from max_window_layers on */
    PPI_WINDOW_NOPE   /* by layer_types; without them those that do not rotate */
};

/* In which layers queries and keys rotate. */
enum ppi_rotates {
    PPI_ROTATES_ALWAYS,
    PPI_ROTATES_LISTED,         /* no_rope_layers, no_rope_layer_interval */
    PPI_ROTATES_WINDOWED,       /* those with a window */
    PPI_ROTATES_WINDOWED_IF_ANY /* those with a window, or all where sliding_window is null */
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
    bool norm_plus_one;                 /* norms multiply by 1 + the stored weight */
    int32_t qk_norm;                    /* enum ppi_qk_norm */
    enum ppi_bias qkv_bias, o_bias;     /* by attention_bias */
    enum ppi_bias mlp_bias;             /* by mlp_bias */
    enum ppi_window_rule windows;
    enum ppi_rotates rotates;
    bool rope_by_type; /* full and sliding layers rotate by themselves */

    /* names of keys that differ */
    const char *activation_key; /* NULL: hidden_act */
    const char *eps_key;        /* NULL: rms_norm_eps */

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
    ppi_arch_cohere2, ppi_arch_glm4, ppi_arch_exaone4;
extern const struct ppi_arch ppi_arch_gemma4, ppi_arch_gemma4_unified;

/* A model that has a text model inside: text_config. */
struct ppi_wrapper {
    const char *model_type;
    const char *class_name;
    const char *text_type; /* of a text_config without model_type */
    bool tied;             /* what an omitted tie_word_embeddings means, here and not inside */
    bool no_labels;        /* as in ppi_arch */
    bool drops_softcap;    /* its class never applies the text model's softcap of logits */
};

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
