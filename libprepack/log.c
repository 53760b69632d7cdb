/*
 * log.c: formatted lines to the callback of a model or session; without one, nothing.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

void ppi_log(const struct ppi_log *log, int32_t level, const char *format, ...)
{
    if (!log || !log->fn)
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log->fn(log->user, level, line);
}
