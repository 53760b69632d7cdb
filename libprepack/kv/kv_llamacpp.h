/*
 * kv_llamacpp.h: the state of one sequence as llama.cpp writes it, little-endian and without
 * padding:
 *
 *     u32 0xaf143cd8, i32 sequence id, u32 streams
 *     for each stream: u32 cells, and of one that has any
 *         for each cell: i32 position, u32 1, i32 sequence id
 *         u32 transposed, u32 layers
 *         for each layer, keys: i32 type, u64 bytes of a row, rows [cells][n_kv_heads head_dim]
 *         for each layer, values: the same; transposed: i32 type, u32 bytes of an element, u32
 *             elements of a row, [n_kv_heads head_dim][cells]
 *
 * A sequence is in one stream; the others of the context have no cells.
 */
#ifndef PPI_KV_LLAMACPP_H
#define PPI_KV_LLAMACPP_H

#include "kv/kv_create.h"

#define PPI_LLAMACPP_MAGIC 0xaf143cd8u

struct ppi_llamacpp {
    const char *caller; /* the public function, for sentences */
    int32_t key_dtype, value_dtype;
    bool transposed;
    int32_t n_streams;
    bool pairs; /* elements of keys that rotate together are neighbours */
};

/* Of caches whose layers are all of one class. */

/* Where element d of a key's head is there. */
static inline int32_t ppi_llamacpp_place(bool pairs, int32_t head_dim, int32_t d)
{
    int32_t half = head_dim / 2;
    return !pairs ? d : d < half ? 2 * d : 2 * (d - half) + 1;
}

/* Numbers of type GGML_TYPE_F32, F16 and BF16; -1, and PP_DTYPE_AUTO, for others. */
int32_t ppi_llamacpp_type(int32_t dtype);
int32_t ppi_llamacpp_dtype(int32_t type);

size_t ppi_llamacpp_bytes(const pp_kvcache *cache, const struct ppi_llamacpp *form);

/* memory has that many bytes. Errors: PP_ERR_UNSUPPORTED (a number too large for f16),
 * PP_ERR_NOMEM, PP_ERR_DEVICE. */
pp_status ppi_llamacpp_write(const pp_kvcache *cache, const struct ppi_llamacpp *form, void *memory,
                             pp_error *err);

/* Of form only caller and pairs count. Errors: PP_ERR_FORMAT, PP_ERR_UNSUPPORTED, and those of
 * ppi_kvcache_new. */
pp_status ppi_llamacpp_read(struct ppi_kv_store *store, const struct ppi_model_spec *spec,
                            const struct ppi_llamacpp *form, const void *memory, size_t bytes,
                            pp_kvcache **cache, pp_error *err);

#endif
