/*
 * tensor_out.h: the safetensors file of a prefill. All shapes are known before anything runs, so
 * the header is written first and each tensor to its place as it comes. The file has another name
 * until it is whole, and leaves nothing behind when it does not become so.
 */
#ifndef PREPACK_TENSOR_OUT_H
#define PREPACK_TENSOR_OUT_H

#include "partial_file.h"

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stddef.h>

/* A linear layer has these two in the place of keys and values, of the same size for any prompt. */
struct tensor_states {
    int32_t heads, key_dim, value_dim; /* the state: a matrix for each head */
    int32_t rows, channels;            /* what its convolution holds */
};

/* What stands in the file. */
struct tensor_plan {
    const pp_prompt *prompts; /* [n_prompts]; only their lengths matter */
    size_t n_prompts;
    int32_t vocab_size;
    const pp_layer_config *layers; /* [n_layers] */
    int32_t n_layers;              /* 0: no keys and values */
    struct tensor_states states;   /* of every linear layer */
    const char *model;             /* the metadata */
    const char *dtype, *device;
};

struct tensor_out {
    struct tensor_plan plan;
    struct partial_file file;
    int64_t logits_start, kv_start; /* places in the file */
    int64_t *first_tokens;          /* [n_prompts] tokens of all prompts before */
    int64_t file_bytes;
};

/* Begins the file: header, lengths, and room for the rest. force: a file of that name is replaced
 * at the end; otherwise it is refused. plan's arrays outlive the file. The caller closes it, also
 * after a failure. */
int tensor_out_open(const char *path, bool force, const struct tensor_plan *plan,
                    struct tensor_out *out);

/* Row i of the logits, [vocab_size]. */
int tensor_out_logits(struct tensor_out *out, size_t i, const float *logits);
/* Keys (which 0) or values (1) of tokens from first_token on, of prompt i in a layer. */
int tensor_out_kv(struct tensor_out *out, size_t i, int32_t layer, int which, int64_t first_token,
                  int64_t n_tokens, const float *values);

/* The state (which 0) of a linear layer behind prompt i, or what its convolution holds (1). */
int tensor_out_state(struct tensor_out *out, size_t i, int32_t layer, int which,
                     const float *values);
/* Elements of one of these. */
int64_t tensor_state_size(const struct tensor_states *states, int which);

/* Gives the file its name. */
int tensor_out_finish(struct tensor_out *out);
void tensor_out_close(struct tensor_out *out);

#endif
