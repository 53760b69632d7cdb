/*
 * prepack/kvcache_save.h: caches that outlive their session: saved to files or to memory, and
 * loaded by another session, process or machine.
 *
 *     pp_kvcache_save(cache, "prefix.safetensors", NULL, &err);
 *     pp_kvcache_load(session, "prefix.safetensors", &cache, &err);
 *
 * What continues a loaded cache gives the same bits as if the cache had never left, on the same
 * kind of machine and library build. The form is a safetensors file, which docs/caches.md
 * describes: keys and values of each layer in the session's dtype, states of linear layers, bit for
 * bit, what computed them, and a checksum of it all. The earlier state that a cache keeps
 * (kvcache.h) stays behind: a loaded cache can be cut to its length and to 0.
 *
 * A cache belongs to its model: to the same configuration and weights, wherever the files are. That
 * is told by a number that covers what is computed, shapes and dtypes of the stored tensors and
 * samples of their bytes, so that the same shape trained further is another model; a change of
 * a few single weights goes unnoticed. dtype and format of weights of the session must be the same;
 * of another device or kernel set the session's log is told, as results are then the same but for
 * rounding.
 *
 * Loading trusts nobody: a file that is cut, damaged or not of the form is refused in a sentence,
 * and never takes more memory than it has bytes and a few pages. The checksum finds accidents, not
 * forgeries.
 *
 * Thread-safety: as kvcache.h.
 */
#ifndef PREPACK_KVCACHE_SAVE_H
#define PREPACK_KVCACHE_SAVE_H

#include "kvcache.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pp_kvcache_save_params {
    uint32_t struct_size;
    const int32_t *tokens; /* ids of the cache's tokens, as many as it is long, which are saved with
                              it; NULL: those of models whose rotary embedding depends on a prompt's
                              length, which a cache knows, else none */
} pp_kvcache_save_params;

PP_API void pp_kvcache_save_params_init(pp_kvcache_save_params *params, size_t struct_size);

/*
 * Writes a cache to a file, which gets its name, in the place of one that is there, only when all
 * is written: nobody finds half a cache, and an error leaves nothing behind. It is not forced to
 * the disk: after a crash of the machine the file may be damaged, which loading notices. path:
 * UTF-8. Errors: PP_ERR_ARG (NULL, tokens outside the vocabulary, the path), PP_ERR_IO (also when
 * the model's files changed since it was opened), PP_ERR_NOMEM, PP_ERR_DEVICE, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_kvcache_save(const pp_kvcache *cache, const char *path,
                                 const pp_kvcache_save_params *params, pp_error *err);

/*
 * A new cache of the session from a saved file. Layers with a window take the tokens that they need
 * of those in the file. The caller destroys *cache. Errors: PP_ERR_ARG (NULL; a cache of another
 * model, dtype or format of weights; the sentence names both), PP_ERR_FORMAT (not a saved cache,
 * cut off or damaged), PP_ERR_UNSUPPORTED (of a newer form), PP_ERR_LIMIT, PP_ERR_IO, PP_ERR_NOMEM,
 * PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE.
 */
PP_API pp_status pp_kvcache_load(struct pp_session *session, const char *path, pp_kvcache **cache,
                                 pp_error *err);

/* What a saved cache says of itself. Texts that do not fit are cut. */
typedef struct pp_kvcache_file_info {
    uint32_t struct_size;
    int32_t dtype; /* PP_DTYPE_* */
    int64_t n_tokens;
    int64_t bytes;  /* of the file */
    uint64_t model; /* pp_model_identity of its model */
    int32_t n_layers, n_kv_heads, head_dim;
    int32_t has_tokens; /* 1: the ids of its tokens were saved with it */
    char architecture[32];
    char weights[16]; /* pp_weights_name of the session that computed it */
    char device[32];
    char producer[32];
    int32_t n_linear;    /* layers of n_layers that have a state; 0: none */
    int64_t state_bytes; /* of their states */
} pp_kvcache_file_info;

/*
 * Reads what a file says, without a session: for hosts that keep many and want to know which
 * prompt's and which model's each is. tokens: [n], n the cache's tokens, receives their ids; NULL:
 * not wanted. Keys, values and the checksum are not looked at. The caller sets info->struct_size.
 * Errors: PP_ERR_ARG (NULL; another n; no ids were saved), PP_ERR_FORMAT, PP_ERR_LIMIT, PP_ERR_IO,
 * PP_ERR_NOMEM, PP_ERR_STRUCT_SIZE. Thread-safety: safe.
 */
PP_API pp_status pp_kvcache_inspect(const char *path, pp_kvcache_file_info *info, int32_t *tokens,
                                    int64_t n, pp_error *err);

struct pp_model;

/* The number by which a saved cache knows its model: a part of a key under which hosts keep caches.
 * Reads a few bytes of each stored tensor. Errors: PP_ERR_ARG, PP_ERR_IO. Thread-safety: safe. */
PP_API pp_status pp_model_identity(const struct pp_model *model, uint64_t *identity, pp_error *err);

/* The bytes that pp_kvcache_export writes. Errors: as pp_kvcache_save. */
PP_API pp_status pp_kvcache_export_size(const pp_kvcache *cache,
                                        const pp_kvcache_save_params *params, size_t *bytes,
                                        pp_error *err);
/* The same bytes as those of pp_kvcache_save, to caller-owned memory of exactly that size. Errors:
 * as pp_kvcache_save. */
PP_API pp_status pp_kvcache_export(const pp_kvcache *cache, const pp_kvcache_save_params *params,
                                   void *memory, size_t bytes, pp_error *err);
/* As pp_kvcache_load, from caller-owned memory, which is only read. */
PP_API pp_status pp_kvcache_import(struct pp_session *session, const void *memory, size_t bytes,
                                   pp_kvcache **cache, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
