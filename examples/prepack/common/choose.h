/* choose.h: the order in which prompts are cut into batches, and which prompts stand for all. */
#ifndef PREPACK_CHOOSE_H
#define PREPACK_CHOOSE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes n_wanted (at most n) of the indices 0..n-1 to order, shuffled by the seed. When fewer than
 * n are wanted they are taken evenly over the prompts sorted by length, so that they have the
 * lengths of the whole; of equally long prompts the seed chooses.
 */
int choose_prompts(const int64_t *lengths, size_t n, uint64_t seed, size_t n_wanted, size_t *order);

/* How many prompts max_batches batches hold; 0: all of the n there are. */
size_t count_wanted(size_t n, size_t batch_size, int64_t max_batches);

/* Sorts indices by the lengths they stand for, shortest first; equal ones keep their order. */
int sort_by_length(const int64_t *lengths, size_t *order, size_t n);

#endif
