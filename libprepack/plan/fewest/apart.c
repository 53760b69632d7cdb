/*
 * apart.c: the hash set of apart.h: open addressing, at most half full.
 */
#include "apart.h"

#include <string.h>

/* The classes of an item: packing->apart[first .. end), some of them below 0. */
static void classes_of(const struct packing *packing, int64_t item, int64_t *first, int64_t *end)
{
    *first = packing->apart_starts ? packing->apart_starts[item] : item;
    *end = packing->apart_starts ? packing->apart_starts[item + 1] : item + 1;
}

pp_status ppi_apart_create(struct apart_set *set, const struct packing *packing,
                           struct ppi_mem *mem, pp_error *err)
{
    *set = (struct apart_set){0};
    if (!packing->apart)
        return PP_OK;
    size_t n =
        packing->apart_starts ? (size_t)packing->apart_starts[packing->n] : (size_t)packing->n;
    size_t n_slots = 2;
    while (n_slots < 2 * n)
        n_slots *= 2;
    set->slots = ppi_zalloc(mem, n_slots, sizeof *set->slots);
    if (!set->slots)
        return ppi_error_nomem(err, "what is apart", n_slots * sizeof *set->slots);
    set->mask = n_slots - 1;
    return PP_OK;
}

void ppi_apart_destroy(struct apart_set *set, struct ppi_mem *mem)
{
    ppi_free(mem, set->slots);
    *set = (struct apart_set){0};
}

void ppi_apart_clear(struct apart_set *set)
{
    if (set->slots)
        memset(set->slots, 0, (set->mask + 1) * sizeof *set->slots);
}

/* The slot that holds the pair, or the empty one where it belongs. */
static uint64_t *find_slot(const struct apart_set *set, int32_t class, int64_t bin)
{
    uint64_t pair = (uint64_t) class << 32 | (uint64_t)bin;
    uint64_t hash = pair * 0x9e3779b97f4a7c15u; /* Fibonacci hashing (Knuth, volume 3) */
    uint64_t i = hash >> 32;
    while (set->slots[i & set->mask] != 0 && set->slots[i & set->mask] != pair + 1)
        i++;
    return &set->slots[i & set->mask];
}

bool ppi_apart_allows(const struct apart_set *set, const struct packing *packing, int64_t item,
                      int64_t bin)
{
    if (!set->slots)
        return true;
    int64_t i, end;
    for (classes_of(packing, item, &i, &end); i < end; i++)
        if (packing->apart[i] >= 0 && *find_slot(set, packing->apart[i], bin) != 0)
            return false;
    return true;
}

void ppi_apart_add(struct apart_set *set, const struct packing *packing, int64_t item, int64_t bin)
{
    if (!set->slots)
        return;
    int64_t i, end;
    for (classes_of(packing, item, &i, &end); i < end; i++)
        if (packing->apart[i] >= 0)
            *find_slot(set, packing->apart[i], bin) =
                ((uint64_t)packing->apart[i] << 32 | (uint64_t)bin) + 1;
}

/* What was added after the item has been taken back, so that no pair was put behind its slots. */
void ppi_apart_remove(struct apart_set *set, const struct packing *packing, int64_t item,
                      int64_t bin)
{
    if (!set->slots)
        return;
    int64_t first, i;
    for (classes_of(packing, item, &first, &i); i-- > first;)
        if (packing->apart[i] >= 0)
            *find_slot(set, packing->apart[i], bin) = 0;
}
