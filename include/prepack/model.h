/*
 * prepack/model.h: models. A model is configuration and weights, immutable and shared by sessions.
 *
 *     pp_model_open("Llama-3.2-1B", NULL, &model, &err);
 *     pp_session_create(model, NULL, &session, &err);     see session.h
 *     ...
 *     pp_model_unref(model);
 */
#ifndef PREPACK_MODEL_H
#define PREPACK_MODEL_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Thread-safety: immutable and counted; may be shared by threads and sessions. */
typedef struct pp_model pp_model;

/* Architectures, by their classes in transformers. Values are frozen. */
enum {
    PP_ARCH_LLAMA = 1,       /* LlamaForCausalLM */
    PP_ARCH_MISTRAL = 2,     /* MistralForCausalLM */
    PP_ARCH_QWEN2 = 3,       /* Qwen2ForCausalLM, also Qwen2.5 */
    PP_ARCH_QWEN3 = 4,       /* Qwen3ForCausalLM */
    PP_ARCH_GEMMA2 = 5,      /* Gemma2ForCausalLM */
    PP_ARCH_GEMMA3 = 6,      /* Gemma3ForCausalLM, the text of Gemma3ForConditionalGeneration */
    PP_ARCH_PHI3 = 7,        /* Phi3ForCausalLM, also Phi-4 and Phi-4-mini */
    PP_ARCH_OLMO2 = 8,       /* Olmo2ForCausalLM */
    PP_ARCH_OLMO3 = 9,       /* Olmo3ForCausalLM */
    PP_ARCH_GRANITE = 10,    /* GraniteForCausalLM */
    PP_ARCH_SMOLLM3 = 11,    /* SmolLM3ForCausalLM */
    PP_ARCH_MINISTRAL = 12,  /* MinistralForCausalLM */
    PP_ARCH_MINISTRAL3 = 13, /* Ministral3ForCausalLM */
    PP_ARCH_COHERE2 = 14,    /* Cohere2ForCausalLM */
    PP_ARCH_GLM4 = 15,       /* Glm4ForCausalLM */
    PP_ARCH_EXAONE4 = 16,    /* Exaone4ForCausalLM */
    PP_ARCH_MIXTRAL = 17,    /* MixtralForCausalLM */
    PP_ARCH_QWEN2_MOE = 18,  /* Qwen2MoeForCausalLM */
    PP_ARCH_QWEN3_MOE = 19,  /* Qwen3MoeForCausalLM */
    PP_ARCH_OLMOE = 20,      /* OlmoeForCausalLM */
    PP_ARCH_GRANITEMOE = 21, /* GraniteMoeForCausalLM */
    PP_ARCH_GRANITEMOESHARED = 22, /* GraniteMoeSharedForCausalLM */
    PP_ARCH_GPT_OSS = 23,          /* GptOssForCausalLM */
    PP_ARCH_GLM4_MOE = 24,         /* Glm4MoeForCausalLM, GLM 4.5 to 4.7 */
    PP_ARCH_QWEN3_NEXT = 25,       /* Qwen3NextForCausalLM */
    PP_ARCH_QWEN3_5 = 26,          /* Qwen3_5ForCausalLM, the text of a model with images */
    PP_ARCH_QWEN3_5_MOE = 27,      /* Qwen3_5MoeForCausalLM, the same */
    PP_ARCH_GRANITEMOEHYBRID = 28, /* GraniteMoeHybridForCausalLM, Granite 4 */
    PP_ARCH_GEMMA4 = 29,           /* Gemma4ForCausalLM, the text of
                                      Gemma4ForConditionalGeneration */
    PP_ARCH_GEMMA4_UNIFIED = 30,   /* Gemma4UnifiedForCausalLM, the text of
                                      Gemma4UnifiedForConditionalGeneration */
    PP_ARCH_INT32 = -1,            /* no value: see common.h */
};
/* "llama", "qwen3", ...: model_type in config.json; "unknown" for another value. Never freed. */
PP_API const char *pp_arch_name(int32_t arch);

/* How positions become angles (rotary position embedding, arXiv 2104.09864). Values are frozen. */
enum {
    PP_ROPE_NONE = 0,         /* nothing rotates */
    PP_ROPE_DEFAULT = 1,      /* frequencies theta^(-2 i / rotary_dim) */
    PP_ROPE_LINEAR = 2,       /* positions divided by rope_factor */
    PP_ROPE_LLAMA3 = 3,       /* Llama 3.1: low frequencies divided by it, smooth in between */
    PP_ROPE_YARN = 4,         /* arXiv 2309.00071 */
    PP_ROPE_LONGROPE = 5,     /* arXiv 2402.13753: factors of each pair, others for long prompts */
    PP_ROPE_DYNAMIC = 6,      /* theta grows with prompts beyond the original length */
    PP_ROPE_PROPORTIONAL = 7, /* the first pairs of a whole head turn, by theta^(-2 i / head_dim)
                                 divided by rope_factor; the others stay */
    PP_ROPE_INT32 = -1,       /* no value: see common.h */
};

/* What mixes the tokens of a layer: attention, or a state that each token changes, by the gated
 * delta rule (arXiv 2412.06464) or as in Mamba 2 (arXiv 2405.21060). Values are frozen; ..._INT32
 * is none: see common.h. */
enum { PP_LAYER_ATTENTION = 0, PP_LAYER_LINEAR = 1, PP_LAYER_INT32 = -1 };
enum { PP_LINEAR_NONE = 0, PP_LINEAR_DELTA = 1, PP_LINEAR_MAMBA2 = 2, PP_LINEAR_INT32 = -1 };

/* What holds for the whole model; what may differ from layer to layer has a call of its own. */
typedef struct pp_model_config {
    uint32_t struct_size;
    int32_t arch;              /* PP_ARCH_* */
    int32_t vocab_size;        /* 1 .. 2^24 */
    int32_t hidden_size;       /* 1 .. 65536 */
    int32_t intermediate_size; /* 1 .. 2^20; of the widest MLP, an expert where that is all */
    int32_t n_layers;          /* 1 .. 1024 */
    int32_t n_heads;           /* 1 .. 1024, a multiple of n_kv_heads */
    int32_t n_kv_heads;        /* of layers that do not differ: see pp_layer_config */
    int32_t head_dim;          /* even, 2 .. 512; the same holds */
    int32_t max_position;      /* positions that the model has; longer prompts are refused */
    int32_t tie_embeddings;    /* 1: the LM head is the embedding table; 0 without an LM head */
    int32_t dtype;          /* of the stored weights: PP_DTYPE_F32 (those of a quantised GGUF file
                               too), F16, BF16; of a converted model those that it was made from */
    int32_t bos_token;      /* -1: none stated */
    int32_t n_eos_tokens;   /* tokens that end a text */
    int32_t eos_tokens[16]; /* those of config.json and generation_config.json, or of a GGUF file;
                               the first n_eos_tokens hold one each, the others -1 */
    double norm_eps;
    int32_t has_lm_head; /* 1: it gives logits. 0: hidden states alone, or scores of labels */
    int32_t n_labels;    /* rows of a classification or reward head, which is in the place of the LM
                            head; 0: there is none */
    int32_t pooling;     /* PP_POOLING_* (outputs.h) that the files recommend for embeddings; -1:
                            none, or one that is not supported (the log says so) */
    int32_t normalize;   /* whether they want the pooled vector normalised: 1, 0, -1: not stated */
    int32_t n_experts;   /* this and the next three: 0 in a model without */
    int32_t n_experts_per_token;
    int32_t expert_size;        /* intermediate size of an expert */
    int32_t shared_expert_size; /* of the one that every token goes through; 0: there is none */
    int32_t n_linear_layers;    /* this and those behind it: 0 in a model without */
    int32_t linear_rule;        /* PP_LINEAR_* */
    int32_t linear_key_heads;
    int32_t linear_value_heads;
    int32_t linear_key_dim; /* a value head's state is [linear_key_dim, linear_value_dim] */
    int32_t linear_value_dim;
    int32_t linear_kernel; /* tokens that its convolution sees */
} pp_model_config;

/* One layer. */
typedef struct pp_layer_config {
    uint32_t struct_size;
    int32_t sliding_window; /* keys that a token sees, itself included; 0: all before it */
    int32_t rope_type;      /* PP_ROPE_* */
    int32_t rotary_dim;     /* elements of a head that rotate, from the first on */
    double rope_theta;
    double rope_factor; /* 1 where the type has none */
    int32_t n_kv_heads; /* this and the next: 0 in a linear layer */
    int32_t head_dim;
    int32_t kind;     /* PP_LAYER_* */
    int32_t kv_layer; /* whose keys and values it sees: its own number, or that of a layer before
                         it; -1 in a linear layer */
    int32_t intermediate_size; /* of its dense MLP; 0: it has none */
    int32_t has_experts;       /* 1: in the place of the MLP, or beside it */
} pp_layer_config;

typedef struct pp_model_params {
    uint32_t struct_size;
    const pp_allocator *allocator; /* host memory of weights and tables; NULL: malloc */
    pp_log_fn log;                 /* NULL: silence */
    void *log_user;
    /* A window that a GGUF file keeps silent about: each token sees so many keys, itself included,
     * in all layers. 0: as the file says. Files of architecture llama made from Mistral 7B v0.1
     * (4096), and from models with a window made from it, need it; all others say what they have,
     * and refuse another value than 0. */
    int32_t sliding_window;
} pp_model_params;

PP_API void pp_model_params_init(pp_model_params *params, size_t struct_size);

/*
 * Opens a Hugging Face model directory: config.json with model.safetensors, or shards named by
 * model.safetensors.index.json; generation_config.json for more end tokens. The architectures
 * above, text models nested in `text_config` included; weights f32, f16 or bf16. Keys that would
 * change what is computed and are not implemented are refused; stored tensors that the architecture
 * does not use are named in a warning. Everything but the weights' values is read and checked here;
 * the values are read when the first session of a device is created (pp_session_create). Files are
 * read with pread, never mapped, and must stay unchanged until then.
 *
 * Or a GGUF file of such an architecture: by its own path, whatever its name, the path of the first
 * part of one that was split, or that of a directory that has a single one and no config.json.
 * Quantised weights count as f32 values here (docs/models.md has the types, and which of them a
 * session keeps in their blocks).
 *
 * Or a directory that pp_model_convert wrote.
 *
 * Of each architecture also the classes with a head for labels (...ForSequenceClassification, where
 * there is one) and without a head (...Model), with or without "model." in front of the names.
 * modules.json of sentence-transformers is read for pp_model_config.pooling.
 *
 * dir: UTF-8 path; one that is no model (a hub id, another file, a folder around a model) gets a
 * sentence that says what to pass. Nothing is downloaded. The caller unrefs *model.
 * Errors: PP_ERR_ARG (NULL, an empty path, params->sliding_window), PP_ERR_IO, PP_ERR_FORMAT,
 * PP_ERR_LIMIT, PP_ERR_PATH, PP_ERR_UNSUPPORTED (each message names file and place), PP_ERR_NOMEM,
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_model_open(const char *dir, const pp_model_params *params, pp_model **model,
                               pp_error *err);

/*
 * A model of any architecture with pseudo-random weights, for measuring shapes without a
 * checkpoint. config_json: the text of a config.json, NUL-terminated; "dtype" is that of the
 * weights. Weights are a pure function of seed, tensor and place in it: norms' weights are 1
 * in effect, biases 0, others about normal with standard deviation 0.02.
 * Errors: PP_ERR_ARG (NULL), PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_UNSUPPORTED, PP_ERR_NOMEM,
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_model_create_random(const char *config_json, uint64_t seed,
                                        const pp_model_params *params, pp_model **model,
                                        pp_error *err);

/* The config.json of a known shape: "tiny", "llama1b" (Sheared-LLaMA-1.3B), "llama2-7b",
 * "llama2-13b", "mistral-7b", ...; NULL for an unknown name. Never freed. */
PP_API const char *pp_model_preset(const char *name);
/* The i-th preset's name, NULL past the last. */
PP_API const char *pp_model_preset_name(int64_t i);

/* Fills *config; the caller sets config->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_model_get_config(const pp_model *model, pp_model_config *config, pp_error *err);
/* Fills *layer with layer i_layer of 0 .. n_layers - 1; the caller sets layer->struct_size. Errors:
 * PP_ERR_ARG (err->index: i_layer), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_model_get_layer(const pp_model *model, int32_t i_layer, pp_layer_config *layer,
                                    pp_error *err);
/* Number of parameters (a tied LM head counts once). */
PP_API int64_t pp_model_n_parameters(const pp_model *model);
/* 1 when the weights are pseudo-random. */
PP_API int32_t pp_model_is_random(const pp_model *model);

typedef struct pp_convert_params {
    uint32_t struct_size;
    int32_t weights;   /* PP_WEIGHTS_* (session.h), F32 to NF4 */
    int32_t n_threads; /* that quantise, the caller's included; 0: as in pp_session_params; at most
                          256 */
    /* Called by the caller's thread now and then with the weights that are done, of all; another
     * value than 0 ends the call. NULL: silence. */
    int32_t (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} pp_convert_params;

PP_API void pp_convert_params_init(pp_convert_params *params, size_t struct_size);

/*
 * Writes a model as a directory: config.json, generation_config.json, model.safetensors (and what
 * says its pooling in the form of sentence-transformers), with
 * matrices in params->weights: numbers, or codes with their scales just as a session with these
 * weights would quantise them, so that a session of what was written computes the same bits and has
 * nothing to do when it loads. Vectors are f32. Holds a few chunks of the weights at a time, never
 * a whole matrix. What was converted to INT8, INT4 or NF4 is for this library alone; F32 and BF16
 * are the plain form of the class (docs/models.md).
 *
 * directory: one that is not there, or an empty one, in a place that can be written. It gets its
 * name when all is written; after an error nothing is left. Tokenizers are not the model's and are
 * not copied.
 * Errors: PP_ERR_ARG, PP_ERR_UNSUPPORTED (the model was converted already; F32 and BF16: a GGUF
 * file says what a config.json cannot), PP_ERR_IO (also when directory is there and not empty, and
 * when the disk is full), PP_ERR_NOMEM, PP_ERR_CANCELLED (progress said so), PP_ERR_STRUCT_SIZE.
 * Thread-safety: safe beside sessions of the model.
 */
PP_API pp_status pp_model_convert(pp_model *model, const char *directory,
                                  const pp_convert_params *params, pp_error *err);

/* Another reference, released with pp_model_unref. Thread-safety: safe. */
PP_API pp_model *pp_model_ref(pp_model *model);
/* Releases a reference; sessions hold their own. Thread-safety: safe. */
PP_API void pp_model_unref(pp_model *model);

#ifdef __cplusplus
}
#endif
#endif
