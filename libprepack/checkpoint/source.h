/*
 * source.h: where weights come from: the files of a checkpoint, or a seeded generator. A source
 * knows each tensor's dtype and hands its rows out; it has checked every name, shape, dtype and
 * offset when it was opened, so that reading can fail only for I/O.
 */
#ifndef PPI_SOURCE_H
#define PPI_SOURCE_H

#include "internal.h"

#include <prepack/model.h>

/* The tensors of a Llama-like decoder, with the shapes that a config gives them. */
enum ppi_tensor {
    PPI_TENSOR_EMBED,      /* [vocab_size, hidden_size] model.embed_tokens.weight */
    PPI_TENSOR_ATTN_NORM,  /* [hidden_size] model.layers.N.input_layernorm.weight */
    PPI_TENSOR_Q,          /* [n_heads * head_dim, hidden_size] ...self_attn.q_proj.weight */
    PPI_TENSOR_K,          /* [n_kv_heads * head_dim, hidden_size] */
    PPI_TENSOR_V,          /* [n_kv_heads * head_dim, hidden_size] */
    PPI_TENSOR_O,          /* [hidden_size, n_heads * head_dim] */
    PPI_TENSOR_MLP_NORM,   /* [hidden_size] ...post_attention_layernorm.weight */
    PPI_TENSOR_GATE,       /* [intermediate_size, hidden_size] ...mlp.gate_proj.weight */
    PPI_TENSOR_UP,         /* [intermediate_size, hidden_size] */
    PPI_TENSOR_DOWN,       /* [hidden_size, intermediate_size] */
    PPI_TENSOR_FINAL_NORM, /* [hidden_size] model.norm.weight */
    PPI_TENSOR_LM_HEAD, /* [vocab_size, hidden_size] lm_head.weight; with tied embeddings: EMBED */
    PPI_N_TENSORS
};

/* Rows and columns of a tensor under a config; a vector is one row. */
void ppi_tensor_shape(const pp_model_config *config, enum ppi_tensor tensor, int64_t *n_rows,
                      int64_t *n_cols);

struct ppi_source;

/* Opens the checkpoint in dir and checks every tensor that the config asks for. Errors: as
 * pp_model_open. mem must outlive the source. (checkpoint.c) */
pp_status ppi_source_open_dir(const char *dir, const pp_model_config *config, struct ppi_mem *mem,
                              const struct ppi_log *log, struct ppi_source **source, pp_error *err);

/* A generator: values depend on (seed, tensor, layer, row, column) alone; norm weights are 1,
 * others about normal with standard deviation 0.02, in config->dtype. (random_source.c) */
pp_status ppi_source_open_random(const pp_model_config *config, uint64_t seed, struct ppi_mem *mem,
                                 struct ppi_source **source, pp_error *err);

/* The dtype in which ppi_source_read hands a tensor out. layer is ignored outside layers. */
int32_t ppi_source_dtype(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer);

/* Reads rows [first_row, first_row + n_rows) into dst, densely. Thread-safety: safe. Errors:
 * PP_ERR_IO (also when the file's size or modification time is not that of the opening). */
pp_status ppi_source_read(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer,
                          int64_t first_row, int64_t n_rows, void *dst, pp_error *err);

void ppi_source_close(struct ppi_source *source);

/* config_file.c: reads and checks DIR/config.json; mem holds its text meanwhile; log gets warnings.
 */
pp_status ppi_config_read(const char *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          pp_model_config *config, pp_error *err);
/* config.c: the ranges that pp_model_config's declaration gives. */
pp_status ppi_config_check(const pp_model_config *config, pp_error *err);

#endif
