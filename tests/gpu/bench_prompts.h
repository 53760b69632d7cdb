/*
 * bench_prompts.h: prompts of the benchmarks, and the small things that they share. A failed call
 * ends the program with one sentence.
 */
#ifndef BENCH_PROMPTS_H
#define BENCH_PROMPTS_H

#include <prepack/prepack.h>

__attribute__((noreturn)) void bench_fail(const char *what, const char *why);
void *bench_alloc(size_t bytes);
double bench_seconds(void);
double bench_median(double *values, size_t n); /* sorts them */
void bench_drop(pp_kvcache **caches, size_t n);

/* A call of the library whose last argument is err. */
#define BENCH(call)                                                                                \
    do {                                                                                           \
        pp_error error_ = {.struct_size = sizeof error_}, *err = &error_;                          \
        if ((call) < 0)                                                                            \
            bench_fail(#call, err->message);                                                       \
    } while (0)

struct prompts {
    pp_prompt *prompts;
    size_t n;
    int64_t n_tokens; /* of all */
};

/* One line, one prompt: its ids. */
struct prompts prompts_read(const char *path);
/* One line, one length; pseudo-random ids. */
struct prompts prompts_random(const char *lengths_path, int32_t vocab_size);
/* Copies padded on the right to the longest. */
struct prompts prompts_padded(const pp_prompt *prompts, size_t n);
/* Copies, over and over, the last one cut, of n_tokens tokens together. */
struct prompts prompts_of_total(const struct prompts *prompts, int64_t n_tokens);
void prompts_free(struct prompts *prompts);

/* The same prompts, shortest first: the tokens stay the original's, the caller frees .prompts. */
struct prompts prompts_sorted(const struct prompts *prompts);

#endif
