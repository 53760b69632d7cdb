/*
 * test_sharing.c: what prompts have in common is computed once, and nothing of what they leave
 * changes a bit. Random trees of prompts (identical ones, one a prefix of another, prefixes shorter
 * than a page or a window, chains of them) run with plans that share prefixes or split prompts and
 * without a plan; caches, logits, drawn tokens, scores and hidden states are compared by memcmp
 * with runs alone, for families with and without windows and every kernel set of this machine.
 */
#include "support/flat_params.h"
#include "support/make_checkpoint.h"
#include "support/make_family.h"
#include "support/sessions.h"
#include "support/tap.h"

#include <check.h>

#define MAX_PROMPTS 24
#define MAX_TOKENS  420
#define MAX_SCORES  12
#define N_TOP       3

static struct rng rng;

/* What a prompt asks for and is given. */
struct asked {
    pp_score scores[MAX_SCORES];
    int32_t top_tokens[MAX_SCORES * N_TOP];
    double top_logprobs[MAX_SCORES * N_TOP];
    float *logits, *hidden; /* owned */
    size_t logits_bytes, hidden_bytes;
    int64_t hidden_tokens[2];
};

struct scene {
    pp_model *model;
    pp_model_config config;
    int32_t ids[MAX_PROMPTS][MAX_TOKENS];
    pp_prompt prompts[MAX_PROMPTS];
    pp_item wanted[MAX_PROMPTS]; /* what is asked of each */
    pp_score scores[MAX_PROMPTS][MAX_SCORES];
    int n;
    struct asked alone[MAX_PROMPTS];
    struct run_bits bits[MAX_PROMPTS];
    int32_t next[MAX_PROMPTS];
    char what[200];
};

/* ---- prompts and what is asked ---- */

/* A prompt that begins like an earlier one, ends with it, or is new. */
static void draw_prompt(struct scene *scene, int i, int64_t longest)
{
    int32_t *ids = scene->ids[i];
    int64_t n = rng_between(&rng, 1, longest), like = 0;
    int from = i > 0 ? (int)rng_between(&rng, 0, i - 1) : 0;
    if (i > 0 && rng_between(&rng, 0, 7) != 0) {
        int64_t theirs = scene->prompts[from].n_tokens;
        switch (rng_between(&rng, 0, 3)) {
        case 0: /* the same */
            like = n = theirs;
            break;
        case 1: /* a prefix of it */
            like = n = rng_between(&rng, 1, theirs);
            break;
        case 2: /* all of it, and more */
            like = theirs;
            n = like + rng_between(&rng, 1, 30);
            n = n < MAX_TOKENS ? n : MAX_TOKENS;
            break;
        default:
            like = rng_between(&rng, 1, theirs);
            n = like + rng_between(&rng, 0, 40);
            n = n < MAX_TOKENS ? n : MAX_TOKENS;
        }
    }
    memcpy(ids, scene->ids[from], (size_t)like * sizeof *ids);
    for (int64_t t = like; t < n; t++)
        ids[t] = (int32_t)rng_between(&rng, 0, scene->config.vocab_size - 1);
    scene->prompts[i] = (pp_prompt){ids, n};
}

static void draw_wishes(struct scene *scene, int i)
{
    static const int32_t outputs[] = {PP_OUTPUT_NONE,  PP_OUTPUT_LAST_LOGITS, PP_OUTPUT_ALL_LOGITS,
                                      PP_OUTPUT_TOKEN, PP_OUTPUT_HIDDEN,      PP_OUTPUT_POOLED};
    int64_t n = scene->prompts[i].n_tokens;
    pp_item *item = &scene->wanted[i];
    *item = (pp_item){.struct_size = sizeof *item,
                      .tokens = scene->prompts[i].tokens,
                      .n_tokens = n,
                      .output = outputs[rng_between(&rng, 0, 5)],
                      .temperature = (float)rng_between(&rng, 0, 2) / 2,
                      .top_k = (int32_t)rng_between(&rng, 0, 5),
                      .seed = rng_next(&rng),
                      .pooling = (int32_t)rng_between(&rng, 0, 2),
                      .normalize = (int32_t)rng_between(&rng, 0, 1),
                      .n_top = N_TOP * (int32_t)rng_between(&rng, 0, 1)};
    item->n_scores = rng_between(&rng, 0, 2) ? rng_between(&rng, 1, MAX_SCORES) : 0;
    for (int64_t j = 0; j < item->n_scores; j++) {
        pp_score *score = &scene->scores[i][j];
        *score = (pp_score){.token = rng_between(&rng, 0, n - 1), .target = PP_NO_TARGET};
        if (rng_between(&rng, 0, 4)) /* the token that follows, or any */
            score->target = score->token + 1 < n && rng_between(&rng, 0, 2)
                                ? scene->ids[i][score->token + 1]
                                : (int32_t)rng_between(&rng, 0, scene->config.vocab_size - 1);
    }
}

/* Room for what prompt i asks for; sets the item. */
static void begin_asked(const struct scene *scene, int i, struct asked *asked, pp_item *item)
{
    const pp_item *wanted = &scene->wanted[i];
    size_t dim = (size_t)scene->config.hidden_size, n = (size_t)wanted->n_tokens;
    *asked = (struct asked){0};
    *item = *wanted;
    memcpy(asked->scores, scene->scores[i], sizeof asked->scores);
    asked->hidden_tokens[0] = wanted->n_tokens - 1;
    asked->hidden_tokens[1] = wanted->n_tokens / 3;
    bool all = wanted->output == PP_OUTPUT_HIDDEN && wanted->normalize;
    item->scores = asked->scores;
    item->top_tokens = asked->top_tokens;
    item->top_logprobs = asked->top_logprobs;
    item->hidden_tokens = all ? NULL : asked->hidden_tokens;
    item->n_hidden = all ? 0 : 2;
    asked->logits_bytes = (wanted->output == PP_OUTPUT_ALL_LOGITS ? n : 1) *
                          (size_t)scene->config.vocab_size * sizeof(float);
    asked->hidden_bytes = (all ? n : 2) * dim * sizeof(float);
    asked->logits = item->logits = calloc(1, asked->logits_bytes);
    asked->hidden = item->hidden = calloc(1, asked->hidden_bytes);
}

static void free_asked(struct asked *asked)
{
    free(asked->logits);
    free(asked->hidden);
}

static const char *asked_difference(const struct asked *a, const struct asked *b)
{
    if (memcmp(a->scores, b->scores, sizeof a->scores) != 0)
        return "scores differ";
    if (memcmp(a->top_tokens, b->top_tokens, sizeof a->top_tokens) != 0 ||
        memcmp(a->top_logprobs, b->top_logprobs, sizeof a->top_logprobs) != 0)
        return "the most likely tokens differ";
    if (memcmp(a->logits, b->logits, a->logits_bytes) != 0)
        return "logits differ";
    return memcmp(a->hidden, b->hidden, a->hidden_bytes) != 0 ? "hidden states differ" : NULL;
}

/* ---- alone and together ---- */

static void run_alone(struct scene *scene, struct run_target target)
{
    pp_session *session = run_session(scene->model, target, 1, 0, 1);
    for (int i = 0; i < scene->n; i++) {
        pp_item item;
        begin_asked(scene, i, &scene->alone[i], &item);
        OK(pp_run(session, NULL, &item, 1, NULL, perr));
        scene->next[i] = item.next;
        scene->bits[i] = run_collect(session, item.cache, NULL);
        pp_kvcache_destroy(item.cache);
    }
    pp_session_destroy(session);
}

/* A plan with parts where there is something to share or to split; NULL: none. */
static pp_plan *draw_plan(const struct scene *scene)
{
    struct flat_params params;
    int64_t lengths[MAX_PROMPTS];
    pp_packer *packer;
    pp_plan *plan;
    flat_init(&params);
    params.oversize = PP_OVERSIZE_SPLIT;
    params.capacity = rng_between(&rng, 20, 300);
    params.min_shared_prefix = rng_between(&rng, 0, 3) ? rng_between(&rng, 1, 40) : 0;
    for (int i = 0; i < scene->n; i++)
        lengths[i] = scene->prompts[i].n_tokens;
    pp_plan_input input = {
        .struct_size = sizeof input, .n = scene->n, .lengths = lengths, .prompts = scene->prompts};
    OK(flat_create(&params, &packer, perr));
    OK(pp_packer_plan_input(packer, &input, &plan, perr));
    pp_packer_destroy(packer);
    return plan;
}

/* The cache goes on: what it shares with others must not have been written to, nor be so now. */
static void check_goes_on(const struct scene *scene, pp_session *session, pp_session *alone, int i,
                          pp_kvcache *cache)
{
    int32_t token = (int32_t)rng_between(&rng, 0, scene->config.vocab_size - 1);
    pp_prompt prompt = scene->prompts[i];
    pp_kvcache *expected;
    const float *logits;
    OK(pp_decode(session, &cache, &token, 1, &logits, perr));
    struct run_bits bits = run_collect(session, cache, logits);
    OK(pp_prefill(alone, NULL, &prompt, 1, &expected, NULL, perr));
    OK(pp_decode(alone, &expected, &token, 1, &logits, perr));
    struct run_bits expected_bits = run_collect(alone, expected, logits);
    const char *difference = run_bits_difference(&bits, &expected_bits);
    ck_assert_msg(!difference, "%s: prompt %d, a token later: %s", scene->what, i, difference);
    run_bits_free(&bits);
    run_bits_free(&expected_bits);
    pp_kvcache_destroy(expected);
}

static void compare(const struct scene *scene, pp_session *session, pp_session *alone,
                    const struct asked *asked, const pp_item *items)
{
    for (int i = 0; i < scene->n; i++) {
        const char *difference = asked_difference(&asked[i], &scene->alone[i]);
        ck_assert_msg(!difference, "%s: prompt %d: %s", scene->what, i, difference);
        if (items[i].output == PP_OUTPUT_TOKEN)
            ck_assert_int_eq(items[i].next, scene->next[i]);
        ck_assert_int_eq(items[i].cache == NULL, items[i].discard_cache);
        if (!items[i].cache)
            continue;
        struct run_bits bits = run_collect(session, items[i].cache, NULL);
        difference = run_bits_difference(&bits, &scene->bits[i]);
        ck_assert_msg(!difference, "%s: prompt %d: %s", scene->what, i, difference);
        run_bits_free(&bits);
    }
    for (int i = 0; i < scene->n; i++) {
        if (items[i].cache && rng_between(&rng, 0, 7) == 0)
            check_goes_on(scene, session, alone, i, items[i].cache);
        pp_kvcache_destroy(items[i].cache);
    }
}

static int64_t tokens_computed(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_session_get_info(session, &info, perr));
    ck_assert_int_eq(info.kv_bytes, 0);
    return info.tokens_computed;
}

static void run_together(struct scene *scene, struct run_target target)
{
    static const int32_t pass_tokens[] = {0, 64, 200, 1024};
    int32_t n_threads = (int32_t)rng_between(&rng, 1, 3);
    int32_t tokens = pass_tokens[rng_between(&rng, 0, 3)];
    bool keeps = rng_between(&rng, 0, 1);
    pp_session *session = run_session(scene->model, target, n_threads, tokens, keeps);
    pp_session *alone = run_session(scene->model, target, 1, 0, 1);
    struct asked asked[MAX_PROMPTS];
    pp_item items[MAX_PROMPTS];
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    pp_plan *plan = rng_between(&rng, 0, 1) ? draw_plan(scene) : NULL;
    if (!plan)
        params.min_shared_prefix = rng_between(&rng, 1, 30);
    pp_plan_info info = {.struct_size = sizeof info};
    if (plan)
        OK(pp_plan_get_info(plan, &info, perr));
    snprintf(scene->what, sizeof scene->what, "%s %s, %d threads, pass %d, keep %d, %s %lld",
             target.device, pp_dtype_name(target.dtype), n_threads, tokens, keeps,
             plan ? "a plan of capacity" : "shared from",
             (long long)(plan ? info.capacity : params.min_shared_prefix));
    for (int i = 0; i < scene->n; i++) {
        begin_asked(scene, i, &asked[i], &items[i]);
        items[i].discard_cache = rng_between(&rng, 0, 3) == 0;
    }
    pp_error trouble = {.struct_size = sizeof trouble};
    pp_status status = pp_run(session, plan, items, scene->n, &params, &trouble);
    if (status == PP_ERR_UNSUPPORTED) { /* no plan knows at which lengths angles change */
        ck_assert_ptr_nonnull(
            strstr(trouble.message, "the rotary embedding of this model differs"));
        pp_plan_destroy(plan);
        plan = NULL;
        params.min_shared_prefix = 5;
        OK(pp_run(session, NULL, items, scene->n, &params, perr));
    } else {
        ck_assert_msg(status >= 0, "%s", trouble.message);
    }
    compare(scene, session, alone, asked, items);
    if (plan) /* what is shared was computed once, but for the tokens that came afterwards */
        ck_assert_int_le(tokens_computed(session), info.placed_tokens + scene->n);
    for (int i = 0; i < scene->n; i++)
        free_asked(&asked[i]);
    pp_plan_destroy(plan);
    tokens_computed(session);
    pp_session_destroy(session);
    pp_session_destroy(alone);
}

static void check_target(struct scene *scene, struct run_target target, int n_rounds)
{
    pp_session *probe = run_session(scene->model, target, 1, 0, 0);
    if (!probe)
        return;
    pp_session_destroy(probe);
    run_alone(scene, target);
    for (int round = 0; round < n_rounds; round++)
        run_together(scene, target);
    for (int i = 0; i < scene->n; i++) {
        free_asked(&scene->alone[i]);
        run_bits_free(&scene->bits[i]);
    }
}

static void check_family(const char *family, int i_family, bool brief, int n_rounds)
{
    static struct scene scene;
    printf("# %s, state %llu\n", family, (unsigned long long)rng.state);
    char *dir = checkpoint_write_family(family, &rng);
    scene = (struct scene){.n = brief           ? 3
                                : run_on_cuda() ? 6
                                                : (int)rng_between(&rng, 2, MAX_PROMPTS),
                           .config = {.struct_size = sizeof scene.config}};
    OK(pp_model_open(dir, NULL, &scene.model, perr));
    OK(pp_model_get_config(scene.model, &scene.config, perr));
    int64_t longest = brief ? 30 : run_on_cuda() ? 50 : rng_between(&rng, 0, 2) ? 60 : 300;
    if (longest > scene.config.max_position)
        longest = scene.config.max_position;
    for (int i = 0; i < scene.n; i++) {
        draw_prompt(&scene, i, longest);
        draw_wishes(&scene, i);
    }
    FOR_EACH_TARGET(target)
    if (run_takes(i_family, target_))
        check_target(&scene, *target, n_rounds);
    pp_model_unref(scene.model);
    checkpoint_remove(dir);
}

START_TEST(every_family)
{
    int i_family = _i * run_step();
    bool brief = run_on_cuda() && i_family >= checkpoint_n_plain_families(); /* experts take time */
    check_family(checkpoint_families[i_family], _i, brief, run_on_cuda() ? 1 : rounds(2));
}
END_TEST

int main(void)
{
    int n_families = 0;
    while (checkpoint_families[n_families])
        n_families++;
    rng = rng_seeded(20261129);
    Suite *suite = suite_create("sharing");
    TCase *tcase = tcase_create("sharing");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, every_family, 0, (n_families - 1) / run_step() + 1);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
