/* sampler.h: from logits to the next token. */
#ifndef PREPACK_SAMPLER_H
#define PREPACK_SAMPLER_H

#include "random.h"

struct candidate {
    int32_t token;
    double weight;
};

/* Greedy when temperature is 0. With top_p 1 and a temperature it has nothing to do: the device
 * draws. */
struct sampler {
    double temperature, top_p;
    int32_t vocab_size;
    struct candidate *candidates; /* [vocab_size], only with a temperature and top_p below 1 */
};

int sampler_start(struct sampler *sampler, double temperature, double top_p, int32_t vocab_size);
void sampler_stop(struct sampler *sampler);
/* One token; greedy choices draw nothing from rng. -1: the logits are not finite numbers. */
int32_t sampler_pick(struct sampler *sampler, const float *logits, struct rng *rng);

#endif
