/*
 * tensors.h: where the values of a model's weights come from: the stored tensors of its files,
 * found and checked when it was opened, so that reading can fail only for I/O; or a seed.
 */
#ifndef PPI_TENSORS_H
#define PPI_TENSORS_H

#include "checkpoint/source.h"
#include "model/config.h"
#include "model/gguf_arch.h"

/* What stands beside the codes of a converted tensor; entries are NULL where there is none. */
struct ppi_code_places {
    struct ppi_stored scales, offsets;
};

struct ppi_tensors {
    const struct ppi_tensor_rule *rules;
    int32_t n_rules;
    struct ppi_name_prefixes prefixes; /* of the names in a directory */
    struct ppi_source *source;         /* NULL: random */
    const struct ppi_gguf_arch *gguf;  /* NULL: a directory's, or random */
    struct ppi_stored *stored; /* [n_layers, n_rules]; of outer weights in layer 0; the source's */
    int32_t weights;           /* PP_WEIGHTS_*: the format of a converted model; else AUTO */
    struct ppi_code_places *codes; /* as stored; NULL: not a converted model */
    uint64_t seed;
    float random_norm; /* what norms' weights are: 1 in effect */
    int32_t random_dtype;
};

/* Finds and checks every tensor that the model needs, warns of those that it does not use. What the
 * files hold has the last word: sets spec.dtype, and spec.tie_embeddings to false where both
 * tensors are stored and differ. Errors: as pp_model_open. */
pp_status ppi_tensors_open(const struct ppi_dir *dir, struct ppi_config *config,
                           struct ppi_mem *mem, const struct ppi_log *log,
                           struct ppi_tensors *tensors, pp_error *err);

/* The same of a GGUF file's source, which becomes the tensors' own, also when this fails. */
pp_status ppi_tensors_open_gguf(struct ppi_source *source, const struct ppi_gguf_arch *gguf,
                                struct ppi_config *config, struct ppi_mem *mem,
                                const struct ppi_log *log, struct ppi_tensors *tensors,
                                pp_error *err);

/* random_weights.c */
void ppi_tensors_random(const struct ppi_config *config, uint64_t seed,
                        struct ppi_tensors *tensors);

void ppi_tensors_close(struct ppi_tensors *tensors, struct ppi_mem *mem);

/* The rule's index in the list; layer is ignored outside layers. */
int32_t ppi_tensors_dtype(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer);

/* Rows [first_row, first_row + n_rows) of a rule's tensor into dst, densely, in its dtype; a vector
 * is one row. Thread-safety: safe. Errors: PP_ERR_IO. */
pp_status ppi_tensors_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                           int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows,
                           void *dst, pp_error *err);

/* Where a rule's tensor is stored; whether its rows stand there in another order; and where a row
 * of the weight is then. Not of random models. */
struct ppi_stored *ppi_tensors_place(const struct ppi_tensors *tensors, int32_t i_rule,
                                     int32_t layer);
bool ppi_tensors_turn(const struct ppi_tensors *tensors, int32_t i_rule);
int64_t ppi_tensors_row(const struct ppi_model_spec *spec, int64_t row);

/* random_weights.c: the same of a model without files. */
void ppi_random_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                     int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows, void *dst);

#endif
