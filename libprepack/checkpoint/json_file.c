/*
 * json_file.c: reads a file of a model directory whole and parses it.
 */
#include "checkpoint/json_file.h"

pp_status ppi_json_read(const struct ppi_file *file, int64_t max_bytes,
                        const struct ppi_json_limits *limits, struct ppi_mem *mem,
                        struct ppi_json *json, pp_error *err)
{
    if (file->size > max_bytes)
        return ppi_error(err, PP_ERR_LIMIT, "%s has %lld bytes; at most %lld are accepted",
                         file->label.text, (long long)file->size, (long long)max_bytes);
    if (file->size == 0)
        return ppi_error(err, PP_ERR_FORMAT, "%s is empty; download it again", file->label.text);
    size_t len = (size_t)file->size;
    char *text = ppi_alloc(mem, len, 1);
    if (!text)
        return ppi_error_nomem(err, file->label.text, len);
    pp_status status = ppi_file_read(file, 0, text, len, err);
    if (status >= 0)
        status = ppi_json_parse(text, len, file->label.text, limits, mem, json, err);
    if (status < 0)
        ppi_free(mem, text);
    else
        json->text = text;
    return status;
}
