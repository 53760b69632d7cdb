/*
 * gguf_config.h: between the files of gguf_config: the parts of the config.json that a GGUF file's
 * keys become. Each is called twice, first to count its bytes.
 */
#ifndef PPI_GGUF_CONFIG_H
#define PPI_GGUF_CONFIG_H

#include "json/json_write.h"
#include "model/gguf_keys.h"

/* What several parts need. */
struct ppi_gguf_shape {
    const struct ppi_arch *arch; /* of the class */
    int64_t n_layers, n_heads, hidden_size, head_dim;
    int64_t window; /* 0: none */
};

/* gguf_head.c: ,"architectures":[...] where the file scores labels. */
pp_status ppi_gguf_write_head(const struct ppi_gguf_reader *reader,
                              const struct ppi_gguf_shape *shape, struct ppi_json_out *out);
/* gguf_head.c: spec->pooling. */
pp_status ppi_gguf_read_pooling(const struct ppi_gguf_reader *reader, struct ppi_model_spec *spec);
/* gguf_experts.c: whether the file has experts, by its keys. */
bool ppi_gguf_has_experts(const struct ppi_gguf_reader *reader);
/* gguf_experts.c: ,"num_experts":n and what belongs to it, where the class may have experts. */
pp_status ppi_gguf_write_experts(const struct ppi_gguf_reader *reader,
                                 const struct ppi_gguf_shape *shape, struct ppi_json_out *out);
/* gguf_linear.c: which layers are linear, and their shape, where the architecture has such. */
pp_status ppi_gguf_write_linear(const struct ppi_gguf_reader *reader,
                                const struct ppi_gguf_shape *shape, struct ppi_json_out *out);
/* gguf_linear.c: whether some layer has a tensor of this name. */
bool ppi_gguf_some_layer_has(const struct ppi_gguf_reader *reader, int64_t n_layers,
                             const char *name);
/* gguf_rope.c: ,"rope_parameters":{...} and what belongs to it. */
pp_status ppi_gguf_write_ropes(const struct ppi_gguf_reader *reader,
                               const struct ppi_gguf_shape *shape, struct ppi_json_out *out);
/* gguf_rope.c: factors of frequencies that are stored as a tensor. */
pp_status ppi_gguf_read_factors(const struct ppi_gguf_reader *reader, struct ppi_config *config);

#endif
