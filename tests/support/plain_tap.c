/*
 * plain_tap.c: see plain_tap.h.
 */
#include "plain_tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf failed;

void plain_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    longjmp(failed, 1);
}

void *plain_alloc(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        printf("Bail out! no memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

int plain_main(const struct plain_test *tests, size_t n, int argc, char **argv)
{
    volatile int n_failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", n);
    for (volatile size_t i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) {
            printf("ok %zu - %s # SKIP not asked for\n", i + 1, tests[i].name);
        } else if (setjmp(failed) == 0) {
            tests[i].run();
            printf("ok %zu - %s\n", i + 1, tests[i].name);
        } else {
            printf("not ok %zu - %s\n", i + 1, tests[i].name);
            n_failed++;
        }
    }
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
