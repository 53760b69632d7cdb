/*
 * run_items.h: the items of a run as the caller gave them, and whether they can be run.
 */
#ifndef PPI_ITEMS_H
#define PPI_ITEMS_H

#include "run/session_impl.h"

#include <stddef.h>

struct ppi_items {
    char *base;  /* the caller's array */
    size_t step; /* bytes from item to item */
    int64_t n;
    const char *caller; /* the public function, for messages */
    const char *noun;   /* what an item is there: "item", "prompt", "cache" */
};

/* The smallest pp_item there was: up to `next`, and what fills its last word. */
#define PPI_OLDEST_ITEM offsetof(pp_item, scores)

/* An item; those of callers who know fewer fields have been made whole before. */
static inline pp_item *ppi_items_at(const struct ppi_items *items, int64_t i)
{
    return (pp_item *)(void *)(items->base + (size_t)i * items->step);
}

/* Checks everything that can be checked before running: arrays, ids, lengths, outputs, draws,
 * caches, the plan. Errors: as pp_run, err->index the item. */
pp_status ppi_items_check(const struct pp_session *session, const pp_plan *plan,
                          const struct ppi_items *items, const pp_run_params *params,
                          pp_error *err);

#endif
