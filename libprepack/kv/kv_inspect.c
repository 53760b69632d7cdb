/*
 * kv_inspect.c: what a saved cache says of itself, for who has many of them and no session yet. Its
 * keys and values are not read, so damage to them is not seen here.
 */
#include "checkpoint/model_file.h"
#include "checkpoint/safetensors.h"
#include "json/json_text.h"

#include <prepack/kvcache_save.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES ((uint64_t)1 << 20)

struct inspecting {
    struct ppi_mem mem;
    struct ppi_file file;
    struct ppi_safetensors table;
    char *header; /* its text, which the values of json stand in */
    struct ppi_json json;
    pp_error *err;
};

static pp_status open_header(struct inspecting *in)
{
    static const struct ppi_json_limits limits = {
        .what = "tensor", .depth = 1, .max_members = 4096, .max_name = 4096};
    const char *label = in->file.label.text;
    uint64_t len = 0;
    PP_TRY(ppi_safetensors_read(&in->file, &in->mem, &in->table, in->err));
    PP_TRY(ppi_file_read(&in->file, 0, &len, sizeof len, in->err));
    if (len == 0 || len > MAX_HEADER_BYTES)
        return ppi_error(in->err, PP_ERR_FORMAT,
                         "%s is no saved cache: its header has %llu bytes, and theirs have at most "
                         "%llu",
                         label, (unsigned long long)len, (unsigned long long)MAX_HEADER_BYTES);
    in->header = ppi_alloc(&in->mem, (size_t)len, 1);
    if (!in->header)
        return ppi_error_nomem(in->err, label, (size_t)len);
    PP_TRY(ppi_file_read(&in->file, sizeof len, in->header, (size_t)len, in->err));
    return ppi_json_parse(in->header, (size_t)len, label, &limits, &in->mem, &in->json, in->err);
}

static pp_status get_text(const struct inspecting *in, const char *name, const char **text)
{
    *text = ppi_json_string(ppi_json_get(ppi_json_get(in->json.root, "__metadata__"), name));
    if (*text)
        return PP_OK;
    return ppi_error(in->err, PP_ERR_FORMAT, "%s is no saved cache: __metadata__ has no \"%s\"",
                     in->file.label.text, name);
}

static pp_status copy_text(const struct inspecting *in, const char *name, char *to, size_t room)
{
    const char *text;
    PP_TRY(get_text(in, name, &text));
    snprintf(to, room, "%s", text);
    return PP_OK;
}

static pp_status get_integer(const struct inspecting *in, const char *name, int64_t most,
                             int64_t *value)
{
    const char *text;
    char *end;
    PP_TRY(get_text(in, name, &text));
    errno = 0;
    long long read = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || read > most)
        return ppi_error(in->err, PP_ERR_FORMAT,
                         "%s: __metadata__ \"%s\" is \"%s\"; an integer of 0 to %lld is needed",
                         in->file.label.text, name, ppi_label(text).text, (long long)most);
    *value = read;
    return PP_OK;
}

static pp_status get_model(const struct inspecting *in, uint64_t *model)
{
    const char *text;
    char *end;
    PP_TRY(get_text(in, "model", &text));
    *model = strtoull(text, &end, 16);
    if (strlen(text) == 16 && *end == '\0')
        return PP_OK;
    return ppi_error(in->err, PP_ERR_FORMAT,
                     "%s: __metadata__ \"model\" is \"%s\"; 16 hexadecimal digits are needed",
                     in->file.label.text, ppi_label(text).text);
}

static pp_status get_dtype(const struct inspecting *in, int32_t *dtype)
{
    const char *text;
    PP_TRY(get_text(in, "dtype", &text));
    for (*dtype = PP_DTYPE_F32; *dtype <= PP_DTYPE_BF16; ++*dtype)
        if (strcmp(text, pp_dtype_name(*dtype)) == 0)
            return PP_OK;
    return ppi_error(in->err, PP_ERR_FORMAT, "%s: __metadata__ \"dtype\" is \"%s\"",
                     in->file.label.text, ppi_label(text).text);
}

/* The entry of the tokens' ids, of n tokens; NULL: they were not saved. */
static pp_status find_tokens(const struct inspecting *in, int64_t n,
                             const struct ppi_stored_entry **out)
{
    const struct ppi_stored_entry *entry = ppi_safetensors_find(&in->table, "tokens");
    *out = entry;
    if (!entry ||
        (strcmp(entry->dtype_name, "I32") == 0 && entry->rank == 1 && entry->shape[0] == n))
        return PP_OK;
    return ppi_error(in->err, PP_ERR_FORMAT, "%s: tensor \"tokens\" is not I32 of [%lld]",
                     in->file.label.text, (long long)n);
}

/* Of the tensors that are states of linear layers. */
static int64_t state_bytes(const struct inspecting *in)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < in->table.n_entries; i++) {
        const struct ppi_stored_entry *entry = &in->table.entries[i];
        const char *part = strrchr(entry->name, '.');
        if (part && (strcmp(part, ".state") == 0 || strcmp(part, ".conv") == 0))
            bytes += entry->end - entry->begin;
    }
    return bytes;
}

static pp_status fill_info(const struct inspecting *in, pp_kvcache_file_info *info)
{
    const char *format, *version;
    const struct ppi_stored_entry *tokens;
    int64_t n_layers, n_kv_heads, head_dim, n_linear = 0;
    PP_TRY(get_text(in, "format", &format));
    if (strcmp(format, "prepack-kvcache") != 0)
        return ppi_error(in->err, PP_ERR_FORMAT, "%s is no saved cache: its format is \"%s\"",
                         in->file.label.text, ppi_label(format).text);
    PP_TRY(get_text(in, "version", &version));
    PP_TRY(get_dtype(in, &info->dtype));
    PP_TRY(get_model(in, &info->model));
    PP_TRY(get_integer(in, "n_tokens", INT32_MAX, &info->n_tokens));
    PP_TRY(get_integer(in, "n_layers", INT32_MAX, &n_layers));
    PP_TRY(get_integer(in, "n_kv_heads", INT32_MAX, &n_kv_heads));
    PP_TRY(get_integer(in, "head_dim", INT32_MAX, &head_dim));
    PP_TRY(copy_text(in, "architecture", info->architecture, sizeof info->architecture));
    PP_TRY(copy_text(in, "weights", info->weights, sizeof info->weights));
    PP_TRY(copy_text(in, "device", info->device, sizeof info->device));
    PP_TRY(copy_text(in, "producer", info->producer, sizeof info->producer));
    PP_TRY(find_tokens(in, info->n_tokens, &tokens));
    if (strcmp(version, "1") != 0) /* where there are linear layers */
        PP_TRY(get_integer(in, "n_linear", n_layers, &n_linear));
    info->n_layers = (int32_t)n_layers;
    info->n_linear = (int32_t)n_linear;
    info->state_bytes = state_bytes(in);
    info->n_kv_heads = (int32_t)n_kv_heads;
    info->head_dim = (int32_t)head_dim;
    info->has_tokens = tokens != NULL;
    info->bytes = in->file.size;
    return PP_OK;
}

static pp_status read_tokens(const struct inspecting *in, int64_t n_tokens, int32_t *tokens,
                             int64_t n)
{
    const struct ppi_stored_entry *entry;
    PP_TRY(find_tokens(in, n_tokens, &entry));
    if (!entry || n != n_tokens)
        return ppi_error(in->err, PP_ERR_ARG,
                         "pp_kvcache_inspect: %lld ids are asked for; %s has %lld of them",
                         (long long)n, in->file.label.text, entry ? (long long)n_tokens : 0LL);
    return ppi_file_read(&in->file, in->table.data_start + entry->begin, tokens,
                         (size_t)n * sizeof *tokens, in->err);
}

pp_status pp_kvcache_inspect(const char *path, pp_kvcache_file_info *out, int32_t *tokens,
                             int64_t n, pp_error *err)
{
    struct inspecting in = {.err = err};
    pp_kvcache_file_info info = {.struct_size = sizeof info};
    if (!path || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_kvcache_inspect: %s is NULL", path ? "info" : "path");
    PP_TRY(ppi_mem_init(&in.mem, NULL, 0, err));
    PP_TRY(ppi_file_open(path, &in.file, err));
    pp_status status = open_header(&in);
    if (status >= 0)
        status = fill_info(&in, &info);
    if (status >= 0 && tokens)
        status = read_tokens(&in, info.n_tokens, tokens, n);
    if (status >= 0)
        status = ppi_struct_write(out, &info, sizeof info, "pp_kvcache_file_info", err);
    if (in.json.root)
        ppi_json_free(&in.json, &in.mem);
    ppi_free(&in.mem, in.header);
    ppi_safetensors_free(&in.table, &in.mem);
    ppi_file_close(&in.file);
    return status;
}
