/*
 * lpt.c: greedy placing, dearest item first. By weights it is longest processing time first, at
 * most 4/3 - 1/(3 k) of the optimum where no limit binds (Graham 1969).
 */
#include "balance.h"

#include <string.h>

/* A bin that waits for jobs. */
struct waiting {
    double key;
    int32_t bin;
};

static bool is_before(struct waiting a, struct waiting b)
{
    return a.key < b.key || (a.key == b.key && a.bin < b.bin);
}

/* The subtree of entry i of a heap of n, first the smallest, is put in order again after its key
 * has grown. */
static void sift_down(struct waiting *heap, int64_t n, int64_t i)
{
    struct waiting moved = heap[i];
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && is_before(heap[child + 1], heap[child]))
            child++;
        if (is_before(moved, heap[child]))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

/* Entry i leaves the heap of n. The last one takes its place and may have to rise. */
static void leave(struct waiting *heap, int64_t n, int64_t i)
{
    struct waiting moved = heap[n - 1];
    while (i > 0 && is_before(moved, heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = moved;
    sift_down(heap, n - 1, i);
}

/* The first entry, by its key, whose bin has room for the job; -1 when none has. */
static int64_t find_room(const struct balance *balance, const struct waiting *heap, int64_t n,
                         const struct load *loads, const struct job *job)
{
    if (n > 0 && ppi_load_fits(balance, &loads[heap[0].bin], job))
        return 0;
    int64_t best = -1;
    for (int64_t i = 1; i < n; i++)
        if ((best < 0 || is_before(heap[i], heap[best])) &&
            ppi_load_fits(balance, &loads[heap[i].bin], job))
            best = i;
    return best;
}

/* All bins that may still take a job. */
static int64_t refill(const struct balance *balance, struct waiting *heap, const struct load *loads)
{
    int64_t n = 0;
    for (int64_t bin = 0; bin < balance->n_bins; bin++)
        if (loads[bin].n_prompts < balance->max_prompts)
            heap[n++] = (struct waiting){.key = (double)loads[bin].size, .bin = (int32_t)bin};
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift_down(heap, n, i);
    return n;
}

pp_status ppi_balance_greedy(const struct balance *balance, enum even even,
                             struct assignment *assignment, bool *found, struct ppi_mem *mem,
                             pp_error *err)
{
    struct waiting *heap = ppi_alloc(mem, (size_t)balance->n_bins, sizeof *heap);
    if (!heap)
        return ppi_error_nomem(err, "bins that wait for prompts",
                               (size_t)balance->n_bins * sizeof *heap);
    struct load *loads = assignment->loads;
    memset(loads, 0, (size_t)balance->n_bins * sizeof *loads);
    int64_t n_waiting = refill(balance, heap, loads);
    *found = true;
    for (int64_t i = 0; i < balance->n && *found; i++) {
        const struct job *job = &balance->jobs[i];
        if (even == EVEN_NUMBERS && n_waiting == 0)
            n_waiting = refill(balance, heap, loads); /* each has its share: the next round */
        int64_t place = find_room(balance, heap, n_waiting, loads, job);
        if (place < 0) {
            *found = false;
            break;
        }
        int32_t bin = heap[place].bin;
        struct load *load = &loads[bin];
        ppi_load_add(load, job);
        assignment->bins[i] = bin;
        heap[place].key = even == EVEN_WEIGHTS ? load->weight : (double)load->size;
        if (even == EVEN_NUMBERS || load->n_prompts >= balance->max_prompts)
            leave(heap, n_waiting--, place);
        else
            sift_down(heap, n_waiting, place);
    }
    ppi_free(mem, heap);
    if (*found)
        ppi_assignment_weigh(assignment, balance);
    return PP_OK;
}
