/*
 * status.c: status codes and error details. The table below is the only list of statuses in the
 * code.
 */
#include "internal.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATUSES(X)                                                                                \
    X(PP_OK, "ok")                                                                                 \
    X(PP_AGAIN, "nothing done yet, call again later")                                              \
    X(PP_GONE, "not there any more")                                                               \
    X(PP_SHORTER, "done, but the cache is shorter than asked for")                                 \
    X(PP_ERR_ARG, "invalid argument")                                                              \
    X(PP_ERR_NOMEM, "out of host memory")                                                          \
    X(PP_ERR_DEVICE_NOMEM, "out of device memory")                                                 \
    X(PP_ERR_DEVICE, "device error")                                                               \
    X(PP_ERR_UNSUPPORTED, "not supported")                                                         \
    X(PP_ERR_FORMAT, "malformed file")                                                             \
    X(PP_ERR_IO, "input/output error")                                                             \
    X(PP_ERR_LIMIT, "above a limit of the library")                                                \
    X(PP_ERR_PATH, "file name leaves the model directory")                                         \
    X(PP_ERR_TOO_LONG, "prompt too long")                                                          \
    X(PP_ERR_CANCELLED, "cancelled")                                                               \
    X(PP_ERR_NO_BACKEND, "no such device")                                                         \
    X(PP_ERR_STRUCT_SIZE, "struct_size cannot be read")                                            \
    X(PP_ERR_INTERNAL, "internal error")                                                           \
    X(PP_ERR_NOT_FINITE, "a result is not a number")

const char *pp_strerror(pp_status status)
{
    switch (status) {
#define CASE(code, text)                                                                           \
    case code:                                                                                     \
        return text;
        STATUSES(CASE)
#undef CASE
    }
    return "unknown status";
}

/* Copies text into dst (size bytes), escaping what would break a log line or is not UTF-8; what
 * does not fit whole is left out. */
static void copy_escaped(char *dst, size_t size, const char *text)
{
    size_t used = 0;
    for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
        unsigned char c = (unsigned char)*text;
        n = ppi_utf8_sequence(text, left);
        bool plain = n > 0 && c >= 0x20 && c != 0x7f;
        n = plain ? n : 1;
        if (used + (plain ? n : 4) + 1 > size)
            break;
        if (plain)
            memcpy(dst + used, text, n);
        else
            snprintf(dst + used, size - used, "\\x%02x", c);
        used += plain ? n : 4;
    }
    dst[used] = '\0';
}

static void fill(pp_error *err, pp_status code, int32_t native, int64_t index, const char *format,
                 va_list args) PPI_PRINTF(5, 0);

static void fill(pp_error *err, pp_status code, int32_t native, int64_t index, const char *format,
                 va_list args)
{
    char text[sizeof err->message * 2];
    if (!err || err->struct_size <= offsetof(pp_error, message))
        return;
    size_t room = err->struct_size - offsetof(pp_error, message);
    if (room > sizeof err->message)
        room = sizeof err->message;
    err->code = code;
    err->native_code = native;
    err->index = index;
    vsnprintf(text, sizeof text, format, args);
    if (native && strlen(text) + 3 < sizeof text) {
        char reason[128];
        if (strerror_r(native, reason, sizeof reason) == 0) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, ": %s", reason);
        }
    }
    copy_escaped(err->message, room, text);
}

pp_status ppi_error(pp_error *err, pp_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, 0, -1, format, args);
    va_end(args);
    return code;
}

pp_status ppi_error_at(pp_error *err, pp_status code, int64_t index, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, 0, index, format, args);
    va_end(args);
    return code;
}

pp_status ppi_error_errno(pp_error *err, pp_status code, int errno_value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, errno_value, -1, format, args);
    va_end(args);
    return code;
}

pp_status ppi_error_nomem(pp_error *err, const char *what, size_t bytes)
{
    return ppi_error(err, PP_ERR_NOMEM, "no memory for %s (%zu bytes)", what, bytes);
}
