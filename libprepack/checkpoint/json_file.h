/*
 * json_file.h: a file of a model directory that holds JSON.
 */
#ifndef PPI_JSON_FILE_H
#define PPI_JSON_FILE_H

#include "checkpoint/model_file.h"
#include "json/json_text.h"

/* As ppi_json_parse for a whole file of at most max_bytes (else PP_ERR_LIMIT); the text is freed
 * with the values. Further errors: PP_ERR_IO. */
pp_status ppi_json_read(const struct ppi_file *file, int64_t max_bytes,
                        const struct ppi_json_limits *limits, struct ppi_mem *mem,
                        struct ppi_json *json, pp_error *err);

#endif
