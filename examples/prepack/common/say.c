/* say.c: one sentence for each failure, on standard error. */
#include "say.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool line_open;

void say_line_open(bool open)
{
    line_open = open;
}

static void begin_sentence(void)
{
    if (line_open)
        fputc('\n', stdout);
    line_open = false;
    fflush(stdout); /* so that the sentence comes after the output it follows */
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr); /* a progress bar may stand there */
    fputs("prepack: ", stderr);
}

static void say(const char *format, va_list args)
{
    begin_sentence();
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

/* The notes that were said; one for which there is no room or memory is said again. */
static bool is_said(const char *sentence)
{
    enum { MAX_NOTES = 256 };
    static char *notes[MAX_NOTES];
    static int n_notes;
    for (int i = 0; i < n_notes; i++)
        if (strcmp(notes[i], sentence) == 0)
            return true;
    if (n_notes < MAX_NOTES && (notes[n_notes] = strdup(sentence)))
        n_notes++;
    return false;
}

void note(const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (is_said(sentence))
        return;
    begin_sentence();
    fprintf(stderr, "note: %s\n", sentence);
}

void say_log(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == PP_LOG_WARNING)
        note("%s", message);
}
