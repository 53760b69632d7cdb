/*
 * emu_test.h: a loop over tests of the emulation, in C++ and without a framework. Prints TAP.
 */
#ifndef TEST_EMU_TEST_H
#define TEST_EMU_TEST_H

#include <stdio.h>
#include <string.h>

struct emu_test {
    const char *name;
    bool (*run)();
};

/* Ends the test as failed, with a sentence. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# %s:%d: ", __FILE__, __LINE__);                                               \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

template <size_t N> int run_tests(const emu_test (&tests)[N])
{
    int n_failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", N);
    for (size_t i = 0; i < N; i++) {
        bool good = tests[i].run();
        printf("%s %zu - %s\n", good ? "ok" : "not ok", i + 1, tests[i].name);
        n_failed += !good;
    }
    return n_failed ? 1 : 0;
}

#endif
