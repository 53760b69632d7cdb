/*
 * knapsack.c: bounded knapsacks by dynamic programming over the room of a bin; where bins are too
 * large for that, by branch and bound over the sizes in the order of value per size (Gilmore,
 * Gomory 1963), given up after a number of nodes.
 */
#include "knapsack.h"

#include <string.h>

#define MAX_CELLS      ((int64_t)1 << 23)
#define MAX_NODES      50000
#define CELLS_PER_STEP 48
#define ROOM_PADDING   4 /* vectors may run past the end of a row */

pp_status ppi_knapsack_create(struct knapsack *knapsack, const struct size_counts *counts,
                              struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)counts->n;
    *knapsack = (struct knapsack){.counts = counts};
    bool in_table = counts->capacity < MAX_CELLS / (counts->n + 1) - 2 * ROOM_PADDING;
    if (in_table) {
        knapsack->width = ppi_round_up(counts->capacity + 1 + ROOM_PADDING, 16);
        knapsack->table =
            ppi_alloc(mem, (n + 1) * (size_t)knapsack->width, sizeof *knapsack->table);
    }
    knapsack->used = ppi_alloc(mem, n, 2 * sizeof *knapsack->used);
    knapsack->parts = ppi_alloc(mem, n, 2 * sizeof *knapsack->parts);
    knapsack->worth = ppi_alloc(mem, n, sizeof *knapsack->worth);
    if ((in_table && !knapsack->table) || !knapsack->used || !knapsack->parts || !knapsack->worth) {
        ppi_knapsack_destroy(knapsack, mem);
        return ppi_error_nomem(err, "a knapsack",
                               (n + 1) * (size_t)knapsack->width * sizeof *knapsack->table);
    }
    knapsack->order = knapsack->used + n;
    knapsack->chosen = knapsack->parts + n;
    return PP_OK;
}

void ppi_knapsack_destroy(struct knapsack *knapsack, struct ppi_mem *mem)
{
    ppi_free(mem, knapsack->table);
    ppi_free(mem, knapsack->used);
    ppi_free(mem, knapsack->parts);
    ppi_free(mem, knapsack->worth);
    *knapsack = (struct knapsack){0};
}

/* ---- dynamic programming ---- */

typedef int32_t lanes __attribute__((vector_size(16), aligned(4), may_alias));

/* to[i] = max(to[i], from[i] + value) */
static void raise_by(int32_t *restrict to, const int32_t *restrict from, int32_t value, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4) {
        lanes old = *(const lanes *)(to + i);
        lanes sum = *(const lanes *)(from + i) + value;
        lanes more = sum > old;
        *(lanes *)(to + i) = (sum & more) | (old & ~more);
    }
}

/* Row j + 1 of the table from row j: up to `limit` items of a size. */
static int64_t add_size(struct knapsack *knapsack, int32_t j, int32_t value, int64_t limit)
{
    int64_t room = knapsack->counts->capacity + 1;
    int64_t size = knapsack->counts->sizes[knapsack->used[j]];
    const int32_t *from = knapsack->table + j * knapsack->width;
    int32_t *to = knapsack->table + (j + 1) * knapsack->width;
    memcpy(to, from, (size_t)knapsack->width * sizeof *to);
    int64_t n_cells = knapsack->width / 4;
    for (int64_t k = 1; k <= limit && k * size < room; k++) {
        raise_by(to + k * size, from, (int32_t)k * value, room - k * size);
        n_cells += room - k * size;
    }
    return n_cells;
}

/* How many items of the size of row j + 1, at least `least`, are worth most in so much room
 * together with shorter ones. */
static int32_t best_count(const struct knapsack *knapsack, const int32_t *values,
                          const int32_t *limits, int32_t j, int64_t room, int32_t least,
                          int64_t *value)
{
    int32_t i = knapsack->used[j];
    int64_t size = knapsack->counts->sizes[i];
    const int32_t *row = knapsack->table + j * knapsack->width;
    int32_t best = least;
    *value = row[room - least * size] + (int64_t)least * values[i];
    for (int32_t k = least + 1; k <= limits[i] && k * size <= room; k++) {
        int64_t other = row[room - k * size] + (int64_t)k * values[i];
        if (other > *value) {
            *value = other;
            best = k;
        }
    }
    return best;
}

/* The pattern behind the best value of row j + 1 with at least one item of its size. */
static int64_t trace(struct knapsack *knapsack, const int32_t *values, const int32_t *limits,
                     int32_t j)
{
    int64_t n_parts = 0;
    int64_t room = knapsack->counts->capacity;
    for (int32_t least = 1; j >= 0; j--, least = 0) {
        int64_t value;
        int32_t best = best_count(knapsack, values, limits, j, room, least, &value);
        if (best > 0) {
            int32_t i = knapsack->used[j];
            knapsack->parts[n_parts++] = (struct part){i, best};
            room -= best * knapsack->counts->sizes[i];
        }
    }
    return n_parts;
}

/* ---- branch and bound ---- */

static void sort_by_value(struct knapsack *knapsack, const int32_t *values)
{
    const int64_t *sizes = knapsack->counts->sizes;
    int32_t *order = knapsack->order;
    memcpy(order, knapsack->used, (size_t)knapsack->n_used * sizeof *order);
    for (int32_t gap = knapsack->n_used / 2; gap > 0; gap /= 2) /* Shell's sort */
        for (int32_t i = gap; i < knapsack->n_used; i++) {
            int32_t moved = order[i];
            double worth = (double)values[moved] / (double)sizes[moved];
            int32_t j = i;
            for (; j >= gap; j -= gap) {
                int32_t other = order[j - gap];
                double others = (double)values[other] / (double)sizes[other];
                if (others > worth || (others == worth && other < moved))
                    break;
                order[j] = other;
            }
            order[j] = moved;
        }
}

/* The best pattern into knapsack->parts. *most: its value, or -1 where the search was given up. */
static int64_t branch(struct knapsack *knapsack, const int32_t *values, const int32_t *limits,
                      int64_t threshold, int64_t *most, int64_t *n_nodes)
{
    const int64_t *sizes = knapsack->counts->sizes;
    int64_t room = knapsack->counts->capacity;
    int64_t best = threshold;
    int64_t value = 0;
    int64_t n_parts = 0, n_chosen = 0;
    int32_t j = 0;
    sort_by_value(knapsack, values);
    for (*n_nodes = 0; *n_nodes < MAX_NODES; ++*n_nodes) {
        while (j < knapsack->n_used && sizes[knapsack->order[j]] > room)
            j++;
        if (j < knapsack->n_used) {
            int32_t i = knapsack->order[j];
            /* + 1: what rounding may have taken */
            double bound =
                (double)value + 1 + (double)room * ((double)values[i] / (double)sizes[i]);
            if (bound > (double)(best + 1)) {
                int64_t count = room / sizes[i];
                count = count < limits[i] ? count : limits[i];
                knapsack->chosen[n_chosen++] = (struct part){j, (int32_t)count};
                room -= count * sizes[i];
                value += count * values[i];
                if (value > best) {
                    best = value;
                    n_parts = n_chosen;
                    for (int64_t k = 0; k < n_chosen; k++)
                        knapsack->parts[k] = (struct part){
                            knapsack->order[knapsack->chosen[k].size], knapsack->chosen[k].count};
                }
                j++;
                continue;
            }
        }
        if (n_chosen == 0)
            break;
        struct part *last = &knapsack->chosen[n_chosen - 1];
        int32_t i = knapsack->order[last->size];
        room += sizes[i];
        value -= values[i];
        j = last->size + 1;
        if (--last->count == 0)
            n_chosen--;
    }
    *most = *n_nodes < MAX_NODES ? best : -1;
    return n_parts;
}

/* Longest size first, as patterns are. */
static void sort_parts(struct part *parts, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        struct part moved = parts[i];
        int64_t j = i;
        for (; j > 0 && parts[j - 1].size > moved.size; j--)
            parts[j] = parts[j - 1];
        parts[j] = moved;
    }
}

static pp_status solve_by_search(struct knapsack *knapsack, const int32_t *values,
                                 const int32_t *limits, int64_t threshold,
                                 struct patterns *patterns, int64_t *most, int64_t *steps,
                                 struct ppi_mem *mem, pp_error *err)
{
    int64_t n_parts = branch(knapsack, values, limits, threshold, most, steps);
    if (n_parts == 0)
        return PP_OK;
    sort_parts(knapsack->parts, n_parts);
    return ppi_patterns_add(patterns, knapsack->parts, n_parts, 1, mem, err);
}

pp_status ppi_knapsack_solve(struct knapsack *knapsack, const int32_t *values,
                             const int32_t *limits, int64_t threshold, int64_t max_patterns,
                             struct patterns *patterns, int64_t *most, int64_t *steps,
                             struct ppi_mem *mem, pp_error *err)
{
    const struct size_counts *counts = knapsack->counts;
    knapsack->n_used = 0;
    for (int32_t i = counts->n - 1; i >= 0; i--)
        if (values[i] > 0 && limits[i] > 0)
            knapsack->used[knapsack->n_used++] = i;
    if (!knapsack->table)
        return solve_by_search(knapsack, values, limits, threshold, patterns, most, steps, mem,
                               err);
    int64_t capacity = counts->capacity;
    memset(knapsack->table, 0, (size_t)knapsack->width * sizeof *knapsack->table);
    int64_t n_cells = 0;
    for (int32_t j = 0; j < knapsack->n_used; j++)
        n_cells += add_size(knapsack, j, values[knapsack->used[j]], limits[knapsack->used[j]]);
    *most = knapsack->table[knapsack->n_used * knapsack->width + capacity];
    *steps = n_cells / CELLS_PER_STEP + 1;
    /* the most that a pattern is worth that must have size j, and none longer; best first */
    if (*most <= threshold)
        return PP_OK;
    for (int32_t j = 0; j < knapsack->n_used; j++)
        best_count(knapsack, values, limits, j, capacity, 1, &knapsack->worth[j]);
    int64_t below = INT64_MAX;
    for (; max_patterns > 0; max_patterns--) {
        int32_t best_j = -1;
        int64_t best = threshold;
        for (int32_t j = 0; j < knapsack->n_used; j++)
            if (knapsack->worth[j] > best && knapsack->worth[j] < below) {
                best = knapsack->worth[j];
                best_j = j;
            }
        if (best_j < 0)
            break;
        below = best;
        int64_t n_parts = trace(knapsack, values, limits, best_j);
        PP_TRY(ppi_patterns_add(patterns, knapsack->parts, n_parts, 1, mem, err));
        *steps += knapsack->n_used / 32 + 1;
    }
    return PP_OK;
}
