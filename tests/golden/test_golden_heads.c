/*
 * test_golden_heads.c: parity with transformers of hidden states, pooled vectors and scores of
 * labels (make_heads.py): all prompts of a case run packed, each asked for all of it, on every
 * kernel set of this machine, in f32 and bf16. Written as GGUF files they give the same bits.
 */
#define _GNU_SOURCE
#include "golden_list.h"
#include "golden_values.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_PROMPTS 8
#define MAX_ITEMS   (MAX_PROMPTS * PER_PROMPT)

/* Largest error allowed, relative to the largest value: docs/numerics.md. */
#define F32_TOLERANCE  1e-4
#define BF16_TOLERANCE 6e-2

/* What is asked of each prompt, an item each. */
enum { HIDDEN, LAST, FIRST, MEAN, HEAD, PER_PROMPT };

static struct golden_list cases;

struct run {
    pp_model_config config;
    int32_t n_outputs; /* of the head; 0: none */
    int n_prompts;
    pp_item items[MAX_ITEMS];
};

static int32_t *copy_tokens(const struct golden *golden, int prompt, int64_t *n_tokens)
{
    size_t n = 0;
    const void *tokens = golden_get(golden, prompt, "tokens", &n);
    int32_t *copy = tokens ? malloc(n * sizeof *copy) : NULL;
    if (copy)
        memcpy(copy, tokens, n * sizeof *copy);
    *n_tokens = (int64_t)n;
    return copy;
}

static void ask(struct run *run, int32_t *tokens, int64_t n_tokens)
{
    static const int32_t poolings[] = {
        [LAST] = PP_POOLING_LAST, [FIRST] = PP_POOLING_FIRST, [MEAN] = PP_POOLING_MEAN};
    size_t hidden = (size_t)run->config.hidden_size;
    for (int kind = 0; kind < PER_PROMPT; kind++) {
        pp_item *item = &run->items[run->n_prompts * PER_PROMPT + kind];
        *item = (pp_item){.struct_size = sizeof *item,
                          .tokens = tokens,
                          .n_tokens = n_tokens,
                          .discard_cache = 1};
        if (kind == HEAD) {
            item->output = run->config.n_labels > 0 ? PP_OUTPUT_LABELS
                           : run->n_outputs > 0     ? PP_OUTPUT_LAST_LOGITS
                                                    : PP_OUTPUT_NONE;
            item->logits = calloc((size_t)run->n_outputs + 1, sizeof *item->logits);
            continue;
        }
        item->output = kind == HIDDEN ? PP_OUTPUT_HIDDEN : PP_OUTPUT_POOLED;
        item->pooling = poolings[kind == HIDDEN ? LAST : kind];
        item->hidden =
            calloc((kind == HIDDEN ? (size_t)n_tokens : 1) * hidden, sizeof *item->hidden);
    }
    run->n_prompts++;
}

static struct run start(const struct golden *golden, const pp_model *model)
{
    struct run run = {.config = {.struct_size = sizeof run.config}};
    int64_t n_tokens;
    OK(pp_model_get_config(model, &run.config, perr));
    run.n_outputs = run.config.n_labels > 0  ? run.config.n_labels
                    : run.config.has_lm_head ? run.config.vocab_size
                                             : 0;
    for (int32_t *tokens; (tokens = copy_tokens(golden, run.n_prompts, &n_tokens));)
        ask(&run, tokens, n_tokens);
    ck_assert_int_ge(run.n_prompts, 3);
    return run;
}

static void finish(struct run *run)
{
    for (int i = 0; i < run->n_prompts * PER_PROMPT; i++) {
        free(run->items[i].hidden);
        free(run->items[i].logits);
        if (i % PER_PROMPT == 0)
            free((void *)run->items[i].tokens);
    }
}

static void check_outputs(const struct run *run, const struct golden *golden, double tolerance,
                          const char *what)
{
    size_t hidden = (size_t)run->config.hidden_size;
    for (int p = 0; p < run->n_prompts; p++) {
        const pp_item *items = &run->items[p * PER_PROMPT];
        size_t n = (size_t)items->n_tokens;
        golden_expect(items[HIDDEN].hidden, golden, p, "hidden", 0, n * hidden, tolerance, what);
        golden_expect(items[LAST].hidden, golden, p, "hidden", (n - 1) * hidden, hidden, tolerance,
                      what);
        golden_expect(items[FIRST].hidden, golden, p, "hidden", 0, hidden, tolerance, what);
        golden_expect(items[MEAN].hidden, golden, p, "mean", 0, hidden, tolerance, what);
        if (run->n_outputs > 0)
            golden_expect(items[HEAD].logits, golden, p,
                          run->config.n_labels > 0 ? "labels" : "logits", 0, (size_t)run->n_outputs,
                          tolerance, what);
    }
}

/* What the model has no head for. */
static void check_refused(pp_session *session, const struct run *run)
{
    struct {
        int32_t output;
        bool had;
    } all[] = {{PP_OUTPUT_LABELS, run->config.n_labels > 0},
               {PP_OUTPUT_LAST_LOGITS, run->config.has_lm_head},
               {PP_OUTPUT_TOKEN, run->config.has_lm_head}};
    float *logits = calloc((size_t)run->config.vocab_size, sizeof *logits);
    pp_score score = {.target = 1};
    for (size_t i = 0; i < 3; i++) {
        pp_item item = {.struct_size = sizeof item,
                        .output = all[i].output,
                        .tokens = run->items[0].tokens,
                        .n_tokens = 1,
                        .logits = logits,
                        .discard_cache = 1};
        pp_status status = pp_run(session, NULL, &item, 1, NULL, NULL);
        ck_assert_int_eq(status, all[i].had ? PP_OK : PP_ERR_UNSUPPORTED);
    }
    pp_item item = run->items[0]; /* log-probabilities beside hidden states */
    item.scores = &score;
    item.n_scores = 1;
    if (!run->config.has_lm_head)
        ck_assert_int_eq(pp_run(session, NULL, &item, 1, NULL, NULL), PP_ERR_UNSUPPORTED);
    free(logits);
}

START_TEST(matches_transformers)
{
    struct golden golden = golden_open(cases.names[_i]);
    pp_model *model;
    OK(pp_model_open(golden_dir(cases.names[_i]), NULL, &model, perr));
    FOR_EACH_TARGET(target)
    {
        char what[128];
        pp_session *session = run_session(model, *target, 2, 0, 0);
        if (!session)
            continue;
        snprintf(what, sizeof what, "%s on %s in %s", cases.names[_i], target->device,
                 pp_dtype_name(target->dtype));
        struct run run = start(&golden, model);
        OK(pp_run(session, NULL, run.items, run.n_prompts * PER_PROMPT, NULL, perr));
        check_outputs(&run, &golden, target->dtype == PP_DTYPE_F32 ? F32_TOLERANCE : BF16_TOLERANCE,
                      what);
        check_refused(session, &run);
        finish(&run);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
    golden_close(&golden);
}
END_TEST

/* ---- as GGUF files ---- */

static void run_in_f32(pp_model *model, struct run *run)
{
    pp_session *session;
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_F32;
    params.n_threads = 1;
    OK(pp_session_create(model, &params, &session, perr));
    OK(pp_run(session, NULL, run->items, run->n_prompts * PER_PROMPT, NULL, perr));
    pp_session_destroy(session);
}

START_TEST(computes_the_same_from_gguf_files)
{
    char path[1200];
    pp_model *dir, *file;
    struct golden golden = golden_open(cases.names[_i]);
    snprintf(path, sizeof path, "%s/heads/%s.gguf", getenv("PREPACK_GOLDEN_GGUF"), cases.names[_i]);
    if (access(path, F_OK) != 0) { /* GGUF has no word for a model without a head */
        ck_assert_str_eq(cases.names[_i], "mistral_bare");
        golden_close(&golden);
        return;
    }
    OK(pp_model_open(golden_dir(cases.names[_i]), NULL, &dir, perr));
    OK(pp_model_open(path, NULL, &file, perr));
    struct run a = start(&golden, dir), b = start(&golden, file);
    b.config.normalize = a.config.normalize; /* a file does not say it */
    ck_assert_mem_eq(&a.config, &b.config, sizeof a.config);
    run_in_f32(dir, &a);
    run_in_f32(file, &b);
    for (int i = 0; i < a.n_prompts * PER_PROMPT; i++) {
        size_t rows = i % PER_PROMPT == HIDDEN ? (size_t)a.items[i].n_tokens : 1;
        size_t hidden = rows * (size_t)a.config.hidden_size * sizeof(float);
        if (i % PER_PROMPT == HEAD)
            ck_assert_mem_eq(a.items[i].logits, b.items[i].logits,
                             (size_t)a.n_outputs * sizeof(float));
        else
            ck_assert_mem_eq(a.items[i].hidden, b.items[i].hidden, hidden);
    }
    finish(&a);
    finish(&b);
    pp_model_unref(dir);
    pp_model_unref(file);
    golden_close(&golden);
}
END_TEST

int main(void)
{
    cases = golden_list_read("heads.txt");
    Suite *suite = suite_create("golden-heads");
    TCase *tcase = tcase_create("golden-heads");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, matches_transformers, 0, cases.n);
    if (getenv("PREPACK_GOLDEN_GGUF"))
        tcase_add_loop_test(tcase, computes_the_same_from_gguf_files, 0, cases.n);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
