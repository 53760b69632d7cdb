/*
 * source.c: the weight files of a Hugging Face directory. After opening, a tensor is a place in an
 * open file. Files stay open, are read with pread and never mapped: a file that shrinks is an
 * error, not a signal.
 */
#include "checkpoint/source.h"
#include "checkpoint/shard_index.h"

#include <string.h>

#define SINGLE_NAME "model.safetensors"

struct shard {
    struct ppi_file file;
    struct ppi_safetensors table;
};

struct ppi_source {
    struct ppi_mem *mem;
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
        return ppi_error(err, PP_ERR_IO, "%s has neither %s nor %s", dir->label.text, SINGLE_NAME,
                         PPI_SHARD_INDEX_NAME);
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
    ppi_free(mem, source);
}

/* ---- finding ---- */

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
    int32_t i_shard = shard_of(source, name);
    if (source->has_index && i_shard >= 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: weight_map says that the shard %s has tensor \"%s\", which the model "
                         "needs; it has not",
                         source->index.label.text, source->index.shards[i_shard],
                         ppi_label(name).text);
    return ppi_error(err, PP_ERR_FORMAT, "%s has no tensor \"%s\", which the model needs",
                     source->has_index ? source->index.label.text
                                       : source->shards[0].file.label.text,
                     ppi_label(name).text);
}

const char *ppi_source_unasked(const struct ppi_source *source, size_t *cursor)
{
    size_t first = 0; /* of the shard's entries among all */
    for (int32_t i = 0; i < source->n_shards; i++) {
        const struct ppi_safetensors *table = &source->shards[i].table;
        while (*cursor < first + table->n_entries) {
            const struct ppi_stored_entry *entry = &table->entries[(*cursor)++ - first];
            if (!entry->asked)
                return entry->name;
        }
        first += table->n_entries;
    }
    return NULL;
}

/* ---- reading ---- */

int64_t ppi_stored_n_elements(const struct ppi_stored *stored)
{
    int64_t n = 1; /* ppi_safetensors_read has seen that it does not overflow */
    for (int32_t i = 0; i < stored->entry->rank; i++)
        n *= stored->entry->shape[i];
    return n;
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
    return ppi_file_read(stored->file, stored->begin + first * size, dst, (size_t)(n * size), err);
}
