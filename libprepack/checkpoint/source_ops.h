/*
 * source_ops.h: what a kind of source implements. Each begins its struct with struct ppi_source.
 */
#ifndef PPI_SOURCE_OPS_H
#define PPI_SOURCE_OPS_H

#include "checkpoint/source.h"

struct ppi_source_ops {
    int32_t (*dtype)(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer);
    /* As ppi_source_read; the rows lie inside the tensor, there is at least one. */
    pp_status (*read)(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer,
                      int64_t first_row, int64_t n_rows, void *dst, pp_error *err);
    void (*close)(struct ppi_source *source);
};

struct ppi_source {
    const struct ppi_source_ops *ops;
    struct ppi_mem *mem;
    pp_model_config config;
};

/* Whether there is one of these per layer. */
bool ppi_tensor_in_layer(enum ppi_tensor tensor);

/* Whether it is a norm's weight: stored as a vector. */
bool ppi_tensor_is_norm(enum ppi_tensor tensor);

/* The tensor that holds the values: with tied embeddings the LM head is the embedding. */
enum ppi_tensor ppi_tensor_stored(const pp_model_config *config, enum ppi_tensor tensor);

/* Every (tensor, layer) has a place in an array of ppi_tensor_n_places; layer is ignored outside
 * layers. Some places are empty. */
size_t ppi_tensor_n_places(const pp_model_config *config);
size_t ppi_tensor_place(enum ppi_tensor tensor, int32_t layer);
/* The other way: false where no tensor is stored. */
bool ppi_tensor_at(const pp_model_config *config, size_t place, enum ppi_tensor *tensor,
                   int32_t *layer);

#define PPI_TENSOR_NAME_BYTES 80
/* The name in a checkpoint. */
void ppi_tensor_name(enum ppi_tensor tensor, int32_t layer, char name[PPI_TENSOR_NAME_BYTES]);

#endif
