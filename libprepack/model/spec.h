/*
 * spec.h: what a model computes, resolved: every default filled in, every switch decided, no class
 * name left. Made once when a model is opened (spec.c, by a row of arch.h) and never changed. The
 * forward pass, the sizes of buffers, pages and tables follow from it alone.
 */
#ifndef PPI_SPEC_H
#define PPI_SPEC_H

#include "backend.h"

#include <prepack/model.h>

#define PPI_MAX_ROPES      2 /* kinds of rotation in one model */
#define PPI_MAX_EOS_TOKENS 16
#define PPI_MAX_HEAD_DIM   512

/* Where q and k are normalised, before they rotate. */
enum ppi_qk_norm {
    PPI_QK_NORM_NONE,
    PPI_QK_NORM_HEAD, /* each head by itself; weight [head_dim] */
    PPI_QK_NORM_WHOLE /* all heads of q, all of k; weights [n_heads head_dim], [n_kv_heads head_dim]
                       */
};

/*
 * One way to turn positions into angles: pair i of a token at position p turns by p * frequency[i],
 * and cosines and sines are multiplied by a magnitude. Some kinds choose their frequencies by the
 * number of tokens of the prompt: each choice is a *set*, and set 0 serves short prompts.
 * (rope.c has the formulas.)
 */
struct ppi_rope_spec {
    int32_t type;         /* PP_ROPE_* */
    int32_t rotary_dim;   /* even, at most head_dim; the first elements of a head */
    int32_t exponent_dim; /* pair i has the exponent -2 i / exponent_dim; rotary_dim, or one less */
    int32_t n_turning;    /* PROPORTIONAL: pairs that turn; the others have the angle 0 */
    double theta;
    double factor;                            /* 1 where the type has none */
    double low_freq_factor, high_freq_factor; /* LLAMA3 */
    double beta_fast, beta_slow;              /* YARN */
    bool truncate;                            /* YARN */
    double magnitude;                         /* YARN, LONGROPE; 1 elsewhere */
    int32_t original_max_position;            /* LLAMA3, YARN, LONGROPE, DYNAMIC */
    /* LONGROPE [rotary_dim / 2]; of LLAMA3 the short ones, where the file has them in the place of
     * the low and high frequency factors. The spec's. */
    float *short_factors, *long_factors;
};

/* What mixes the tokens of a layer. */
enum ppi_layer_kind { PPI_LAYER_ATTENTION, PPI_LAYER_LINEAR };

struct ppi_layer_spec {
    enum ppi_layer_kind kind;
    int32_t window; /* keys that a token sees, itself included; 0: all */
    int32_t i_rope; /* index in ropes; -1: nothing rotates */
    /* of attention; those of the model where a class has no others */
    int32_t n_kv_heads, head_dim;
    int32_t kv_layer; /* whose keys and values it sees: its own number, or a layer before it that
                         looks equally far back and has the same shape */
    bool v_is_k;      /* values are the projection of the keys */
    int32_t mlp_size; /* intermediate size of its dense MLP; 0: it has none */
    bool has_experts; /* in the place of the dense MLP, or beside it */
};

/* A mixture of experts; layers that have one have the same. */
struct ppi_experts_spec {
    int32_t n, top_k, intermediate_size; /* n 0: no layer has experts */
    int32_t shared_size; /* intermediate size of the expert that every row goes through; 0: none */
    int32_t scoring;     /* PPI_SCORING_* */
    bool normalize;
    float sum_eps;
    float scale;                                              /* of weights; 1 */
    float router_scale;                                       /* of logits; 1 */
    int32_t activation;                                       /* PPI_ACTIVATION_* */
    float limit, alpha;                                       /* SWIGLU_CLAMPED */
    bool router_bias, router_correction, biases, shared_gate; /* which of these it has */
    int32_t files;  /* how the files have them: PPI_WHEN_EXPERTS_* */
    bool own_norms; /* experts and dense MLP stand side by side, each between norms of its own */
};

struct ppi_model_spec {
    int32_t arch; /* PP_ARCH_* */
    int32_t vocab_size, hidden_size, intermediate_size;
    int32_t n_layers, n_heads, n_kv_heads, head_dim;
    int32_t max_position;
    int32_t dtype;       /* of the stored weights */
    bool tie_embeddings; /* the LM head is the embedding table */
    bool has_lm_head;    /* logits of the vocabulary */
    int32_t n_labels;    /* rows of the head in its place, which scores labels; 0: there is none */
    int32_t pooling;     /* PP_POOLING_* that files recommend; -1: none, or one that we lack */
    int32_t normalize;   /* whether they want the pooled vector normalised: 0, 1, or -1 */

    /* a block; which norms it has follows from the weights */
    bool qkv_bias, o_bias, mlp_bias, linear_bias, conv_bias;
    bool attn_gate;   /* what attention gives is multiplied by sigmoid(h Wg^T) */
    bool sinks;       /* each head has a score beside those of the keys */
    bool v_norm;      /* heads of v are normalised, without a weight */
    bool layer_scale; /* what a layer gives is multiplied by a number of its own */
    bool parallel;    /* x + attention(norm(x)) + mlp(norm(x)): one norm for both */
    bool center;      /* norms are LayerNorm without bias, else RMSNorm */
    double norm_eps;
    int32_t qk_norm;      /* enum ppi_qk_norm */
    int32_t activation;   /* PPI_ACTIVATION_* */
    bool interleaved;     /* rotary pairs are neighbours, else half a rotary_dim apart */
    float softmax_scale;  /* of q k^T */
    float attn_softcap;   /* 0: none */
    float residual_scale; /* of what a block adds to the residual stream; 1 */
    /* queries are multiplied by 1 + q_scale_beta ln(1 + floor(position / q_scale_period)); period
     * 0: they are not */
    double q_scale_beta;
    int32_t q_scale_period;

    /* the ends */
    double embed_scale;      /* of embeddings; 1 */
    bool embed_scale_rounds; /* it is rounded to the dtype that the session computes in */
    float logit_scale;       /* logits are multiplied; 1; never scores of labels */
    float logit_softcap;     /* 0: none */

    /* inputs of each layer, by token and by embedding: elements a layer; 0: none */
    int32_t layer_input_size;
    int32_t layer_input_vocab; /* rows of their table */

    struct ppi_experts_spec experts;
    struct ppi_linear_shape linear; /* of linear layers */
    int32_t n_linear;               /* 0: none */
    int32_t last_writer; /* the last layer that writes keys or a state: those behind it compute only
                            rows of which something is wanted */

    int32_t n_ropes;
    struct ppi_rope_spec ropes[PPI_MAX_ROPES];
    struct ppi_layer_spec *layers; /* [n_layers] */

    /* layers that look equally far back and have heads of the same shape share pages; in the order
     * of windows, full ones first */
    int32_t n_page_classes;
    struct ppi_kv_class classes[PPI_MAX_PAGE_CLASSES];
    /* [n_layers]; of a linear layer class -1 and its number among them; of a layer that sees
     * another's keys that one's */
    struct ppi_layer_place *places;

    int32_t bos_token; /* -1: none stated */
    int32_t n_eos_tokens;
    int32_t eos_tokens[PPI_MAX_EOS_TOKENS];
};

/* spec.c: what must hold between the fields, and what follows from them: page classes and places.
 * Errors: PP_ERR_FORMAT (label names the file), PP_ERR_NOMEM. */
pp_status ppi_spec_finish(struct ppi_model_spec *spec, const char *label, struct ppi_mem *mem,
                          pp_error *err);
/* Frees what a spec owns; it may be half made, from zeroes on. */
void ppi_spec_free(struct ppi_model_spec *spec, struct ppi_mem *mem);

/* rope.c: of pair i, radians per position: frequencies [rotary_dim / 2], of a set; and what
 * cosines and sines are multiplied by. */
void ppi_rope_frequencies(const struct ppi_rope_spec *rope, int64_t set, float *frequencies,
                          float *magnitude);
/* The set that a prompt of n_tokens tokens uses: 0, or for LONGROPE 1 beyond the original length,
 * for DYNAMIC n_tokens itself beyond it. */
int64_t ppi_rope_set(const struct ppi_rope_spec *rope, int64_t n_tokens);
/* The largest over a model's ropes; 0 when none depends on the prompt's length. */
int64_t ppi_spec_rope_set(const struct ppi_model_spec *spec, int64_t n_tokens);
bool ppi_spec_rope_depends_on_length(const struct ppi_model_spec *spec);

/* Elements between the two products of an MLP, a shared expert's included: the most of a layer. */
int32_t ppi_spec_widest_mlp(const struct ppi_model_spec *spec);

/* The factor of queries at a position: 1 where the model has none. */
float ppi_spec_q_scale(const struct ppi_model_spec *spec, int64_t position);

#endif
