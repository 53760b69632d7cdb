/*
 * run_impl.h: running items for a public call that has entered the session.
 */
#ifndef PPI_RUN_IMPL_H
#define PPI_RUN_IMPL_H

#include "run/run_items.h"

/* As pp_run. */
pp_status ppi_run_items(struct pp_session *session, const pp_plan *plan,
                        const struct ppi_items *items, const pp_run_params *params, pp_error *err);

/* A caller's params with the defaults filled in. Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE. */
pp_status ppi_run_params_read(pp_run_params *params, const pp_run_params *caller_params,
                              const pp_plan *plan, const char *caller, pp_error *err);

/* As pp_prefill. */
pp_status ppi_prefill(struct pp_session *session, const pp_plan *plan, const pp_prompt *prompts,
                      int64_t n, pp_kvcache **caches, const float **logits, pp_error *err);

#endif
