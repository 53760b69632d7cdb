/*
 * ref_draw.c: a token drawn from a row of logits of which filters leave a part. What stays is found
 * by selecting digit by digit: 256 sums over the leading eight bits of the keys tell in which of
 * them the bound is, then the next eight bits inside it. One thread has a row.
 */
#include "cpu/cpu.h"
#include "cpu/ref_kernels.h"
#include "draw.h"
#include "gumbel.h"

#include <math.h>

struct row {
    const float *logits;
    int64_t vocab;
    float max, steepness;
};

/* Whether the bound, its weight aside, leaves a token. */
static bool stays(const struct ppi_draw_bound *bound, uint32_t key, int64_t token)
{
    return key > bound->key || (key == bound->key && token <= bound->token);
}

/* Sums over the tokens that stay and whose key begins with `prefix`, by the eight bits of the key
 * from `shift` on: of ones, or of weights. */
static void sum_digits(const struct row *row, const struct ppi_draw_bound *bound, bool weighted,
                       uint32_t prefix, int shift, uint64_t sums[256])
{
    for (int i = 0; i < 256; i++)
        sums[i] = 0;
    for (int64_t t = 0; t < row->vocab; t++) {
        uint32_t key = ppi_draw_key(row->logits[t]);
        if ((uint64_t)key >> (shift + 8) != prefix || !stays(bound, key, t))
            continue;
        sums[key >> shift & 255] +=
            weighted ? ppi_draw_weight(row->logits[t], row->max, row->steepness) : 1;
    }
}

/* Narrows the bound to the first tokens in order whose sum reaches `target`, which the sum of all
 * that stay does. */
static void narrow(const struct row *row, bool weighted, uint64_t target,
                   struct ppi_draw_bound *bound)
{
    uint64_t sums[256];
    uint32_t prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        sum_digits(row, bound, weighted, prefix, shift, sums);
        uint32_t digit = 255;
        for (; sums[digit] < target; digit--)
            target -= sums[digit];
        prefix = prefix << 8 | digit;
    }
    int32_t token = -1;
    for (int64_t t = 0; target > 0; t++) {
        if (ppi_draw_key(row->logits[t]) != prefix)
            continue;
        uint64_t one = weighted ? ppi_draw_weight(row->logits[t], row->max, row->steepness) : 1;
        target -= one < target ? one : target;
        token = (int32_t)t;
    }
    bound->key = prefix;
    bound->token = token;
}

static struct ppi_draw_bound find_bound(const struct row *row, const struct ppi_draw *draw)
{
    struct ppi_draw_bound bound = {.key = 0, .token = INT32_MAX};
    if (draw->top_k > 0 && draw->top_k < row->vocab)
        narrow(row, false, (uint64_t)draw->top_k, &bound);
    if (draw->top_p < 1) {
        uint64_t sums[256], total = 0;
        sum_digits(row, &bound, true, 0, 24, sums);
        for (int digit = 0; digit < 256; digit++)
            total += sums[digit];
        narrow(row, true, ppi_draw_share(draw->top_p, total), &bound);
    }
    if (draw->min_p > 0)
        bound.weight = ppi_draw_share(draw->min_p, PPI_DRAW_ONE);
    return bound;
}

int32_t ppi_cpu_ref_draw(const float *logits, int64_t vocab, float max, const struct ppi_draw *draw)
{
    const struct row row = {logits, vocab, max, ppi_draw_steepness(draw->temperature)};
    const struct ppi_draw_bound bound = find_bound(&row, draw);
    float best = -INFINITY;
    int64_t token = -1, quad = -1;
    uint32_t bits[PPI_GUMBEL_TOKENS];
    for (int64_t t = 0; t < vocab; t++) {
        if (!stays(&bound, ppi_draw_key(logits[t]), t) ||
            (bound.weight > 0 && ppi_draw_weight(logits[t], max, row.steepness) < bound.weight))
            continue;
        if (t / PPI_GUMBEL_TOKENS != quad) {
            quad = t / PPI_GUMBEL_TOKENS;
            ppi_gumbel_bits(draw->seed, draw->position, (uint32_t)quad, bits);
        }
        float value = logits[t] + draw->temperature * ppi_gumbel(bits[t % PPI_GUMBEL_TOKENS]);
        if (value > best || token < 0) {
            best = value;
            token = t;
        }
    }
    return (int32_t)token;
}
