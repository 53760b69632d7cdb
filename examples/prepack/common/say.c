/* say.c: one sentence for each failure, on standard error. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void say(const char *format, va_list args)
{
    fflush(stdout); /* so that the sentence comes after the output it follows */
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr); /* a progress bar may stand there */
    fputs("prepack: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return STATUS_FAILED;
}

int fail_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return STATUS_USAGE;
}

int fail_memory(void)
{
    return fail("out of memory");
}

int fail_interrupted(void)
{
    fail("interrupted");
    return STATUS_INTERRUPTED;
}

int fail_library(const pp_error *err)
{
    if (err->code == PP_ERR_CANCELLED)
        return fail_interrupted();
    return fail("%s", err->message[0] ? err->message : pp_strerror(err->code));
}
