/*
 * plain_tap.h: the loop over tests, in TAP, for programs that also run on machines without a test
 * framework. A failed EXPECT or CALL ends its test with "not ok"; what the test held is not given
 * back.
 */
#ifndef TEST_PLAIN_TAP_H
#define TEST_PLAIN_TAP_H

#include <prepack/common.h>

struct plain_test {
    const char *name;
    void (*run)(void);
};

/* The exit status of main; only the test named in argv[1] if there is one. */
int plain_main(const struct plain_test *tests, size_t n, int argc, char **argv);

void plain_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* malloc that ends the program when there is none. */
void *plain_alloc(size_t bytes);

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            plain_fail(__FILE__, __LINE__, __VA_ARGS__);                                           \
    } while (0)

/* A call of the library whose last argument is perr; it has to succeed. */
#define CALL(call)                                                                                 \
    do {                                                                                           \
        pp_error err_ = {.struct_size = sizeof err_}, *perr = &err_;                               \
        pp_status status_ = (call);                                                                \
        (void)perr;                                                                                \
        EXPECT(status_ >= 0, "%s: %s (%s)", #call, err_.message, pp_strerror(status_));            \
    } while (0)

#endif
