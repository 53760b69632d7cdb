/*
 * patterns.c: collecting patterns and turning them into bins of items.
 */
#include "patterns.h"

#include <string.h>

/* A block of at least `needed` elements with the first `used` of the old one, or NULL. */
static void *grow(const void *old, int64_t used, int64_t room, size_t size, struct ppi_mem *mem)
{
    void *block = ppi_alloc(mem, (size_t)room, size);
    if (block && used > 0)
        memcpy(block, old, (size_t)used * size);
    return block;
}

static bool grow_patterns(struct patterns *patterns, struct ppi_mem *mem)
{
    int64_t room = 2 * patterns->room + 16;
    int64_t *starts =
        grow(patterns->starts, patterns->n + (patterns->n > 0), room + 1, sizeof *starts, mem);
    int64_t *times = grow(patterns->times, patterns->n, room, sizeof *times, mem);
    if (!starts || !times) {
        ppi_free(mem, starts);
        ppi_free(mem, times);
        return false;
    }
    ppi_free(mem, patterns->starts);
    ppi_free(mem, patterns->times);
    patterns->starts = starts;
    patterns->times = times;
    patterns->room = room;
    return true;
}

static bool grow_parts(struct patterns *patterns, int64_t needed, struct ppi_mem *mem)
{
    int64_t room = 2 * patterns->room_parts + needed + 64;
    struct part *parts = grow(patterns->parts, patterns->n_parts, room, sizeof *parts, mem);
    if (!parts)
        return false;
    ppi_free(mem, patterns->parts);
    patterns->parts = parts;
    patterns->room_parts = room;
    return true;
}

pp_status ppi_patterns_add(struct patterns *patterns, const struct part *parts, int64_t n_parts,
                           int64_t times, struct ppi_mem *mem, pp_error *err)
{
    if (patterns->n == patterns->room && !grow_patterns(patterns, mem))
        return ppi_error_nomem(err, "the patterns of a packing",
                               (size_t)patterns->n * 2 * sizeof(int64_t));
    if (n_parts > patterns->room_parts - patterns->n_parts && !grow_parts(patterns, n_parts, mem))
        return ppi_error_nomem(err, "the patterns of a packing",
                               (size_t)(patterns->n_parts + n_parts) * sizeof *parts);
    if (n_parts > 0)
        memcpy(patterns->parts + patterns->n_parts, parts, (size_t)n_parts * sizeof *parts);
    patterns->starts[patterns->n] = patterns->n_parts;
    patterns->times[patterns->n++] = times;
    patterns->n_parts += n_parts;
    patterns->starts[patterns->n] = patterns->n_parts;
    patterns->n_bins += times;
    return PP_OK;
}

void ppi_patterns_clear(struct patterns *patterns)
{
    patterns->n = patterns->n_parts = patterns->n_bins = 0;
}

void ppi_patterns_destroy(struct patterns *patterns, struct ppi_mem *mem)
{
    ppi_free(mem, patterns->parts);
    ppi_free(mem, patterns->starts);
    ppi_free(mem, patterns->times);
    *patterns = (struct patterns){0};
}

pp_status ppi_patterns_write(const struct patterns *patterns, const struct size_counts *counts,
                             const struct histogram *histogram, struct bins *bins,
                             struct ppi_mem *mem, pp_error *err)
{
    /* next item of each size; items lie by size, shortest first */
    int32_t *next = ppi_alloc(mem, (size_t)counts->n, sizeof *next);
    if (!next)
        return ppi_error_nomem(err, "the bins of a packing", (size_t)counts->n * sizeof *next);
    int64_t start = counts->n_items;
    for (int32_t i = 0; i < counts->n; i++)
        next[i] = (int32_t)(start -= counts->counts[i]);
    int32_t *items = bins->items;
    bins->n = 0;
    for (int64_t p = 0; p < patterns->n; p++)
        for (int64_t time = 0; time < patterns->times[p]; time++) {
            int64_t size = 0;
            bins->starts[bins->n] = items - bins->items;
            for (int64_t j = patterns->starts[p]; j < patterns->starts[p + 1]; j++) {
                struct part part = patterns->parts[j];
                memcpy(items, histogram->order + next[part.size],
                       (size_t)part.count * sizeof *items);
                items += part.count;
                next[part.size] += part.count;
                size += part.count * counts->sizes[part.size];
            }
            bins->sizes[bins->n++] = size;
        }
    bins->starts[bins->n] = items - bins->items;
    ppi_free(mem, next);
    return PP_OK;
}
