/*
 * source.c: the weight files of a model, in either format. After opening, a tensor is a place in an
 * open file. Files stay open, are read with pread and never mapped: a file that shrinks is an
 * error, not a signal.
 */
#include "checkpoint/source.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_set.h"
#include "checkpoint/model_path.h"
#include "checkpoint/shard_index.h"

#include <string.h>

#define SINGLE_NAME "model.safetensors"

struct shard {
    struct ppi_file file;
    struct ppi_safetensors table;
};

/* Of one format or the other. */
struct ppi_source {
    struct ppi_mem *mem;
    struct ppi_gguf_set gguf; /* n 0: safetensors */
    bool has_index;
    struct ppi_shard_index index;
    int32_t n_shards;
    struct shard *shards; /* [n_shards], numbered as in the index */
};

/* ---- opening ---- */

/* Index and shard must agree on what the shard holds. */
static pp_status match_index(const struct ppi_source *source, int32_t i_shard, pp_error *err)
{
    const struct ppi_shard_index *index = &source->index;
    const struct ppi_safetensors *table = &source->shards[i_shard].table;
    for (size_t i = 0; i < table->n_entries; i++) {
        const char *name = table->entries[i].name;
        const struct ppi_shard_entry *entry = ppi_shard_index_find(index, name);
        if (entry && entry->i_shard != i_shard)
            return ppi_error(
                err, PP_ERR_FORMAT, "%s: tensor \"%s\" is in the shard %s, but weight_map says %s",
                index->label.text, ppi_label(name).text, index->shards[i_shard], entry->shard);
    }
    return PP_OK;
}

static pp_status open_shards(struct ppi_source *source, const struct ppi_dir *dir, int32_t n_shards,
                             pp_error *err)
{
    source->shards = ppi_zalloc(source->mem, (size_t)n_shards, sizeof *source->shards);
    if (!source->shards)
        return ppi_error_nomem(err, "the shards", (size_t)n_shards * sizeof *source->shards);
    for (int32_t i = 0; i < n_shards; i++) {
        struct shard *shard = &source->shards[i];
        const char *name = source->has_index ? source->index.shards[i] : SINGLE_NAME;
        PP_TRY(ppi_dir_open_file(dir, name, &shard->file, err));
        source->n_shards = i + 1; /* so many to close */
        PP_TRY(ppi_safetensors_read(&shard->file, source->mem, &shard->table, err));
        if (source->has_index)
            PP_TRY(match_index(source, i, err));
    }
    return PP_OK;
}

static void check_total_size(const struct ppi_source *source, const struct ppi_log *log)
{
    int64_t data_bytes = 0;
    for (int32_t i = 0; i < source->n_shards; i++)
        data_bytes += source->shards[i].table.data_bytes;
    if (source->index.total_size >= 0 && source->index.total_size != data_bytes)
        ppi_log(log, PP_LOG_WARNING, "%s: total_size is %lld, but the shards hold %lld bytes",
                source->index.label.text, (long long)source->index.total_size,
                (long long)data_bytes);
}

static pp_status open_files(struct ppi_source *source, const struct ppi_dir *dir,
                            const struct ppi_log *log, pp_error *err)
{
    if (ppi_dir_has(dir, SINGLE_NAME))
        return open_shards(source, dir, 1, err);
    if (!ppi_dir_has(dir, PPI_SHARD_INDEX_NAME))
        return ppi_model_path_weightless(dir, err);
    PP_TRY(ppi_shard_index_read(dir, source->mem, &source->index, err));
    source->has_index = true;
    PP_TRY(open_shards(source, dir, source->index.n_shards, err));
    check_total_size(source, log);
    return PP_OK;
}

pp_status ppi_source_open(const struct ppi_dir *dir, struct ppi_mem *mem, const struct ppi_log *log,
                          struct ppi_source **out, pp_error *err)
{
    struct ppi_source *source = ppi_zalloc(mem, 1, sizeof *source);
    if (!source)
        return ppi_error_nomem(err, "a checkpoint", sizeof *source);
    source->mem = mem;
    pp_status status = open_files(source, dir, log, err);
    if (status < 0)
        ppi_source_close(source);
    else
        *out = source;
    return status;
}

/* Copes with a half-opened source, and NULL. */
void ppi_source_close(struct ppi_source *source)
{
    if (!source)
        return;
    struct ppi_mem *mem = source->mem;
    for (int32_t i = 0; i < source->n_shards; i++) {
        ppi_file_close(&source->shards[i].file);
        ppi_safetensors_free(&source->shards[i].table, mem);
    }
    ppi_free(mem, source->shards);
    if (source->has_index)
        ppi_shard_index_free(&source->index, mem);
    ppi_gguf_set_close(&source->gguf, mem);
    ppi_free(mem, source);
}

pp_status ppi_source_open_gguf(const char *path, struct ppi_mem *mem, struct ppi_source **out,
                               pp_error *err)
{
    struct ppi_gguf_set set;
    *out = NULL;
    PP_TRY(ppi_gguf_set_open(path, mem, &set, err));
    if (set.n == 0)
        return PP_OK;
    struct ppi_source *source = ppi_zalloc(mem, 1, sizeof *source);
    if (!source) {
        ppi_gguf_set_close(&set, mem);
        return ppi_error_nomem(err, "a checkpoint", sizeof *source);
    }
    source->mem = mem;
    source->gguf = set;
    *out = source;
    return PP_OK;
}

const struct ppi_gguf *ppi_source_gguf(const struct ppi_source *source)
{
    return source->gguf.n > 0 ? &source->gguf.parts[0].gguf : NULL;
}

void ppi_source_drop_keys(struct ppi_source *source)
{
    ppi_gguf_drop_values(&source->gguf.parts[0].gguf, source->mem);
}

const char *ppi_source_label(const struct ppi_source *source)
{
    if (source->gguf.n > 0)
        return source->gguf.parts[0].file.label.text;
    return source->has_index ? source->index.label.text : source->shards[0].file.label.text;
}

/* ---- finding ---- */

/* The table of the i-th file, whatever its format; false past the last. */
struct contents {
    struct ppi_stored_entry *entries;
    size_t n_entries;
};

static bool contents_of(const struct ppi_source *source, int32_t i, struct contents *contents)
{
    if (i < source->gguf.n) {
        const struct ppi_gguf *gguf = &source->gguf.parts[i].gguf;
        *contents = (struct contents){gguf->entries, gguf->n_entries};
    } else if (i < source->n_shards) {
        const struct ppi_safetensors *table = &source->shards[i].table;
        *contents = (struct contents){table->entries, table->n_entries};
    } else
        return false;
    return true;
}

static bool find_in_gguf(const struct ppi_source *source, const char *name,
                         struct ppi_stored *stored)
{
    for (int32_t i = 0; i < source->gguf.n; i++) {
        struct ppi_gguf_part *part = &source->gguf.parts[i];
        struct ppi_stored_entry *entry = ppi_gguf_find_tensor(&part->gguf, name);
        if (!entry)
            continue;
        entry->asked = true;
        *stored = (struct ppi_stored){entry, &part->file, part->gguf.data_start + entry->begin};
        return true;
    }
    return false;
}

/* What the index does not list is not there, wherever it is stored. */
static int32_t shard_of(const struct ppi_source *source, const char *name)
{
    if (!source->has_index)
        return 0;
    const struct ppi_shard_entry *entry = ppi_shard_index_find(&source->index, name);
    return entry ? entry->i_shard : -1;
}

bool ppi_source_find(struct ppi_source *source, const char *name, struct ppi_stored *stored)
{
    if (source->gguf.n > 0)
        return find_in_gguf(source, name, stored);
    int32_t i_shard = shard_of(source, name);
    struct shard *shard = i_shard < 0 ? NULL : &source->shards[i_shard];
    struct ppi_stored_entry *entry = shard ? ppi_safetensors_find(&shard->table, name) : NULL;
    if (!entry)
        return false;
    entry->asked = true;
    *stored = (struct ppi_stored){entry, &shard->file, shard->table.data_start + entry->begin};
    return true;
}

pp_status ppi_source_missing(const struct ppi_source *source, const char *name, pp_error *err)
{
    int32_t i_shard = source->has_index ? shard_of(source, name) : -1;
    if (i_shard >= 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: weight_map says that the shard %s has tensor \"%s\", which the model "
                         "needs; it has not",
                         source->index.label.text, source->index.shards[i_shard],
                         ppi_label(name).text);
    return ppi_error(err, PP_ERR_FORMAT, "%s has no tensor \"%s\", which the model needs",
                     ppi_source_label(source), ppi_label(name).text);
}

const char *ppi_source_unasked(const struct ppi_source *source, size_t *cursor)
{
    size_t first = 0; /* of the file's entries among all */
    struct contents contents;
    for (int32_t i = 0; contents_of(source, i, &contents); i++) {
        while (*cursor < first + contents.n_entries) {
            const struct ppi_stored_entry *entry = &contents.entries[(*cursor)++ - first];
            if (!entry->asked)
                return entry->name;
        }
        first += contents.n_entries;
    }
    return NULL;
}

/* ---- reading ---- */

int64_t ppi_stored_n_elements(const struct ppi_stored *stored)
{
    int64_t n = 1; /* whoever read the table has seen that it does not overflow */
    for (int32_t i = 0; i < stored->entry->rank; i++)
        n *= stored->entry->shape[i];
    return n;
}

pp_status ppi_stored_read_bytes(const struct ppi_stored *stored, int64_t first, int64_t n,
                                void *dst, pp_error *err)
{
    int64_t total = stored->entry->end - stored->entry->begin;
    if (first < 0 || n < 0 || n > total || first > total - n)
        return ppi_error(err, PP_ERR_INTERNAL,
                         "%lld bytes from %lld on of tensor \"%s\", which has %lld", (long long)n,
                         (long long)first, ppi_label(stored->entry->name).text, (long long)total);
    PP_TRY(ppi_file_unchanged(stored->file, err));
    return ppi_file_read(stored->file, stored->begin + first, dst, (size_t)n, err);
}

/* Blocks are read to the end of the room of their numbers, which are then written over them. */
static pp_status read_blocks(const struct ppi_stored *stored, int64_t first, int64_t n, float *dst,
                             pp_error *err)
{
    uint32_t number = (uint32_t)stored->entry->blocks;
    const struct ppi_gguf_tensor_type *type = ppi_gguf_tensor_type(number);
    if (first % type->block_len != 0 || n % type->block_len != 0)
        return ppi_error(err, PP_ERR_INTERNAL,
                         "%lld elements from %lld on of tensor \"%s\" are not whole blocks of %d",
                         (long long)n, (long long)first, ppi_label(stored->entry->name).text,
                         type->block_len);
    int64_t n_blocks = n / type->block_len, bytes = n_blocks * type->block_bytes;
    char *blocks = (char *)(dst + n) - bytes;
    PP_TRY(ppi_file_read(stored->file, stored->begin + first / type->block_len * type->block_bytes,
                         blocks, (size_t)bytes, err));
    ppi_gguf_decode(number, blocks, (size_t)n_blocks, dst);
    return PP_OK;
}

pp_status ppi_stored_read(const struct ppi_stored *stored, int64_t first, int64_t n, void *dst,
                          pp_error *err)
{
    int64_t total = ppi_stored_n_elements(stored);
    if (first < 0 || n < 0 || n > total || first > total - n)
        return ppi_error(
            err, PP_ERR_INTERNAL, "%lld elements from %lld on of tensor \"%s\", which has %lld",
            (long long)n, (long long)first, ppi_label(stored->entry->name).text, (long long)total);
    int64_t size = (int64_t)pp_dtype_size(stored->entry->dtype);
    PP_TRY(ppi_file_unchanged(stored->file, err));
    if (stored->entry->blocks)
        return read_blocks(stored, first, n, dst, err);
    return ppi_file_read(stored->file, stored->begin + first * size, dst, (size_t)(n * size), err);
}
