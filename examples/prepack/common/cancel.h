/*
 * cancel.h: Ctrl-C (and SIGTERM). While a session is watched, the first cancels its running call,
 * so that the command ends with a sentence; otherwise, and the second time, the process ends at
 * once. Either way the exit status is 130.
 */
#ifndef PREPACK_CANCEL_H
#define PREPACK_CANCEL_H

#include <prepack/prepack.h>
#include <stdbool.h>

/* To be called once, by the main thread. */
void cancel_install(void);
/* Whether Ctrl-C was pressed. */
bool cancel_requested(void);
/* To be given to every pp_run, so that Ctrl-C between two of them ends the next one. */
const pp_cancel *cancel_token(void);
/* By the main thread: Ctrl-C cancels the calls of this session from here on; NULL: of none. */
void cancel_watch(pp_session *session);
/* Before a session is destroyed; does nothing if another one is watched. */
void cancel_unwatch(pp_session *session);

#endif
