/*
 * store.c: the pools of a session as one, and the sight of its classes of layers.
 */
#include "kv/store.h"

void ppi_store_init(struct ppi_kv_store *store, const struct ppi_backend_ops *ops,
                    struct ppi_backend *backend, struct ppi_mem *mem,
                    const struct ppi_backend_info *info, const struct ppi_kv_shape *shape)
{
    atomic_init(&store->refs, 1);
    store->ops = ops;
    store->backend = backend;
    store->mem = mem;
    store->shape = *shape;
    store->page_tokens = info->page_tokens;
    store->on_blocks = false;
    store->no_memory = ppi_no_device_memory(info);
    for (int32_t c = 0; c < shape->n_classes; c++)
        ppi_pool_init(&store->pools[c], ops, backend, mem, "KV pages", info->page_bytes[c],
                      store->no_memory);
    if (shape->linear)
        ppi_pool_init(&store->states, ops, backend, mem, "states of linear layers",
                      ppi_store_state_bytes(store), store->no_memory);
}

void ppi_store_close(struct ppi_kv_store *store)
{
    for (int32_t c = 0; c < store->shape.n_classes; c++)
        ppi_pool_close(&store->pools[c]);
    if (store->shape.linear)
        ppi_pool_close(&store->states);
}

void ppi_store_ref(struct ppi_kv_store *store)
{
    atomic_fetch_add(&store->refs, 1);
}

void ppi_store_unref(struct ppi_kv_store *store)
{
    if (atomic_fetch_sub(&store->refs, 1) == 1)
        store->last_unref(store->owner);
}

int64_t ppi_store_trim(struct ppi_kv_store *store)
{
    int64_t bytes = 0;
    for (int32_t c = 0; c < store->shape.n_classes; c++)
        bytes += ppi_pool_trim(&store->pools[c]);
    return bytes + (store->shape.linear ? ppi_pool_trim(&store->states) : 0);
}

static void count_pool(const struct ppi_page_pool *pool, int64_t *bytes, int64_t *used)
{
    int64_t n_pages, n_free;
    ppi_pool_count(pool, &n_pages, &n_free); /* any thread may destroy caches */
    *bytes += n_pages * pool->page_bytes;
    *used += (n_pages - n_free) * pool->page_bytes;
}

void ppi_store_count(const struct ppi_kv_store *store, int64_t *bytes, int64_t *used)
{
    *bytes = *used = 0;
    for (int32_t c = 0; c < store->shape.n_classes; c++)
        count_pool(&store->pools[c], bytes, used);
    if (store->shape.linear)
        count_pool(&store->states, bytes, used);
}

int64_t ppi_kv_widest_row(const struct ppi_kv_shape *shape)
{
    int64_t widest = 0;
    for (int32_t c = 0; c < shape->n_classes; c++) {
        int64_t row = ppi_kv_row(&shape->classes[c]);
        widest = row > widest ? row : widest;
    }
    return widest;
}

/* Who sees another's keys has the place of a layer before it. */
static bool has_keys(const struct ppi_kv_shape *shape, int32_t layer)
{
    const struct ppi_layer_place *place = &shape->places[layer];
    for (int32_t i = 0; i < layer; i++)
        if (shape->places[i].page_class == place->page_class &&
            shape->places[i].index == place->index)
            return false;
    return place->page_class >= 0;
}

int32_t ppi_kv_next_layer(const struct ppi_kv_shape *shape, int32_t layer)
{
    while (layer < shape->n_layers && !has_keys(shape, layer))
        layer++;
    return layer;
}

int64_t ppi_kv_first_needed(int64_t window, int64_t n_tokens, int32_t page_tokens)
{
    /* the next token, at position n_tokens, sees n_tokens - window + 1 and later */
    int64_t first = window > 0 ? n_tokens - window + 1 - PPI_KV_SLACK : 0;
    return first > 0 ? first / page_tokens : 0;
}
