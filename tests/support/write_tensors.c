/*
 * write_tensors.c: see write_tensors.h.
 */
#include "write_tensors.h"

#include "dtype.h"

#include <prepack/common.h>

#include <math.h>
#include <string.h>

struct written_tensor *tensor_list_add(struct tensor_list *list, const char *name, int64_t n_rows,
                                       int64_t n_cols, double norm_center)
{
    struct written_tensor tensor = {.n_rows = n_rows, .n_cols = n_cols};
    if (list->n == MAX_WRITTEN) {
        printf("Bail out! more than %d tensors to write\n", MAX_WRITTEN);
        exit(EXIT_FAILURE);
    }
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    tensor.center = strstr(name, "norm") ? norm_center : 0;
    if (strstr(name, "norm"))
        tensor.spread = 0.25;
    else if (strstr(name, "embed") || strstr(name, "bias"))
        tensor.spread = 0.6;
    else
        tensor.spread = 1.3 / sqrt((double)n_cols);
    list->tensors[list->n] = tensor;
    return &list->tensors[list->n++];
}

static int64_t count(const struct written_tensor *tensor)
{
    return (tensor->n_stacked ? tensor->n_stacked : 1) * (tensor->n_rows ? tensor->n_rows : 1) *
           (tensor->n_middle ? tensor->n_middle : 1) * tensor->n_cols;
}

static void write_dims(FILE *header, const struct written_tensor *tensor)
{
    const int64_t dims[] = {tensor->n_stacked, tensor->n_rows, tensor->n_middle};
    for (int i = 0; i < 3; i++)
        if (dims[i])
            fprintf(header, "%lld,", (long long)dims[i]);
    fprintf(header, "%lld", (long long)tensor->n_cols);
}

static void write_value(FILE *file, int32_t dtype, double value)
{
    float f32 = (float)value;
    uint16_t half = dtype == PP_DTYPE_BF16 ? ppi_f32_to_bf16(f32) : ppi_f32_to_f16(f32);
    if (dtype == PP_DTYPE_F32)
        fwrite(&f32, sizeof f32, 1, file);
    else
        fwrite(&half, sizeof half, 1, file);
}

static void write_header(FILE *file, const struct written_tensor *tensors, int n, int32_t dtype)
{
    static const char *const names[] = {
        [PP_DTYPE_F32] = "F32", [PP_DTYPE_F16] = "F16", [PP_DTYPE_BF16] = "BF16"};
    char *text = NULL;
    size_t size = 0;
    long long offset = 0;
    FILE *header = open_memstream(&text, &size);
    for (int i = 0; i < n; i++) {
        size_t size_of = tensors[i].bytes ? 1 : pp_dtype_size(dtype);
        long long end = offset + count(&tensors[i]) * (long long)size_of;
        fprintf(header, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? ',' : '{', tensors[i].name,
                tensors[i].bytes ? "U8" : names[dtype]);
        write_dims(header, &tensors[i]);
        fprintf(header, "],\"data_offsets\":[%lld,%lld]}", offset, end);
        offset = end;
    }
    fprintf(header, "}");
    fclose(header);
    while (size % 8 != 0 && (text = realloc(text, size + 1)))
        text[size++] = ' ';
    uint64_t length = size;
    fwrite(&length, sizeof length, 1, file);
    fwrite(text, 1, size, file);
    free(text);
}

static void write_values(FILE *file, const struct written_tensor *tensor, int32_t dtype,
                         struct rng *rng)
{
    for (int64_t i = 0; i < count(tensor); i++)
        if (tensor->bytes)
            fputc((int)tensor->center + (int)rng_between(rng, 0, (int64_t)tensor->spread), file);
        else
            write_value(file, dtype, tensor->center + tensor->spread * rng_normal(rng));
}

static FILE *open_in(const char *dir, const char *name)
{
    char path[640];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file) {
        printf("Bail out! cannot open %s\n", path);
        exit(EXIT_FAILURE);
    }
    return file;
}

static void close_written(FILE *file, const char *dir)
{
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        printf("Bail out! cannot write to %s\n", dir);
        exit(EXIT_FAILURE);
    }
}

static void shard_name(char *name, size_t size, int i, int n_files)
{
    if (n_files == 1)
        snprintf(name, size, "model.safetensors");
    else
        snprintf(name, size, "model-%05d-of-%05d.safetensors", i + 1, n_files);
}

/* The first tensor of a file. */
static int first_of(const struct tensor_list *list, int i_file, int n_files)
{
    return list->n * i_file / n_files;
}

static void write_index(const struct tensor_list *list, const char *dir, int n_files)
{
    char name[64];
    FILE *file = open_in(dir, "model.safetensors.index.json");
    fprintf(file, "{\"metadata\": {}, \"weight_map\": {");
    for (int i_file = 0; i_file < n_files; i_file++) {
        shard_name(name, sizeof name, i_file, n_files);
        for (int i = first_of(list, i_file, n_files); i < first_of(list, i_file + 1, n_files); i++)
            fprintf(file, "%s\"%s\": \"%s\"", i ? ", " : "", list->tensors[i].name, name);
    }
    fprintf(file, "}}\n");
    close_written(file, dir);
}

void tensor_list_write(const struct tensor_list *list, const char *dir, int n_files, int32_t dtype,
                       struct rng *rng)
{
    char name[64];
    for (int i_file = 0; i_file < n_files; i_file++) {
        int first = first_of(list, i_file, n_files), end = first_of(list, i_file + 1, n_files);
        shard_name(name, sizeof name, i_file, n_files);
        FILE *file = open_in(dir, name);
        write_header(file, list->tensors + first, end - first, dtype);
        for (int i = first; i < end; i++)
            write_values(file, &list->tensors[i], dtype, rng);
        close_written(file, dir);
    }
    if (n_files > 1)
        write_index(list, dir, n_files);
}
