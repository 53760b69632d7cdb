/*
 * op_device_score.c: log-probabilities, ranks and the most likely tokens of rows of logits, by the
 * operation of a context.
 */
#include "product_cases.h"
#include "support/score_cases.h"

#include <stdio.h>
#include <stdlib.h>

#define TILE PPI_SCORE_TILE

/* Logits go up between guard bands. */
static pp_status score(void *user, const float *logits, int64_t n_rows, int64_t vocab,
                       struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                       int32_t *top_tokens, double *top_logprobs, pp_error *err)
{
    struct product_context *context = user;
    void *device = device_upload(logits, (size_t)(n_rows * vocab) * sizeof *logits);
    pp_status status = ppi_cuda_run_score(context->backend, device, n_rows, vocab, scores, n_scores,
                                          n_top, top_tokens, top_logprobs, err);
    device_free(device);
    return status;
}

/* Values, and the same bits alone and in company. */
static void score_values(void)
{
    static const struct {
        int64_t vocab, n_rows;
        int32_t n_top;
    } cases[] = {
        {1, 9, 1},         {2, 9, 0},
        {7, 9, 7},         {255, 9, 20},
        {256, 64, 256},    {TILE - 1, 9, 256},
        {TILE, 9, 0},      {TILE + 1, 9, 1},
        {2 * TILE, 9, 20}, {2 * TILE + 13, 9, 3},
    };
    struct rng rng = rng_seeded(53);
    struct product_context context;
    product_open(&context, 0, NULL, 64, 64, 64);
    struct score_case_context under_test = {&context, score};
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        const char *problem = score_case_rows(&under_test, &under_test, &rng, cases[i].n_rows,
                                              cases[i].vocab, cases[i].n_top);
        EXPECT(!problem, "%s", problem);
    }
    product_close(&context);
}

/* So many scores that they go up in two parts. */
static void score_every_target(void)
{
    struct rng rng = rng_seeded(54);
    struct product_context context;
    product_open(&context, 0, NULL, 64, 64, 64);
    struct score_case_context under_test = {&context, score};
    const char *problem =
        score_case_every_target(&under_test, &rng, device_is_emulated() ? TILE + 100 : 9 * TILE);
    EXPECT(!problem, "%s", problem);
    product_close(&context);
}

int main(int argc, char **argv)
{
    static const struct device_test tests[] = {
        {"score_values", score_values},
        {"score_every_target", score_every_target},
    };
    return device_main(tests, PPI_COUNT(tests), argc, argv);
}
