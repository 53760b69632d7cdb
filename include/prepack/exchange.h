/*
 * prepack/exchange.h: plans as JSON text, so that a run can be replayed elsewhere or attached to a
 * report. The format is described in docs/plan-format.md.
 *
 *     size_t bytes;
 *     pp_plan_to_json(plan, NULL, 0, &bytes, &err);
 *     char *text = malloc(bytes + 1);
 *     pp_plan_to_json(plan, text, bytes + 1, &bytes, &err);
 *     ...
 *     pp_plan_from_json(text, bytes, NULL, &copy, &err);
 *
 * A plan that was read has the bins of the one that was written: pp_batch_build and pp_prefill do
 * the same with both.
 */
#ifndef PREPACK_EXCHANGE_H
#define PREPACK_EXCHANGE_H

#include "packer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes a plan as a JSON object. The same plan gives the same text in every locale.
 *
 * text: [room] of the caller's, or NULL: only the size is told. *bytes: the length of the text,
 * without the NUL that ends it, so that room must be at least *bytes + 1.
 * Errors: PP_ERR_ARG (a NULL plan or bytes; room too small: nothing is written, err->message names
 * what is needed), PP_ERR_LIMIT (more than some 7 million prompts, which
 * could not be read back).
 */
PP_API pp_status pp_plan_to_json(const pp_plan *plan, char *text, size_t room, size_t *bytes,
                                 pp_error *err);

/*
 * Reads a plan that pp_plan_to_json or somebody else wrote. Nothing in it is believed that can be
 * checked: every token of every prompt lies in exactly one place, bins keep their capacities, what
 * a segment continues lies in an earlier bin, sums are right. Figures are computed anew, the bounds
 * of bin counts as far as that takes no solver: a plan that was proven optimal by a stronger bound
 * may come back without that proof.
 *
 * text: [n_bytes], borrowed for the call; no NUL is needed. allocator: memory of the plan and of
 * its batches, NULL: malloc. The caller destroys *plan.
 * Errors: PP_ERR_ARG (NULL), PP_ERR_FORMAT (no JSON, or not a plan: the sentence says where; where
 * one prompt or bin is wrong, err->index names it), PP_ERR_UNSUPPORTED (a version of the format
 * that this library does not know), PP_ERR_LIMIT (more than 16,000,000 values or 4 GB of text),
 * PP_ERR_NOMEM.
 */
PP_API pp_status pp_plan_from_json(const char *text, size_t n_bytes, const pp_allocator *allocator,
                                   pp_plan **plan, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
