/*
 * attention_items.c: tiles of all prompts, longest first, by a counting sort on the number of
 * blocks of keys that a tile reads. Tiles are walked twice, to count and to place, so nothing is
 * allocated; prompts with more blocks than there are counters take a round for every N_COUNTS.
 */
#include "cuda/attention_items.h"

#include <string.h>

#define N_COUNTS 1024

/* A packed row as query row and member of the group; steps forward without dividing. */
struct packed_row {
    int32_t row, member;
};

static struct packed_row divide(int32_t packed, int32_t group)
{
    return (struct packed_row){packed / group, packed % group};
}

static void advance(struct packed_row *at, struct packed_row step, int32_t group)
{
    at->row += step.row;
    at->member += step.member;
    if (at->member >= group) {
        at->member -= group;
        at->row++;
    }
}

/* The tiles of one span after another. */
struct walk {
    struct ppi_cuda_tiles tiles;
    const struct ppi_cuda_span *spans;
    int32_t n_spans, group, window_left, window_right;
    struct packed_row step,
        last_of_first; /* from tile to tile; the last row of a whole first one */

    int32_t i_span; /* of the tile; -1: before the first */
    bool is_few;
    int64_t n_packed; /* of the span */
    int64_t packed;   /* the tile's first packed row */
    struct packed_row first, last;
};

static struct walk start_walk(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                              int32_t n_spans, int32_t group, int32_t window_left,
                              int32_t window_right)
{
    return (struct walk){
        .tiles = tiles,
        .spans = spans,
        .n_spans = n_spans,
        .group = group,
        .window_left = window_left,
        .window_right = window_right,
        .step = divide(tiles.rows, group),
        .last_of_first = divide(tiles.rows - 1, group),
        .i_span = -1,
    };
}

static bool next_tile(struct walk *walk)
{
    walk->packed += walk->tiles.rows;
    if (walk->i_span >= 0 && walk->packed < walk->n_packed) {
        advance(&walk->first, walk->step, walk->group);
        advance(&walk->last, walk->step, walk->group);
        return true;
    }
    do {
        if (++walk->i_span >= walk->n_spans)
            return false;
    } while (walk->spans[walk->i_span].n_rows <= 0);
    walk->n_packed = (int64_t)walk->spans[walk->i_span].n_rows * walk->group;
    walk->is_few = walk->n_packed <= walk->tiles.few_rows;
    walk->packed = 0;
    walk->first = (struct packed_row){0, 0};
    walk->last = walk->last_of_first;
    return true;
}

/* Blocks of keys that the tile reads, as the kernels find them. */
static int32_t count_blocks(const struct walk *walk)
{
    const struct ppi_cuda_span *span = &walk->spans[walk->i_span];
    bool is_whole = walk->packed + walk->tiles.rows <= walk->n_packed;
    int32_t last_row = is_whole ? walk->last.row : span->n_rows - 1;
    int32_t low = walk->first.row + span->n_keys - span->n_rows; /* positions */
    int32_t high = last_row + span->n_keys - span->n_rows;
    low = walk->window_left >= 0 && low > walk->window_left ? low - walk->window_left : 0;
    if (walk->window_right >= 0 && span->n_keys - 1 - high > walk->window_right)
        high += walk->window_right;
    else
        high = span->n_keys - 1;
    if (high < low)
        return 0;
    return high / PPI_CUDA_ATTENTION_KEYS - low / PPI_CUDA_ATTENTION_KEYS + 1;
}

void ppi_cuda_count_items(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                          int32_t n_spans, int32_t group, int64_t *n_items, int64_t *n_few)
{
    *n_items = *n_few = 0;
    for (int32_t i = 0; i < n_spans; i++) {
        int64_t n_packed = (int64_t)spans[i].n_rows * group;
        if (n_packed > tiles.few_rows)
            *n_items += (n_packed + tiles.rows - 1) / tiles.rows;
        else if (n_packed > 0)
            ++*n_few;
    }
}

/* Counts of tiles become the places of the first of each, those with the most blocks first. */
static int64_t turn_into_places(int64_t *counts, int64_t place)
{
    for (int32_t i = N_COUNTS - 1; i >= 0; i--) {
        int64_t count = counts[i];
        counts[i] = place;
        place += count;
    }
    return place;
}

void ppi_cuda_make_items(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                         int32_t n_spans, int32_t group, int32_t window_left, int32_t window_right,
                         struct ppi_cuda_attention_item *items,
                         struct ppi_cuda_attention_item *few_items)
{
    struct walk start = start_walk(tiles, spans, n_spans, group, window_left, window_right);
    struct ppi_cuda_attention_item *lists[2] = {items, few_items};
    int64_t ends[2] = {0, 0};
    int32_t most_keys = 0;
    for (int32_t i = 0; i < n_spans; i++)
        most_keys = spans[i].n_keys > most_keys ? spans[i].n_keys : most_keys;
    int32_t most_blocks = most_keys / PPI_CUDA_ATTENTION_KEYS + 1;

    for (int32_t low = most_blocks / N_COUNTS * N_COUNTS; low >= 0; low -= N_COUNTS) {
        int64_t places[2][N_COUNTS];
        memset(places, 0, sizeof places);
        for (struct walk walk = start; next_tile(&walk);) {
            int32_t i = count_blocks(&walk) - low;
            if (i >= 0 && i < N_COUNTS)
                places[walk.is_few][i]++;
        }
        for (int list = 0; list < 2; list++)
            ends[list] = turn_into_places(places[list], ends[list]);
        for (struct walk walk = start; next_tile(&walk);) {
            int32_t i = count_blocks(&walk) - low;
            if (i < 0 || i >= N_COUNTS)
                continue;
            const struct ppi_cuda_span *span = &spans[walk.i_span];
            lists[walk.is_few][places[walk.is_few][i]++] = (struct ppi_cuda_attention_item){
                .q_row = span->q_row,
                .n_rows = span->n_rows,
                .n_keys = span->n_keys,
                .first = span->first,
                .packed_row = (int32_t)walk.packed,
            };
        }
    }
}
