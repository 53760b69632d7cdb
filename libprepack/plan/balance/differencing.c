/*
 * differencing.c: the largest differencing method for any number of bins (Karmarkar, Karp 1982).
 * At first each job is a *part*: an assignment of that job alone to k bins, of which k - 1 are
 * empty. The two parts whose fullest and emptiest bins differ most become one, the fullest bins of
 * one with the emptiest of the other, until one part is left. A part lists its bins that are not
 * empty, fullest first, so that all parts together never have more than n.
 */
#include "balance.h"

#include <string.h>

/* Some jobs that share a bin: a list that begins with job `first`, whose index is the group's. */
struct group {
    double weight;
    int32_t first, last;
    int32_t next; /* group of the part, or -1 */
};

struct part {
    double spread;    /* weight of the fullest bin less that of the emptiest */
    int32_t leader;   /* its dearest job; parts of equal spread are taken by this */
    int32_t fullest;  /* its first group */
    int32_t n_groups; /* at most n_bins */
};

struct differencing {
    int64_t n_bins;
    struct group *groups; /* [n] of each job that begins one */
    struct group *joined; /* [2 * n_bins] those of two parts */
    struct group *other;  /* [n_bins] */
    struct part *heap;    /* [n] the part of the largest spread first */
    int32_t *next;        /* [n] next job of the group */
};

static bool is_before(const struct part *a, const struct part *b)
{
    return a->spread > b->spread || (a->spread == b->spread && a->leader < b->leader);
}

static void sift_down(struct part *heap, int64_t n, int64_t i)
{
    struct part moved = heap[i];
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (is_before(&moved, &heap[child]))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

/* Sorts groups, heaviest first, equal ones as they stand: runs by insertion, then merged with the
 * help of `other`. Returns the one of the two arrays that holds the result. */
static struct group *sort_groups(struct group *groups, struct group *other, int64_t n)
{
    const int64_t run = 16;
    for (int64_t i = 1; i < n; i++) {
        struct group moved = groups[i];
        int64_t j = i;
        for (; j % run != 0 && groups[j - 1].weight < moved.weight; j--)
            groups[j] = groups[j - 1];
        groups[j] = moved;
    }
    for (int64_t width = run; width < n; width *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * width) {
            int64_t middle = begin + width < n ? begin + width : n;
            int64_t end = middle + width < n ? middle + width : n;
            int64_t i = begin, j = middle;
            for (int64_t k = begin; k < end; k++)
                other[k] = j >= end || (i < middle && groups[i].weight >= groups[j].weight)
                               ? groups[i++]
                               : groups[j++];
        }
        struct group *merged = other;
        other = groups;
        groups = merged;
    }
    return groups;
}

/* b's groups join a's: bin i of b, counted from its fullest, meets bin n_bins - 1 - i of a. */
static void join_parts(const struct differencing *state, struct part *a, const struct part *b)
{
    struct group *joined = state->joined;
    int64_t n_joined = 0;
    for (int32_t group = a->fullest; group >= 0; group = state->groups[group].next)
        joined[n_joined++] = state->groups[group];
    int64_t partner = state->n_bins - 1;
    for (int32_t group = b->fullest; group >= 0; group = state->groups[group].next, partner--) {
        const struct group *other = &state->groups[group];
        if (partner < a->n_groups) {
            state->next[joined[partner].last] = other->first;
            joined[partner].last = other->last;
            joined[partner].weight += other->weight;
        } else {
            joined[n_joined++] = *other;
        }
    }
    joined = sort_groups(joined, state->other, n_joined);
    for (int64_t i = 0; i < n_joined; i++) {
        joined[i].next = i + 1 < n_joined ? joined[i + 1].first : -1;
        state->groups[joined[i].first] = joined[i];
    }
    a->fullest = joined[0].first;
    a->n_groups = (int32_t)n_joined;
    a->spread = joined[0].weight - (n_joined == state->n_bins ? joined[n_joined - 1].weight : 0);
    a->leader = a->leader < b->leader ? a->leader : b->leader;
}

/* The groups of the one part that is left become bins, that of the dearest job first. */
static void assign(const struct differencing *state, int64_t n, int32_t *bins)
{
    memset(bins, 0xff, (size_t)n * sizeof *bins); /* -1 */
    for (int32_t group = state->heap[0].fullest; group >= 0; group = state->groups[group].next)
        bins[state->groups[group].first] = -2;
    int32_t n_bins = 0;
    for (int32_t first = 0; first < n; first++) {
        if (bins[first] != -2)
            continue;
        int32_t last = state->groups[first].last;
        for (int32_t job = first; bins[job] = n_bins, job != last; job = state->next[job])
            ;
        n_bins++;
    }
}

static void run(const struct differencing *state, int64_t n)
{
    struct part *heap = state->heap;
    for (int64_t n_parts = n; n_parts > 1;) {
        struct part first = heap[0];
        heap[0] = heap[--n_parts];
        sift_down(heap, n_parts, 0);
        join_parts(state, &first, &heap[0]);
        heap[0] = first;
        sift_down(heap, n_parts, 0);
    }
}

pp_status ppi_balance_differencing(const struct balance *balance, struct assignment *assignment,
                                   bool *found, struct ppi_mem *mem, pp_error *err)
{
    size_t n = (size_t)balance->n, n_bins = (size_t)balance->n_bins;
    struct differencing state = {.n_bins = balance->n_bins};
    state.groups = ppi_alloc(mem, n, sizeof *state.groups);
    state.joined = ppi_alloc(mem, n_bins, 2 * sizeof *state.joined);
    state.heap = ppi_alloc(mem, n, sizeof *state.heap);
    state.next = ppi_alloc(mem, n, sizeof *state.next);
    pp_status status = PP_OK;
    if (!state.groups || !state.joined || !state.heap || !state.next) {
        status =
            ppi_error_nomem(err, "the parts of the differencing method",
                            n * (sizeof *state.groups + sizeof *state.heap + sizeof *state.next) +
                                n_bins * 2 * sizeof *state.joined);
        goto done;
    }
    state.other = state.joined + n_bins;
    for (int32_t i = 0; i < balance->n; i++) { /* sorted, the jobs are a heap */
        double weight = balance->jobs[i].weight;
        state.groups[i] = (struct group){.weight = weight, .first = i, .last = i, .next = -1};
        state.heap[i] = (struct part){
            .spread = n_bins > 1 ? weight : 0, .leader = i, .fullest = i, .n_groups = 1};
    }
    run(&state, balance->n);
    assign(&state, balance->n, assignment->bins);
    *found = ppi_assignment_weigh(assignment, balance);
done:
    ppi_free(mem, state.groups);
    ppi_free(mem, state.joined);
    ppi_free(mem, state.heap);
    ppi_free(mem, state.next);
    return status;
}
