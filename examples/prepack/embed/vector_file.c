/* vector_file.c: the headers of the kinds, and rows behind them. */
#include "vector_file.h"
#include "json_out.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int vector_file_kind(const char *path, enum vector_kind *kind)
{
    static const char *const endings[] = {".npy", ".safetensors", ".jsonl"};
    const size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t m = strlen(endings[i]);
        if (n <= m || strcasecmp(path + n - m, endings[i]) != 0)
            continue;
        *kind = (enum vector_kind)i;
        return STATUS_OK;
    }
    return fail_usage("--out is '%s', but must end in .npy, .safetensors or .jsonl", path);
}

/* NumPy's format, version 1.0: the header ends at a multiple of 64 bytes. */
static void write_npy_header(const struct vector_file *file, FILE *out)
{
    enum { ALIGNMENT = 64, PREFIX = 10 };
    char dict[128];
    const int n =
        snprintf(dict, sizeof dict,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                 file->n, file->dim);
    const int bytes = (PREFIX + n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - PREFIX;
    fwrite("\x93NUMPY\x01\x00", 1, 8, out);
    fputc(bytes & 0xff, out);
    fputc(bytes >> 8, out);
    fprintf(out, "%-*s\n", bytes - 1, dict);
}

static int write_tensor_header(const struct vector_file *file, const struct vector_facts *facts,
                               FILE *out)
{
    const json_int_t bytes = file->n * file->dim * (json_int_t)sizeof(float);
    json_t *about = json_object(), *json = json_object();
    json_put(&about, "model", json_lenient(facts->model));
    json_put(&about, "dtype", json_string(facts->dtype));
    json_put(&about, "device", json_lenient(facts->device));
    if (facts->pooling)
        json_put(&about, "pooling", json_string(facts->pooling));
    json_put(&about, "producer", json_string("prepack " PP_VERSION_STRING));
    json_put(&json, "__metadata__", about);
    json_put(&json, file->name,
             json_pack("{s:s, s:[I, I], s:[i, I]}", "dtype", "F32", "shape", (json_int_t)file->n,
                       (json_int_t)file->dim, "data_offsets", 0, bytes));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return fail_memory();
    const uint64_t n = (strlen(text) + 7) / 8 * 8;
    fwrite(&n, sizeof n, 1, out);
    fprintf(out, "%-*s", (int)n, text);
    free(text);
    return STATUS_OK;
}

static int begin_file(struct vector_file *file, const struct vector_facts *facts)
{
    FILE *out = partial_file_stream(&file->file);
    if (!out)
        return STATUS_FAILED;
    int status = STATUS_OK;
    if (file->kind == VECTORS_NPY)
        write_npy_header(file, out);
    else if (file->kind == VECTORS_SAFETENSORS)
        status = write_tensor_header(file, facts, out);
    file->place = ftello(out);
    const int written = partial_file_end_stream(&file->file, out);
    if (!status)
        status = written;
    if (status || file->kind == VECTORS_JSONL)
        return status;
    return partial_file_take_room(&file->file,
                                  file->place + file->n * file->dim * (int64_t)sizeof(float));
}

int vector_file_open(const char *path, bool force, const char *name, int64_t n, int64_t dim,
                     const struct vector_facts *facts, struct vector_file *file)
{
    *file = (struct vector_file){.file.fd = -1, .name = name, .n = n, .dim = dim};
    int status = vector_file_kind(path, &file->kind);
    if (!status)
        status = partial_file_open(path, force, &file->file);
    return status ? status : begin_file(file, facts);
}

static int append(struct vector_file *file, const void *bytes, int64_t n)
{
    const int status = partial_file_write(&file->file, file->place, bytes, n);
    file->place += n;
    return status;
}

/* Nine digits tell every f32 from its neighbours. */
static int add_lines(struct vector_file *file, const float *rows, int64_t n_rows)
{
    char *text = NULL;
    size_t n_bytes;
    FILE *out = open_memstream(&text, &n_bytes);
    if (!out)
        return fail_memory();
    for (int64_t i = 0; i < n_rows; i++) {
        fprintf(out, "{\"index\":%" PRId64 ",\"%s\":[", file->n_written + i, file->name);
        for (int64_t k = 0; k < file->dim; k++)
            fprintf(out, "%s%.9g", k ? "," : "", (double)rows[i * file->dim + k]);
        fputs("]}\n", out);
    }
    const int status = fclose(out) == 0 ? append(file, text, (int64_t)n_bytes) : fail_memory();
    free(text);
    return status;
}

int vector_file_add(struct vector_file *file, const float *rows, int64_t n_rows)
{
    const int status = file->kind == VECTORS_JSONL
                           ? add_lines(file, rows, n_rows)
                           : append(file, rows, n_rows * file->dim * (int64_t)sizeof *rows);
    file->n_written += n_rows;
    return status;
}

int vector_file_finish(struct vector_file *file)
{
    return partial_file_finish(&file->file);
}

void vector_file_close(struct vector_file *file)
{
    partial_file_close(&file->file);
}
