/*
 * identity.h: a number for what a model computes its keys and values from.
 */
#ifndef PPI_IDENTITY_H
#define PPI_IDENTITY_H

#include "model/model_impl.h"

/*
 * Covers the spec but for its ends behind the last layer, shapes and dtypes of the stored tensors,
 * and some bytes of each: enough to tell a model from another of its shape that was
 * trained further, and not to notice that a few weights changed. Where the files are, how they
 * are split and what tensors are called does not count; of a random model the seed does.
 * Thread-safety: safe. Errors: PP_ERR_IO.
 */
pp_status ppi_model_identity(const pp_model *model, uint64_t *identity, pp_error *err);

#endif
