/*
 * score.h: from sums over tiles of the vocabulary to log-probabilities, in double, for every
 * backend (struct ppi_score of backend.h).
 */
#ifndef PPI_SCORE_H
#define PPI_SCORE_H

#include <math.h>
#include <stdint.h>

/* What a tile of logits adds to its row: the largest, and the sum of exp(logit - largest). The sum
 * is NaN where a logit is NaN or +infinity; 0 where all are minus infinity, and so is the largest.
 */
struct ppi_score_part {
    float max, sum;
};

/* A row's largest logit, and the log of the sum of exp(logit - largest). That log is NaN, and
 * nothing is said of the row, where a tile's sum is NaN or no logit is finite: minus infinity less
 * itself is NaN. */
struct ppi_score_sum {
    double max, log_above;
};

static inline struct ppi_score_sum ppi_score_join(const struct ppi_score_part *parts, int64_t n)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = parts[i].max > max ? (double)parts[i].max : max;
    for (int64_t i = 0; i < n; i++)
        sum += (double)parts[i].sum * exp((double)parts[i].max - max);
    return (struct ppi_score_sum){max, log(sum)};
}

static inline double ppi_score_logprob(const struct ppi_score_sum *sum, float logit)
{
    return ((double)logit - sum->max) - sum->log_above;
}

#endif
