/*
 * interrupt.h: Ctrl-C (and SIGTERM). While a session is watched, the first cancels its running
 * call, so that the command ends with a sentence, and so it does while somebody asks for it;
 * otherwise, and the second time, the process ends
 * at once. Either way the exit status is 130.
 */
#ifndef PREPACK_INTERRUPT_H
#define PREPACK_INTERRUPT_H

#include <prepack/prepack.h>
#include <stdbool.h>

/* To be called once, by the main thread. */
void interrupt_install(void);
/* Whether Ctrl-C was pressed. */
bool interrupt_requested(void);
/* The file that a process that ends at once takes away; NULL: none. The path is kept by
 * reference. */
void interrupt_remove(const char *path);
/* Whether the main thread asks interrupt_requested often: then the first Ctrl-C is left to it. */
void interrupt_ask(bool asks);
/* To be given to every pp_run, so that Ctrl-C between two of them ends the next one. */
const pp_cancel *interrupt_token(void);
/* By the main thread: Ctrl-C cancels the calls of this session from here on; NULL: of none. */
void interrupt_watch(pp_session *session);
/* Before a session is destroyed; does nothing if another one is watched. */
void interrupt_unwatch(pp_session *session);

#endif
