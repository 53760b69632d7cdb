/*
 * shard_index.c: reading model.safetensors.index.json. The names of shards come from the file, so
 * they are held to a small alphabet: a shard lies in the directory, under a name that can neither
 * leave it nor surprise whoever reads it in a log.
 */
#include "checkpoint/shard_index.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INDEX_BYTES 100000000
#define MAX_TENSORS     1000000
#define MAX_NAME_BYTES  4096
#define MAX_SHARDS      4096

/* [A-Za-z0-9._-]{1,255}, not starting with a dot, ending in .safetensors. */
static bool is_shard_name(const char *name, size_t len)
{
    static const char suffix[] = ".safetensors";
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t suffix_len = sizeof suffix - 1;
    return len > suffix_len && len <= 255 && name[0] != '.' && strspn(name, allowed) == len &&
           strcmp(name + len - suffix_len, suffix) == 0;
}

static pp_status read_entries(const struct ppi_json_value *map, struct ppi_shard_index *index,
                              pp_error *err)
{
    const struct ppi_json_value *item = ppi_json_first(map);
    for (; item; item = ppi_json_next(map, item)) {
        const char *shard = ppi_json_string(item);
        if (!shard)
            return ppi_error(
                err, PP_ERR_FORMAT, "%s: weight_map \"%s\" is %s; a file name is needed",
                index->label.text, ppi_label(item->name).text, ppi_json_describe(item).text);
        if (!is_shard_name(shard, item->len))
            return ppi_error(err, PP_ERR_PATH,
                             "%s: weight_map names the file \"%s\"; a plain file name of letters, "
                             "digits, '.', '_' and '-' that ends in .safetensors is needed",
                             index->label.text, ppi_label(shard).text);
        index->entries[index->n_entries++] =
            (struct ppi_shard_entry){.tensor = item->name, .shard = shard};
    }
    return PP_OK;
}

static int by_shard(const void *a, const void *b)
{
    const struct ppi_shard_entry *x = a, *y = b;
    return strcmp(x->shard, y->shard);
}

static int by_tensor(const void *a, const void *b)
{
    const struct ppi_shard_entry *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

/* Numbers the shards in the order of their names. */
static pp_status number_shards(struct ppi_shard_index *index, struct ppi_mem *mem, pp_error *err)
{
    size_t n = index->n_entries, n_shards = 0;
    struct ppi_shard_entry *entries = index->entries;
    qsort(entries, n, sizeof *entries, by_shard);
    for (size_t i = 0; i < n; i++) {
        n_shards += i == 0 || by_shard(&entries[i - 1], &entries[i]) != 0;
        entries[i].i_shard = (int32_t)n_shards - 1;
    }
    if (n_shards > MAX_SHARDS)
        return ppi_error(err, PP_ERR_LIMIT, "%s names %zu shards; at most %d are accepted",
                         index->label.text, n_shards, MAX_SHARDS);
    index->shards = ppi_alloc(mem, n_shards, sizeof *index->shards);
    if (!index->shards)
        return ppi_error_nomem(err, "the names of shards", n_shards * sizeof *index->shards);
    index->n_shards = (int32_t)n_shards;
    for (size_t i = 0; i < n; i++)
        index->shards[entries[i].i_shard] = entries[i].shard;
    qsort(entries, n, sizeof *entries, by_tensor);
    return PP_OK;
}

static pp_status read_map(struct ppi_shard_index *index, struct ppi_mem *mem, pp_error *err)
{
    const struct ppi_json_value *map = ppi_json_get(index->json.root, "weight_map");
    if (!ppi_json_is(map, PPI_JSON_OBJECT))
        return ppi_error(err, PP_ERR_FORMAT, "%s: weight_map is %s; an object is needed",
                         index->label.text, ppi_json_describe(map).text);
    index->entries = ppi_alloc(mem, map->len, sizeof *index->entries);
    if (!index->entries)
        return ppi_error_nomem(err, index->label.text, map->len * sizeof *index->entries);
    PP_TRY(read_entries(map, index, err));
    const struct ppi_json_value *size =
        ppi_json_get(ppi_json_get(index->json.root, "metadata"), "total_size");
    index->total_size = ppi_json_is(size, PPI_JSON_INTEGER) ? size->integer : -1;
    return number_shards(index, mem, err);
}

pp_status ppi_shard_index_read(const struct ppi_dir *dir, struct ppi_mem *mem,
                               struct ppi_shard_index *index, pp_error *err)
{
    /* depth 2: the members and strings of weight_map */
    static const struct ppi_json_limits limits = {.what = "tensor",
                                                  .depth = 2,
                                                  .max_members = MAX_TENSORS,
                                                  .max_name = MAX_NAME_BYTES,
                                                  .allow_nul = true};
    struct ppi_shard_index read = {0};
    struct ppi_file file;
    PP_TRY(ppi_dir_open_file(dir, PPI_SHARD_INDEX_NAME, &file, err));
    read.label = file.label;
    pp_status status = ppi_json_read(&file, MAX_INDEX_BYTES, &limits, mem, &read.json, err);
    ppi_file_close(&file);
    if (status >= 0)
        status = read_map(&read, mem, err);
    if (status < 0)
        ppi_shard_index_free(&read, mem);
    else
        *index = read;
    return status;
}

const struct ppi_shard_entry *ppi_shard_index_find(const struct ppi_shard_index *index,
                                                   const char *tensor)
{
    struct ppi_shard_entry key = {.tensor = tensor};
    return bsearch(&key, index->entries, index->n_entries, sizeof key, by_tensor);
}

void ppi_shard_index_free(struct ppi_shard_index *index, struct ppi_mem *mem)
{
    ppi_free(mem, index->entries);
    ppi_free(mem, index->shards);
    ppi_json_free(&index->json, mem);
    *index = (struct ppi_shard_index){0};
}
