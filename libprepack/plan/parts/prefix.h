/*
 * prefix.h: what the prompts of a batch share: a radix tree (Morrison 1968, PATRICIA) of their
 * tokens, of which only the nodes that are worth a place of their own are kept.
 */
#ifndef PPI_PREFIX_H
#define PPI_PREFIX_H

#include "internal.h"

#include <prepack/packer.h>

/* A prefix that several prompts share. Its own tokens are those behind its parent's end. */
struct prefix {
    int64_t end;    /* tokens from the prompts' first to the prefix's last */
    int32_t parent; /* the longest kept prefix of this one, or -1 */
    int32_t prompt; /* of the prompts that share it, the one with the lowest index */
    int32_t level;  /* number of kept prefixes of this one */
    bool identical; /* the prompts that share it all end with it: nothing continues it */
};

/* The prefixes come in the order of their tokens, each before those that continue it: the same
 * tokens give the same list, whatever the prompts' order. */
struct prefix_tree {
    int64_t n_prefixes;
    struct prefix *prefixes;
    int32_t *longest; /* [n] of each prompt: its longest kept prefix, or -1 */
    int32_t *order;   /* [n] prompts in the order of their tokens, equal ones by index */
    int64_t distinct; /* tokens: however prefixes of min_prefix tokens or more are shared, no less
                         is placed */
};

/*
 * Finds what n >= 1 prompts share. A prefix is kept where it has at least min_prefix tokens and, if
 * prompts continue it, at least min_prefix of its own. So of two prompts' common tokens fewer than
 * min_prefix stay unshared, and none where the prompts are identical and that long.
 *
 * Time is proportional to the tokens, and to sorting the prompts where they part. Destroyed by
 * ppi_prefix_tree_destroy, which accepts a zeroed tree. Errors: PP_ERR_NOMEM.
 */
pp_status ppi_prefix_tree_create(struct prefix_tree *tree, const pp_prompt *prompts, int64_t n,
                                 int64_t min_prefix, struct ppi_mem *mem, pp_error *err);
void ppi_prefix_tree_destroy(struct prefix_tree *tree, struct ppi_mem *mem);

#endif
