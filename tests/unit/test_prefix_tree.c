/*
 * test_prefix_tree.c: the radix tree of a batch against its definition, pair by pair: how much of
 * what two prompts have in common the tree lets them share.
 */
#include "test_plan_support.h"

#include "plan/parts/prefix.h"

#define SEED    20261124
#define MAX_N   24
#define MAX_LEN 90

struct sample {
    int64_t n;
    int32_t tokens[MAX_N][MAX_LEN];
    pp_prompt prompts[MAX_N];
};

static void draw_sample(struct sample *sample, uint64_t *random)
{
    sample->n = random_between(random, 1, MAX_N);
    int64_t alphabet = random_between(random, 1, 3);
    int64_t most = random_between(random, 1, MAX_LEN);
    for (int64_t i = 0; i < sample->n; i++) {
        int64_t length = random_between(random, 1, most), begin = 0;
        if (i > 0 && random_between(random, 0, 2) > 0) {
            const pp_prompt *other = &sample->prompts[random_between(random, 0, i - 1)];
            begin = random_between(random, 1, other->n_tokens);
            length = random_between(random, 0, 2) > 0 ? length : begin;
            length = length < begin ? begin : length;
            memcpy(sample->tokens[i], other->tokens, (size_t)begin * sizeof(int32_t));
        }
        for (int64_t j = begin; j < length; j++) /* extremes of the ids too */
            sample->tokens[i][j] = (int32_t)(random_between(random, 0, alphabet - 1) * 0x7fffffff) -
                                   (int32_t)random_between(random, 0, 1);
        sample->prompts[i] = (pp_prompt){sample->tokens[i], length};
    }
}

static int64_t common_tokens(const pp_prompt *a, const pp_prompt *b)
{
    int64_t n = 0;
    while (n < a->n_tokens && n < b->n_tokens && a->tokens[n] == b->tokens[n])
        n++;
    return n;
}

/* Is the kept prefix one of the prompt's? */
static bool holds(const struct prefix_tree *tree, int64_t prompt, int32_t prefix)
{
    int32_t at = tree->longest[prompt];
    while (at > prefix)
        at = tree->prefixes[at].parent;
    return at == prefix;
}

/* Tokens of the longest kept prefix of both. */
static int64_t shared_tokens(const struct prefix_tree *tree, int64_t a, int64_t b)
{
    int32_t at = tree->longest[a];
    while (at >= 0 && !holds(tree, b, at))
        at = tree->prefixes[at].parent;
    return at < 0 ? 0 : tree->prefixes[at].end;
}

static void check_prefixes(const struct sample *sample, const struct prefix_tree *tree,
                           int64_t min_prefix)
{
    for (int32_t p = 0; p < tree->n_prefixes; p++) {
        const struct prefix *prefix = &tree->prefixes[p];
        assert_that(prefix->parent < p); /* before those that continue it */
        int64_t begin = prefix->parent < 0 ? 0 : tree->prefixes[prefix->parent].end;
        int32_t level = prefix->parent < 0 ? 0 : tree->prefixes[prefix->parent].level + 1;
        assert_that(prefix->level == level && prefix->end > begin && prefix->end >= min_prefix);
        int32_t lowest = -1, n_prompts = 0, n_longer = 0;
        for (int32_t i = 0; i < sample->n; i++)
            if (holds(tree, i, p)) {
                lowest = lowest < 0 ? i : lowest;
                n_prompts++;
                n_longer += sample->prompts[i].n_tokens > prefix->end;
                assert_that(common_tokens(&sample->prompts[i], &sample->prompts[lowest]) >=
                            prefix->end);
            }
        assert_that(n_prompts >= 2 && prefix->prompt == lowest);
        assert_that(prefix->identical == (n_longer == 0));
        assert_that(prefix->identical || prefix->end - begin >= min_prefix);
    }
}

static void check_pairs(const struct sample *sample, const struct prefix_tree *tree,
                        int64_t min_prefix)
{
    for (int64_t i = 0; i < sample->n; i++)
        for (int64_t j = 0; j < i; j++) {
            const pp_prompt *a = &sample->prompts[i], *b = &sample->prompts[j];
            int64_t common = common_tokens(a, b), shared = shared_tokens(tree, i, j);
            assert_that(shared <= common && shared > common - min_prefix);
            if (common == a->n_tokens && common == b->n_tokens && common >= min_prefix)
                assert_that(shared == common);
        }
}

/* Every prompt once, by tokens (as unsigned numbers), shorter first, then by index. */
static void check_order(const struct sample *sample, const struct prefix_tree *tree)
{
    bool seen[MAX_N] = {false};
    for (int64_t k = 0; k < sample->n; k++) {
        int32_t i = tree->order[k];
        assert_that(i >= 0 && i < sample->n && !seen[i]);
        seen[i] = true;
        if (k == 0)
            continue;
        int32_t before = tree->order[k - 1];
        const pp_prompt *a = &sample->prompts[before], *b = &sample->prompts[i];
        int64_t n = common_tokens(a, b);
        if (n == a->n_tokens || n == b->n_tokens)
            assert_that(n == a->n_tokens && (n < b->n_tokens || before < i));
        else
            assert_that((uint32_t)a->tokens[n] < (uint32_t)b->tokens[n]);
    }
}

/* Of each prompt, what no earlier one has in common with it, unless that is too little to share. */
static int64_t count_distinct(const struct sample *sample, int64_t min_prefix)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < sample->n; i++) {
        int64_t most = 0;
        for (int64_t j = 0; j < i; j++) {
            int64_t common = common_tokens(&sample->prompts[i], &sample->prompts[j]);
            most = common > most ? common : most;
        }
        sum += sample->prompts[i].n_tokens - (most >= min_prefix ? most : 0);
    }
    return sum;
}

START_TEST(tree_by_definition)
{
    static struct sample sample;
    uint64_t random = SEED + (uint64_t)_i;
    struct ppi_mem mem;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    for (int k = 0; k < 5000; k++) {
        draw_sample(&sample, &random);
        int64_t min_prefix = random_between(&random, 1, random_between(&random, 1, 40));
        struct prefix_tree tree;
        assert_that(ppi_prefix_tree_create(&tree, sample.prompts, sample.n, min_prefix, &mem,
                                           NULL) == PP_OK);
        check_prefixes(&sample, &tree, min_prefix);
        check_pairs(&sample, &tree, min_prefix);
        check_order(&sample, &tree);
        assert_that(tree.distinct == count_distinct(&sample, min_prefix));
        ppi_prefix_tree_destroy(&tree, &mem);
    }
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

/* Prompt i is the first i + 1 tokens of one text: n levels of groups, in the worst order. */
START_TEST(each_the_beginning_of_the_last)
{
    enum { N = 2000 };
    static int32_t text[N];
    static pp_prompt prompts[N];
    struct ppi_mem mem;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    for (int32_t i = 0; i < N; i++) {
        text[i] = i * 7 % 10;
        prompts[i] = (pp_prompt){text, _i ? i + 1 : N - i};
    }
    struct prefix_tree tree;
    ck_assert_int_eq(ppi_prefix_tree_create(&tree, prompts, N, 10, &mem, NULL), PP_OK);
    ck_assert_int_eq(tree.n_prefixes, N / 10 - 1); /* 10, 20, ...: the last prompt is alone */
    ck_assert_int_eq(tree.prefixes[tree.n_prefixes - 1].end, N - 10);
    ck_assert_int_eq(tree.distinct, N + 9 * 10 / 2); /* prompts below 10 tokens share nothing */
    ppi_prefix_tree_destroy(&tree, &mem);
    ppi_prefix_tree_destroy(&tree, &mem);
    ck_assert_int_eq(atomic_load(&mem.bytes), 0);
}
END_TEST

int main(void)
{
    printf("# seed %d\n", SEED);
    fflush(stdout);
    Suite *suite = suite_create("prefix tree");
    TCase *tcase = tcase_create("tree");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, tree_by_definition, 0, 3);
    tcase_add_loop_test(tcase, each_the_beginning_of_the_last, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
