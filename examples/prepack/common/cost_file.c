/* cost_file.c: reads and writes the JSON of cost models. */
#include "cost_file.h"
#include "files.h"
#include "say.h"

#include <stdlib.h>

enum { MAX_BYTES = 65536 };

int cost_read(const char *path, pp_cost_model *cost)
{
    pp_error err = {.struct_size = sizeof err};
    char *text;
    size_t n_bytes;
    const int status = read_file(path, MAX_BYTES, &text, &n_bytes);
    if (status)
        return status;
    cost->struct_size = sizeof *cost;
    const pp_status read = pp_cost_from_json(text, n_bytes, cost, &err);
    free(text);
    return read < 0 ? fail("%s: %s", path, err.message) : STATUS_OK;
}

int cost_write(struct outputs *outputs, const pp_cost_model *cost)
{
    pp_error err = {.struct_size = sizeof err};
    size_t bytes;
    if (pp_cost_to_json(cost, NULL, 0, &bytes, &err) < 0)
        return fail_library(&err);
    char *text = malloc(bytes + 1);
    if (!text)
        return fail_memory();
    int status = STATUS_OK;
    if (pp_cost_to_json(cost, text, bytes + 1, &bytes, &err) < 0)
        status = fail_library(&err);
    else
        status = outputs_write_text(outputs, text);
    free(text);
    return status;
}
