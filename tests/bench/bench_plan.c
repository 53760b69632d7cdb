/*
 * bench_plan.c: how long planning takes, output included. Prints the best of several runs for
 * 1,000,000, 1,000 and 64 prompts with log-normal lengths.
 *
 *     bench_plan [FILE]      FILE: lengths to draw from, one a line
 */
#include "support/flat_params.h"
#include "length_list.h"

#include <prepack/prepack.h>

#define N_RUNS 7

static struct rng rng = {41};

static void draw(const struct length_list *list, int64_t capacity, int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t length = draw_length(&rng, list);
        lengths[i] = length > capacity ? capacity : length;
    }
}

/* Seconds of the best run; small inputs are repeated within a run. */
static double measure(int32_t policy, int64_t capacity, const int64_t *lengths, size_t n,
                      pp_plan_info *info)
{
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    pp_packer *packer = NULL;
    if (flat_create(&params, &packer, NULL) < 0)
        exit(1);
    size_t n_repeats = n < 10000 ? 100000 / n : 1;
    double best = 1e9;
    for (int run = 0; run < N_RUNS; run++) {
        double seconds = 0;
        for (size_t i = 0; i < n_repeats; i++) {
            pp_plan *plan = NULL;
            double started = seconds_of(CLOCK_MONOTONIC);
            pp_status status = pp_packer_plan(packer, lengths, n, &plan, NULL);
            seconds += seconds_of(CLOCK_MONOTONIC) - started;
            if (status < 0)
                exit(1);
            info->struct_size = sizeof *info;
            pp_plan_get_info(plan, info, NULL);
            pp_plan_destroy(plan);
        }
        best = seconds / (double)n_repeats < best ? seconds / (double)n_repeats : best;
    }
    pp_packer_destroy(packer);
    return best;
}

static void bench(const struct length_list *source, int64_t capacity, int64_t *lengths, size_t n)
{
    static const struct {
        int32_t policy;
        const char *name;
    } policies[] = {{PP_POLICY_FFD, "FFD"},           {PP_POLICY_BFD, "BFD"},
                    {PP_POLICY_ARRIVAL, "arrival"},   {PP_POLICY_FIRST_FIT, "first fit"},
                    {PP_POLICY_BEST_FIT, "best fit"}, {PP_POLICY_AUTO, "AUTO"}};
    draw(source, capacity, lengths, n);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        pp_plan_info info;
        double seconds = measure(policies[i].policy, capacity, lengths, n, &info);
        printf("%-14s %8zu %9" PRId64 "  %-9s", source->name, n, capacity, policies[i].name);
        if (n < 10000)
            printf(" %9.2f us", seconds * 1e6);
        else
            printf(" %9.2f ms", seconds * 1e3);
        printf(" %9" PRId64 " bins, bound %9" PRId64 "\n", info.n_bins, info.lower_bound);
    }
}

int main(int argc, char **argv)
{
    static const size_t numbers[] = {1000000, 1000, 64};
    static const int64_t capacities[] = {2048, 8192};
    struct length_list sources[] = {{.name = "questions", .median = 28, .sigma = 1.3},
                                    {.name = "conversations", .median = 1020, .sigma = 0.9}};
    size_t n_sources = 2;
    if (argc > 1) {
        sources[0] = read_lengths(argv[1]);
        n_sources = 1;
    }
    int64_t *lengths = malloc(numbers[0] * sizeof *lengths);
    if (!lengths)
        return 1;
    printf("lengths              n  capacity  policy     best of %d\n", N_RUNS);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t j = 0; j < n_sources; j++)
            for (size_t k = 0; k < sizeof capacities / sizeof *capacities; k++)
                bench(&sources[j], capacities[k], lengths, numbers[i]);
    }
    /* lengths far apart: memory and time must not follow the capacity */
    struct length_list far = {.name = "far apart", .median = 0x1p34, .sigma = 1.0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        bench(&far, INT64_C(1) << 40, lengths, numbers[i]);
    free(lengths);
    free(sources[0].lengths);
    return 0;
}
