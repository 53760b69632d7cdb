/* plan_file.c: plans in files, by the library's own writer and reader. */
#include "plan_file.h"
#include "files.h"
#include "say.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 32)

int plan_save(const pp_plan *plan, const char *path)
{
    pp_error err = {.struct_size = sizeof err};
    size_t bytes;
    if (pp_plan_to_json(plan, NULL, 0, &bytes, &err) < 0)
        return fail_library(&err);
    char *text = malloc(bytes + 1);
    if (!text)
        return fail_memory();
    int status = STATUS_OK;
    if (pp_plan_to_json(plan, text, bytes + 1, &bytes, &err) < 0)
        status = fail_library(&err);
    FILE *file = status ? NULL : fopen(path, "wbe");
    if (!status && !file)
        status = fail("%s could not be opened for writing: %s", path, strerror(errno));
    if (file) {
        const size_t written = fwrite(text, 1, bytes, file);
        if (fclose(file) != 0 || written != bytes)
            status = fail("%s could not be written: %s", path, strerror(errno));
    }
    free(text);
    return status;
}

/* The library has read the text already: it is a plan. */
static int read_lengths(const char *text, size_t n_bytes, int64_t **lengths, size_t *n)
{
    json_t *root = json_loadb(text, n_bytes, 0, NULL);
    json_t *list = json_object_get(root, "lengths"), *length;
    size_t i;
    *n = json_array_size(list);
    *lengths = root ? calloc(*n + 1, sizeof **lengths) : NULL;
    if (*lengths)
        json_array_foreach(list, i, length)(*lengths)[i] = json_integer_value(length);
    json_decref(root);
    return *lengths ? STATUS_OK : fail_memory();
}

int plan_load(const char *path, pp_plan **plan, int64_t **lengths, size_t *n)
{
    pp_error err = {.struct_size = sizeof err};
    char *text;
    size_t n_bytes;
    int status = read_file(path, MAX_BYTES, &text, &n_bytes);
    if (status)
        return status;
    if (pp_plan_from_json(text, n_bytes, NULL, plan, &err) < 0)
        status = fail("%s: %s", path, err.message);
    else
        status = read_lengths(text, n_bytes, lengths, n);
    free(text);
    return status;
}
