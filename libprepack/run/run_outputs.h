/*
 * run_outputs.h: rows of logits become what items asked for.
 */
#ifndef PPI_OUTPUTS_H
#define PPI_OUTPUTS_H

#include "run/run_items.h"
#include "run/session_impl.h"

/* Where what a run gives goes. */
struct ppi_outputs {
    struct pp_session *session;
    const struct ppi_items *items;
    const pp_run_params *params;
    int32_t *tokens; /* [items] that were drawn; NULL when none is */
};

/* A ppi_take_logits; user: struct ppi_outputs. Errors: PP_ERR_NOT_FINITE, PP_ERR_CANCELLED (by the
 * sink), PP_ERR_DEVICE. */
pp_status ppi_outputs_take(void *user, int32_t first, int32_t n_rows, pp_error *err);

/* Takes the host memory that handing over needs; the session keeps it. */
pp_status ppi_outputs_prepare(const struct ppi_outputs *outputs, pp_error *err);

#endif
