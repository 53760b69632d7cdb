/*
 * tensor_file.c: see tensor_file.h.
 */
#include "tensor_file.h"

#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARDS 8

struct shard {
    char *bytes;
    json_t *header;
    const char *data;
};

struct tensor_file {
    struct shard shards[MAX_SHARDS];
    int n_shards;
    json_t *unread; /* name: true */
};

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static int add_shard(struct tensor_file *file, const char *path)
{
    size_t size;
    uint64_t length;
    json_error_t err;
    char *bytes = read_whole(path, &size);
    if (!bytes)
        return 0;
    ck_assert_int_lt(file->n_shards, MAX_SHARDS);
    memcpy(&length, bytes, sizeof length);
    ck_assert_uint_le(sizeof length + length, size);
    json_t *header = json_loadb(bytes + sizeof length, (size_t)length, 0, &err);
    ck_assert_msg(header != NULL, "%s: %s", path, err.text);
    json_object_del(header, "__metadata__");
    file->shards[file->n_shards++] = (struct shard){bytes, header, bytes + sizeof length + length};
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry) json_object_set_new(file->unread, name, json_true());
    return 1;
}

static void add_indexed(struct tensor_file *file, const char *dir)
{
    char path[1200];
    size_t size;
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    char *text = read_whole(path, &size);
    ck_assert_msg(text != NULL, "no tensors in %s", dir);
    json_t *index = json_loads(text, 0, NULL), *seen = json_object(), *shard;
    const char *name;
    ck_assert_ptr_nonnull(index);
    json_object_foreach(json_object_get(index, "weight_map"), name, shard)
        json_object_set_new(seen, json_string_value(shard), json_true());
    json_object_foreach(seen, name, shard)
    {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        ck_assert_msg(add_shard(file, path), "%s is missing", path);
    }
    json_decref(index);
    json_decref(seen);
    free(text);
}

struct tensor_file *tensor_file_open(const char *path)
{
    struct tensor_file *file = calloc(1, sizeof *file);
    char inside[1200];
    size_t length = strlen(path), ending = strlen(".safetensors");
    file->unread = json_object();
    snprintf(inside, sizeof inside, "%s/model.safetensors", path);
    if (length > ending && strcmp(path + length - ending, ".safetensors") == 0)
        ck_assert_msg(add_shard(file, path), "cannot open %s", path);
    else if (!add_shard(file, inside))
        add_indexed(file, path);
    return file;
}

void tensor_file_close(struct tensor_file *file)
{
    for (int i = 0; i < file->n_shards; i++) {
        json_decref(file->shards[i].header);
        free(file->shards[i].bytes);
    }
    json_decref(file->unread);
    free(file);
}

static const struct shard *shard_with(const struct tensor_file *file, const char *name)
{
    for (int i = 0; i < file->n_shards; i++)
        if (json_object_get(file->shards[i].header, name))
            return &file->shards[i];
    return NULL;
}

int tensor_file_has(const struct tensor_file *file, const char *name)
{
    return shard_with(file, name) != NULL;
}

static double value_f16(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    ck_assert_int_ne(exponent, 31);
    return bits & 0x8000 ? -size : size;
}

static double value_32(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double value_at(const char *data, size_t i, const char *dtype)
{
    uint32_t wide;
    uint16_t half;
    if (strcmp(dtype, "U8") == 0)
        return (uint8_t)data[i];
    if (strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0) {
        memcpy(&wide, data + 4 * i, sizeof wide);
        return dtype[0] == 'I' ? (double)(int32_t)wide : value_32(wide);
    }
    memcpy(&half, data + 2 * i, sizeof half);
    return strcmp(dtype, "F16") == 0 ? value_f16(half) : value_32((uint32_t)half << 16);
}

double *tensor_file_read(struct tensor_file *file, const char *name, size_t *n)
{
    const struct shard *shard = shard_with(file, name);
    ck_assert_msg(shard != NULL, "no tensor %s", name);
    const json_t *entry = json_object_get(shard->header, name), *dim;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t i, begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    *n = 1;
    json_array_foreach(json_object_get(entry, "shape"), i, dim) *n *=
        (size_t)json_integer_value(dim);
    double *values = malloc((*n ? *n : 1) * sizeof *values);
    for (i = 0; i < *n; i++)
        values[i] = value_at(shard->data + begin, i, dtype);
    json_object_del(file->unread, name);
    return values;
}

const char *tensor_file_unread(const struct tensor_file *file, const char *const *prefixes)
{
    const char *name;
    json_t *entry;
    json_object_foreach(file->unread, name, entry)
    {
        int known = 0;
        for (int i = 0; prefixes[i]; i++)
            known |= strncmp(name, prefixes[i], strlen(prefixes[i])) == 0;
        if (!known)
            return name;
    }
    return NULL;
}
