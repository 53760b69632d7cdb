/*
 * checkpoint.c: the weights of a Hugging Face directory: model.safetensors, or the shards of an
 * index. Opening finds and checks every tensor that the configuration asks for; after it a tensor
 * is a place in an open file. Files stay open, are read with pread and never mapped: a file that
 * shrinks is an error, not a signal.
 */
#include "checkpoint/safetensors.h"
#include "checkpoint/shard_index.h"
#include "checkpoint/source_ops.h"

#include <stdio.h>
#include <string.h>

#define SINGLE_NAME "model.safetensors"

/* Where a tensor is stored. */
struct place {
    int32_t i_shard;
    int32_t dtype;
    int64_t begin; /* offset in the file */
};

struct checkpoint {
    struct ppi_source base;
    int32_t n_shards;
    struct ppi_file *shards; /* [n_shards] */
    size_t n_places;
    struct place *places; /* by ppi_tensor_place */
};

/* ---- one tensor ---- */

static void shape_text(char *text, size_t size, const int64_t *shape, int32_t rank)
{
    size_t used = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)shape[i]);
}

/* Shape and dtype of a tensor that the model needs. */
static pp_status check_entry(const char *label, const pp_model_config *config,
                             enum ppi_tensor tensor, const struct ppi_safetensors_entry *entry,
                             pp_error *err)
{
    int64_t matrix[2];
    ppi_tensor_shape(config, tensor, &matrix[0], &matrix[1]);
    bool is_vector = ppi_tensor_is_norm(tensor);
    const int64_t *shape = is_vector ? &matrix[1] : matrix;
    int32_t rank = is_vector ? 1 : 2;
    if (entry->rank != rank || memcmp(entry->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        char found[PPI_SAFETENSORS_MAX_RANK * 22], wanted[2 * 22];
        shape_text(found, sizeof found, entry->shape, entry->rank);
        shape_text(wanted, sizeof wanted, shape, rank);
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: tensor \"%s\" has shape [%s]; config.json asks for [%s]", label,
                         entry->name, found, wanted);
    }
    if (entry->dtype == 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: tensor \"%s\" has dtype %s; F32, F16 and BF16 are supported", label,
                         entry->name, entry->dtype_name);
    return PP_OK;
}

/* Fills the places that lie in shard i_shard, whose table of contents this is. */
static pp_status place_tensors(struct checkpoint *checkpoint, int32_t i_shard,
                               const struct ppi_safetensors *table, pp_error *err)
{
    const pp_model_config *config = &checkpoint->base.config;
    const char *label = checkpoint->shards[i_shard].label.text;
    for (size_t i = 0; i < checkpoint->n_places; i++) {
        struct place *place = &checkpoint->places[i];
        enum ppi_tensor tensor;
        int32_t layer;
        if (!ppi_tensor_at(config, i, &tensor, &layer) || place->i_shard != i_shard)
            continue;
        char name[PPI_TENSOR_NAME_BYTES];
        ppi_tensor_name(tensor, layer, name);
        const struct ppi_safetensors_entry *entry = ppi_safetensors_find(table, name);
        if (!entry)
            return ppi_error(err, PP_ERR_FORMAT, "%s has no tensor \"%s\", which the model needs",
                             label, name);
        PP_TRY(check_entry(label, config, tensor, entry, err));
        place->dtype = entry->dtype;
        place->begin = table->data_start + entry->begin;
    }
    return PP_OK;
}

/* ---- shards ---- */

/* Before the shards are open: which of them holds each tensor that the model needs. */
static pp_status choose_shards(struct checkpoint *checkpoint, const struct ppi_shard_index *index,
                               pp_error *err)
{
    for (size_t i = 0; i < checkpoint->n_places; i++) {
        enum ppi_tensor tensor;
        int32_t layer;
        if (!ppi_tensor_at(&checkpoint->base.config, i, &tensor, &layer))
            continue;
        char name[PPI_TENSOR_NAME_BYTES];
        ppi_tensor_name(tensor, layer, name);
        const struct ppi_shard_entry *entry = ppi_shard_index_find(index, name);
        if (!entry)
            return ppi_error(err, PP_ERR_FORMAT, "%s has no tensor \"%s\", which the model needs",
                             index->label.text, name);
        checkpoint->places[i].i_shard = entry->i_shard;
    }
    return PP_OK;
}

/* Index and shard must agree on what the shard holds. */
static pp_status match_index(struct ppi_shard_index *index, int32_t i_shard,
                             const struct ppi_safetensors *table, pp_error *err)
{
    for (size_t i = 0; i < table->n_entries; i++) {
        const char *name = table->entries[i].name;
        struct ppi_shard_entry *entry = ppi_shard_index_find(index, name);
        if (entry && entry->i_shard != i_shard)
            return ppi_error(
                err, PP_ERR_FORMAT, "%s: tensor \"%s\" is in the shard %s, but weight_map says %s",
                index->label.text, ppi_label(name).text, index->shards[i_shard], entry->shard);
        if (entry)
            entry->found = true;
    }
    return PP_OK;
}

static pp_status check_all_found(const struct ppi_shard_index *index, pp_error *err)
{
    for (size_t i = 0; i < index->n_entries; i++)
        if (!index->entries[i].found)
            return ppi_error(err, PP_ERR_FORMAT,
                             "%s: weight_map says that the shard %s has tensor \"%s\"; it has not",
                             index->label.text, index->entries[i].shard,
                             ppi_label(index->entries[i].tensor).text);
    return PP_OK;
}

/* index NULL: the only shard. */
static pp_status open_shard(struct checkpoint *checkpoint, const struct ppi_dir *dir,
                            struct ppi_shard_index *index, int32_t i_shard, int64_t *data_bytes,
                            pp_error *err)
{
    const char *name = index ? index->shards[i_shard] : SINGLE_NAME;
    struct ppi_mem *mem = checkpoint->base.mem;
    struct ppi_file *file = &checkpoint->shards[i_shard];
    struct ppi_safetensors table;
    PP_TRY(ppi_dir_open_file(dir, name, file, err));
    PP_TRY(ppi_safetensors_read(file, mem, &table, err));
    *data_bytes += table.data_bytes;
    pp_status status = index ? match_index(index, i_shard, &table, err) : PP_OK;
    if (status >= 0)
        status = place_tensors(checkpoint, i_shard, &table, err);
    ppi_safetensors_free(&table, mem);
    return status;
}

static pp_status allocate_shards(struct checkpoint *checkpoint, int32_t n_shards, pp_error *err)
{
    size_t count = (size_t)n_shards;
    checkpoint->shards = ppi_alloc(checkpoint->base.mem, count, sizeof *checkpoint->shards);
    if (!checkpoint->shards)
        return ppi_error_nomem(err, "the shards", count * sizeof *checkpoint->shards);
    for (size_t i = 0; i < count; i++)
        checkpoint->shards[i].fd = -1;
    checkpoint->n_shards = n_shards;
    return PP_OK;
}

static pp_status open_indexed(struct checkpoint *checkpoint, const struct ppi_dir *dir,
                              struct ppi_shard_index *index, const struct ppi_log *log,
                              pp_error *err)
{
    int64_t data_bytes = 0;
    PP_TRY(choose_shards(checkpoint, index, err));
    PP_TRY(allocate_shards(checkpoint, index->n_shards, err));
    for (int32_t i = 0; i < index->n_shards; i++)
        PP_TRY(open_shard(checkpoint, dir, index, i, &data_bytes, err));
    PP_TRY(check_all_found(index, err));
    if (index->total_size >= 0 && index->total_size != data_bytes)
        ppi_log(log, PP_LOG_WARNING, "%s: total_size is %lld, but the shards hold %lld bytes",
                index->label.text, (long long)index->total_size, (long long)data_bytes);
    return PP_OK;
}

static pp_status open_files(struct checkpoint *checkpoint, const char *path,
                            const struct ppi_log *log, pp_error *err)
{
    struct ppi_dir dir;
    PP_TRY(ppi_dir_open(path, &dir, err));
    if (ppi_dir_has(&dir, SINGLE_NAME)) {
        int64_t data_bytes = 0;
        PP_TRY(allocate_shards(checkpoint, 1, err));
        return open_shard(checkpoint, &dir, NULL, 0, &data_bytes, err);
    }
    if (!ppi_dir_has(&dir, PPI_SHARD_INDEX_NAME))
        return ppi_error(err, PP_ERR_IO, "%s has neither %s nor %s", dir.label.text, SINGLE_NAME,
                         PPI_SHARD_INDEX_NAME);
    struct ppi_shard_index index;
    PP_TRY(ppi_shard_index_read(&dir, checkpoint->base.mem, &index, err));
    pp_status status = open_indexed(checkpoint, &dir, &index, log, err);
    ppi_shard_index_free(&index, checkpoint->base.mem);
    return status;
}

/* ---- the source ---- */

static int32_t checkpoint_dtype(const struct ppi_source *source, enum ppi_tensor tensor,
                                int32_t layer)
{
    const struct checkpoint *checkpoint = (const struct checkpoint *)source;
    return checkpoint->places[ppi_tensor_place(tensor, layer)].dtype;
}

static pp_status checkpoint_read(const struct ppi_source *source, enum ppi_tensor tensor,
                                 int32_t layer, int64_t first_row, int64_t n_rows, void *dst,
                                 pp_error *err)
{
    const struct checkpoint *checkpoint = (const struct checkpoint *)source;
    const struct place *place = &checkpoint->places[ppi_tensor_place(tensor, layer)];
    const struct ppi_file *file = &checkpoint->shards[place->i_shard];
    int64_t rows, cols;
    ppi_tensor_shape(&source->config, tensor, &rows, &cols);
    int64_t row_bytes = cols * (int64_t)pp_dtype_size(place->dtype);
    PP_TRY(ppi_file_unchanged(file, err));
    return ppi_file_read(file, place->begin + first_row * row_bytes, dst,
                         (size_t)(n_rows * row_bytes), err);
}

/* Copes with a half-opened checkpoint. */
static void checkpoint_close(struct ppi_source *source)
{
    struct checkpoint *checkpoint = (struct checkpoint *)source;
    struct ppi_mem *mem = source->mem;
    for (int32_t i = 0; i < checkpoint->n_shards; i++)
        ppi_file_close(&checkpoint->shards[i]);
    ppi_free(mem, checkpoint->shards);
    ppi_free(mem, checkpoint->places);
    ppi_free(mem, checkpoint);
}

static const struct ppi_source_ops checkpoint_ops = {
    .dtype = checkpoint_dtype, .read = checkpoint_read, .close = checkpoint_close};

pp_status ppi_source_open_dir(const char *dir, const pp_model_config *config, struct ppi_mem *mem,
                              const struct ppi_log *log, struct ppi_source **source, pp_error *err)
{
    size_t n_places = ppi_tensor_n_places(config);
    struct checkpoint *checkpoint = ppi_zalloc(mem, 1, sizeof *checkpoint);
    if (!checkpoint)
        return ppi_error_nomem(err, "a checkpoint", sizeof *checkpoint);
    checkpoint->base = (struct ppi_source){&checkpoint_ops, mem, *config};
    checkpoint->n_places = n_places;
    checkpoint->places = ppi_zalloc(mem, n_places, sizeof *checkpoint->places);
    pp_status status = checkpoint->places ? open_files(checkpoint, dir, log, err)
                                          : ppi_error_nomem(err, "the places of tensors",
                                                            n_places * sizeof *checkpoint->places);
    if (status < 0)
        checkpoint_close(&checkpoint->base);
    else
        *source = &checkpoint->base;
    return status;
}
