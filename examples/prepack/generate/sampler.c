/* sampler.c: the most likely token, or nucleus sampling (Holtzman et al., arXiv 1904.09751). */
#include "sampler.h"
#include "say.h"

#include <math.h>
#include <stdlib.h>

/* The index of the largest of n values, the first of equal ones; -1: one of them is no number. */
static int32_t argmax(const float *values, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 0; i < n; i++) {
        if (isnan(values[i]))
            return -1;
        if (values[i] > values[best])
            best = i;
    }
    return best;
}

int sampler_start(struct sampler *sampler, double temperature, double top_p, int32_t vocab_size)
{
    *sampler =
        (struct sampler){.temperature = temperature, .top_p = top_p, .vocab_size = vocab_size};
    if (temperature > 0 && top_p < 1) {
        sampler->candidates = calloc((size_t)vocab_size, sizeof *sampler->candidates);
        if (!sampler->candidates)
            return fail_memory();
    }
    return STATUS_OK;
}

void sampler_stop(struct sampler *sampler)
{
    free(sampler->candidates);
    sampler->candidates = NULL;
}

/* Heaviest first; equal ones by id, so that every C library sorts alike. */
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

int32_t sampler_pick(struct sampler *sampler, const float *logits, struct rng *rng)
{
    const int32_t n = sampler->vocab_size, best = argmax(logits, n);
    struct candidate *candidates = sampler->candidates;
    if (best < 0 || !isfinite(logits[best]))
        return -1;
    if (!candidates)
        return best;
    double total = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!isfinite(logits[i]))
            return -1;
        const double weight = exp(((double)logits[i] - logits[best]) / sampler->temperature);
        candidates[i] = (struct candidate){i, weight};
        total += weight;
    }
    qsort(candidates, (size_t)n, sizeof *candidates, compare_candidates);
    /* The nucleus: the fewest of the heaviest that have top_p of the probability. */
    int32_t n_kept = 0;
    double kept = 0;
    do
        kept += candidates[n_kept++].weight;
    while (n_kept < n && kept < sampler->top_p * total);
    double left = rng_unit(rng) * kept;
    for (int32_t i = 0; i < n_kept; i++) {
        left -= candidates[i].weight;
        if (left < 0)
            return candidates[i].token;
    }
    return candidates[n_kept - 1].token;
}
