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

/* Architectures. Values are frozen. */
#define PP_ARCH_LLAMA   1 /* LlamaForCausalLM */
#define PP_ARCH_MISTRAL 2 /* MistralForCausalLM */

/* Rotary position embedding scaling. Values are frozen. */
#define PP_ROPE_DEFAULT 0
#define PP_ROPE_LINEAR  1 /* positions divided by rope_factor */
#define PP_ROPE_LLAMA3                                                                             \
    2 /* Llama 3.1: low frequencies divided by rope_factor, smooth in between                      \
       */

typedef struct pp_model_config {
    uint32_t struct_size;
    int32_t arch;              /* PP_ARCH_* */
    int32_t vocab_size;        /* 1 .. 2^24 */
    int32_t hidden_size;       /* 1 .. 65536 */
    int32_t intermediate_size; /* 1 .. 2^20 */
    int32_t n_layers;          /* 1 .. 1024 */
    int32_t n_heads;           /* 1 .. 1024, a multiple of n_kv_heads */
    int32_t n_kv_heads;
    int32_t head_dim;       /* even, 2 .. 512 */
    int32_t max_position;   /* positions the model was made for; longer prompts are refused */
    int32_t sliding_window; /* a token sees this many tokens, itself included; 0: all */
    int32_t tie_embeddings; /* 1: the LM head is the embedding table */
    int32_t dtype;          /* of the stored weights: PP_DTYPE_F32, F16, BF16 */
    int32_t rope_type;      /* PP_ROPE_* */
    double rms_norm_eps;
    double rope_theta;
    double rope_factor;                                 /* PP_ROPE_LINEAR, PP_ROPE_LLAMA3 */
    double rope_low_freq_factor, rope_high_freq_factor; /* PP_ROPE_LLAMA3 */
    int32_t rope_original_max_position;                 /* PP_ROPE_LLAMA3 */
    int32_t bos_token;                                  /* -1: none stated */
    int32_t eos_token; /* -1: none stated; the first if the file lists several */
    int32_t reserved0;
    int64_t reserved[6];
} pp_model_config;

typedef struct pp_model_params {
    uint32_t struct_size;
    uint32_t reserved0;
    const pp_allocator *allocator; /* host memory of weights and tables; NULL: malloc */
    pp_log_fn log;                 /* NULL: silence */
    void *log_user;
    int64_t reserved[6];
} pp_model_params;

PP_API void pp_model_params_init(pp_model_params *params, size_t struct_size);

/*
 * Opens a Hugging Face model directory: config.json with model.safetensors, or shards named by
 * model.safetensors.index.json. LlamaForCausalLM and MistralForCausalLM; weights f32, f16 or bf16.
 * Everything but the weights' values is read and checked here; the values are read when the first
 * session of a device is created (pp_session_create). Files are read with pread, never mapped, and
 * must stay unchanged until then.
 *
 * dir: UTF-8 path. The caller unrefs *model.
 * Errors: PP_ERR_IO, PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_PATH, PP_ERR_UNSUPPORTED (each message
 * names file and place), PP_ERR_NOMEM, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_model_open(const char *dir, const pp_model_params *params, pp_model **model,
                               pp_error *err);

/*
 * A model of the given shape with pseudo-random weights, for measuring shapes without a checkpoint.
 * Weights are a pure function of config, seed and place. Errors: PP_ERR_ARG (config out of the
 * ranges above), PP_ERR_NOMEM, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_model_create_random(const pp_model_config *config, uint64_t seed,
                                        const pp_model_params *params, pp_model **model,
                                        pp_error *err);

/* Fills *config (the caller sets struct_size) with a known shape: "tiny", "llama1b"
 * (Sheared-LLaMA-1.3B), "llama2-7b", "llama2-13b", "mistral-7b". Errors: PP_ERR_ARG (unknown name;
 * the message lists the known ones), PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_model_config_preset(const char *name, pp_model_config *config, pp_error *err);
/* The i-th preset's name, NULL past the last. */
PP_API const char *pp_model_preset_name(size_t i);

/* Fills *config; the caller sets config->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_model_get_config(const pp_model *model, pp_model_config *config, pp_error *err);
/* Number of parameters (a tied LM head counts once). */
PP_API int64_t pp_model_n_parameters(const pp_model *model);
/* 1 when the weights are pseudo-random. */
PP_API int32_t pp_model_is_random(const pp_model *model);

/* Another reference, released with pp_model_unref. Thread-safety: safe. */
PP_API pp_model *pp_model_ref(pp_model *model);
/* Releases a reference; sessions hold their own. Thread-safety: safe. */
PP_API void pp_model_unref(pp_model *model);

#ifdef __cplusplus
}
#endif
#endif
