/*
 * bitset.c: making and releasing the sets of bitset.h. All levels lie in one block, level 0 first.
 */
#include "bitset.h"

#include <assert.h>

pp_status ppi_bitset_create(struct bitset *set, int64_t size, struct ppi_mem *mem, pp_error *err)
{
    assert(size >= 1 && size <= (int64_t)1 << 42);
    *set = (struct bitset){.size = size};
    int64_t first_words[PPI_BITSET_LEVELS];
    int64_t n_words = 0;
    int64_t n_bits = size;
    do {
        first_words[set->n_levels++] = n_words;
        n_bits = ppi_div_up(n_bits, 64);
        n_words += n_bits;
    } while (n_bits > 1);
    uint64_t *words = ppi_zalloc(mem, (size_t)n_words, sizeof *words);
    if (!words)
        return ppi_error_nomem(err, "a bit set of the planner", (size_t)n_words * sizeof *words);
    for (int32_t level = 0; level < set->n_levels; level++)
        set->levels[level] = words + first_words[level];
    return PP_OK;
}

void ppi_bitset_destroy(struct bitset *set, struct ppi_mem *mem)
{
    ppi_free(mem, set->levels[0]);
    *set = (struct bitset){0};
}
