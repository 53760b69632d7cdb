/* choose.c: shuffling, sorting and sampling prompts. */
#include "choose.h"
#include "random.h"
#include "say.h"

#include <stdlib.h>

struct placed {
    int64_t length;
    size_t place, index;
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

int sort_by_length(const int64_t *lengths, size_t *order, size_t n)
{
    struct placed *items = calloc(n, sizeof *items);
    if (!items)
        return fail_memory();
    for (size_t i = 0; i < n; i++)
        items[i] = (struct placed){lengths[order[i]], i, order[i]};
    qsort(items, n, sizeof *items, compare_placed);
    for (size_t i = 0; i < n; i++)
        order[i] = items[i].index;
    free(items);
    return STATUS_OK;
}

size_t count_wanted(size_t n, size_t batch_size, int64_t max_batches)
{
    if (max_batches == 0 || (uint64_t)max_batches > n / batch_size)
        return n;
    return (size_t)max_batches * batch_size;
}

int choose_prompts(const int64_t *lengths, size_t n, uint64_t seed, size_t n_wanted, size_t *order)
{
    struct rng rng;
    rng_start(&rng, seed, 0);
    size_t *all = calloc(n, sizeof *all);
    if (!all)
        return fail_memory();
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    rng_shuffle(&rng, all, n);
    int status = STATUS_OK;
    if (n_wanted < n)
        status = sort_by_length(lengths, all, n);
    /* The middles of n_wanted equal parts of the sorted prompts. */
    for (size_t i = 0; i < n_wanted && !status; i++)
        order[i] = all[(size_t)(((double)i + 0.5) * (double)n / (double)n_wanted)];
    if (n_wanted < n)
        rng_shuffle(&rng, order, n_wanted);
    free(all);
    return status;
}
