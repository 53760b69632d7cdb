/*
 * policies.h: the packing policies and the bounds they are measured against.
 */
#ifndef PPI_POLICIES_H
#define PPI_POLICIES_H

#include "plan.h"

/*
 * A policy. It gets a plan whose capacity, n_prompts (at least 1) and tokens are set and whose
 * arrays have room for every bin it can open (ppi_bound_bins), and the lengths, all in
 * [shortest, info.longest_prompt] and within the capacity. It fills the arrays and info.n_bins.
 * Scratch memory comes from plan->mem and is given back. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_pack_ffd(struct pp_plan *plan, const int64_t *lengths, int64_t shortest,
                       pp_error *err);
pp_status ppi_pack_bfd(struct pp_plan *plan, const int64_t *lengths, int64_t shortest,
                       pp_error *err);
pp_status ppi_pack_arrival(struct pp_plan *plan, const int64_t *lengths, int64_t shortest,
                           pp_error *err);

/* L1: no packing of so many tokens has fewer bins. 0 without tokens. */
int64_t ppi_bound_l1(int64_t tokens, int64_t capacity);
/* No policy here opens more bins than this, given L1. */
int64_t ppi_bound_bins(int64_t l1, int64_t n_prompts);

/* A plan without bins, its arrays uninitialised, for n_prompts prompts and at most max_bins bins.
 * Errors: PP_ERR_NOMEM. */
pp_status ppi_plan_create(const pp_allocator *allocator, int64_t n_prompts, int64_t max_bins,
                          struct pp_plan **plan, pp_error *err);

#endif
