/*
 * first_fit.c: first fit, online: items in order of arrival, each into the first bin with room. A
 * tree over the bins holds the most room below each node, so that the first bin with enough is
 * found on the way down: O(n log bins).
 */
#include "bounds.h"
#include "plan/policies.h"

#include <string.h>

/* A complete tree in an array: node i has the children 2 i and 2 i + 1, leaves begin at n_leaves.
 * A bin that is not open yet is a leaf with all its room. */
struct room_tree {
    int64_t *rooms; /* [2 * n_leaves] */
    int64_t n_leaves;
};

static int64_t first_bin(const struct room_tree *tree, int64_t size)
{
    int64_t node = 1;
    while (node < tree->n_leaves) {
        node *= 2;
        node += tree->rooms[node] < size;
    }
    return node - tree->n_leaves;
}

static void take_room(struct room_tree *tree, int64_t bin, int64_t size)
{
    int64_t node = tree->n_leaves + bin;
    tree->rooms[node] -= size;
    for (node /= 2; node > 0; node /= 2) {
        int64_t left = tree->rooms[2 * node];
        int64_t right = tree->rooms[2 * node + 1];
        int64_t most = left > right ? left : right;
        if (tree->rooms[node] == most)
            break;
        tree->rooms[node] = most;
    }
}

void ppi_group_by_bin(const int32_t *bin_of, int64_t n, struct bins *bins)
{
    memset(bins->starts, 0, (size_t)(bins->n + 1) * sizeof *bins->starts);
    for (int64_t i = 0; i < n; i++)
        bins->starts[bin_of[i] + 1]++;
    for (int64_t bin = 0; bin < bins->n; bin++)
        bins->starts[bin + 1] += bins->starts[bin];
    for (int64_t i = 0; i < n; i++)
        bins->items[bins->starts[bin_of[i]]++] = (int32_t)i;
    /* each start has moved to its bin's end */
    memmove(bins->starts + 1, bins->starts, (size_t)bins->n * sizeof *bins->starts);
    bins->starts[0] = 0;
}

pp_status ppi_pack_first_fit(const struct packing *packing, struct bins *bins, struct ppi_mem *mem,
                             pp_error *err)
{
    size_t n = (size_t)packing->n;
    struct room_tree tree = {.n_leaves = 1};
    int64_t max_bins = ppi_bound_bins(bins->bound_l1, packing->n);
    while (tree.n_leaves < max_bins)
        tree.n_leaves *= 2;
    size_t n_nodes = 2 * (size_t)tree.n_leaves;
    pp_status status = PP_OK;
    tree.rooms = ppi_alloc(mem, n_nodes, sizeof *tree.rooms);
    int32_t *bin_of = ppi_alloc(mem, n, sizeof *bin_of);
    if (!tree.rooms || !bin_of) {
        status = ppi_error_nomem(err, "the open bins",
                                 n_nodes * sizeof *tree.rooms + n * sizeof *bin_of);
        goto done;
    }
    for (size_t node = 0; node < n_nodes; node++)
        tree.rooms[node] = packing->capacity;
    for (size_t i = 0; i < n; i++) {
        int64_t bin = first_bin(&tree, packing->sizes[i]);
        take_room(&tree, bin, packing->sizes[i]);
        bin_of[i] = (int32_t)bin;
        bins->n = bin >= bins->n ? bin + 1 : bins->n;
    }
    for (int64_t bin = 0; bin < bins->n; bin++)
        bins->sizes[bin] = packing->capacity - tree.rooms[tree.n_leaves + bin];
    ppi_group_by_bin(bin_of, packing->n, bins);
    status = ppi_bounds_set(bins, packing, NULL, mem, err);
done:
    ppi_free(mem, bin_of);
    ppi_free(mem, tree.rooms);
    return status;
}
