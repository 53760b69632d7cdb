/*
 * guard.h: notices misuse of an object that belongs to one thread at a time: two threads at once,
 * and a child process after fork, whose copy has lost its threads and device.
 */
#ifndef PPI_GUARD_H
#define PPI_GUARD_H

#include "internal.h"

struct ppi_guard {
    int64_t process;      /* that made the object */
    _Atomic int32_t busy; /* 1 while a call is inside */
};

void ppi_guard_init(struct ppi_guard *guard);

/* Whether the object was made by another process: this one is its child after fork. */
bool ppi_guard_is_foreign(const struct ppi_guard *guard);

/* Enters the object. Errors: PP_ERR_ARG (another thread is inside; this process is a child of the
 * one that made it); nothing was entered then. caller: the public function, for the sentence. */
pp_status ppi_guard_enter(struct ppi_guard *guard, const char *caller, pp_error *err);
void ppi_guard_leave(struct ppi_guard *guard);

#endif
