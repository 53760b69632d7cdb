/*
 * test_plan_prefixes.c: plans that hold parts of prompts. Every plan of many random batches is
 * walked from the prompts' ends to their first tokens and compared with the prompts, with a naive
 * count of what they share, and with the plan of whole prompts. A batch that fails is shrunk.
 */
#include "test_plan_support.h"

#define SEED      20261123
#define MAX_N     40
#define MAX_LEN   120
#define UNTOUCHED ((void *)0x5a5a)

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t up(int64_t tokens, int64_t multiple)
{
    return (tokens + multiple - 1) / multiple * multiple;
}

/* ---- batches ---- */

struct batch {
    struct flat_params params;
    int64_t n;
    int64_t lengths[MAX_N];
    int32_t tokens[MAX_N][MAX_LEN];
};

static void list_prompts(const struct batch *batch, pp_prompt *prompts)
{
    for (int64_t i = 0; i < batch->n; i++)
        prompts[i] = (pp_prompt){.tokens = batch->tokens[i], .n_tokens = batch->lengths[i]};
}

static pp_status plan_batch(const struct batch *batch, const struct flat_params *params,
                            pp_plan **plan, pp_error *err)
{
    pp_prompt prompts[MAX_N];
    list_prompts(batch, prompts);
    pp_packer *packer = NULL;
    pp_status status = flat_create(params, &packer, err);
    if (status < 0)
        return status;
    pp_plan_input input = {
        .struct_size = sizeof input, .n = batch->n, .lengths = batch->lengths, .prompts = prompts};
    status = pp_packer_plan_input(packer, &input, plan, err);
    pp_packer_destroy(packer);
    return status;
}

/* Tokens over a small alphabet, many of them copied from an earlier prompt. */
static void draw_batch(struct batch *batch, uint64_t *random)
{
    flat_init(&batch->params);
    batch->n = random_between(random, 0, random_between(random, 1, MAX_N));
    int64_t most = random_between(random, 1, random_between(random, 1, MAX_LEN));
    int64_t alphabet = random_between(random, 1, 4);
    int64_t longest = 1;
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t length = batch->lengths[i] = random_between(random, 1, most);
        int64_t begin = 0;
        if (i > 0 && random_between(random, 0, 3) > 0) {
            int64_t from = random_between(random, 0, i - 1);
            begin = random_between(random, 1, batch->lengths[from]);
            if (random_between(random, 0, 3) == 0)
                begin = batch->lengths[i] = batch->lengths[from]; /* the same, or longer */
            if (random_between(random, 0, 7) == 0)
                batch->lengths[i] = min_of(begin + random_between(random, 0, 9), MAX_LEN);
            length = batch->lengths[i];
            begin = min_of(begin, length);
            memcpy(batch->tokens[i], batch->tokens[from], (size_t)begin * sizeof(int32_t));
        }
        for (int64_t j = begin; j < length; j++)
            batch->tokens[i][j] = (int32_t)random_between(random, 0, alphabet - 1) - 1;
        longest = length > longest ? length : longest;
    }
    struct flat_params *params = &batch->params;
    params->policy = (int32_t)random_between(random, PP_POLICY_FFD, PP_POLICY_AUTO);
    if (random_between(random, 0, 3) > 0)
        params->min_shared_prefix = random_between(random, 1, random_between(random, 1, 20));
    params->oversize = random_between(random, 0, 1) == 0 ? PP_OVERSIZE_SPLIT : PP_OVERSIZE_ERROR;
    params->max_prompts = random_between(random, 0, 2) > 0 ? 0 : random_between(random, 1, 6);
    params->keep_order = random_between(random, 0, 7) == 0;
    if (random_between(random, 0, 2) == 0) {
        params->prompt_alignment = random_between(random, 1, 8);
        params->bin_alignment = random_between(random, 1, 8);
    }
    int64_t least = params->oversize == PP_OVERSIZE_SPLIT ? 1 : longest;
    if (params->prompt_alignment > 1 || params->bin_alignment > 1)
        least += 16; /* room for a part, or for the longest */
    params->capacity = random_between(random, 0, 5) == 0
                           ? 0
                           : random_between(random, least, least + random_between(random, 0, 200));
}

/* ---- what must hold ---- */

static int64_t common_tokens(const struct batch *batch, int64_t a, int64_t b)
{
    int64_t limit = min_of(batch->lengths[a], batch->lengths[b]);
    int64_t n = 0;
    while (n < limit && batch->tokens[a][n] == batch->tokens[b][n])
        n++;
    return n;
}

/* Tokens that no way of sharing prefixes of min_shared_prefix tokens places fewer of: those of each
 * prompt less what it has in common with an earlier one. */
static int64_t count_distinct(const struct batch *batch)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t shared = 0;
        for (int64_t j = 0; j < i && batch->params.min_shared_prefix > 0; j++) {
            int64_t common = common_tokens(batch, i, j);
            shared = common > shared ? common : shared;
        }
        sum += batch->lengths[i] - (shared >= batch->params.min_shared_prefix ? shared : 0);
    }
    return sum;
}

/* NULL, or the sentence of what does not. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return #condition;                                                                     \
    } while (0)

static pp_segment segment_of(const pp_plan *plan, int64_t i)
{
    pp_segment segment;
    assert_that(pp_plan_get_segment(plan, i, &segment, NULL) == PP_OK);
    return segment;
}

/* Bins keep their limits, segments their places and their order. */
static const char *check_bins(const struct batch *batch, const pp_plan *plan, int64_t *bin_of)
{
    const struct flat_params *params = &batch->params;
    pp_plan_info info = plan_info(plan);
    int64_t n_segments = 0, placed = 0;
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts, tokens, sum = 0, used = 0;
        assert_that(pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL) == PP_OK);
        pp_bin_info figures = {.struct_size = sizeof figures};
        assert_that(pp_plan_get_bin_info(plan, bin, &figures, NULL) == PP_OK);
        REQUIRE(n_prompts >= 1 && figures.n_segments == n_prompts);
        REQUIRE(figures.first_segment == n_segments && figures.tokens == tokens);
        REQUIRE(params->max_prompts == 0 || n_prompts <= params->max_prompts);
        for (int64_t i = 0; i < n_prompts; i++, n_segments++) {
            pp_segment segment = segment_of(plan, n_segments);
            bin_of[n_segments] = bin;
            REQUIRE(segment.prompt == prompts[i] && segment.n_tokens >= 1);
            REQUIRE(segment.start == used);
            REQUIRE(segment.after >= -1 && segment.after < figures.first_segment);
            used += up(segment.n_tokens, params->prompt_alignment);
            sum += segment.n_tokens;
        }
        used = up(used, params->bin_alignment);
        REQUIRE(sum == tokens && used == figures.used && used <= figures.capacity);
        REQUIRE(figures.capacity == info.capacity);
        REQUIRE(params->capacity == 0 || info.capacity == params->capacity);
        placed += sum;
    }
    REQUIRE(n_segments == info.n_segments && placed == info.placed_tokens);
    return NULL;
}

/* Bins are runs of the prompts, whose parts follow one another. */
static const char *check_order(const pp_plan *plan)
{
    for (int64_t i = 1; i < plan_info(plan).n_segments; i++) {
        pp_segment a = segment_of(plan, i - 1), b = segment_of(plan, i);
        REQUIRE(a.prompt < b.prompt || (a.prompt == b.prompt && a.first_token < b.first_token));
    }
    return NULL;
}

/* What the reader of plans, which believes nothing, says of it. */
static const char *check_exchange(const pp_plan *plan)
{
    static char text[1 << 18];
    size_t n_bytes;
    pp_plan *read = NULL;
    REQUIRE(pp_plan_to_json(plan, text, sizeof text, &n_bytes, NULL) == PP_OK);
    REQUIRE(n_bytes <= sizeof text);
    REQUIRE(pp_plan_from_json(text, strlen(text), NULL, &read, NULL) == PP_OK);
    pp_plan_info info = plan_info(plan), found = plan_info(read);
    pp_plan_destroy(read);
    REQUIRE(found.n_segments == info.n_segments && found.used == info.used);
    REQUIRE(found.lower_bound <= info.n_bins);
    return NULL;
}

/* From its end back to its first token, every prompt finds its own tokens, each once; and no
 * segment is nobody's. */
static const char *check_prompts(const struct batch *batch, const pp_plan *plan)
{
    static int64_t ends[MAX_N];
    static int32_t owner[MAX_N * MAX_LEN];
    int64_t n_segments = plan_info(plan).n_segments;
    memset(owner, 0xff, sizeof owner);
    assert_that(pp_plan_get_ends(plan, ends, (size_t)batch->n, NULL) == PP_OK);
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t missing = batch->lengths[i];
        for (int64_t at = ends[i]; at >= 0;) {
            REQUIRE(at < n_segments);
            pp_segment segment = segment_of(plan, at);
            REQUIRE(segment.first_token + segment.n_tokens == missing);
            missing = segment.first_token;
            REQUIRE(missing >= 0);
            REQUIRE(segment.prompt <= i);
            REQUIRE(memcmp(batch->tokens[i] + missing, batch->tokens[segment.prompt] + missing,
                           (size_t)segment.n_tokens * sizeof(int32_t)) == 0);
            owner[at] = owner[at] < 0 ? (int32_t)i : owner[at];
            at = segment.after;
        }
        REQUIRE(missing == 0);
    }
    for (int64_t at = 0; at < n_segments; at++)
        REQUIRE(owner[at] == segment_of(plan, at).prompt);
    return NULL;
}

static const char *check_batch(const struct batch *batch)
{
    static int64_t bin_of[MAX_N * MAX_LEN];
    const struct flat_params *params = &batch->params;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (plan_batch(batch, params, &plan, &err) != PP_OK)
        return "the batch can be planned";
    pp_plan_info info = plan_info(plan);
    const char *broken = check_bins(batch, plan, bin_of);
    broken = broken ? broken : check_prompts(batch, plan);
    broken = broken ? broken : check_exchange(plan);
    if (!broken && (params->keep_order || params->policy == PP_POLICY_ARRIVAL))
        broken = check_order(plan);
    pp_plan_destroy(plan);
    if (broken)
        return broken;

    int64_t tokens = 0, longest = 0, distinct = count_distinct(batch);
    for (int64_t i = 0; i < batch->n; i++) {
        tokens += batch->lengths[i];
        longest = batch->lengths[i] > longest ? batch->lengths[i] : longest;
    }
    REQUIRE(info.tokens == tokens && info.longest_prompt == longest);
    REQUIRE(info.placed_tokens >= distinct && info.placed_tokens <= tokens);
    if (info.capacity > 0 && batch->n > 0) {
        int64_t capacity = info.capacity / params->bin_alignment * params->bin_alignment;
        if (params->min_shared_prefix > 0 || longest > info.capacity)
            REQUIRE(info.lower_bound >= (distinct + capacity - 1) / capacity);
    }
    REQUIRE(info.n_bins >= info.lower_bound);
    REQUIRE(info.proven_optimal == (info.n_bins == info.lower_bound));

    /* never more bins than without sharing, nor as many with more tokens */
    struct flat_params plain = *params;
    plain.min_shared_prefix = 0;
    assert_that(plan_batch(batch, &plain, &plan, &err) == PP_OK);
    pp_plan_info without = plan_info(plan);
    pp_plan_destroy(plan);
    int64_t room = params->capacity - params->capacity % params->bin_alignment;
    bool split = params->oversize == PP_OVERSIZE_SPLIT && params->capacity > 0 &&
                 up(longest, params->prompt_alignment) > room;
    if (!split) {
        REQUIRE(info.n_bins <= without.n_bins);
        REQUIRE(without.n_segments == batch->n && without.placed_tokens == tokens);
    }
    REQUIRE(without.placed_tokens == tokens);
    return NULL;
}

/* ---- shrinking ---- */

static void remove_prompt(struct batch *batch, int64_t i)
{
    batch->n--;
    memmove(&batch->lengths[i], &batch->lengths[i + 1],
            (size_t)(batch->n - i) * sizeof *batch->lengths);
    memmove(batch->tokens[i], batch->tokens[i + 1], (size_t)(batch->n - i) * sizeof *batch->tokens);
}

/* Leaves out prompts and last tokens while the batch still fails. */
static void shrink(struct batch *batch)
{
    static struct batch smaller;
    for (bool shrunk = true; shrunk;) {
        shrunk = false;
        for (int64_t i = 0; i < batch->n; i++) {
            smaller = *batch;
            remove_prompt(&smaller, i);
            if (check_batch(&smaller)) {
                *batch = smaller;
                shrunk = true;
                continue;
            }
            smaller = *batch;
            if (--smaller.lengths[i] > 0 && check_batch(&smaller)) {
                *batch = smaller;
                shrunk = true;
            }
        }
    }
}

static void report(struct batch *batch)
{
    shrink(batch);
    const struct flat_params *params = &batch->params;
    printf("# policy %d capacity %lld min_shared_prefix %lld oversize %d max_prompts %lld "
           "alignments %lld %lld keep_order %d\n",
           params->policy, (long long)params->capacity, (long long)params->min_shared_prefix,
           params->oversize, (long long)params->max_prompts, (long long)params->bin_alignment,
           (long long)params->prompt_alignment, params->keep_order);
    for (int64_t i = 0; i < batch->n; i++) {
        printf("# prompt %lld:", (long long)i);
        for (int64_t j = 0; j < batch->lengths[i]; j++)
            printf(" %d", batch->tokens[i][j]);
        printf("\n");
    }
    fflush(stdout);
    ck_abort_msg("%s", check_batch(batch));
}

START_TEST(every_token_once)
{
    static struct batch batch;
    uint64_t random = SEED + (uint64_t)_i;
    for (int i = 0; i < 4000; i++) {
        draw_batch(&batch, &random);
        if (check_batch(&batch))
            report(&batch);
    }
}
END_TEST

/* ---- independence of order ---- */

struct part {
    int64_t bin_tokens, first_token, n_tokens, after_tokens;
};

static int compare_parts(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct part));
}

static int64_t list_parts(const pp_plan *plan, struct part *parts)
{
    int64_t n = 0;
    for (int64_t bin = 0; bin < plan_info(plan).n_bins; bin++) {
        int64_t tokens, n_prompts;
        assert_that(pp_plan_get_bin(plan, bin, NULL, &n_prompts, &tokens, NULL) == PP_OK);
        for (int64_t i = 0; i < n_prompts; i++, n++) {
            pp_segment segment = segment_of(plan, n);
            int64_t after = segment.after < 0 ? 0 : segment_of(plan, segment.after).n_tokens;
            parts[n] = (struct part){tokens, segment.first_token, segment.n_tokens, after};
        }
    }
    qsort(parts, (size_t)n, sizeof *parts, compare_parts);
    return n;
}

START_TEST(order_of_prompts_does_not_matter)
{
    static struct batch batch, shuffled;
    static struct part parts[2][MAX_N * MAX_LEN];
    uint64_t random = SEED + 1000;
    for (int i = 0; i < 2000; i++) {
        draw_batch(&batch, &random);
        batch.params.policy = PP_POLICY_FFD;
        batch.params.keep_order = 0;
        batch.params.prompt_alignment = 1; /* whole prompts that take the same room: by index */
        shuffled = batch;
        for (int64_t j = batch.n - 1; j > 0; j--) {
            int64_t other = random_between(&random, 0, j);
            struct batch *s = &shuffled;
            int64_t length = s->lengths[j];
            int32_t tokens[MAX_LEN];
            memcpy(tokens, s->tokens[j], sizeof tokens);
            memcpy(s->tokens[j], s->tokens[other], sizeof tokens);
            memcpy(s->tokens[other], tokens, sizeof tokens);
            s->lengths[j] = s->lengths[other];
            s->lengths[other] = length;
        }
        pp_plan *plans[2];
        int64_t n[2];
        const struct batch *batches[] = {&batch, &shuffled};
        for (int k = 0; k < 2; k++) {
            assert_that(plan_batch(batches[k], &batch.params, &plans[k], NULL) == PP_OK);
            n[k] = list_parts(plans[k], parts[k]);
            pp_plan_destroy(plans[k]);
        }
        assert_that(n[0] == n[1]);
        assert_that(memcmp(parts[0], parts[1], (size_t)n[0] * sizeof **parts) == 0);
    }
}
END_TEST

START_TEST(same_input_same_plan)
{
    static struct batch batch;
    uint64_t random = SEED + 2000;
    for (int i = 0; i < 300; i++) {
        draw_batch(&batch, &random);
        pp_plan *a, *b;
        assert_that(plan_batch(&batch, &batch.params, &a, NULL) == PP_OK);
        assert_that(plan_batch(&batch, &batch.params, &b, NULL) == PP_OK);
        int64_t n = plan_info(a).n_segments;
        assert_that(n == plan_info(b).n_segments);
        for (int64_t j = 0; j < n; j++) {
            pp_segment s = segment_of(a, j), t = segment_of(b, j);
            assert_that(s.prompt == t.prompt && s.first_token == t.first_token &&
                        s.n_tokens == t.n_tokens && s.start == t.start && s.after == t.after);
        }
        pp_plan_destroy(a);
        pp_plan_destroy(b);
    }
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("plan prefixes");
    TCase *tcase = tcase_create("random batches");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, every_token_once, 0, 3);
    tcase_add_test(tcase, order_of_prompts_does_not_matter);
    tcase_add_test(tcase, same_input_same_plan);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
