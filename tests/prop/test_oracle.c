/*
 * test_oracle.c: packed prefill against a straight-line f64 transformer that runs the whole bin
 * with the dense mask of pp_batch_mask. Tolerances: docs/numerics.md.
 */
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/oracle.h"
#include "support/run.h"
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

static struct errors compare(const pp_model *model, const pp_batch_view *view,
                             const struct oracle *oracle, const uint8_t *mask,
                             pp_kvcache *const *caches, const float *logits)
{
    pp_model_config config = {.struct_size = sizeof config};
    OK(pp_model_get_config(model, &config, perr));
    size_t n = (size_t)view->row_len, vocab = (size_t)config.vocab_size;
    size_t kv_row = (size_t)config.n_kv_heads * (size_t)config.head_dim;
    size_t kv_size = (size_t)config.n_layers * n * kv_row;
    double *ref_logits = malloc(n * vocab * sizeof *ref_logits);
    double *ref[2] = {malloc(kv_size * sizeof(double)), malloc(kv_size * sizeof(double))};
    float *ours = malloc(n * kv_row * sizeof *ours);
    struct errors errors = {0, 0};
    oracle_forward(oracle, (int64_t)n, view->tokens, view->positions, mask, ref_logits, ref[0],
                   ref[1]);
    for (int64_t i = 0; i < view->n_prompts; i++) {
        int32_t prompt = view->prompts[i];
        size_t len = (size_t)(view->cu_seqlens[i + 1] - view->cu_seqlens[i]);
        keep_worst(&errors.logits,
                   relative_error(logits + (size_t)prompt * vocab,
                                  ref_logits + (size_t)view->last_rows[i] * vocab, vocab));
        for (int32_t layer = 0; layer < config.n_layers; layer++)
            for (int32_t which = 0; which < 2; which++) {
                OK(pp_kvcache_read(caches[prompt], layer, which, PP_KV_NHD, PP_DTYPE_F32, ours,
                                   len * kv_row * sizeof(float), perr));
                keep_worst(&errors.kv,
                           relative_error(
                               ours,
                               ref[which] + ((size_t)layer * n + (size_t)view->starts[i]) * kv_row,
                               len * kv_row));
            }
    }
    free(ref_logits), free(ref[0]), free(ref[1]), free(ours);
    return errors;
}

static void check_target(pp_model *model, const struct oracle *oracle, struct run_target target,
                         const pp_plan *plan, const pp_prompt *prompts, size_t n,
                         const pp_batch_view *view, const uint8_t *mask)
{
    double tolerance = target.dtype == PP_DTYPE_F32 ? 2e-5 : 0.1;
    pp_kvcache *caches[16];
    const float *logits;
    pp_session *session = run_session(model, target, 2, 0);
    if (!session)
        return;
    OK(pp_prefill(session, plan, prompts, n, caches, &logits, perr));
    struct errors errors = compare(model, view, oracle, mask, caches, logits);
    printf("# %s %s: logits %.1e kv %.1e\n", target.device, pp_dtype_name(target.dtype),
           errors.logits, errors.kv);
    ck_assert_msg(errors.logits <= tolerance, "%s %s: logits are off by %g, allowed %g",
                  target.device, pp_dtype_name(target.dtype), errors.logits, tolerance);
    ck_assert_msg(errors.kv <= tolerance, "%s %s: KV is off by %g, allowed %g", target.device,
                  pp_dtype_name(target.dtype), errors.kv, tolerance);
    for (size_t i = 0; i < n; i++)
        pp_kvcache_destroy(caches[i]);
    pp_session_destroy(session);
}

/* Prompts of random lengths in one bin. window: as pp_batch_mask has it. */
static void check_model(pp_model *model, const struct oracle *oracle, int64_t window)
{
    int64_t lengths[16];
    size_t n = (size_t)rng_between(&rng, 2, 8);
    for (size_t i = 0; i < n; i++)
        lengths[i] = rng_between(&rng, 1, 70);
    pp_prompt *prompts = run_prompts(model, rng_next(&rng), lengths, n);
    pp_packer *packer;
    pp_plan *plan;
    pp_batch *batch;
    pp_batch_view view = {.struct_size = sizeof view};
    OK(pp_packer_create(NULL, &packer, perr));
    OK(pp_packer_plan(packer, lengths, n, &plan, perr));
    OK(pp_batch_build(plan, prompts, n, NULL, &batch, perr));
    OK(pp_batch_get_view(batch, &view, perr));
    size_t mask_bytes;
    OK(pp_batch_mask_bytes(batch, PP_DTYPE_BOOL, &mask_bytes, perr));
    uint8_t *mask = malloc(mask_bytes);
    OK(pp_batch_mask(batch, PP_DTYPE_BOOL, window, mask, mask_bytes, perr));

    FOR_EACH_TARGET(target)
    check_target(model, oracle, *target, plan, prompts, n, &view, mask);
    free(mask);
    pp_batch_destroy(batch);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    run_prompts_free(prompts, n);
}

START_TEST(packed_prefill_matches_dense_mask)
{
    for (int round = 0; round < 6; round++) {
        pp_model_config config = checkpoint_random_config(&rng);
        char *dir = checkpoint_write(&config, &rng);
        pp_model *model;
        OK(pp_model_open(dir, NULL, &model, perr));
        OK(pp_model_get_config(model, &config, perr));
        struct oracle *oracle = oracle_open(dir);
        check_model(model, oracle, config.sliding_window > 0 ? config.sliding_window - 1 : -1);
        oracle_close(oracle);
        pp_model_unref(model);
        checkpoint_remove(dir);
    }
}
END_TEST

/* Families of which the library does not know all: a checkpoint of theirs may be refused, never
 * misread. */
static const char *const learning[] = {"llama", "mistral", "ministral",   "ministral3", "qwen2",
                                       "qwen3", "gemma2",  "gemma3_text", "gemma3",     "phi3",
                                       "olmo2", "olmo3",   "granite",     "smollm3",    "cohere2",
                                       "glm4",  "exaone4"};

static bool may_refuse(const char *family)
{
    for (size_t i = 0; i < sizeof learning / sizeof *learning; i++)
        if (strcmp(learning[i], family) == 0)
            return true;
    return false;
}

/* Draws checkpoints of one family. */
START_TEST(families_match_dense_mask)
{
    const char *family = checkpoint_families[_i];
    for (int round = 0, n = run_on_cuda() ? 1 : 4; round < n; round++) {
        char *dir = checkpoint_write_family(family, &rng);
        pp_error err = {.struct_size = sizeof err};
        pp_model *model = NULL;
        struct oracle *oracle = oracle_open(dir);
        pp_status status = pp_model_open(dir, NULL, &model, &err);
        printf("# %s: %s\n", family, status < 0 ? err.message : "opened");
        if (status == PP_OK)
            check_model(model, oracle, -1);
        else
            ck_assert_msg(status == PP_ERR_UNSUPPORTED && may_refuse(family), "%s", err.message);
        oracle_close(oracle);
        pp_model_unref(model);
        checkpoint_remove(dir);
    }
}
END_TEST

int main(void)
{
    int n_families = 0;
    while (checkpoint_families[n_families])
        n_families++;
    rng = rng_seeded(42);
    Suite *suite = suite_create("oracle");
    TCase *tcase = tcase_create("oracle");
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, packed_prefill_matches_dense_mask);
    tcase_add_loop_test(tcase, families_match_dense_mask, 0, n_families);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
