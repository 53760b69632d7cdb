/*
 * cost_shapes.h: which passes a cost model is measured on: numbers of prompts and their lengths.
 */
#ifndef PPI_COST_SHAPES_H
#define PPI_COST_SHAPES_H

#include "internal.h"

/*
 * Sizes of passes go up by rungs, each twice the one before. A rung has the same number of tokens
 * in shapes that differ in what the terms of the model differ in: few long prompts, prompts of
 * middling length, many short ones, lengths of all kinds; and one more mix that is not fitted but
 * tells the error.
 */
enum ppi_cost_kind {
    PPI_COST_LONG,
    PPI_COST_MIDDLING,
    PPI_COST_SHORT,
    PPI_COST_MIXED,
    PPI_COST_HELD_OUT,
    PPI_COST_KINDS,
};

#define PPI_COST_LEAST_TOKENS 16 /* of a pass of the lowest rung */
#define PPI_COST_MAX_RUNGS    20

struct ppi_cost_shape {
    enum ppi_cost_kind kind;
    int64_t tokens, n_prompts;
    double squares;
    const int64_t *lengths; /* [n_prompts] */
};

/* Most tokens of a pass of rung 0, 1, ...: at most max_tokens, on the last rung exactly. */
int64_t ppi_cost_rung_tokens(int64_t max_tokens, int rung);
/* How many rungs there are: at least 1 for max_tokens of at least PPI_COST_LEAST_TOKENS. */
int ppi_cost_n_rungs(int64_t max_tokens);

/*
 * The lowest rung to fit a model with experts by (0 without: n_experts 0). The weights of an expert
 * are read when some token chooses it: n tokens that choose k of e at random want
 * e (1 - (1 - k / e)^n) of them, which no term of the cost follows. So the passes of lower rungs,
 * which want less than nine in ten, are left out, as long as `least` rungs stay.
 */
int ppi_cost_first_rung(int64_t max_tokens, int32_t n_experts, int32_t top_k, int least);

/*
 * The shape of a kind on a rung. lengths: [max_tokens] of the caller's, which the shape points to.
 * Prompts have at most max_length tokens. The same arguments give the same shape.
 */
struct ppi_cost_shape ppi_cost_shape(enum ppi_cost_kind kind, int rung, int64_t max_tokens,
                                     int64_t max_length, uint64_t seed, int64_t *lengths);

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t ppi_cost_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
