/*
 * bpe_merge.c: merging the symbols of one word. Both ways give the same: few symbols are searched
 * for the lowest rank again and again, many have a heap.
 */
#include "tokenizer/pieces/bpe.h"

#define NONE UINT32_MAX
/* Up to so many symbols, searching is faster than a heap: they fit into two cache lines of ranks.
 */
#define FEW 32

/* The neighbours of a symbol among those that are left. */
struct link {
    uint32_t previous, next; /* NONE at the ends */
    bool gone;
};

/* A pair that may be merged. */
struct candidate {
    uint32_t rank, at; /* of its left symbol */
    int32_t id;        /* of both together */
};

bool ppi_merge_reserve(struct ppi_merge_work *work, size_t n)
{
    if (n <= work->room)
        return true;
    size_t room = work->room ? work->room : 256;
    while (room < n)
        room *= 2;
    ppi_merge_work_free(work);
    work->symbols = ppi_alloc(work->mem, room, sizeof *work->symbols);
    work->links = ppi_alloc(work->mem, room, sizeof(struct link));
    work->heap = ppi_alloc(work->mem, 3 * room, sizeof(struct candidate));
    if (!work->symbols || !work->links || !work->heap) {
        ppi_merge_work_free(work);
        return false;
    }
    work->room = room;
    return true;
}

void ppi_merge_work_free(struct ppi_merge_work *work)
{
    ppi_free(work->mem, work->symbols);
    ppi_free(work->mem, work->links);
    ppi_free(work->mem, work->heap);
    *work = (struct ppi_merge_work){.mem = work->mem};
}

/* ---- few ---- */

/* What pairs of neighbours make: [i] of symbols i and i + 1. */
struct pairs {
    uint32_t ranks[FEW]; /* NONE: nothing */
    int32_t ids[FEW];
};

static void look_up(const struct ppi_merge_table *table, const struct ppi_symbol *symbols, size_t i,
                    struct pairs *pairs)
{
    const struct ppi_merge *merge = ppi_merge_find(table, symbols[i].id, symbols[i + 1].id);
    pairs->ranks[i] = merge ? merge->rank : NONE;
    pairs->ids[i] = merge ? merge->id : -1;
}

static size_t merge_few(const struct ppi_merge_table *table, struct ppi_symbol *symbols, size_t n)
{
    struct pairs pairs;
    for (size_t i = 0; i + 1 < n; i++)
        look_up(table, symbols, i, &pairs);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            best = pairs.ranks[i] < pairs.ranks[best] ? i : best;
        if (pairs.ranks[best] == NONE)
            break;
        symbols[best].id = pairs.ids[best];
        symbols[best].end = symbols[best + 1].end;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            symbols[i] = symbols[i + 1];
            pairs.ranks[i - 1] = pairs.ranks[i];
            pairs.ids[i - 1] = pairs.ids[i];
        }
        if (best > 0)
            look_up(table, symbols, best - 1, &pairs);
        if (best + 1 < n)
            look_up(table, symbols, best, &pairs);
    }
    return n;
}

/* ---- many ---- */

static bool is_before(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(struct candidate *heap, size_t *n, struct candidate item)
{
    size_t i = (*n)++;
    for (; i > 0 && is_before(&item, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = item;
}

static struct candidate pop(struct candidate *heap, size_t *n)
{
    const struct candidate top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= *n)
            break;
        child += child + 1 < *n && is_before(&heap[child + 1], &heap[child]);
        if (!is_before(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

struct word {
    const struct ppi_merge_table *table;
    struct ppi_symbol *symbols;
    struct link *links;
    struct candidate *heap;
    size_t n_heap;
};

/* Pushes the pair that begins at `at`, if it can be merged. Each merge takes one symbol away and
 * pushes two pairs, so that the heap never holds more than 3 of a symbol. */
static void consider(struct word *word, uint32_t at)
{
    if (at == NONE || word->links[at].next == NONE)
        return;
    const struct ppi_merge *merge =
        ppi_merge_find(word->table, word->symbols[at].id, word->symbols[word->links[at].next].id);
    if (merge)
        push(word->heap, &word->n_heap, (struct candidate){merge->rank, at, merge->id});
}

/* Whether the pair of a candidate is still there: a symbol grows with every merge, so that two
 * pairs at one place never make the same token. */
static bool is_there(const struct word *word, const struct candidate *candidate)
{
    const struct link *link = &word->links[candidate->at];
    if (link->gone || link->next == NONE)
        return false;
    const struct ppi_merge *merge =
        ppi_merge_find(word->table, word->symbols[candidate->at].id, word->symbols[link->next].id);
    return merge && merge->id == candidate->id;
}

static size_t merge_many(const struct ppi_merge_table *table, struct ppi_merge_work *work, size_t n)
{
    struct word word = {
        .table = table, .symbols = work->symbols, .links = work->links, .heap = work->heap};
    for (uint32_t i = 0; i < n; i++)
        word.links[i] = (struct link){i ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE, false};
    for (uint32_t i = 0; i + 1 < n; i++)
        consider(&word, i);
    while (word.n_heap > 0) {
        const struct candidate candidate = pop(word.heap, &word.n_heap);
        if (!is_there(&word, &candidate))
            continue;
        struct link *link = &word.links[candidate.at];
        const uint32_t right = link->next;
        word.symbols[candidate.at].id = candidate.id;
        word.symbols[candidate.at].end = word.symbols[right].end;
        word.links[right].gone = true;
        link->next = word.links[right].next;
        if (link->next != NONE)
            word.links[link->next].previous = candidate.at;
        consider(&word, link->previous);
        consider(&word, candidate.at);
    }
    size_t n_left = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!word.links[i].gone)
            word.symbols[n_left++] = word.symbols[i];
    return n_left;
}

size_t ppi_merge_all(const struct ppi_merge_table *table, struct ppi_merge_work *work, size_t n)
{
    return n <= FEW ? merge_few(table, work->symbols, n) : merge_many(table, work, n);
}
