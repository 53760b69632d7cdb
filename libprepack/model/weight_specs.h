/*
 * weight_specs.h: the matrices of a model: the stored tensors that make one up, and its format.
 */
#ifndef PPI_WEIGHT_SPECS_H
#define PPI_WEIGHT_SPECS_H

#include "model/model_impl.h"

/* One weight: the rules of its parts, which stand together in the list. */
struct ppi_weight_group {
    int32_t i_rule, n_parts;
    const struct ppi_weight_kind *kind;
    enum ppi_weight weight;
};

/* The next group that a layer of the model has, from rule *i_rule on; false after the last. Outer
 * weights are those of layer 0. Of its parts some may not be there. */
bool ppi_next_group(const pp_model *model, int32_t layer, int32_t *i_rule,
                    struct ppi_weight_group *group);

/* The matrix of a group in a layer. */
struct ppi_matrix_spec ppi_group_spec(const pp_model *model, const struct ppi_weights_wish *wish,
                                      const struct ppi_weight_group *group, int32_t layer);

#endif
