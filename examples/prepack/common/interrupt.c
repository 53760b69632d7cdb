/*
 * interrupt.c: the signal handler. Its work is done on the main thread only, which is also the one
 * that creates and destroys sessions: so a session cannot go away under the handler.
 */
#include "interrupt.h"
#include "say.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static pthread_t main_thread;
static atomic_bool requested;
static _Atomic(pp_session *) watched;
static atomic_bool asked_for;            /* somebody looks at `requested` */
static _Atomic(const char *) unfinished; /* a file */
static pp_cancel *token;                 /* NULL: there was no memory for it */

static void end_process(void)
{
    static const char sentence[] = "prepack: interrupted\n";
    const char *path = atomic_load(&unfinished);
    if (path)
        unlink(path);
    const ssize_t written = write(STDERR_FILENO, sentence, sizeof sentence - 1);
    (void)written;
    _exit(STATUS_INTERRUPTED);
}

static void on_signal(int number)
{
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, number);
        return;
    }
    pp_session *session = atomic_load(&watched);
    if (atomic_exchange(&requested, true) || (!session && !atomic_load(&asked_for)))
        end_process();
    pp_cancel_request(token);
    pp_session_cancel(session);
}

void interrupt_install(void)
{
    main_thread = pthread_self();
    pp_cancel_create(&token, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

const pp_cancel *interrupt_token(void)
{
    return token;
}

bool interrupt_requested(void)
{
    return atomic_load(&requested);
}

void interrupt_remove(const char *path)
{
    atomic_store(&unfinished, path);
}

void interrupt_ask(bool asks)
{
    atomic_store(&asked_for, asks);
}

void interrupt_watch(pp_session *session)
{
    atomic_store(&watched, session);
}

void interrupt_unwatch(pp_session *session)
{
    if (atomic_load(&watched) == session)
        atomic_store(&watched, NULL);
}
