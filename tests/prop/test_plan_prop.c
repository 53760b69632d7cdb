/*
 * test_plan_prop.c: random prompts under random combinations of everything that can be asked of the
 * planner. A case that fails is made as small as it can be and printed as C.
 */
#include "plan/packing.h"
#include "plan_instance.h"

#include "support/rng.h"
#include "support/tap.h"

#include <check.h>

/* ---- drawing ---- */

/* What an option may be; the first value is that of an instance that does not use it. */
struct option {
    const char *name;
    size_t offset;
    bool wide; /* int64_t */
    int64_t values[12];
    int n_values;
    int in; /* drawn at random in one of so many instances, otherwise the first value */
};

#define VALUES(...) {__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)
#define OPTION(name, wide, in, ...)                                                                \
    {                                                                                              \
#name, offsetof(struct instance, name), wide, VALUES(__VA_ARGS__), in                      \
    }

static const struct option options[] = {
    OPTION(objective, false, 4, PP_OBJECTIVE_FEWEST_BINS, PP_OBJECTIVE_BALANCED,
           PP_OBJECTIVE_CHEAPEST),
    OPTION(oversize, false, 2, PP_OVERSIZE_ERROR, PP_OVERSIZE_OWN_BIN, PP_OVERSIZE_SPLIT),
    OPTION(keep_order, false, 4, 0, 1),
    OPTION(share_prefixes, false, 8, 0, 1),
    OPTION(max_prompts, true, 2, 0, 1, 2, 3, 4, 5, 8),
    OPTION(bin_alignment, true, 4, 1, 2, 3, 8),
    OPTION(prompt_alignment, true, 4, 1, 2, 4, 7),
    OPTION(per_square, true, 4, 0, 1, 50),
};
#define N_OPTIONS (sizeof options / sizeof *options)

static int64_t get(const struct instance *instance, const struct option *option)
{
    const char *at = (const char *)instance + option->offset;
    return option->wide ? *(const int64_t *)at : *(const int32_t *)at;
}

static void set(struct instance *instance, const struct option *option, int64_t value)
{
    char *at = (char *)instance + option->offset;
    if (option->wide)
        *(int64_t *)at = value;
    else
        *(int32_t *)at = (int32_t)value;
}

static const int32_t fewest_policies[] = {0,
                                          PP_POLICY_FFD,
                                          PP_POLICY_BFD,
                                          PP_POLICY_ARRIVAL,
                                          PP_POLICY_FIRST_FIT,
                                          PP_POLICY_BEST_FIT,
                                          PPI_POLICY_MBS,
                                          PP_POLICY_EXACT,
                                          PP_POLICY_AUTO};
static const int32_t balanced_policies[] = {0, PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
static const int32_t cheapest_policies[] = {0, PP_POLICY_FFD, PPI_POLICY_ORDERED, PP_POLICY_AUTO};

static int32_t draw_policy(struct rng *rng, int32_t objective)
{
    return objective == PP_OBJECTIVE_BALANCED   ? balanced_policies[rng_between(rng, 0, 3)]
           : objective == PP_OBJECTIVE_CHEAPEST ? cheapest_policies[rng_between(rng, 0, 3)]
                                                : fewest_policies[rng_between(rng, 0, 8)];
}

static void draw_lengths(struct rng *rng, struct instance *instance)
{
    int64_t longest =
        rng_between(rng, 1, 4) == 1 ? rng_between(rng, 1, 200) : rng_between(rng, 1, 40);
    int64_t kind = rng_between(rng, 0, 4);
    for (int32_t i = 0; i < instance->n; i++) {
        int64_t length = rng_between(rng, 1, longest);
        if (kind == 0) /* all equal */
            length = longest;
        if (kind == 1 && rng_between(rng, 0, 3) > 0) /* mostly short */
            length = 1 + length / 8;
        instance->lengths[i] = length;
        instance->twin[i] = (int32_t)(rng_between(rng, 0, 2) ? rng_between(rng, 0, i) : i);
    }
}

static void draw_classes(struct rng *rng, int32_t *classes, int32_t n, bool any)
{
    int64_t n_classes = rng_between(rng, 1, 1 + n / 2);
    for (int32_t i = 0; i < n; i++)
        classes[i] =
            any && rng_between(rng, 0, 1) ? (int32_t)rng_between(rng, 0, n_classes) * 1000003 : -1;
}

static struct instance draw(struct rng *rng)
{
    struct instance instance = {0};
    instance.n =
        (int32_t)(rng_between(rng, 0, 2) ? rng_between(rng, 0, 7) : rng_between(rng, 0, MAX_N));
    draw_lengths(rng, &instance);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        bool use = rng_between(rng, 1, options[i].in) == 1;
        set(&instance, &options[i],
            options[i].values[use ? rng_between(rng, 0, options[i].n_values - 1) : 0]);
    }
    draw_classes(rng, instance.together, instance.n, rng_between(rng, 0, 3) == 0);
    draw_classes(rng, instance.apart, instance.n, rng_between(rng, 0, 3) == 0);
    instance.policy = draw_policy(rng, instance.objective);
    instance.capacity = rng_between(rng, 0, 3) ? rng_between(rng, 1, 250) : 0;
    if (instance.objective == PP_OBJECTIVE_BALANCED)
        instance.n_bins = rng_between(rng, 1, 9);
    else if (instance.objective == PP_OBJECTIVE_CHEAPEST || rng_between(rng, 0, 5) == 0)
        instance.n_capacities = rng_between(rng, 1, MAX_CAPACITIES);
    if (instance.n_capacities > 0)
        instance.capacity = 0;
    for (int64_t i = 0; i < instance.n_capacities; i++) {
        instance.capacities[i] = rng_between(rng, 1, 120);
        if (instance.objective == PP_OBJECTIVE_CHEAPEST && rng_between(rng, 0, 7) > 0)
            instance.capacities[i] *= instance.bin_alignment;
    }
    return instance;
}

/* ---- shrinking ---- */

static void drop_prompt(struct instance *instance, int32_t dropped)
{
    instance->n--;
    for (int32_t i = dropped; i < instance->n; i++) {
        instance->lengths[i] = instance->lengths[i + 1];
        instance->together[i] = instance->together[i + 1];
        instance->apart[i] = instance->apart[i + 1];
        instance->twin[i] = instance->twin[i + 1];
    }
    for (int32_t i = 0; i < instance->n; i++)
        if (instance->twin[i] >= dropped && instance->twin[i] > 0)
            instance->twin[i]--;
}

typedef const char *(*check_fn)(const struct instance *instance, char reason[REASON_BYTES]);

/* Takes over the smaller one when it fails, too. */
static bool take(struct instance *instance, const struct instance *smaller, check_fn check)
{
    char reason[REASON_BYTES];
    if (memcmp(instance, smaller, sizeof *instance) == 0 || !check(smaller, reason))
        return false;
    *instance = *smaller;
    return true;
}

static bool shrink_once(struct instance *instance, check_fn check)
{
    struct instance smaller;
    for (int32_t i = 0; i < instance->n; i++) {
        smaller = *instance;
        drop_prompt(&smaller, i);
        if (take(instance, &smaller, check))
            return true;
    }
    for (size_t i = 0; i < N_OPTIONS; i++) {
        smaller = *instance;
        set(&smaller, &options[i], options[i].values[0]);
        if (options[i].offset != offsetof(struct instance, objective) &&
            take(instance, &smaller, check))
            return true;
    }
    for (int32_t i = 0; i < instance->n; i++)
        for (int kind = 0; kind < 5; kind++) {
            smaller = *instance;
            if (kind == 0)
                smaller.lengths[i] = 1;
            else if (kind == 1)
                smaller.lengths[i] = (smaller.lengths[i] + 1) / 2;
            else if (kind == 2)
                smaller.lengths[i] -= smaller.lengths[i] > 1;
            else if (kind == 3)
                smaller.together[i] = -1;
            else
                smaller.apart[i] = -1;
            if (take(instance, &smaller, check))
                return true;
        }
    for (int kind = 0; kind < 4; kind++) {
        smaller = *instance;
        if (kind == 0)
            smaller.capacity /= 2;
        else if (kind == 1)
            smaller.capacity -= smaller.capacity > 1;
        else if (kind == 2)
            smaller.n_capacities -= smaller.n_capacities > 1;
        else
            smaller.policy = 0;
        if (take(instance, &smaller, check))
            return true;
    }
    return false;
}

static void print_array(const char *name, const char *type, int64_t n, const int64_t *wide,
                        const int32_t *narrow)
{
    printf("#   .%s = (%s[]){", name, type);
    for (int64_t i = 0; i < n; i++)
        printf("%s%lld", i ? ", " : "", (long long)(wide ? wide[i] : narrow[i]));
    printf("},\n");
}

static void print(const struct instance *instance)
{
    printf("# {\n#   .n = %d, .policy = %d, .capacity = %lld, .n_bins = %lld,\n#  ", instance->n,
           instance->policy, (long long)instance->capacity, (long long)instance->n_bins);
    for (size_t i = 0; i < N_OPTIONS; i++)
        printf(" .%s = %lld,", options[i].name, (long long)get(instance, &options[i]));
    printf("\n");
    print_array("lengths", "int64_t", instance->n, instance->lengths, NULL);
    print_array("together", "int32_t", instance->n, NULL, instance->together);
    print_array("apart", "int32_t", instance->n, NULL, instance->apart);
    print_array("twin", "int32_t", instance->n, NULL, instance->twin);
    print_array("capacities", "int64_t", instance->n_capacities, instance->capacities, NULL);
    printf("# }\n");
    fflush(stdout);
}

static void fail_shrunk(struct instance instance, check_fn check)
{
    for (int round = 0; round < 2000 && shrink_once(&instance, check); round++)
        ;
    char reason[REASON_BYTES] = "it failed only once";
    check(&instance, reason);
    print(&instance);
    ck_abort_msg("%s", reason);
}

/* ---- tests ---- */

static int n_instances(int usual)
{
    const char *text = getenv("PREPACK_TEST_INSTANCES");
    return text ? atoi(text) : usual;
}

START_TEST(everything_that_is_asked_is_kept)
{
    struct rng rng = rng_seeded(41);
    int n = n_instances(20000);
    int n_planned = 0;
    for (int i = 0; i < n; i++) {
        struct instance instance = draw(&rng);
        char reason[REASON_BYTES];
        if (instance_check(&instance, reason))
            fail_shrunk(instance, instance_check);
        pp_plan *plan = NULL;
        n_planned += instance_plan(&instance, &plan, NULL) >= 0;
        pp_plan_destroy(plan);
    }
    printf("# %d of %d instances have plans\n", n_planned, n);
    ck_assert_int_ge(n_planned, n / 2);
}
END_TEST

/* The room that each prompt of a bin takes, in order, the bins in order: prompts that take the same
 * room are the same. */
struct contents {
    int64_t lengths[MAX_N + 1]; /* of a bin, ascending, then 0 */
};

static int compare_lengths(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_bins(const void *a, const void *b)
{
    for (int i = 0; i <= MAX_N; i++) {
        int64_t x = ((const struct contents *)a)->lengths[i];
        int64_t y = ((const struct contents *)b)->lengths[i];
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static int64_t read_contents(const struct instance *instance, struct contents contents[MAX_N])
{
    pp_plan *plan = NULL;
    if (instance_plan(instance, &plan, NULL) < 0)
        return -1;
    pp_plan_info info = {.struct_size = sizeof info};
    pp_plan_get_info(plan, &info, NULL);
    memset(contents, 0, MAX_N * sizeof *contents);
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        const int32_t *prompts;
        int64_t n;
        pp_plan_get_bin(plan, bin, &prompts, &n, NULL, NULL);
        for (int64_t i = 0; i < n; i++)
            contents[bin].lengths[i] =
                (instance->lengths[prompts[i]] + instance->prompt_alignment - 1) /
                instance->prompt_alignment;
        qsort(contents[bin].lengths, (size_t)n, sizeof(int64_t), compare_lengths);
    }
    qsort(contents, (size_t)info.n_bins, sizeof *contents, compare_bins);
    pp_plan_destroy(plan);
    return info.n_bins;
}

static uint64_t shuffle_seed;

static const char *check_shuffled(const struct instance *instance, char reason[REASON_BYTES])
{
    struct instance shuffled = *instance;
    struct rng rng = {shuffle_seed};
    for (int32_t i = instance->n - 1; i > 0; i--) {
        int32_t j = (int32_t)rng_between(&rng, 0, i);
        int64_t length = shuffled.lengths[i];
        shuffled.lengths[i] = shuffled.lengths[j];
        shuffled.lengths[j] = length;
    }
    static struct contents a[MAX_N], b[MAX_N];
    int64_t n_bins = read_contents(instance, a);
    int64_t n_shuffled = read_contents(&shuffled, b);
    if (n_bins != n_shuffled)
        WRONG("%lld bins, in another order %lld", (long long)n_bins, (long long)n_shuffled);
    for (int64_t bin = 0; bin < n_bins; bin++)
        if (compare_bins(&a[bin], &b[bin]) != 0)
            WRONG("in another order the bins are others");
    return NULL;
}

/* Promised where neither the policy nor a constraint knows one prompt from another. */
START_TEST(another_order_gives_the_same_bins)
{
    static const int32_t promised[] = {
        0, PP_POLICY_FFD, PP_POLICY_BFD, PPI_POLICY_MBS, PP_POLICY_EXACT, PP_POLICY_AUTO};
    struct rng rng = rng_seeded(42);
    int n = n_instances(6000);
    for (int i = 0; i < n; i++) {
        struct instance instance = draw(&rng);
        if (instance.objective != PP_OBJECTIVE_FEWEST_BINS)
            continue;
        instance.keep_order = instance.share_prefixes = 0;
        instance.oversize = PP_OVERSIZE_OWN_BIN;
        if (instance.n_capacities > 0)
            instance.oversize = PP_OVERSIZE_ERROR;
        instance.policy = promised[rng_between(&rng, 0, 5)];
        memset(instance.together, 0xff, sizeof instance.together);
        memset(instance.apart, 0xff, sizeof instance.apart);
        shuffle_seed = rng_next(&rng);
        char reason[REASON_BYTES];
        if (check_shuffled(&instance, reason))
            fail_shrunk(instance, check_shuffled);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan properties");
    TCase *tcase = tcase_create("properties");
    tcase_set_timeout(tcase, 280);
    tcase_add_test(tcase, everything_that_is_asked_is_kept);
    tcase_add_test(tcase, another_order_gives_the_same_bins);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
