/*
 * guard.c: one thread, one process.
 */
#include "guard.h"

#include <unistd.h>

void ppi_guard_init(struct ppi_guard *guard)
{
    guard->process = getpid();
    atomic_init(&guard->busy, 0);
}

bool ppi_guard_is_foreign(const struct ppi_guard *guard)
{
    return guard->process != getpid();
}

pp_status ppi_guard_enter(struct ppi_guard *guard, const char *caller, pp_error *err)
{
    if (ppi_guard_is_foreign(guard))
        return ppi_error(err, PP_ERR_ARG,
                         "%s: the session was created in process %lld and this is process %lld; a "
                         "child after fork has to create its own",
                         caller, (long long)guard->process, (long long)getpid());
    if (atomic_exchange(&guard->busy, 1) != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "%s: another thread is in a call of this session; one thread at a time",
                         caller);
    return PP_OK;
}

void ppi_guard_leave(struct ppi_guard *guard)
{
    atomic_store(&guard->busy, 0);
}
