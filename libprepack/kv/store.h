/*
 * store.h: where the caches of one session keep their keys and values: a pool of pages for each
 * class of layers, one of blocks of states where there are linear layers, and what reading them
 * back takes. It knows nothing of sessions: who owns it embeds it and is told when the last
 * reference goes.
 */
#ifndef PPI_STORE_H
#define PPI_STORE_H

#include "guard.h"
#include "kv/pages.h"

/* Tokens behind a window whose pages are kept on: a cache may lose so many tokens at its end and
 * still see all that its window reaches. */
#define PPI_KV_SLACK 64

struct ppi_kv_shape {
    int32_t n_layers;
    int32_t dtype; /* of what pages hold */
    const struct ppi_layer_place *places;
    int32_t n_classes;
    struct ppi_kv_class classes[PPI_MAX_PAGE_CLASSES];
    bool keep_all;                         /* pages behind a window are not given back */
    const struct ppi_linear_shape *linear; /* of linear layers; NULL: there are none */
    int32_t n_linear;
};

struct ppi_kv_store {
    _Atomic int32_t refs; /* the owner's and one for each cache */
    void *owner;
    void (*last_unref)(void *owner);
    struct ppi_guard *guard; /* the owner's */
    const struct ppi_backend_ops *ops;
    struct ppi_backend *backend;
    struct ppi_mem *mem;
    struct ppi_kv_shape shape;
    int32_t page_tokens;
    bool on_blocks;      /* pages are the host's, and caches have spare ones (kv_blocks.h) */
    pp_status no_memory; /* when none is left; PP_ERR_DEVICE_NOMEM where it is not the host's */
    struct ppi_page_pool pools[PPI_MAX_PAGE_CLASSES];
    struct ppi_page_pool states; /* of linear layers, a page those of all; always the session's own
                                    memory. Only where shape.linear is there */
};

/* The store begins with one reference, the owner's. What it is given outlives it. */
void ppi_store_init(struct ppi_kv_store *store, const struct ppi_backend_ops *ops,
                    struct ppi_backend *backend, struct ppi_mem *mem,
                    const struct ppi_backend_info *info, const struct ppi_kv_shape *shape);
/* Every page must be free. */
void ppi_store_close(struct ppi_kv_store *store);

void ppi_store_ref(struct ppi_kv_store *store);
void ppi_store_unref(struct ppi_kv_store *store);

/* Bytes of the states of all linear layers of one prompt; 0: the model has none. */
static inline int64_t ppi_store_state_bytes(const struct ppi_kv_store *store)
{
    const struct ppi_kv_shape *shape = &store->shape;
    return shape->linear ? shape->n_linear * ppi_linear_state_bytes(shape->linear) : 0;
}

/* Gives memory of free pages back to the device; returns the bytes. */
int64_t ppi_store_trim(struct ppi_kv_store *store);
/* Bytes of all pages and states, and of those in use by caches. */
void ppi_store_count(const struct ppi_kv_store *store, int64_t *bytes, int64_t *used);

/* The class of a layer, which says how far back it looks and the shape of its heads. */
static inline const struct ppi_kv_class *ppi_kv_class_of(const struct ppi_kv_shape *shape,
                                                         int32_t layer)
{
    return &shape->classes[shape->places[layer].page_class];
}

/* Elements of the keys, or of the values, of a token in one layer of the class. */
static inline int64_t ppi_kv_row(const struct ppi_kv_class *shape)
{
    return (int64_t)shape->n_kv_heads * shape->head_dim;
}

/* The largest over the classes. */
int64_t ppi_kv_widest_row(const struct ppi_kv_shape *shape);
/* The first layer from `layer` on that has keys of its own, and does not see another's; n_layers:
 * there is none. */
int32_t ppi_kv_next_layer(const struct ppi_kv_shape *shape, int32_t layer);

static inline int64_t ppi_store_pages(const struct ppi_kv_store *store, int64_t n_tokens)
{
    return ppi_div_up(n_tokens, store->page_tokens);
}

/* The first page that a cache of n_tokens tokens still needs in layers with a window (0: none):
 * those before it are out of the sight of every token to come. */
int64_t ppi_kv_first_needed(int64_t window, int64_t n_tokens, int32_t page_tokens);

#endif
