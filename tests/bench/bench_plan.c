/*
 * bench_plan.c: how long planning takes, output included. Prints the best of several runs for
 * 1,000,000, 1,000 and 64 prompts with log-normal lengths.
 *
 *     bench_plan [FILE]      FILE: lengths to draw from, one a line
 */
#include <prepack/prepack.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_RUNS 7

static uint64_t random_state = 41;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double next_uniform(void)
{
    return ((double)(next_random() >> 11) + 0.5) * 0x1p-53;
}

static double next_normal(void)
{
    return sqrt(-2.0 * log(next_uniform())) * cos(6.283185307179586 * next_uniform());
}

/* Where lengths come from: a log-normal distribution, or a list. */
struct source {
    const char *name;
    double median;
    double sigma;
    const int64_t *list;
    size_t n_list;
};

static void draw(const struct source *source, int64_t capacity, int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t length = source->n_list
                             ? source->list[next_random() % source->n_list]
                             : (int64_t)(source->median * exp(source->sigma * next_normal()));
        lengths[i] = length < 1 ? 1 : length > capacity ? capacity : length;
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds of the best run; small inputs are repeated within a run. */
static double measure(int32_t policy, int64_t capacity, const int64_t *lengths, size_t n,
                      pp_plan_info *info)
{
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    params.policy = policy;
    params.capacity = capacity;
    pp_packer *packer = NULL;
    if (pp_packer_create(&params, &packer, NULL) < 0)
        exit(1);
    size_t n_repeats = n < 10000 ? 100000 / n : 1;
    double best = 1e9;
    for (int run = 0; run < N_RUNS; run++) {
        double seconds = 0;
        for (size_t i = 0; i < n_repeats; i++) {
            pp_plan *plan = NULL;
            double started = now();
            pp_status status = pp_packer_plan(packer, lengths, n, &plan, NULL);
            seconds += now() - started;
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

static void bench(const struct source *source, int64_t capacity, int64_t *lengths, size_t n)
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

static int64_t *read_list(const char *path, size_t *n)
{
    FILE *file = fopen(path, "r");
    size_t room = 1024;
    int64_t *list = malloc(room * sizeof *list);
    *n = 0;
    while (file && list && fscanf(file, "%" SCNd64, &list[*n]) == 1)
        if (++*n == room)
            list = realloc(list, (room *= 2) * sizeof *list);
    if (!file || !list || *n == 0) {
        fprintf(stderr, "bench_plan: no lengths in %s\n", path);
        exit(1);
    }
    fclose(file);
    return list;
}

int main(int argc, char **argv)
{
    static const size_t numbers[] = {1000000, 1000, 64};
    static const int64_t capacities[] = {2048, 8192};
    struct source sources[] = {{.name = "questions", .median = 28, .sigma = 1.3},
                               {.name = "conversations", .median = 1020, .sigma = 0.9}};
    size_t n_sources = 2;
    if (argc > 1) {
        sources[0] = (struct source){.name = "file"};
        sources[0].list = read_list(argv[1], &sources[0].n_list);
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
    struct source far = {.name = "far apart", .median = 0x1p34, .sigma = 1.0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        bench(&far, INT64_C(1) << 40, lengths, numbers[i]);
    free(lengths);
    free((void *)sources[0].list);
    return 0;
}
