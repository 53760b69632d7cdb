/*
 * trie.h: finds all keys that a text begins with, in one walk. A double array (Aoe, 1989): a node's
 * child by byte b is at base + b, if that node knows it as its parent. Where one key is left, its
 * rest is compared at once and makes no nodes.
 */
#ifndef PPI_TRIE_H
#define PPI_TRIE_H

#include "internal.h"

#include <string.h>

/* A walk takes as long as the longest key, and a text can make every walk one of the longest. */
#define PPI_TRIE_MAX_KEY 4096

struct ppi_trie_key {
    const char *bytes; /* must outlive the trie */
    uint32_t n;        /* keys without bytes are never found */
    int32_t id;        /* of equal keys the one with the largest id is found */
};

struct ppi_trie_node {
    int32_t base;   /* below 0: no children, but the rest tails[-1 - base] */
    int32_t parent; /* place in nodes; -1: free */
    int32_t id;     /* of the key that ends here, behind its rest; -1 */
};

/* What is left of a key. */
struct ppi_trie_tail {
    const char *bytes;
    uint32_t n;
};

struct ppi_trie {
    struct ppi_mem *mem;
    struct ppi_trie_node *nodes; /* [room]; base + 255 is always inside */
    struct ppi_trie_tail *tails; /* [n_tails] */
    size_t room, n_tails;
};

/* keys[n] are reordered. Errors: PP_ERR_NOMEM, PP_ERR_LIMIT (a key of more than PPI_TRIE_MAX_KEY
 * bytes; more than 2 billion nodes). */
pp_status ppi_trie_build(struct ppi_trie *trie, struct ppi_mem *mem, struct ppi_trie_key *keys,
                         size_t n, pp_error *err);
void ppi_trie_free(struct ppi_trie *trie);

/* A walk: zero but for the node at its beginning. */
struct ppi_trie_walk {
    int32_t node;
    size_t n; /* how long the key is that was found last */
};
#define PPI_TRIE_ROOT 1 /* node 0 has no children: a walk that is over stands there */

static inline struct ppi_trie_walk ppi_trie_start(void)
{
    return (struct ppi_trie_walk){.node = PPI_TRIE_ROOT};
}

/* The id of the next longer key that bytes[0, n) begin with, or -1. */
static inline int32_t ppi_trie_next(const struct ppi_trie *trie, struct ppi_trie_walk *walk,
                                    const char *bytes, size_t n)
{
    while (walk->n < n) {
        int32_t child = trie->nodes[walk->node].base + (unsigned char)bytes[walk->n];
        const struct ppi_trie_node *node = &trie->nodes[child];
        if (node->parent != walk->node)
            return -1;
        walk->node = child;
        walk->n++;
        if (node->base < 0) {
            const struct ppi_trie_tail *tail = &trie->tails[-1 - node->base];
            walk->node = 0;
            if (tail->n > n - walk->n || memcmp(bytes + walk->n, tail->bytes, tail->n) != 0)
                return -1;
            walk->n += tail->n;
            return node->id;
        }
        if (node->id >= 0)
            return node->id;
    }
    return -1;
}

/* The id of the longest key that bytes[0, n) begin with, and its length; -1. */
static inline int32_t ppi_trie_longest(const struct ppi_trie *trie, const char *bytes, size_t n,
                                       size_t *n_key)
{
    struct ppi_trie_walk walk = ppi_trie_start();
    int32_t longest = -1;
    for (int32_t id; (id = ppi_trie_next(trie, &walk, bytes, n)) >= 0; longest = id)
        *n_key = walk.n;
    return longest;
}

#endif
