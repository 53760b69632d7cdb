/*
 * ref_sample.c: the next token of rows of logits, in plain C. Threads share the tokens of all rows;
 * the largest is the largest in any order, so nobody can tell how they did.
 */
#include "cpu/cpu.h"
#include "dtype.h"
#include "gumbel.h"

#include <stdatomic.h>

#define ROWS           64    /* of one job */
#define WORTH_A_THREAD 16384 /* logits */

struct sample {
    const float *logits; /* [n_rows, vocab] */
    int64_t n_rows, vocab;
    float temperature;
    const uint64_t *seeds;
    const int32_t *positions;
    _Atomic uint64_t best[ROWS];
};

/* Larger for larger values, and of equal values for smaller tokens; never 0. Not for NaN. */
static uint64_t make_key(float value, int64_t token)
{
    uint32_t bits = ppi_f32_bits(value + 0.0f); /* -0 and 0 are equal */
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t) ~(uint32_t)token;
}

/* The best key of tokens [begin, end) of a row; 0: all NaN. begin is the first token of a quad. */
static uint64_t best_of_range(const struct sample *job, int64_t row, int64_t begin, int64_t end)
{
    const float *logits = job->logits + row * job->vocab;
    float best = -INFINITY;
    int64_t token = -1;
    uint32_t bits[PPI_GUMBEL_TOKENS];
    for (int64_t t = begin; t < end; t++) {
        float value = logits[t];
        if (job->temperature != 0) {
            if (t % PPI_GUMBEL_TOKENS == 0)
                ppi_gumbel_bits(job->seeds[row], job->positions[row],
                                (uint32_t)(t / PPI_GUMBEL_TOKENS), bits);
            value += job->temperature * ppi_gumbel(bits[t % PPI_GUMBEL_TOKENS]);
        }
        if (value > best || (token < 0 && value == best)) {
            best = value;
            token = t;
        }
    }
    return token < 0 ? 0 : make_key(best, token);
}

static void run_sample(void *arg, int32_t i_thread, int32_t n_threads)
{
    struct sample *job = arg;
    int64_t row_quads = (job->vocab + PPI_GUMBEL_TOKENS - 1) / PPI_GUMBEL_TOKENS;
    int64_t at = ppi_cpu_share(job->n_rows * row_quads, i_thread, n_threads);
    int64_t end = ppi_cpu_share(job->n_rows * row_quads, i_thread + 1, n_threads);
    while (at < end) {
        int64_t row = at / row_quads, first = at % row_quads;
        int64_t n = row_quads - first < end - at ? row_quads - first : end - at;
        int64_t last = (first + n) * PPI_GUMBEL_TOKENS;
        uint64_t key = best_of_range(job, row, first * PPI_GUMBEL_TOKENS,
                                     last < job->vocab ? last : job->vocab);
        uint64_t held = atomic_load(&job->best[row]);
        while (key > held && !atomic_compare_exchange_weak(&job->best[row], &held, key))
            ;
        at += n;
    }
}

pp_status ppi_cpu_sample(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                         int64_t vocab, float temperature, const uint64_t *seeds,
                         const int32_t *positions, int32_t *tokens, pp_error *err)
{
    (void)err;
    for (int64_t first = 0; first < n_rows; first += ROWS) {
        struct sample job = {.logits = logits + first * vocab,
                             .n_rows = n_rows - first < ROWS ? n_rows - first : ROWS,
                             .vocab = vocab,
                             .temperature = temperature,
                             .seeds = seeds + first,
                             .positions = positions + first};
        ppi_cpu_run(backend->pool, job.n_rows * vocab / WORTH_A_THREAD + 1, run_sample, &job);
        for (int64_t i = 0; i < job.n_rows; i++)
            tokens[first + i] = job.best[i] ? (int32_t) ~(uint32_t)job.best[i] : 0;
    }
    return PP_OK;
}
