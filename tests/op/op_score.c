/*
 * op_score.c: log-probabilities, ranks and the most likely tokens of rows of logits.
 */
#include "checkop.h"
#include "support/score_cases.h"

#define TILE PPI_SCORE_TILE

static const int64_t vocabs[] = {1,        2,    7,        255,      256,          300,
                                 TILE - 1, TILE, TILE + 1, 2 * TILE, 5 * TILE + 13};
static const int32_t tops[] = {0, 1, 20, 256};

static pp_status score(void *user, const float *logits, int64_t n_rows, int64_t vocab,
                       struct ppi_score *scores, int64_t n_scores, int32_t n_top,
                       int32_t *top_tokens, double *top_logprobs, pp_error *err)
{
    return ppi_cpu_ops.score(user, logits, n_rows, vocab, scores, n_scores, n_top, top_tokens,
                             top_logprobs, err);
}

static struct score_case_context open_context(const char *variant, int32_t n_threads)
{
    return (struct score_case_context){
        checkop_open(variant, PP_DTYPE_F32, n_threads, checkop_any_shape), score};
}

/* Values, and the same bits alone, in company, with one thread and with three. */
START_TEST(score_values)
{
    struct rng rng = rng_seeded(51);
    for (int i = 0; checkop_variant(i); i++) {
        struct score_case_context one = open_context(checkop_variant(i), 1);
        struct score_case_context three = open_context(checkop_variant(i), 3);
        for (size_t v = 0; v < PPI_COUNT(vocabs); v++)
            for (size_t t = 0; t < PPI_COUNT(tops); t++) {
                int32_t n_top = tops[t] < vocabs[v] ? tops[t] : (int32_t)vocabs[v];
                int64_t n_rows = t == 2 ? SCORE_CASE_ROWS : SCORE_CASE_KINDS;
                const char *problem = score_case_rows(&one, &three, &rng, n_rows, vocabs[v], n_top);
                EXPECT(!problem, "%s: %s", checkop_variant(i), problem);
            }
        ppi_cpu_ops.close(one.user);
        ppi_cpu_ops.close(three.user);
    }
}
END_TEST

START_TEST(score_every_target)
{
    struct rng rng = rng_seeded(52);
    struct score_case_context context = open_context(NULL, 2);
    const char *problem = score_case_every_target(&context, &rng, TILE + 100);
    EXPECT(!problem, "%s", problem);
    ppi_cpu_ops.close(context.user);
}
END_TEST

Suite *checkop_score_suite(void)
{
    Suite *suite = suite_create("score");
    TCase *tcase = tcase_create("values");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, score_values);
    tcase_add_test(tcase, score_every_target);
    suite_add_tcase(suite, tcase);
    return suite;
}
