/*
 * open_bins.c: the treap of open_bins.h. A node's priority is a hash of its bin, so that the same
 * bins give the same tree. Depth is about 2 log2(bins); recursion is that deep.
 */
#include "open_bins.h"

#define NONE PPI_NO_BIN

pp_status ppi_open_bins_create(struct open_bins *bins, int64_t max_bins, struct ppi_mem *mem,
                               pp_error *err)
{
    bins->root = NONE;
    bins->nodes = ppi_alloc(mem, (size_t)max_bins, sizeof *bins->nodes);
    if (!bins->nodes)
        return ppi_error_nomem(err, "the open bins", (size_t)max_bins * sizeof *bins->nodes);
    return PP_OK;
}

void ppi_open_bins_destroy(struct open_bins *bins, struct ppi_mem *mem)
{
    ppi_free(mem, bins->nodes);
    *bins = (struct open_bins){.root = NONE};
}

void ppi_open_bins_clear(struct open_bins *bins)
{
    bins->root = NONE;
}

/* The finaliser of MurmurHash3 (Appleby 2011): a bijection, so that no two bins have the same. */
static uint32_t priority(int32_t bin)
{
    uint32_t h = (uint32_t)bin + 0x9e3779b9u;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static bool is_before(const struct open_bin_node *nodes, int32_t a, int32_t b)
{
    return nodes[a].key != nodes[b].key ? nodes[a].key < nodes[b].key : a < b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void sum_up(struct open_bin_node *nodes, int32_t at)
{
    struct open_bin_node *node = &nodes[at];
    node->max_room = node->room;
    node->max_places = node->places;
    const int32_t below[] = {node->left, node->right};
    for (int i = 0; i < 2; i++)
        if (below[i] != NONE) {
            node->max_room = larger(node->max_room, nodes[below[i]].max_room);
            node->max_places = larger(node->max_places, nodes[below[i]].max_places);
        }
}

/* Parts the tree `at` into what is before `bin` and what is not; `bin` itself is in neither. */
static void split(struct open_bin_node *nodes, int32_t at, int32_t bin, int32_t *before,
                  int32_t *after)
{
    if (at == NONE) {
        *before = *after = NONE;
    } else if (is_before(nodes, at, bin)) {
        *before = at;
        split(nodes, nodes[at].right, bin, &nodes[at].right, after);
        sum_up(nodes, at);
    } else {
        *after = at;
        split(nodes, nodes[at].left, bin, before, &nodes[at].left);
        sum_up(nodes, at);
    }
}

/* One tree of two, all of the first before all of the second. */
static int32_t join(struct open_bin_node *nodes, int32_t first, int32_t second)
{
    if (first == NONE || second == NONE)
        return first == NONE ? second : first;
    int32_t top;
    if (priority(first) > priority(second)) {
        top = first;
        nodes[top].right = join(nodes, nodes[top].right, second);
    } else {
        top = second;
        nodes[top].left = join(nodes, first, nodes[top].left);
    }
    sum_up(nodes, top);
    return top;
}

static void insert(struct open_bin_node *nodes, int32_t *at, int32_t bin)
{
    if (*at == NONE || priority(bin) > priority(*at)) {
        split(nodes, *at, bin, &nodes[bin].left, &nodes[bin].right);
        *at = bin;
    } else {
        insert(nodes, is_before(nodes, bin, *at) ? &nodes[*at].left : &nodes[*at].right, bin);
    }
    sum_up(nodes, *at);
}

static void remove_below(struct open_bin_node *nodes, int32_t *at, int32_t bin)
{
    if (*at == bin) {
        *at = join(nodes, nodes[bin].left, nodes[bin].right);
        return;
    }
    remove_below(nodes, is_before(nodes, bin, *at) ? &nodes[*at].left : &nodes[*at].right, bin);
    sum_up(nodes, *at);
}

void ppi_open_bins_add(struct open_bins *bins, int32_t bin, int64_t key, int64_t room,
                       int64_t places)
{
    bins->nodes[bin] = (struct open_bin_node){
        .key = key, .room = room, .places = places, .left = NONE, .right = NONE};
    insert(bins->nodes, &bins->root, bin);
}

void ppi_open_bins_remove(struct open_bins *bins, int32_t bin)
{
    remove_below(bins->nodes, &bins->root, bin);
}

static int32_t find(const struct open_bin_node *nodes, int32_t at, int32_t after, int64_t room,
                    int64_t places)
{
    if (at == NONE || nodes[at].max_room < room || nodes[at].max_places < places)
        return NONE;
    if (after == NONE || is_before(nodes, after, at)) {
        int32_t found = find(nodes, nodes[at].left, after, room, places);
        if (found != NONE)
            return found;
        if (nodes[at].room >= room && nodes[at].places >= places)
            return at;
    }
    return find(nodes, nodes[at].right, after, room, places);
}

int32_t ppi_open_bins_find(const struct open_bins *bins, int32_t after, int64_t room,
                           int64_t places)
{
    return find(bins->nodes, bins->root, after, room, places);
}
