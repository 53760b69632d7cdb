/*
 * prepack/common.h: what every part of the interface shares: status codes, error details, element
 * types, the host allocator and the log callback.
 *
 *     pp_error err = {.struct_size = sizeof err};
 *     if (pp_model_open("model-dir", NULL, &model, &err) < 0)
 *         fprintf(stderr, "%s\n", err.message);
 *
 * Conventions of the whole interface:
 *  - A fallible call returns a pp_status: 0 or a positive value is success, a negative value an
 *    error. On an error every result pointer is untouched and every object is as it was before the
 *    call.
 *  - The last parameter of a fallible call, `pp_error *err`, may be NULL.
 *  - Structs begin with struct_size. The library accepts a smaller size (an older caller: what is
 *    missing has its default) and a larger one (a newer caller) as long as the tail it does not
 *    know is all zero; otherwise PP_ERR_STRUCT_SIZE. New fields come at the end.
 *  - Every `params` pointer may be NULL: defaults. What params point to is only read during the
 *    call.
 *  - Counts are int64_t, bytes size_t, token ids and constants int32_t.
 *  - Constants are enumerators, a group in each enum. Where a group has no negative value, its last
 *    one, PP_<GROUP>_INT32, is -1: no call takes or gives it, but with it the enum is signed, and
 *    programs that read headers (bindgen, cgo, cffi) give the constants the type of the int32_t
 *    fields and parameters that hold them.
 *  - A destroy function accepts NULL.
 *  - Nothing prints, aborts, installs a signal handler or keeps global state.
 */
#ifndef PREPACK_COMMON_H
#define PREPACK_COMMON_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PP_API __attribute__((visibility("default")))
#else
#define PP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Outcome of a call. Values are frozen; new ones may be added. */
typedef int32_t pp_status;

enum {
    PP_OK = 0,
    PP_AGAIN = 1,             /* nothing is wrong and nothing was done: call again later */
    PP_GONE = 2,              /* nothing is wrong, but what was asked for is not there any more */
    PP_SHORTER = 3,           /* done, but a cache is shorter than asked for: pp_kvcache_length */
    PP_ERR_ARG = -1,          /* an argument is out of the range its declaration gives */
    PP_ERR_NOMEM = -2,        /* host memory, or a memory limit the caller set, is exhausted */
    PP_ERR_DEVICE_NOMEM = -3, /* device memory is exhausted */
    PP_ERR_DEVICE = -4,       /* the device or its driver reported an error */
    PP_ERR_UNSUPPORTED = -5,  /* well-formed, but this library cannot do it */
    PP_ERR_FORMAT = -6,       /* a file breaks its format */
    PP_ERR_IO = -7,           /* a file could not be opened or read; native_code holds errno */
    PP_ERR_LIMIT = -8,        /* a count or size in a file is above what the library accepts */
    PP_ERR_PATH = -9,         /* a file name in a checkpoint would leave its directory */
    PP_ERR_TOO_LONG = -10,    /* a prompt does not fit: a bin's capacity or a model's positions */
    PP_ERR_CANCELLED = -11,   /* pp_session_cancel or pp_queue_close was called */
    PP_ERR_NO_BACKEND = -12,  /* no such device here, or its backend is not installed */
    PP_ERR_STRUCT_SIZE = -13, /* struct_size is one this library cannot read */
    PP_ERR_INTERNAL = -14,    /* an invariant of the library broke; please report */
    PP_ERR_NOT_FINITE =
        -15, /* a result is not a number: logits that a token was to be drawn from */
};

/* One line of English for any status, also for unknown values. Never NULL, never freed.
 * Thread-safety: safe. */
PP_API const char *pp_strerror(pp_status status);

/*
 * Details of a failed call. Caller-owned: set struct_size, pass it as often as you like. A failing
 * call fills it; a successful one leaves it alone. An err with struct_size 0 is ignored.
 */
typedef struct pp_error {
    uint32_t struct_size;
    pp_status code;
    int32_t native_code; /* errno or the device's code, 0 if none */
    int64_t index;       /* the offending prompt, cache, bin or layer, or -1 */
    char
        message[488]; /* one UTF-8 sentence: what, where, what was allowed; control bytes escaped */
} pp_error;

/* Element types. Values are frozen. */
enum {
    PP_DTYPE_AUTO = 0, /* as a parameter: let the library choose */
    PP_DTYPE_F32 = 1,
    PP_DTYPE_F16 = 2,
    PP_DTYPE_BF16 = 3,
    PP_DTYPE_BOOL = 4,   /* one byte, 0 or 1 */
    PP_DTYPE_INT32 = -1, /* no value */
};

/* Bytes of one element, 0 for an unknown dtype. Thread-safety: safe. */
PP_API size_t pp_dtype_size(int32_t dtype);
/* "f32", "f16", "bf16", "bool", "auto" or "unknown". Thread-safety: safe. */
PP_API const char *pp_dtype_name(int32_t dtype);

/*
 * Host memory, per model and per session. `allocate` returns at least `bytes` bytes (never 0)
 * aligned to `alignment` (a power of two, at most 64) or NULL; `release` gets what allocate
 * returned and the same size. Both may be called from any thread that calls the library on that
 * object.
 */
typedef struct pp_allocator {
    uint32_t struct_size;
    void *user;
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    void (*release)(void *user, void *memory, size_t bytes);
} pp_allocator;

/*
 * Device memory, per session: for hosts that keep a pool of their own. `allocate` returns at least
 * `bytes` bytes (never 0) aligned to 256 on the session's device, usable by work enqueued on
 * `stream` from now on, or NULL; `release` gets what allocate returned, the same size and the
 * stream after whose work the memory is free. The CPU does not use it. The weights of a model come
 * from the allocator of the session that loads them and go back when the model is destroyed, so it
 * must outlive the model.
 */
typedef struct pp_device_allocator {
    uint32_t struct_size;
    void *user;
    void *(*allocate)(void *user, size_t bytes, void *stream);
    void (*release)(void *user, void *memory, size_t bytes, void *stream);
} pp_device_allocator;

/* Log levels. */
enum {
    PP_LOG_WARNING = 1,
    PP_LOG_INFO = 2,
    PP_LOG_INT32 = -1, /* no value */
};

/* Receives one formatted line without newline, on the thread that called the library; it must not
 * call back into the object that logs. The default is silence. */
typedef void (*pp_log_fn)(void *user, int32_t level, const char *message);

#ifdef __cplusplus
}
#endif
#endif
