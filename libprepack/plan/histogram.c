/*
 * histogram.c: groups prompts by length, keeping the order of equal ones. A counting sort where the
 * lengths lie close together, a radix sort and ranks where they do not.
 */
#include "histogram.h"

#include <string.h>

#define DIGIT_BITS 8
#define N_DIGITS   (1 << DIGIT_BITS)

struct item {
    int64_t offset; /* length - shortest */
    int32_t prompt;
};

/* One slot for each length from shortest to longest. */
static pp_status count_lengths(struct histogram *histogram, const int64_t *lengths, int64_t n,
                               int64_t n_slots, struct ppi_mem *mem, pp_error *err)
{
    struct bucket *buckets = ppi_zalloc(mem, (size_t)n_slots, sizeof *buckets);
    if (!buckets)
        return ppi_error_nomem(err, "the histogram of lengths", (size_t)n_slots * sizeof *buckets);
    histogram->buckets = buckets;
    histogram->n_slots = n_slots;
    int64_t shortest = histogram->shortest;
    for (int64_t i = 0; i < n; i++)
        buckets[lengths[i] - shortest].end++;
    int32_t n_before = 0;
    for (int64_t slot = 0; slot < n_slots; slot++) {
        int32_t count = buckets[slot].end;
        buckets[slot] = (struct bucket){.next = n_before, .end = n_before};
        n_before += count;
    }
    for (int64_t i = 0; i < n; i++)
        histogram->order[buckets[lengths[i] - shortest].end++] = (int32_t)i;
    return PP_OK;
}

/* Sorts by offset, keeping the order of equal ones, least significant digit first. Returns the one
 * of the two arrays that holds the result. */
static struct item *sort_items(struct item *items, struct item *other, int64_t n, int64_t widest)
{
    for (int shift = 0; shift < 64 && widest >> shift != 0; shift += DIGIT_BITS) {
        int32_t cursors[N_DIGITS] = {0};
        for (int64_t i = 0; i < n; i++)
            cursors[items[i].offset >> shift & (N_DIGITS - 1)]++;
        int32_t n_before = 0;
        for (int digit = 0; digit < N_DIGITS; digit++) {
            int32_t count = cursors[digit];
            cursors[digit] = n_before;
            n_before += count;
        }
        for (int64_t i = 0; i < n; i++)
            other[cursors[items[i].offset >> shift & (N_DIGITS - 1)]++] = items[i];
        struct item *sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

/* One slot for each distinct length. */
static pp_status rank_lengths(struct histogram *histogram, const int64_t *lengths, int64_t n,
                              int64_t widest, struct ppi_mem *mem, pp_error *err)
{
    pp_status status = PP_OK;
    struct item *items = ppi_alloc(mem, (size_t)n, 2 * sizeof *items);
    if (!items)
        return ppi_error_nomem(err, "sorting the lengths", (size_t)n * 2 * sizeof *items);
    for (int64_t i = 0; i < n; i++)
        items[i] = (struct item){.offset = lengths[i] - histogram->shortest, .prompt = (int32_t)i};
    struct item *sorted = sort_items(items, items + n, n, widest);

    int64_t n_slots = 1;
    for (int64_t i = 1; i < n; i++)
        n_slots += sorted[i].offset != sorted[i - 1].offset;
    histogram->buckets = ppi_alloc(mem, (size_t)n_slots, sizeof *histogram->buckets);
    histogram->lengths = ppi_alloc(mem, (size_t)n_slots, sizeof *histogram->lengths);
    if (!histogram->buckets || !histogram->lengths) {
        status = ppi_error_nomem(err, "the distinct lengths",
                                 (size_t)n_slots *
                                     (sizeof *histogram->buckets + sizeof *histogram->lengths));
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i].offset != sorted[i - 1].offset) {
            int64_t slot = histogram->n_slots++;
            histogram->lengths[slot] = histogram->shortest + sorted[i].offset;
            histogram->buckets[slot].next = (int32_t)i;
        }
        histogram->buckets[histogram->n_slots - 1].end = (int32_t)(i + 1);
        histogram->order[i] = sorted[i].prompt;
    }
done:
    ppi_free(mem, items);
    return status;
}

pp_status ppi_histogram_create(struct histogram *histogram, const int64_t *lengths, int64_t n,
                               int64_t shortest, int64_t longest, struct ppi_mem *mem,
                               pp_error *err)
{
    *histogram = (struct histogram){.shortest = shortest};
    histogram->order = ppi_alloc(mem, (size_t)n, sizeof *histogram->order);
    if (!histogram->order)
        return ppi_error_nomem(err, "the prompts by length", (size_t)n * sizeof *histogram->order);
    int64_t widest = longest - shortest;
    pp_status status;
    if (widest < 4 * n + 1024)
        status = count_lengths(histogram, lengths, n, widest + 1, mem, err);
    else
        status = rank_lengths(histogram, lengths, n, widest, mem, err);
    if (status < 0)
        ppi_histogram_destroy(histogram, mem);
    return status;
}

void ppi_histogram_destroy(struct histogram *histogram, struct ppi_mem *mem)
{
    ppi_free(mem, histogram->order);
    ppi_free(mem, histogram->buckets);
    ppi_free(mem, histogram->lengths);
    *histogram = (struct histogram){0};
}
