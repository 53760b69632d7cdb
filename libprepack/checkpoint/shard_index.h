/*
 * shard_index.h: model.safetensors.index.json: which shard holds which tensor.
 */
#ifndef PPI_SHARD_INDEX_H
#define PPI_SHARD_INDEX_H

#include "internal.h"
#include "checkpoint/json_file.h"

#define PPI_SHARD_INDEX_NAME "model.safetensors.index.json"

struct ppi_shard_entry {
    const char *tensor;
    const char *shard;
    int32_t i_shard;
};

struct ppi_shard_index {
    struct ppi_label label;
    struct ppi_json json; /* owns the strings */
    int64_t total_size;   /* as the file states it, -1: not stated */
    size_t n_entries;
    struct ppi_shard_entry *entries; /* sorted by tensor */
    int32_t n_shards;
    const char **shards; /* [n_shards] file names, sorted: each one path component */
};

/* Reads and checks the file. Errors: PP_ERR_IO, PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_PATH (a shard's
 * name is not a plain file name ending in .safetensors), PP_ERR_NOMEM. */
pp_status ppi_shard_index_read(const struct ppi_dir *dir, struct ppi_mem *mem,
                               struct ppi_shard_index *index, pp_error *err);

/* NULL where the index does not have the tensor. */
const struct ppi_shard_entry *ppi_shard_index_find(const struct ppi_shard_index *index,
                                                   const char *tensor);

void ppi_shard_index_free(struct ppi_shard_index *index, struct ppi_mem *mem);

#endif
