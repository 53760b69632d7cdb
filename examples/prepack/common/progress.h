/* progress.h: a bar on standard error while something runs, only if that is a terminal. */
#ifndef PREPACK_PROGRESS_H
#define PREPACK_PROGRESS_H

#include <stdint.h>

struct progress {
    const char *what;
    int64_t done, total;
    int shown; /* a bar is on the screen */
    double drawn_at;
    double started;
};

/* what: a word or two, kept by reference. */
void progress_start(struct progress *progress, const char *what, int64_t total);
void progress_step(struct progress *progress);
/* Takes the bar off the screen. */
void progress_clear(struct progress *progress);

#endif
