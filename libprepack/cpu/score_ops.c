/*
 * score_ops.c: log-probabilities, ranks and the most likely tokens of rows of logits. Threads share
 * tiles of the vocabulary of all rows, and then rows: what a tile adds to its row is a matter of
 * the tile alone, and a row's tiles are joined in their order.
 */
#include "cpu/cpu.h"

#include <assert.h>
#include <math.h>

#define ROWS     64 /* of one job */
#define MOST_TOP 256
#define SUM_NS   0.3  /* of one logit on one thread */
#define COUNT_NS 0.05 /* of one logit and one target */

/* One of the most likely tokens of a row. */
struct choice {
    float logit;
    int32_t token;
};

struct score {
    struct ppi_backend *backend;
    const float *logits; /* [n_rows, vocab] */
    int64_t n_rows, vocab, n_tiles;
    struct ppi_score_part *parts; /* [n_rows, n_tiles] */
    struct ppi_score *scores;
    int64_t first_score[ROWS + 1]; /* of each row; behind the last row their number */
    int32_t n_top;
    int32_t *top_tokens;
    double *top_logprobs;
};

/* How many tokens of [begin, end) come before `target` in the order of their logits. */
static int32_t count_before(const struct score *job, const float *logits, int64_t begin,
                            int64_t end, int32_t target)
{
    int64_t middle = target < begin ? begin : target < end ? target : end;
    const struct ppi_cpu_kernels *kernels = job->backend->kernels;
    return kernels->count_values(logits + begin, middle - begin, logits[target], true) +
           kernels->count_values(logits + middle, end - middle, logits[target], false);
}

/* Units: tiles of one row after another. */
static void run_tiles(void *arg, int64_t at, int64_t end, int32_t i_thread)
{
    (void)i_thread;
    const struct score *job = arg;
    for (; at < end; at++) {
        int64_t row = at / job->n_tiles, first = at % job->n_tiles * PPI_SCORE_TILE;
        int64_t last = first + PPI_SCORE_TILE < job->vocab ? first + PPI_SCORE_TILE : job->vocab;
        const float *logits = job->logits + row * job->vocab;
        job->parts[at] = job->backend->kernels->sum_exp(logits + first, last - first);
        for (int64_t i = job->first_score[row]; i < job->first_score[row + 1]; i++) {
            int32_t n = count_before(job, logits, first, last, job->scores[i].target);
            /* Other threads have other tiles of the row; no other bit of the record is theirs. */
            __atomic_fetch_add(&job->scores[i].rank, n, __ATOMIC_RELAXED);
        }
    }
}

/* Puts a token into its place among the n best; tokens come in the order of their ids. */
static void insert(struct choice *best, int32_t n, struct choice choice)
{
    int32_t i = n - 1;
    for (; i > 0 && best[i - 1].logit < choice.logit; i--)
        best[i] = best[i - 1];
    best[i] = choice;
}

/* The n_top-th largest of the largest logits of tiles: so many logits are not below it. */
static float least_of_top(const struct score *job, int64_t row, struct choice *room)
{
    const struct ppi_score_part *parts = job->parts + row * job->n_tiles;
    if (job->n_tiles < job->n_top)
        return -INFINITY;
    int32_t n = 0;
    for (int64_t i = 0; i < job->n_tiles; i++)
        if (n < job->n_top)
            insert(room, ++n, (struct choice){parts[i].max, 0});
        else if (parts[i].max > room[n - 1].logit)
            insert(room, n, (struct choice){parts[i].max, 0});
    return room[n - 1].logit;
}

static void find_top(const struct score *job, int64_t row, const struct ppi_score_sum *sum,
                     struct choice *best)
{
    const struct ppi_cpu_kernels *kernels = job->backend->kernels;
    const float *logits = job->logits + row * job->vocab;
    float bound = least_of_top(job, row, best);
    int32_t n = 0, n_top = job->n_top;
    for (int64_t tile = 0; tile < job->n_tiles; tile++) {
        if (job->parts[row * job->n_tiles + tile].max < bound)
            continue;
        int64_t i = tile * PPI_SCORE_TILE;
        int64_t end = i + PPI_SCORE_TILE < job->vocab ? i + PPI_SCORE_TILE : job->vocab;
        for (;; i++) {
            i += kernels->find_value(logits + i, end - i, bound);
            if (i == end)
                break;
            n += n < n_top;
            insert(best, n, (struct choice){logits[i], (int32_t)i});
            if (n == n_top && best[n - 1].logit >= bound) /* equals come too late from now on */
                bound = nextafterf(best[n - 1].logit, INFINITY);
        }
    }
    for (int32_t i = 0; i < n_top; i++) {
        job->top_tokens[row * n_top + i] = best[i].token;
        job->top_logprobs[row * n_top + i] = ppi_score_logprob(sum, best[i].logit);
    }
}

static void give_nothing(const struct score *job, int64_t row)
{
    for (int64_t i = job->first_score[row]; i < job->first_score[row + 1]; i++) {
        job->scores[i].rank = -1;
        job->scores[i].logprob = NAN;
    }
    for (int64_t i = row * job->n_top; i < (row + 1) * job->n_top; i++) {
        job->top_tokens[i] = -1;
        job->top_logprobs[i] = NAN;
    }
}

/* Rows whose tiles are done. */
static void run_rows(void *arg, int64_t row, int64_t end, int32_t i_thread)
{
    const struct score *job = arg;
    char *scratch = job->backend->scratch + (size_t)i_thread * job->backend->scratch_bytes;
    for (; row < end; row++) {
        struct ppi_score_sum sum = ppi_score_join(job->parts + row * job->n_tiles, job->n_tiles);
        if (isnan(sum.log_above)) {
            give_nothing(job, row);
            continue;
        }
        for (int64_t i = job->first_score[row]; i < job->first_score[row + 1]; i++)
            job->scores[i].logprob =
                ppi_score_logprob(&sum, job->logits[row * job->vocab + job->scores[i].target]);
        if (job->n_top > 0)
            find_top(job, row, &sum, (struct choice *)(void *)scratch);
    }
}

/* Room for what the tiles of all rows give; it stays with the context, a next call is as large. */
static pp_status find_room(struct ppi_backend *backend, int64_t n_parts, pp_error *err)
{
    if (n_parts <= backend->n_score_parts)
        return PP_OK;
    ppi_free(backend->params.mem, backend->score_parts);
    backend->n_score_parts = 0;
    backend->score_parts =
        ppi_alloc(backend->params.mem, (size_t)n_parts, sizeof *backend->score_parts);
    if (!backend->score_parts)
        return ppi_error_nomem(err, "sums over tiles of the vocabulary",
                               (size_t)n_parts * sizeof *backend->score_parts);
    backend->n_score_parts = n_parts;
    return PP_OK;
}

pp_status ppi_cpu_score(struct ppi_backend *backend, const float *logits, int64_t n_rows,
                        int64_t vocab, struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                        int32_t *top_tokens, double *top_logprobs, pp_error *err)
{
    assert(n_rows <= ROWS && n_top <= vocab && n_top <= MOST_TOP);
    assert(backend->scratch_bytes >= MOST_TOP * sizeof(struct choice));
    struct score job = {.backend = backend,
                        .logits = logits,
                        .n_rows = n_rows,
                        .vocab = vocab,
                        .n_tiles = ppi_div_up(vocab, PPI_SCORE_TILE),
                        .scores = scores,
                        .n_top = n_top,
                        .top_tokens = top_tokens,
                        .top_logprobs = top_logprobs};
    PP_TRY(find_room(backend, n_rows * job.n_tiles, err));
    job.parts = backend->score_parts;
    int64_t i = 0;
    for (int64_t row = 0; row <= n_rows; row++) {
        job.first_score[row] = i;
        for (; i < n_scores && scores[i].row == row; i++)
            scores[i].rank = 0;
    }
    assert(i == n_scores);

    double targets = (double)n_scores / (double)(n_rows > 0 ? n_rows : 1);
    ppi_cpu_run(backend->pool, n_rows * job.n_tiles, PPI_SCORE_TILE * (SUM_NS + COUNT_NS * targets),
                run_tiles, &job);
    ppi_cpu_run(backend->pool, n_rows, (n_top > 0 ? COUNT_NS : 0) * (double)vocab, run_rows, &job);
    return PP_OK;
}
