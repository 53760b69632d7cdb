/*
 * test_golden.c: parity with transformers. Each case is a tiny checkpoint with the logits, KV
 * caches and decode steps that transformers computed from it, prompt by prompt (make.py); here all
 * prompts of a case run packed, on every kernel set of this machine, in f32 and bf16, in sessions
 * that keep the keys behind windows.
 */
#include "golden_list.h"
#include "golden_values.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPTS 8
#define N_STEPS     4

/* Largest error allowed, relative to the largest value: docs/numerics.md. */
#define F32_TOLERANCE  1e-4
#define BF16_TOLERANCE 6e-2

static struct golden_list cases;

struct run {
    const struct golden *golden;
    pp_session *session;
    pp_model_config config;
    int n;
    pp_prompt prompts[MAX_PROMPTS];
    pp_kvcache *caches[MAX_PROMPTS];
    double tolerance;
    const char *prefix; /* "" or "bf16." */
    char what[128];
};

/* The values of a layer that come out of a cache under a name: "k" and "v", or of a linear layer
 * its state, "s", and what its convolution still sees, "c". */
static void check_values(struct run *run, int i, int32_t layer, char name, int32_t which, size_t n)
{
    float *values = malloc(n * sizeof *values);
    char full[32];
    if (name == 'k' || name == 'v')
        OK(pp_kvcache_read(run->caches[i], layer, which, PP_KV_NHD, PP_DTYPE_F32, 0,
                           run->prompts[i].n_tokens, values, n * sizeof *values, perr));
    else
        OK(pp_kvcache_read_state(run->caches[i], layer, which, values, n * sizeof *values, perr));
    snprintf(full, sizeof full, "%s%c.%d", run->prefix, name, layer);
    golden_expect(values, run->golden, i, full, 0, n, run->tolerance, run->what);
    free(values);
}

/* What transformers' cache has of a layer; nothing where it sees another's keys. */
static void check_layer(struct run *run, int i, int32_t layer)
{
    const pp_model_config *c = &run->config;
    pp_layer_config of = {.struct_size = sizeof of};
    OK(pp_model_get_layer(pp_session_model(run->session), layer, &of, perr));
    if (of.kind == PP_LAYER_LINEAR) {
        int32_t channels = 2 * c->linear_key_heads * c->linear_key_dim +
                           c->linear_value_heads * c->linear_value_dim;
        check_values(run, i, layer, 's', PP_STATE_RECURRENT,
                     (size_t)(c->linear_value_heads * c->linear_key_dim * c->linear_value_dim));
        check_values(run, i, layer, 'c', PP_STATE_CONV,
                     (size_t)((c->linear_kernel - 1) * channels));
    } else if (of.kv_layer == layer) {
        size_t n = (size_t)(run->prompts[i].n_tokens * of.n_kv_heads * of.head_dim);
        check_values(run, i, layer, 'k', PP_KV_K, n);
        check_values(run, i, layer, 'v', PP_KV_V, n);
    }
}

static void check_prefill(struct run *run, const float *logits)
{
    char name[32];
    for (int i = 0; i < run->n; i++) {
        size_t vocab = (size_t)run->config.vocab_size;
        snprintf(name, sizeof name, "%slogits", run->prefix);
        golden_expect(logits + (size_t)i * vocab, run->golden, i, name, 0, vocab, run->tolerance,
                      run->what);
        for (int32_t layer = 0; layer < run->config.n_layers; layer++)
            check_layer(run, i, layer);
    }
}

/* The prompts that go on: all but those whose rotation each token appended would change. */
static int with_steps(const struct run *run, int *prompts)
{
    int n = 0;
    size_t size;
    for (int i = 0; i < run->n; i++)
        if (golden_get(run->golden, i, "next", &size))
            prompts[n++] = i;
    ck_assert_int_gt(n, 0);
    return n;
}

static void check_decode(struct run *run)
{
    const float *logits;
    char name[32];
    size_t size, vocab = (size_t)run->config.vocab_size;
    int prompts[MAX_PROMPTS], n = with_steps(run, prompts);
    snprintf(name, sizeof name, "%sstep_logits", run->prefix);
    for (int step = 0; step < N_STEPS; step++) {
        int32_t tokens[MAX_PROMPTS];
        pp_kvcache *caches[MAX_PROMPTS];
        for (int i = 0; i < n; i++) {
            const char *next = golden_get(run->golden, prompts[i], "next", &size);
            memcpy(&tokens[i], next + step * 4, 4);
            caches[i] = run->caches[prompts[i]];
        }
        OK(pp_decode(run->session, caches, tokens, n, &logits, perr));
        for (int i = 0; i < n; i++)
            golden_expect(logits + (size_t)i * vocab, run->golden, prompts[i], name,
                          (size_t)step * vocab, vocab, run->tolerance, run->what);
    }
}

static void check_target(int i_case, const struct golden *golden, pp_model *model,
                         struct run_target target, const char *prefix)
{
    struct run run = {
        .golden = golden, .prefix = prefix, .config = {.struct_size = sizeof run.config}};
    int64_t lengths[MAX_PROMPTS];
    const float *logits;
    pp_packer *packer;
    pp_plan *plan;
    run.session = run_session(model, target, 2, 0, 1);
    if (!run.session)
        return;
    OK(pp_model_get_config(model, &run.config, perr));
    run.tolerance = target.dtype == PP_DTYPE_F32 ? F32_TOLERANCE : BF16_TOLERANCE;
    snprintf(run.what, sizeof run.what, "%s on %s in %s", cases.names[i_case], target.device,
             pp_dtype_name(target.dtype));
    size_t n;
    for (const void *tokens; (tokens = golden_get(golden, run.n, "tokens", &n)); run.n++) {
        int32_t *copy = malloc(n * sizeof *copy);
        memcpy(copy, tokens, n * sizeof *copy);
        run.prompts[run.n] = (pp_prompt){copy, (int64_t)n};
        lengths[run.n] = (int64_t)n;
    }
    ck_assert_int_ge(run.n, 3);
    OK(pp_packer_create(NULL, &packer, perr));
    OK(pp_packer_plan(packer, lengths, run.n, &plan, perr));
    OK(pp_prefill(run.session, plan, run.prompts, run.n, run.caches, &logits, perr));
    check_prefill(&run, logits);
    check_decode(&run);
    for (int i = 0; i < run.n; i++) {
        pp_kvcache_destroy(run.caches[i]);
        free((void *)run.prompts[i].tokens);
    }
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    pp_session_destroy(run.session);
}

START_TEST(matches_transformers)
{
    struct golden golden = golden_open(cases.names[_i]);
    pp_model *model;
    OK(pp_model_open(golden_dir(cases.names[_i]), NULL, &model, perr));
    size_t n;
    bool has_bf16 = golden_get(&golden, 0, "bf16.logits", &n) != NULL;
    FOR_EACH_TARGET(target)
    {
        check_target(_i, &golden, model, *target, "");
        if (has_bf16 && target->dtype == PP_DTYPE_BF16)
            check_target(_i, &golden, model, *target, "bf16.");
    }
    pp_model_unref(model);
    golden_close(&golden);
}
END_TEST

/* Those with experts, linear layers and the like are slow on an emulated GPU: none on another
 * architecture, which differs in attention alone, and every third under a sanitizer. */
static void append_mixed(void)
{
    int n_plain = cases.n, step = run_on_cuda() && run_step() == 6 ? 3 : 1;
    if (getenv("PREPACK_EMU_CC"))
        return;
    golden_list_append(&cases, "mixed.txt");
    int n = n_plain;
    for (int i = n_plain; i < cases.n; i += step, n++)
        memmove(cases.names[n], cases.names[i], sizeof cases.names[n]);
    cases.n = n;
}

int main(void)
{
    cases = golden_list_read("cases.txt");
    append_mixed();
    Suite *suite = suite_create("golden");
    TCase *tcase = tcase_create("golden");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, matches_transformers, 0, cases.n);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
