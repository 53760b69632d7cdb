/*
 * test_oracle.c: packed prefill against a straight-line f64 transformer that runs the whole bin
 * with the dense mask of pp_batch_mask. Tolerances: docs/numerics.md.
 */
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/oracle.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct rng rng;

/* Root of the mean square of ours - theirs, relative to that of theirs. */
static double relative_error(const float *ours, const double *theirs, size_t n)
{
    double sum = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        sum += theirs[i] * theirs[i];
        error += ((double)ours[i] - theirs[i]) * ((double)ours[i] - theirs[i]);
    }
    return sqrt(error / sum);
}

/* Errors over all prompts of a bin. */
struct errors {
    double logits, kv;
};

static void keep_worst(double *worst, double error)
{
    if (!(error <= *worst))
        *worst = error;
}

/* Prompts in one bin, and what the oracle makes of them: logits [row_len, vocab], keys and values
 * as oracle_forward gives them. */
struct expected {
    pp_model_config config;
    const struct oracle_config *of;
    pp_prompt *prompts;
    pp_plan *plan;
    pp_batch *batch;
    pp_batch_view view;
    double *logits, *kv[2];
    int32_t keep_window_pages;
};

static struct errors compare(const struct expected *expected, pp_kvcache *const *caches,
                             const float *logits)
{
    const pp_batch_view *view = &expected->view;
    const pp_model_config *config = &expected->config;
    size_t n = (size_t)view->row_len, vocab = (size_t)config->vocab_size;
    size_t kv_row = (size_t)expected->of->kv_row;
    float *ours = malloc((n * kv_row + 1) * sizeof *ours);
    struct errors errors = {0, 0};
    for (int64_t i = 0; i < view->n_prompts; i++) {
        int32_t prompt = view->prompts[i];
        size_t len = (size_t)(view->cu_seqlens[i + 1] - view->cu_seqlens[i]);
        keep_worst(&errors.logits,
                   relative_error(logits + (size_t)prompt * vocab,
                                  expected->logits + (size_t)view->last_rows[i] * vocab, vocab));
        for (int32_t layer = 0; layer < config->n_layers; layer++) {
            const struct oracle_layer_config *of = &expected->of->layers[layer];
            size_t own = (size_t)(of->n_kv_heads * of->head_dim);
            if (of->linear || of->kv_layer != layer)
                continue;
            for (int32_t which = 0; which < 2; which++) {
                size_t first = (size_t)pp_kvcache_first_token(caches[prompt], layer);
                size_t n_values = (len - first) * own;
                OK(pp_kvcache_read(caches[prompt], layer, which, PP_KV_NHD, PP_DTYPE_F32,
                                   (int64_t)first, (int64_t)(len - first), ours,
                                   n_values * sizeof(float), perr));
                const double *theirs = expected->kv[which] + (size_t)layer * n * kv_row +
                                       ((size_t)view->starts[i] + first) * own;
                keep_worst(&errors.kv, relative_error(ours, theirs, n_values));
            }
        }
    }
    free(ours);
    return errors;
}

/* Rows whose experts are a choice may choose others in bf16, and then are far from what the oracle
 * has; the golden cases, whose rows choose clearly, compare these. */
static bool is_comparable(struct run_target target, const struct oracle_config *of)
{
    return target.dtype == PP_DTYPE_F32 || of->experts.n == of->experts.top_k;
}

/* What linear layers give is normalised, however little of it is left: small models blow up
 * rounding there, f32's as well. */
static double largest_error(struct run_target target, const struct oracle_config *of)
{
    bool linear = of->linear.rule != ORACLE_NO_LINEAR;
    if (target.dtype == PP_DTYPE_F32)
        return linear ? 4e-5 : 2e-5;
    return linear ? 0.4 : 0.1;
}

static void check_target(pp_model *model, struct run_target target, const struct expected *expected)
{
    if (!is_comparable(target, expected->of))
        return;
    double tolerance = largest_error(target, expected->of);
    pp_kvcache *caches[16];
    const float *logits;
    int64_t n = expected->view.n_prompts;
    pp_session *session = run_session(model, target, 2, 0, expected->keep_window_pages);
    if (!session)
        return;
    OK(pp_prefill(session, expected->plan, expected->prompts, n, caches, &logits, perr));
    struct errors errors = compare(expected, caches, logits);
    printf("# %s %s: logits %.1e kv %.1e\n", target.device, pp_dtype_name(target.dtype),
           errors.logits, errors.kv);
    ck_assert_msg(errors.logits <= tolerance, "%s %s: logits are off by %g, allowed %g",
                  target.device, pp_dtype_name(target.dtype), errors.logits, tolerance);
    ck_assert_msg(errors.kv <= tolerance, "%s %s: KV is off by %g, allowed %g", target.device,
                  pp_dtype_name(target.dtype), errors.kv, tolerance);
    for (int64_t i = 0; i < n; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
}

static void run_oracle(const struct oracle *oracle, int64_t window, struct expected *expected)
{
    const pp_batch_view *view = &expected->view;
    const pp_model_config *config = &expected->config;
    size_t n = (size_t)view->row_len, mask_bytes;
    size_t kv_size = (size_t)config->n_layers * n * (size_t)expected->of->kv_row + 1;
    OK(pp_batch_mask_bytes(expected->batch, PP_DTYPE_BOOL, &mask_bytes, perr));
    uint8_t *mask = malloc(mask_bytes);
    OK(pp_batch_mask(expected->batch, PP_DTYPE_BOOL, window, mask, mask_bytes, perr));
    expected->logits = malloc(n * (size_t)config->vocab_size * sizeof(double));
    for (int which = 0; which < 2; which++)
        expected->kv[which] = malloc(kv_size * sizeof(double));
    oracle_forward(oracle, (int64_t)n, view->tokens, view->positions, mask, expected->logits,
                   expected->kv[0], expected->kv[1]);
    free(mask);
}

/* Prompts of random lengths in one bin. window: as pp_batch_mask has it. */
static void check_model(pp_model *model, const struct oracle *oracle, int64_t window)
{
    int64_t lengths[6], n = rng_between(&rng, 2, 6);
    struct expected expected = {.config = {.struct_size = sizeof expected.config},
                                .view = {.struct_size = sizeof expected.view},
                                .keep_window_pages = (int32_t)rng_between(&rng, 0, 1)};
    for (int64_t i = 0; i < n; i++)
        lengths[i] = rng_between(&rng, 1, rng_between(&rng, 0, 2) ? 50 : 100);
    pp_packer *packer;
    OK(pp_model_get_config(model, &expected.config, perr));
    expected.of = oracle_get_config(oracle);
    expected.prompts = run_prompts(model, rng_next(&rng), lengths, (size_t)n);
    OK(pp_packer_create(NULL, &packer, perr));
    OK(pp_packer_plan(packer, lengths, (size_t)n, &expected.plan, perr));
    OK(pp_batch_build(expected.plan, expected.prompts, (size_t)n, NULL, &expected.batch, perr));
    OK(pp_batch_get_view(expected.batch, &expected.view, perr));
    run_oracle(oracle, window, &expected);

    FOR_EACH_TARGET(target)
    check_target(model, *target, &expected);
    free(expected.logits), free(expected.kv[0]), free(expected.kv[1]);
    pp_batch_destroy(expected.batch);
    pp_plan_destroy(expected.plan);
    pp_packer_destroy(packer);
    run_prompts_free(expected.prompts, (size_t)n);
}

START_TEST(packed_prefill_matches_dense_mask)
{
    for (int round = 0; round < 6 / run_step(); round++) {
        struct model_shape shape = checkpoint_random_shape(&rng);
        char *dir = checkpoint_write(&shape, &rng);
        pp_model *model;
        OK(pp_model_open(dir, NULL, &model, perr));
        struct oracle *oracle = oracle_open(dir);
        check_model(model, oracle, shape.sliding_window > 0 ? shape.sliding_window - 1 : -1);
        oracle_close(oracle);
        pp_model_unref(model);
        checkpoint_remove(dir);
    }
}
END_TEST

/* The families, and rotations that a family alone seldom or never gets. */
static const char *const more[] = {"llama/dynamic", "llama/longrope", "qwen3/dynamic",
                                   "qwen2/yarn",    "mistral/llama3", "phi3/longrope"};

enum { N_MORE = sizeof more / sizeof *more };

static int n_families(void)
{
    int n = 0;
    while (checkpoint_families[n])
        n++;
    return n;
}

/* Those of the list that have neither experts nor linear layers, `more`, then the others. */
static const char *family_at(int i)
{
    int n_dense = checkpoint_n_plain_families();
    if (i < n_dense)
        return checkpoint_families[i];
    return i < n_dense + N_MORE ? more[i - n_dense] : checkpoint_families[i - N_MORE];
}

/* Draws checkpoints of one family. */
START_TEST(families_match_dense_mask)
{
    const char *family = family_at(_i);
    int n = 3 / run_step();
    if (n > 2 && _i >= checkpoint_n_plain_families() + N_MORE)
        n = 2; /* there are many */
    for (int round = 0; round < n; round++) {
        printf("# %s, state %llu\n", family, (unsigned long long)rng.state);
        char *dir = checkpoint_write_family(family, &rng);
        pp_model *model;
        struct oracle *oracle = oracle_open(dir);
        OK(pp_model_open(dir, NULL, &model, perr));
        check_model(model, oracle, -1);
        oracle_close(oracle);
        pp_model_unref(model);
        checkpoint_remove(dir);
    }
}
END_TEST

int main(void)
{
    rng = rng_seeded(42);
    Suite *suite = suite_create("oracle");
    TCase *tcase = tcase_create("oracle");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, packed_prefill_matches_dense_mask);
    tcase_add_loop_test(tcase, families_match_dense_mask, 0, n_families() + N_MORE);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
