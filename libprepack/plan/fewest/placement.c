/*
 * placement.c: one item after another into the bin that is chosen for it. A bin is found in
 * O(log bins), and as much again for each bin with room that holds something the item must be
 * apart from. Only so many of those are passed over (MAX_PASSED): large classes would take
 * quadratic time. Bins opened after the last one that took an item of the class hold none of it; so
 * the newest bins are then looked at, before one more is opened. Where there are no bins but given
 * ones, all are looked at: there is no other way to place the item.
 */
#include "placement.h"

#define MAX_PASSED 64

static int64_t prompts_of(const struct packing *packing, int64_t item)
{
    return packing->n_prompts ? packing->n_prompts[item] : 1;
}

static bool has_given_bins(const struct placement *placement)
{
    return placement->packing->n_capacities > 0;
}

pp_status ppi_placement_create(struct placement *placement, const struct packing *packing,
                               struct ppi_mem *mem, pp_error *err)
{
    *placement = (struct placement){.packing = packing, .used.root = PPI_NO_BIN};
    int64_t n_bins = packing->n_capacities > 0 ? packing->n_capacities : packing->n;
    placement->max_possible = n_bins;
    PP_TRY(ppi_open_bins_create(&placement->used, n_bins, mem, err));
    if (has_given_bins(placement))
        PP_TRY(ppi_open_bins_create(&placement->empty, n_bins, mem, err));
    placement->bin_of = ppi_alloc(mem, (size_t)packing->n, sizeof *placement->bin_of);
    placement->opened = ppi_alloc(mem, (size_t)n_bins, sizeof *placement->opened);
    if (!placement->bin_of || !placement->opened)
        return ppi_error_nomem(err, "the bins of items",
                               (size_t)(packing->n + n_bins) * sizeof(int32_t));
    return ppi_apart_create(&placement->apart, packing, mem, err);
}

void ppi_placement_destroy(struct placement *placement, struct ppi_mem *mem)
{
    ppi_apart_destroy(&placement->apart, mem);
    ppi_free(mem, placement->opened);
    ppi_free(mem, placement->bin_of);
    ppi_open_bins_destroy(&placement->empty, mem);
    ppi_open_bins_destroy(&placement->used, mem);
}

static int64_t key_of(enum choice choice, int64_t number, int64_t room)
{
    return choice == CHOOSE_FIRST ? number : choice == CHOOSE_FULLEST ? room : -room;
}

void ppi_placement_restart(struct placement *placement, enum choice choice, bool largest_first,
                           int64_t max_bins)
{
    const struct packing *packing = placement->packing;
    placement->choice = choice;
    placement->largest_first = largest_first;
    placement->n_open = 0;
    placement->max_bins = max_bins;
    ppi_open_bins_clear(&placement->used);
    ppi_apart_clear(&placement->apart);
    if (!has_given_bins(placement))
        return;
    ppi_open_bins_clear(&placement->empty);
    for (int64_t bin = 0; bin < packing->n_capacities; bin++) {
        int64_t capacity = packing->capacities[bin];
        ppi_open_bins_add(&placement->empty, (int32_t)bin, largest_first ? -capacity : bin,
                          capacity, packing->max_prompts);
    }
}

/* Opens the next bin that an item of this size fits into; PPI_NO_BIN: there is none. */
static int32_t open_bin(struct placement *placement, int64_t size)
{
    const struct packing *packing = placement->packing;
    if (placement->n_open == placement->max_bins)
        return PPI_NO_BIN;
    int32_t bin = (int32_t)placement->n_open;
    int64_t capacity = packing->capacity;
    if (has_given_bins(placement)) {
        bin = ppi_open_bins_find(&placement->empty, PPI_NO_BIN, size, 0);
        if (bin == PPI_NO_BIN)
            return PPI_NO_BIN;
        ppi_open_bins_remove(&placement->empty, bin);
        capacity = packing->capacities[bin];
    }
    int64_t number = placement->largest_first ? placement->n_open : bin;
    ppi_open_bins_add(&placement->used, bin, key_of(placement->choice, number, capacity), capacity,
                      packing->max_prompts);
    placement->opened[placement->n_open++] = bin;
    return bin;
}

void ppi_placement_open_all(struct placement *placement)
{
    while (placement->n_open < placement->max_bins && open_bin(placement, 0) != PPI_NO_BIN)
        ;
}

void ppi_placement_change(struct placement *placement, enum choice choice)
{
    placement->choice = choice;
    ppi_open_bins_clear(&placement->used);
    for (int64_t i = 0; i < placement->n_open; i++) {
        int32_t bin = placement->opened[i];
        struct open_bin_node node = placement->used.nodes[bin];
        int64_t number = placement->largest_first ? i : bin;
        ppi_open_bins_add(&placement->used, bin, key_of(choice, number, node.room), node.room,
                          node.places);
    }
}

/* The bin for an item among those that are open. */
static int32_t find_bin(const struct placement *placement, int32_t item, int64_t size,
                        int64_t places)
{
    const struct packing *packing = placement->packing;
    int64_t n_passed = 0;
    int32_t bin = PPI_NO_BIN;
    do {
        bin = ppi_open_bins_find(&placement->used, bin, size, places);
        if (bin == PPI_NO_BIN || ppi_apart_allows(&placement->apart, packing, item, bin))
            return bin;
    } while (has_given_bins(placement) || ++n_passed < MAX_PASSED);
    for (int64_t i = placement->n_open; i > 0 && n_passed > 0; n_passed--) {
        bin = placement->opened[--i];
        const struct open_bin_node *node = &placement->used.nodes[bin];
        if (node->room >= size && node->places >= places &&
            ppi_apart_allows(&placement->apart, packing, item, bin))
            return bin;
    }
    return PPI_NO_BIN;
}

/* Changes the room of an open bin. */
static void change_room(struct placement *placement, int32_t bin, int64_t size, int64_t places)
{
    struct open_bin_node node = placement->used.nodes[bin];
    ppi_open_bins_remove(&placement->used, bin);
    node.room -= size;
    node.places -= places;
    if (placement->choice != CHOOSE_FIRST)
        node.key = key_of(placement->choice, 0, node.room);
    ppi_open_bins_add(&placement->used, bin, node.key, node.room, node.places);
}

void ppi_placement_put_into(struct placement *placement, int32_t item, int32_t bin)
{
    const struct packing *packing = placement->packing;
    change_room(placement, bin, packing->sizes[item], prompts_of(packing, item));
    ppi_apart_add(&placement->apart, packing, item, bin);
    placement->bin_of[item] = bin;
}

void ppi_placement_take_back(struct placement *placement, int32_t item, int32_t bin)
{
    const struct packing *packing = placement->packing;
    change_room(placement, bin, -packing->sizes[item], -prompts_of(packing, item));
    ppi_apart_remove(&placement->apart, packing, item, bin);
}

int32_t ppi_placement_next(const struct placement *placement, int32_t item, int32_t after)
{
    const struct packing *packing = placement->packing;
    const struct open_bin_node *nodes = placement->used.nodes;
    int32_t bin = after;
    bool same;
    do {
        bin = ppi_open_bins_find(&placement->used, bin, packing->sizes[item],
                                 prompts_of(packing, item));
        same = bin != PPI_NO_BIN && after != PPI_NO_BIN && !packing->apart &&
               nodes[bin].room == nodes[after].room && nodes[bin].places == nodes[after].places;
    } while (bin != PPI_NO_BIN &&
             (same || !ppi_apart_allows(&placement->apart, packing, item, bin)));
    return bin;
}

bool ppi_placement_put(struct placement *placement, int32_t item)
{
    const struct packing *packing = placement->packing;
    int64_t size = packing->sizes[item];
    int32_t bin = find_bin(placement, item, size, prompts_of(packing, item));
    if (bin == PPI_NO_BIN)
        bin = open_bin(placement, size);
    if (bin == PPI_NO_BIN)
        return false;
    ppi_placement_put_into(placement, item, bin);
    return true;
}
