/* progress.c: the bar is redrawn at most ten times a second. */
#include "progress.h"
#include "stopwatch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 30 };

static void draw(struct progress *progress)
{
    char bar[BAR_CELLS + 1];
    const int64_t total = progress->total > 0 ? progress->total : 1;
    const int64_t full = progress->done * BAR_CELLS / total;
    memset(bar, ' ', BAR_CELLS);
    memset(bar, '#', (size_t)(full > BAR_CELLS ? BAR_CELLS : full));
    bar[BAR_CELLS] = '\0';
    const double now = seconds_now();
    char left[32] = "";
    if (progress->done > 0 && progress->done < total)
        snprintf(left, sizeof left, ", %.0f s left",
                 (now - progress->started) / (double)progress->done *
                     (double)(total - progress->done));
    fprintf(stderr, "\r%-18s [%s] %lld of %lld%s\033[K", progress->what, bar,
            (long long)progress->done, (long long)total, left);
    fflush(stderr);
    progress->drawn_at = now;
    progress->shown = 1;
}

void progress_start(struct progress *progress, const char *what, int64_t total)
{
    *progress = (struct progress){.what = what, .total = total, .started = seconds_now()};
    if (isatty(STDERR_FILENO))
        draw(progress);
}

void progress_step(struct progress *progress)
{
    progress->done++;
    if (progress->shown && seconds_now() - progress->drawn_at > 0.1)
        draw(progress);
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = 0;
}
