/*
 * cost_fit.c: non-negative least squares. With four unknowns every set of terms that may be above
 * zero can be tried: the best of the unconstrained solutions without a negative coefficient is the
 * constrained optimum (Lawson, Hanson 1974, ch. 23: there the sets are searched, here there are
 * only 15).
 */
#include "measure/cost_fit.h"

#include <math.h>

#define N_TERMS 4
/* Of columns of length 1: below it, a column is a sum of the others as far as doubles can tell. */
#define LEAST_PIVOT 1e-11
/* A tile must lower the squared error to this share of what other tiles have: there is noise in the
 * times, and 7 tiles to fit it with. */
#define TILE_GAIN 0.8

/* Normal equations of columns scaled to length 1. */
struct equations {
    double gram[N_TERMS][N_TERMS];
    double right[N_TERMS];
    double scale[N_TERMS];
};

/* What each coefficient is multiplied with, over the time. */
static void relative_terms(const struct ppi_cost_sample *sample, int64_t tile,
                           double terms[N_TERMS])
{
    terms[0] = 1 / sample->seconds;
    terms[1] = (double)ppi_round_up(sample->tokens, tile) / sample->seconds;
    terms[2] = sample->squares / sample->seconds;
    terms[3] = (double)sample->n_prompts / sample->seconds;
}

static struct equations sum_up(const struct ppi_cost_sample *samples, size_t n, int64_t tile)
{
    struct equations sums = {0};
    for (size_t i = 0; i < n; i++) {
        double terms[N_TERMS];
        relative_terms(&samples[i], tile, terms);
        for (int j = 0; j < N_TERMS; j++) {
            for (int k = 0; k < N_TERMS; k++)
                sums.gram[j][k] += terms[j] * terms[k];
            sums.right[j] += terms[j];
        }
    }
    for (int j = 0; j < N_TERMS; j++)
        sums.scale[j] = sqrt(sums.gram[j][j]);
    for (int j = 0; j < N_TERMS; j++) {
        for (int k = 0; k < N_TERMS; k++)
            sums.gram[j][k] /= sums.scale[j] * sums.scale[k];
        sums.right[j] /= sums.scale[j];
    }
    return sums;
}

/* Solves for the terms of the set, by Cholesky's method; the others are 0. False if the terms
 * depend on each other or one would be negative. */
static bool solve(const struct equations *equations, unsigned set, double x[N_TERMS])
{
    double factor[N_TERMS][N_TERMS];
    int used[N_TERMS], n = 0;
    for (int j = 0; j < N_TERMS; j++) {
        x[j] = 0;
        if (set & 1u << j)
            used[n++] = j;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = equations->gram[used[i]][used[j]];
            for (int k = 0; k < j; k++)
                sum -= factor[i][k] * factor[j][k];
            if (i == j && !(sum > LEAST_PIVOT))
                return false;
            factor[i][j] = i == j ? sqrt(sum) : sum / factor[j][j];
        }
    double y[N_TERMS];
    for (int i = 0; i < n; i++) {
        y[i] = equations->right[used[i]];
        for (int k = 0; k < i; k++)
            y[i] -= factor[i][k] * y[k];
        y[i] /= factor[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            y[i] -= factor[k][i] * y[k];
        y[i] /= factor[i][i];
        if (!(y[i] >= 0))
            return false;
        x[used[i]] = y[i] / equations->scale[used[i]];
    }
    return true;
}

/* Mean squared relative error. */
static double squared_error(const struct ppi_cost_sample *samples, size_t n, int64_t tile,
                            const double x[N_TERMS])
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double terms[N_TERMS], miss = -1;
        relative_terms(&samples[i], tile, terms);
        for (int j = 0; j < N_TERMS; j++)
            miss += terms[j] * x[j];
        sum += miss * miss;
    }
    return sum / (double)n;
}

/* The best coefficients with this tile, and their error. */
static double fit_terms(const struct ppi_cost_sample *samples, size_t n, int64_t tile,
                        double best[N_TERMS])
{
    struct equations equations = sum_up(samples, n, tile);
    double least = INFINITY;
    for (unsigned set = 1; set < 1u << N_TERMS; set++) {
        double x[N_TERMS];
        if (!solve(&equations, set, x))
            continue;
        double error = squared_error(samples, n, tile, x);
        if (error < least) {
            least = error;
            for (int j = 0; j < N_TERMS; j++)
                best[j] = x[j];
        }
    }
    return least;
}

void ppi_cost_fit(const struct ppi_cost_sample *samples, size_t n, pp_cost_model *cost)
{
    static const int64_t tiles[] = {1, 8, 16, 32, 64, 128, 256};
    double least = INFINITY;
    for (size_t i = 0; i < PPI_COUNT(tiles); i++) {
        double x[N_TERMS] = {0};
        double error = fit_terms(samples, n, tiles[i], x);
        if (i > 0 && error >= TILE_GAIN * least)
            continue;
        least = error;
        cost->tile = tiles[i];
        cost->per_pass = x[0];
        cost->per_token = x[1];
        cost->per_square = x[2];
        cost->per_prompt = x[3];
    }
}

double ppi_cost_error(const pp_cost_model *cost, const struct ppi_cost_sample *samples, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ppi_cost_sample *sample = &samples[i];
        double predicted = ppi_cost(cost, sample->tokens, sample->squares, sample->n_prompts);
        sum += fabs(predicted / sample->seconds - 1);
    }
    return n > 0 ? sum / (double)n : 0;
}
