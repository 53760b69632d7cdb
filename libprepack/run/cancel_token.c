/*
 * cancel_token.c: a flag that ends the calls it is given to.
 */
#include "run/session_impl.h"

#include <stdlib.h>

pp_status pp_cancel_create(pp_cancel **out, pp_error *err)
{
    if (!out)
        return ppi_error(err, PP_ERR_ARG, "pp_cancel_create: cancel is NULL");
    pp_cancel *cancel = malloc(sizeof *cancel);
    if (!cancel)
        return ppi_error_nomem(err, "a cancel token", sizeof *cancel);
    atomic_init(&cancel->requested, 0);
    *out = cancel;
    return PP_OK;
}

void pp_cancel_request(pp_cancel *cancel)
{
    if (cancel)
        atomic_store(&cancel->requested, 1);
}

int32_t pp_cancel_is_requested(const pp_cancel *cancel)
{
    return cancel ? atomic_load(&cancel->requested) : 0;
}

void pp_cancel_destroy(pp_cancel *cancel)
{
    free(cancel);
}
