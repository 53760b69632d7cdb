/*
 * ref_sample.c: the next token of rows of logits, in plain C. Threads share the tokens of all rows;
 * the largest is the largest in any order, so nobody can tell how they did. Rows with filters only
 * have their largest logit found that way; ref_draw.c draws from them, row by row.
 */
#include "cpu/cpu.h"
#include "cpu/ref_kernels.h"
#include "draw.h"
#include "gumbel.h"

#include <math.h>
#include <stdatomic.h>

#define ROWS      64   /* of one job */
#define LOGIT_NS  1.0  /* of one logit on one thread */
#define GUMBEL_NS 14.0 /* more where its token is drawn */
#define FILTER_NS 5.0

struct sample {
    const float *logits; /* [n_rows, vocab] */
    int64_t n_rows, vocab;
    const struct ppi_draw *draws; /* [n_rows] */
    _Atomic uint64_t best[ROWS];
    _Atomic bool has_nan[ROWS], has_finite[ROWS];
    int32_t *tokens;
};

static bool is_filtered(const struct ppi_draw *draw, int64_t vocab)
{
    return draw->temperature != 0 &&
           ((draw->top_k > 0 && draw->top_k < vocab) || draw->top_p < 1 || draw->min_p > 0);
}

/* Larger for larger values, and of equal values for smaller tokens; never 0. Not for NaN. */
static uint64_t make_key(float value, int64_t token)
{
    return (uint64_t)ppi_draw_key(value) << 32 | (uint32_t) ~(uint32_t)token;
}

static int32_t token_of(uint64_t key)
{
    return (int32_t) ~(uint32_t)key;
}

/* The best key of tokens [begin, end) of a row; 0: all NaN. begin is the first token of a quad. */
static uint64_t best_of_range(struct sample *job, int64_t row, int64_t begin, int64_t end)
{
    const float *logits = job->logits + row * job->vocab;
    const struct ppi_draw *draw = &job->draws[row];
    float temperature = is_filtered(draw, job->vocab) ? 0 : draw->temperature;
    float best = -INFINITY;
    int64_t token = -1;
    int has_nan = 0, has_finite = 0;
    uint32_t bits[PPI_GUMBEL_TOKENS];
    for (int64_t t = begin; t < end; t++) {
        float value = logits[t];
        has_nan |= isnan(value);
        has_finite |= isfinite(value);
        if (temperature != 0) {
            if (t % PPI_GUMBEL_TOKENS == 0)
                ppi_gumbel_bits(draw->seed, draw->position, (uint32_t)(t / PPI_GUMBEL_TOKENS),
                                bits);
            value += temperature * ppi_gumbel(bits[t % PPI_GUMBEL_TOKENS]);
        }
        if (value > best || (token < 0 && value == best)) {
            best = value;
            token = t;
        }
    }
    if (has_nan)
        atomic_store(&job->has_nan[row], true);
    if (has_finite)
        atomic_store(&job->has_finite[row], true);
    return token < 0 ? 0 : make_key(best, token);
}

/* Units: quads of tokens of one row after another. */
static void run_sample(void *arg, int64_t at, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    struct sample *job = arg;
    int64_t row_quads = (job->vocab + PPI_GUMBEL_TOKENS - 1) / PPI_GUMBEL_TOKENS;
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

/* Tokens of the rows whose best keys are known. */
static void run_draws(void *arg, int64_t first, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    struct sample *job = arg;
    for (int64_t row = first; row < end; row++) {
        int32_t *token = &job->tokens[row];
        *token = token_of(job->best[row]);
        if (job->has_nan[row] || !job->has_finite[row])
            *token = -1;
        else if (is_filtered(&job->draws[row], job->vocab)) {
            const float *logits = job->logits + row * job->vocab;
            *token = ppi_cpu_ref_draw(logits, job->vocab, logits[*token], &job->draws[row]);
        }
    }
}

pp_status ppi_cpu_sample(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                         int64_t vocab, const struct ppi_draw *draws, int32_t *tokens,
                         pp_error *err)
{
    (void)err;
    for (int64_t first = 0; first < n_rows; first += ROWS) {
        struct sample job = {.logits = logits + first * vocab,
                             .n_rows = n_rows - first < ROWS ? n_rows - first : ROWS,
                             .vocab = vocab,
                             .draws = draws + first,
                             .tokens = tokens + first};
        int64_t n_filtered = 0, n_drawn = 0;
        for (int64_t i = 0; i < job.n_rows; i++) {
            n_filtered += is_filtered(&job.draws[i], vocab);
            n_drawn += job.draws[i].temperature != 0;
        }
        double logit_ns =
            LOGIT_NS + GUMBEL_NS * (double)(n_drawn - n_filtered) / (double)job.n_rows;
        ppi_cpu_run(backend->pool, job.n_rows * ppi_div_up(vocab, PPI_GUMBEL_TOKENS),
                    PPI_GUMBEL_TOKENS * logit_ns, run_sample, &job);
        ppi_cpu_run(backend->pool, job.n_rows,
                    FILTER_NS * (double)(n_filtered * vocab) / (double)job.n_rows, run_draws, &job);
    }
    return PP_OK;
}
