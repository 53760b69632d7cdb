/*
 * session_create.h: what creating a session and estimating one share.
 */
#ifndef PPI_SESSION_CREATE_H
#define PPI_SESSION_CREATE_H

#include "run/session_impl.h"

/* The caller's params over the defaults, checked. */
pp_status ppi_session_read_params(const pp_session_params *caller_params, pp_session_params *params,
                                  pp_error *err);

/* A session with its backend open and nothing loaded; pp_session_destroy frees it. */
pp_status ppi_session_create_empty(pp_model *model, const pp_session_params *params,
                                   struct pp_session **session, pp_error *err);

/* Bytes of the device that the workspace takes. */
int64_t ppi_session_workspace_bytes(const struct pp_session *session);

#endif
