/*
 * internal.h: what every file of the library may use: passing errors up, reading and writing public
 * structs of another version, checked sizes, counted memory. No knowledge of models or devices.
 */
#ifndef PPI_INTERNAL_H
#define PPI_INTERNAL_H

#include <prepack/common.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- errors (status.c) ---- */

/* Passes an error status up. */
#define PP_TRY(expression)                                                                         \
    do {                                                                                           \
        pp_status try_status_ = (expression);                                                      \
        if (try_status_ < 0)                                                                       \
            return try_status_;                                                                    \
    } while (0)

#define PPI_PRINTF(format_index, first_argument)                                                   \
    __attribute__((format(printf, format_index, first_argument)))

/* Fill *err (if there is one) and return code. The message is one sentence that names what, where
 * and what was allowed; bytes below 0x20 and 0x7f are escaped, length is bounded. */
pp_status ppi_error(pp_error *err, pp_status code, const char *format, ...) PPI_PRINTF(3, 4);
pp_status ppi_error_at(pp_error *err, pp_status code, int64_t index, const char *format, ...)
    PPI_PRINTF(4, 5);
/* The message gets ": " and the text of errno_value appended. */
pp_status ppi_error_errno(pp_error *err, pp_status code, int errno_value, const char *format, ...)
    PPI_PRINTF(4, 5);
/* PP_ERR_NOMEM for a failed allocation of `bytes` bytes for `what`. */
pp_status ppi_error_nomem(pp_error *err, const char *what, size_t bytes);

/* ---- public structs of other versions (structs.c)
 * ------------------------------------------------ */

/* Reads a caller's params: *dst (size bytes, holding the defaults) receives what the caller's
 * struct has. src NULL: nothing to do. name is the type's, for messages. */
pp_status ppi_struct_read(void *dst, size_t size, const void *src, const char *name, pp_error *err);
/* Writes an output struct of `size` bytes into the caller's of dst->struct_size bytes. */
pp_status ppi_struct_write(void *dst, const void *src, size_t size, const char *name,
                           pp_error *err);
/* Body of the pp_x_params_init functions. */
void ppi_struct_init(void *dst, size_t caller_size, const void *defaults, size_t size);

/* ---- sizes ---- */

/* false on overflow; *out is then undefined. */
static inline bool ppi_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool ppi_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline int64_t ppi_div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t ppi_round_up(int64_t a, int64_t multiple)
{
    return ppi_div_up(a, multiple) * multiple;
}

#define PPI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- counted memory (mem.c)
 * ---------------------------------------------------------------------- */

/* One object's source of host memory. Shared by threads. */
struct ppi_mem {
    pp_allocator allocator;
    int64_t limit;         /* most bytes to hold at once; 0: no limit */
    _Atomic int64_t bytes; /* held now */
    _Atomic int64_t peak;  /* most held so far */
};

/* allocator NULL: malloc. Errors: PP_ERR_ARG (a callback is missing), PP_ERR_STRUCT_SIZE. */
pp_status ppi_mem_init(struct ppi_mem *mem, const pp_allocator *allocator, int64_t limit,
                       pp_error *err);
/* count * size bytes aligned to 64, or NULL: overflow, limit or out of memory. Large blocks of the
 * default allocator are advised to use huge pages. Contents undefined; ppi_zalloc zeroes them. A
 * size of 0 gives a valid pointer. */
void *ppi_alloc(struct ppi_mem *mem, size_t count, size_t size);
void *ppi_zalloc(struct ppi_mem *mem, size_t count, size_t size);
/* NULL is allowed. */
void ppi_free(struct ppi_mem *mem, void *memory);

/* ---- processors and threads (processors.c, quota.c) ---- */

/* Those that this process may run on, by its affinity; at least 1. */
int32_t ppi_count_processors(void);
/* As many as its control groups leave it time of, rounded up; 0: no limit is known. root: before
 * every path; "" but for tests. */
int32_t ppi_quota_processors(const char *root);
/* Threads that can all run at the same time, by both; at least 1. */
int32_t ppi_usable_threads(void);

/* A host's own threads: pp_parallel_for_fn of session.h. */
typedef void (*ppi_parallel_for_fn)(void *user, int32_t n_tasks, void (*task)(void *arg, int32_t i),
                                    void *arg);

/* ---- time (clock.c) ---- */

/* CLOCK_MONOTONIC. */
int64_t ppi_nanoseconds(void);
double ppi_seconds(void);

/* ---- log
 * ----------------------------------------------------------------------------------------- */

struct ppi_log {
    pp_log_fn fn;
    void *user;
};

void ppi_log(const struct ppi_log *log, int32_t level, const char *format, ...) PPI_PRINTF(3, 4);

#endif
