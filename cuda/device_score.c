/*
 * device_score.c: log-probabilities, ranks and most likely tokens of rows of logits. The device
 * gives sums over tiles, counts and the tokens that are wanted; the host joins and sorts these few
 * numbers. All of it goes through the staging buffers.
 */
#include "cuda/cuda_impl.h"
#include "score.h"

#include <assert.h>
#include <stdlib.h>

#define ROWS        64
#define MOST_TOP    256
#define MOST_SCORES 2048 /* at a time */
#define MOST_PARTS  ((PPI_CUDA_STAGING_BYTES - sizeof(struct room)) / sizeof(struct ppi_score_part))

static_assert(PPI_CUDA_SCORE_TILE == PPI_SCORE_TILE, "the kernel's tile is the contract's");

/* What is in the staging buffers of host and device. */
struct room {
    /* goes up: */
    struct ppi_cuda_draw draws[ROWS]; /* whose top_k is wanted */
    int32_t first_score[ROWS + 2];
    uint32_t n_choices[ROWS];
    struct ppi_cuda_score scores[MOST_SCORES];
    /* comes down, scores too: */
    struct ppi_cuda_choice choices[ROWS * MOST_TOP];
    /* stays there: */
    struct ppi_cuda_bound bounds[ROWS];
    struct ppi_score_part parts[]; /* comes down: [n_rows, n_tiles] */
};

struct score {
    const float *logits; /* device [n_rows, vocab] */
    int64_t n_rows, vocab, n_tiles;
    struct ppi_score *scores;
    int64_t n_scores;
    int32_t n_top;
    int32_t *top_tokens;
    double *top_logprobs;
};

static void stage(const struct score *job, struct room *room)
{
    int64_t i = 0;
    for (int64_t row = 0; row <= job->n_rows; row++) {
        room->first_score[row] = (int32_t)i;
        for (; i < job->n_scores && job->scores[i].row == row; i++)
            room->scores[i] = (struct ppi_cuda_score){.target = job->scores[i].target};
    }
    assert(i == job->n_scores);
    for (int64_t row = 0; row < job->n_rows; row++) {
        room->n_choices[row] = 0;
        room->draws[row] =
            (struct ppi_cuda_draw){.temperature = 1, .top_p = 1, .top_k = job->n_top};
    }
}

static pp_status launch(struct ppi_backend *b, const struct score *job, struct room *device,
                        pp_error *err)
{
    bool any_top = job->n_top > 0;
    struct ppi_cuda_sample_bounds_args bounds = {.logits = job->logits,
                                                 .draws = device->draws,
                                                 .bounds = device->bounds,
                                                 .stride = job->vocab,
                                                 .n_rows = (int32_t)job->n_rows,
                                                 .vocab = (int32_t)job->vocab};
    if (any_top)
        PP_TRY(ppi_cuda_launch(b, &ppi_cuda_sample_bounds[0], job->n_rows, &bounds, err));
    struct ppi_cuda_score_args args = {.logits = job->logits,
                                       .parts = device->parts,
                                       .scores = device->scores,
                                       .first_score = device->first_score,
                                       .bounds = any_top ? device->bounds : NULL,
                                       .choices = device->choices,
                                       .n_choices = device->n_choices,
                                       .stride = job->vocab,
                                       .n_rows = (int32_t)job->n_rows,
                                       .n_tiles = (int32_t)job->n_tiles,
                                       .vocab = (int32_t)job->vocab,
                                       .n_top = job->n_top};
    return ppi_cuda_launch(b, &ppi_cuda_score[0], job->n_rows * job->n_tiles, &args, err);
}

static pp_status fetch(struct ppi_backend *b, void *host, const void *device, size_t bytes,
                       pp_error *err)
{
    return ppi_cuda_check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, b->stream),
                          "copying scores", err);
}

static int by_order(const void *a, const void *b)
{
    const struct ppi_cuda_choice *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* A row's results, from what came down. */
static void give_row(const struct score *job, struct room *room, int64_t row)
{
    struct ppi_score_sum sum = ppi_score_join(room->parts + row * job->n_tiles, job->n_tiles);
    bool is_whole = !isnan(sum.log_above);
    for (int64_t i = room->first_score[row]; i < room->first_score[row + 1]; i++) {
        job->scores[i].rank = is_whole ? (int32_t)room->scores[i].rank : -1;
        job->scores[i].logprob = is_whole ? ppi_score_logprob(&sum, room->scores[i].logit) : NAN;
    }
    struct ppi_cuda_choice *choices = room->choices + row * job->n_top;
    if (is_whole)
        qsort(choices, (size_t)job->n_top, sizeof *choices, by_order);
    for (int32_t i = 0; i < job->n_top; i++) {
        int64_t at = row * job->n_top + i;
        job->top_tokens[at] = is_whole ? choices[i].token : -1;
        job->top_logprobs[at] = is_whole ? ppi_score_logprob(&sum, choices[i].logit) : NAN;
    }
}

static pp_status score_some(struct ppi_backend *b, const struct score *job, pp_error *err)
{
    struct room *room = (struct room *)(void *)b->staging;
    struct room *device = (struct room *)(void *)b->device_staging;
    size_t n_scores = (size_t)job->n_scores, n_choices = (size_t)(job->n_rows * job->n_top);
    stage(job, room);
    PP_TRY(ppi_cuda_check(
        cudaMemcpyAsync(device, room,
                        offsetof(struct room, scores) + n_scores * sizeof *room->scores,
                        cudaMemcpyHostToDevice, b->stream),
        "copying targets", err));
    PP_TRY(launch(b, job, device, err));
    PP_TRY(fetch(b, room->scores, device->scores, n_scores * sizeof *room->scores, err));
    PP_TRY(fetch(b, room->choices, device->choices, n_choices * sizeof *room->choices, err));
    PP_TRY(fetch(b, room->parts, device->parts,
                 (size_t)(job->n_rows * job->n_tiles) * sizeof *room->parts, err));
    PP_TRY(ppi_cuda_check(cudaStreamSynchronize(b->stream), "computing", err));
    for (int64_t row = 0; row < job->n_rows; row++)
        give_row(job, room, row);
    return PP_OK;
}

pp_status ppi_cuda_run_score(struct ppi_backend *b, const float *logits, int64_t n_rows,
                             int64_t vocab, struct ppi_score *scores, int64_t n_scores,
                             int32_t n_top, int32_t *top_tokens, double *top_logprobs,
                             pp_error *err)
{
    assert(n_rows <= ROWS && n_top <= vocab && n_top <= MOST_TOP);
    struct score job = {.logits = logits,
                        .n_rows = n_rows,
                        .vocab = vocab,
                        .n_tiles = ppi_div_up(vocab, PPI_SCORE_TILE),
                        .scores = scores,
                        .n_top = n_top,
                        .top_tokens = top_tokens,
                        .top_logprobs = top_logprobs};
    if ((uint64_t)(n_rows * job.n_tiles) > MOST_PARTS)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "scores of %lld rows over a vocabulary of %lld: at most %lld ids",
                         (long long)n_rows, (long long)vocab,
                         (long long)(MOST_PARTS / (uint64_t)n_rows * PPI_SCORE_TILE));
    do { /* what is not of a score is the same whoever asks, and is given once */
        job.n_scores = n_scores < MOST_SCORES ? n_scores : MOST_SCORES;
        PP_TRY(score_some(b, &job, err));
        job.scores += job.n_scores;
        n_scores -= job.n_scores;
        job.n_top = 0;
    } while (n_scores > 0);
    return PP_OK;
}
