/*
 * tensor_rows.h: where the rows of a weight are: in which of its stored tensors, in which row of
 * it, and which row of the matrix they become. A part of a vector is taken for rows of one element
 * (of a convolution: those of one channel).
 */
#ifndef PPI_TENSOR_ROWS_H
#define PPI_TENSOR_ROWS_H

#include "model/gguf_arch.h"
#include "model/tensor_rules.h"

/* A rule in a layer, and how the files have what it names. */
struct ppi_rule_at {
    const struct ppi_tensor_rule *rule;
    const struct ppi_model_spec *spec;
    const struct ppi_gguf_arch *gguf; /* NULL: as a directory has it */
    int32_t layer;
};

/* Tensors that hold the rows: one; one for each expert; or in a GGUF file two, the gates and what
 * they are multiplied with, of a rule that names both in one. */
int32_t ppi_rule_n_tensors(const struct ppi_rule_at *at);
/* The part of the i-th of these two; else the rule's. */
enum ppi_part ppi_rule_part_of(const struct ppi_rule_at *at, int32_t i_tensor);
/* How they hold them: in GGUF files each part is as it is, or one below the other. */
enum ppi_stored_as ppi_rule_as(const struct ppi_rule_at *at);
/* Puts its number in the place of %d in a name. */
void ppi_name_expert(char name[PPI_TENSOR_NAME_BYTES], int32_t expert);

/* Rows of a part and elements of each. */
void ppi_part_rows(const struct ppi_rule_at *at, int64_t *n_rows, int64_t *n_cols);

/* Rows of a part, from one on, that stand in one tensor at one distance. */
struct ppi_row_run {
    int32_t i_tensor;    /* below ppi_rule_n_tensors; number of the expert where each has one */
    int64_t first, step; /* rows of the tensor; those of all experts are numbered through. Step 1 or
                            2 */
    int64_t n;
};
struct ppi_row_run ppi_rows_at(const struct ppi_rule_at *at, int64_t row);

/* Rows of a part that are one expert's; all where it is not of experts. */
int64_t ppi_one_expert_rows(const struct ppi_rule_at *at);

/* Rows of one of its tensors as ppi_row_run counts them, those of other parts included. */
int64_t ppi_stored_rows(const struct ppi_rule_at *at);

/* The shape of one of its tensors of numbers, or of the blocks of MXFP4; returns the rank. */
#define PPI_RULE_MAX_RANK 4
int32_t ppi_stored_shape(const struct ppi_rule_at *at, int64_t shape[PPI_RULE_MAX_RANK]);

/* Where a part's row is among those of the whole weight, whose part begins at first_row; *n: as
 * many follow one another. */
int64_t ppi_weight_row(const struct ppi_rule_at *at, int64_t first_row, int64_t row, int64_t *n);

#endif
