/*
 * gguf_scan.c: takes pieces from the beginning of a GGUF file, and tells a file that ends too early
 * from a beginning of it that does.
 */
#include "checkpoint/gguf_scan.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAME_BYTES 4096

struct ppi_label ppi_gguf_place(const struct ppi_gguf_scan *scan)
{
    struct ppi_label place = {"the header"};
    char name[sizeof place.text];
    if (scan->kind && scan->name) {
        size_t len = scan->name_len < sizeof name ? scan->name_len : sizeof name - 1;
        memcpy(name, scan->name, len);
        name[len] = '\0';
        snprintf(place.text, sizeof place.text, "%s \"%.180s\"", scan->kind, ppi_label(name).text);
    } else if (scan->kind) {
        snprintf(place.text, sizeof place.text, "%s %llu", scan->kind,
                 (unsigned long long)scan->index);
    }
    return place;
}

pp_status ppi_gguf_take(struct ppi_gguf_scan *scan, uint64_t n, char **data)
{
    if (n > (uint64_t)scan->size - scan->at)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s needs %llu bytes at byte %zu; the file has %lld", scan->label,
                         ppi_gguf_place(scan).text, (unsigned long long)n, scan->at,
                         (long long)scan->size);
    if (n > scan->len - scan->at) {
        scan->wanted = scan->at + n;
        return PP_ERR_FORMAT; /* no fault of the file, so that err is left alone */
    }
    *data = scan->bytes + scan->at;
    scan->at += (size_t)n;
    return PP_OK;
}

pp_status ppi_gguf_take_u32(struct ppi_gguf_scan *scan, uint32_t *number)
{
    char *data = NULL;
    PP_TRY(ppi_gguf_take(scan, sizeof *number, &data));
    memcpy(number, data, sizeof *number);
    return PP_OK;
}

pp_status ppi_gguf_take_u64(struct ppi_gguf_scan *scan, uint64_t *number)
{
    char *data = NULL;
    PP_TRY(ppi_gguf_take(scan, sizeof *number, &data));
    memcpy(number, data, sizeof *number);
    return PP_OK;
}

pp_status ppi_gguf_check_count(struct ppi_gguf_scan *scan, uint64_t n, uint64_t min_bytes,
                               const char *things)
{
    uint64_t left = (uint64_t)scan->size - scan->at;
    if (n > left / min_bytes)
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: %s announces %llu %s; the %llu bytes that follow have room for %llu",
                         scan->label, ppi_gguf_place(scan).text, (unsigned long long)n, things,
                         (unsigned long long)left, (unsigned long long)(left / min_bytes));
    size_t at = scan->at;
    char *data = NULL;
    PP_TRY(ppi_gguf_take(scan, n * min_bytes, &data));
    scan->at = at;
    return PP_OK;
}

static bool is_utf8(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = ppi_utf8_sequence(text + at, len - at);
        if (n == 0 || text[at] == '\0')
            return false;
        at += n;
    }
    return true;
}

pp_status ppi_gguf_take_name(struct ppi_gguf_scan *scan)
{
    uint64_t len;
    char *name = NULL;
    PP_TRY(ppi_gguf_take_u64(scan, &len));
    if (len == 0)
        return ppi_error(scan->err, PP_ERR_FORMAT, "%s: the name of %s is empty", scan->label,
                         ppi_gguf_place(scan).text);
    if (len > MAX_NAME_BYTES)
        return ppi_error(scan->err, PP_ERR_LIMIT,
                         "%s: the name of %s has %llu bytes; at most %d are accepted", scan->label,
                         ppi_gguf_place(scan).text, (unsigned long long)len, MAX_NAME_BYTES);
    PP_TRY(ppi_gguf_take(scan, len, &name));
    if (!is_utf8(name, (size_t)len))
        return ppi_error(scan->err, PP_ERR_FORMAT,
                         "%s: the name of %s is not UTF-8 without NUL bytes", scan->label,
                         ppi_gguf_place(scan).text);
    scan->name = name;
    scan->name_len = (size_t)len;
    return PP_OK;
}
