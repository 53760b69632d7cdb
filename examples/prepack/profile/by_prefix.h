/* by_prefix.h: an order of prompts in which those that begin alike are neighbours, cut in steps. */
#ifndef PREPACK_BY_PREFIX_H
#define PREPACK_BY_PREFIX_H

#include <prepack/prepack.h>
#include <stddef.h>

/*
 * Sorts the n prompts that `order` names by their tokens and cuts the order into at most n_parts
 * steps that have about as many tokens to compute each, where what a prompt has in common with the
 * one before it counts as computed if it is at least min_shared tokens. cuts: [n_parts + 1];
 * step i is order[cuts[i] .. cuts[i + 1]).
 */
int order_by_prefix(const pp_prompt *prompts, int64_t min_shared, size_t *order, size_t n,
                    size_t n_parts, size_t *cuts, size_t *n_steps);

#endif
