/*
 * cost_shapes.c: draws lengths for the passes that a cost model is measured on.
 */
#include "measure/cost_shapes.h"

#include <math.h>

/* Uniform in [low, high]. */
static int64_t between(uint64_t *state, int64_t low, int64_t high)
{
    return low + (int64_t)(ppi_cost_random(state) % (uint64_t)(high - low + 1));
}

/* From 1 to high, every power of two as likely as the next: lengths of prompts are spread so. */
static int64_t spread(uint64_t *state, int64_t high)
{
    double share = (double)(ppi_cost_random(state) >> 11) * 0x1p-53;
    int64_t length = (int64_t)exp(share * log((double)high + 1));
    return length < 1 ? 1 : length > high ? high : length;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int ppi_cost_n_rungs(int64_t max_tokens)
{
    int n = 0;
    while (n < PPI_COST_MAX_RUNGS && max_tokens >> n >= PPI_COST_LEAST_TOKENS)
        n++;
    return n;
}

int64_t ppi_cost_rung_tokens(int64_t max_tokens, int rung)
{
    return max_tokens >> (ppi_cost_n_rungs(max_tokens) - 1 - rung);
}

int ppi_cost_first_rung(int64_t max_tokens, int32_t n_experts, int32_t top_k, int least)
{
    int rung = 0, highest = ppi_cost_n_rungs(max_tokens) - least;
    if (n_experts == 0)
        return 0;
    double unread = 1 - (double)top_k / n_experts; /* of the experts, by one token */
    while (rung < highest && pow(unread, (double)ppi_cost_rung_tokens(max_tokens, rung)) > 0.1)
        rung++;
    return rung;
}

/* The next prompt's length. cap: most tokens that the mix has in a prompt. */
static int64_t draw_length(enum ppi_cost_kind kind, int64_t most, int64_t cap, uint64_t *state)
{
    int64_t middle = (int64_t)cbrt((double)most * (double)most); /* most^(2/3) */
    switch (kind) {
    case PPI_COST_LONG:
        return cap;
    case PPI_COST_MIDDLING:
        return between(state, middle / 2, middle);
    case PPI_COST_SHORT:
        return between(state, 4, 24);
    default:
        return spread(state, cap);
    }
}

struct ppi_cost_shape ppi_cost_shape(enum ppi_cost_kind kind, int rung, int64_t max_tokens,
                                     int64_t max_length, uint64_t seed, int64_t *lengths)
{
    struct ppi_cost_shape shape = {.kind = kind, .lengths = lengths};
    uint64_t state = seed + 1000 * (uint64_t)rung + (uint64_t)kind;
    int64_t most = ppi_cost_rung_tokens(max_tokens, rung);
    /* not always a round number, or nothing could be told about tiles */
    int64_t wanted = kind == PPI_COST_LONG ? most : between(&state, most - most / 4, most);
    int64_t cap = smaller(max_length, wanted);
    if (kind == PPI_COST_HELD_OUT)
        cap = smaller(cap, 8 + spread(&state, cap));
    while (shape.tokens < wanted) {
        int64_t length = smaller(draw_length(kind, most, cap, &state), max_length);
        length = smaller(length < 1 ? 1 : length, wanted - shape.tokens);
        lengths[shape.n_prompts++] = length;
        shape.tokens += length;
        shape.squares += (double)length * (double)length;
    }
    return shape;
}
