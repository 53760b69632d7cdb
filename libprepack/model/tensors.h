/*
 * tensors.h: where the values of a model's weights come from: the stored tensors of its files,
 * found and checked when it was opened, so that reading can fail only for I/O; or a seed.
 */
#ifndef PPI_TENSORS_H
#define PPI_TENSORS_H

#include "checkpoint/source.h"
#include "model/config.h"
#include "model/gguf_arch.h"
#include "model/tensor_rows.h"

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
    int32_t n_layers;                  /* of the tables that follow */
    int32_t n_each; /* tensors of a rule that has several: 2, or as many as experts; 0: none has */
    /* [n_layers, n_rules], of outer weights in layer 0; then of rules with several tensors those
     * from the second on, [n_layers, such rules, n_each - 1]; the source's */
    struct ppi_stored *stored;
    int32_t weights;               /* PP_WEIGHTS_*: the format of a converted model; else AUTO */
    struct ppi_code_places *codes; /* as stored; NULL: none has codes */
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

/* Where a rule's tensor is stored, of several the first; entry NULL: nowhere. And the i-th of
 * several (ppi_rule_n_tensors). Not of random models. */
struct ppi_stored *ppi_tensors_place(const struct ppi_tensors *tensors, int32_t i_rule,
                                     int32_t layer);
struct ppi_stored *ppi_tensors_place_of(const struct ppi_tensors *tensors, int32_t i_rule,
                                        int32_t layer, int32_t i_tensor);

/* tensors_unused.c: warns of what is stored and was not asked for. */
void ppi_tensors_warn_of_unused(const struct ppi_tensors *tensors, const struct ppi_config *config,
                                const char *label, const struct ppi_log *log);

/* stored_compare.c: whether the values are the same, bit for bit where the dtypes are. Errors:
 * PP_ERR_IO, PP_ERR_NOMEM. */
pp_status ppi_stored_compare(const struct ppi_stored *a, const struct ppi_stored *b,
                             struct ppi_mem *mem, bool *equal, pp_error *err);

/* ---- tensor_read.c ---- */

struct ppi_rule_at ppi_tensors_rule(const struct ppi_tensors *tensors,
                                    const struct ppi_model_spec *spec, int32_t i_rule,
                                    int32_t layer);

/* The dtype that a rule's tensor is read in; layer is ignored outside layers. */
int32_t ppi_tensors_dtype(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer);

/* Rows [first_row, first_row + n_rows) of a rule's part into dst, densely, in its dtype; a vector
 * is one row. Thread-safety: safe. Errors: PP_ERR_IO. */
pp_status ppi_tensors_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                           int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows,
                           void *dst, pp_error *err);

/* The first n rows of a run out of what one of its tensors stores, as bytes of any meaning. */
pp_status ppi_stored_read_run(const struct ppi_stored *stored, const struct ppi_row_run *run,
                              int64_t n, int64_t row_bytes, char *dst, pp_error *err);

/* random_weights.c: the same of a model without files. */
void ppi_random_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                     int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows, void *dst);

#endif
