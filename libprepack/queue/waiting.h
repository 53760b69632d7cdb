/*
 * waiting.h: the prompts that wait, in a room of fixed size: found by id, in order of arrival, and
 * by rank. It knows no clock and no lock; nothing here allocates after ppi_waiting_create.
 */
#ifndef PPI_WAITING_H
#define PPI_WAITING_H

#include "internal.h"

#define PPI_NOBODY (-1)

struct waiting_prompt {
    int64_t id;
    int64_t first_token; /* of those that wait; above 0 once a chunk was handed out */
    int64_t n_tokens;    /* that wait */
    int64_t size;        /* what they take of a step, alignment included */
    int64_t arrived;     /* nanoseconds */
    int64_t due;         /* nanoseconds: until then it waits for company */
    int64_t rank;        /* the least is first; among equals the one that came first */
    int64_t number;      /* of the arrival */
    int32_t priority;
    int32_t heap_place;
    int32_t next;         /* with the same hash; among the unused: the next unused */
    int32_t older, newer; /* neighbours in order of arrival */
};

/* A prompt's index into `prompts` stays the same while it waits. */
struct waiting {
    struct waiting_prompt *prompts; /* [max] */
    int32_t *heap;                  /* [n] the binary heap by rank; heap[0] is first */
    int32_t *buckets;               /* [n_buckets] first of each hash; a power of two */
    int64_t n_buckets;
    int32_t n, max;
    int32_t n_touched; /* prompts[n_touched] and later were never used */
    int32_t unused;    /* first of the list of those that are free again */
    int32_t oldest, newest;
    int64_t n_arrived;
    int64_t tokens; /* sums over all that wait */
    int64_t sizes;
};

/* max: 1 to 2^30. Destroyed by ppi_waiting_destroy, which accepts a zeroed one. */
pp_status ppi_waiting_create(struct waiting *waiting, int64_t max, struct ppi_mem *mem,
                             pp_error *err);
void ppi_waiting_destroy(struct waiting *waiting, struct ppi_mem *mem);

/* Its index, or PPI_NOBODY. */
int32_t ppi_waiting_find(const struct waiting *waiting, int64_t id);

/* Adds a prompt: id, tokens, size, times, rank and priority of *prompt. n < max, the id does not
 * wait, and the sums stay within 2^63. */
void ppi_waiting_add(struct waiting *waiting, const struct waiting_prompt *prompt);
void ppi_waiting_remove(struct waiting *waiting, int32_t index);
/* The first n_tokens of a prompt are gone; the rest has the given size. */
void ppi_waiting_shorten(struct waiting *waiting, int32_t index, int64_t n_tokens, int64_t size);

/* true when prompt a is before prompt b by rank. */
static inline bool ppi_waiting_before(const struct waiting *waiting, int32_t a, int32_t b)
{
    const struct waiting_prompt *x = &waiting->prompts[a];
    const struct waiting_prompt *y = &waiting->prompts[b];
    return x->rank != y->rank ? x->rank < y->rank : x->number < y->number;
}

#endif
