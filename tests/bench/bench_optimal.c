/*
 * bench_optimal.c: how often AUTO proves its plan optimal, and how long that takes: batches drawn
 * from lists of lengths without replacement, in bins as long as the batch's longest prompt.
 *
 *     bench_optimal FILE...      FILE: lengths, one a line
 */
#include "support/flat_params.h"
#include "length_list.h"

#include <prepack/prepack.h>

static struct rng rng = {41};

/* What came of all batches of one size from one list. */
struct tally {
    int n_batches;
    int64_t ffd_bins, bins, bounds;
    int n_ffd_proven, n_proven, n_limited, n_in_time;
    int64_t most_missing; /* bins above the bound */
    double seconds, worst;
};

static pp_plan_info plan_once(const pp_packer *packer, const int64_t *lengths, size_t n)
{
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    if (pp_packer_plan(packer, lengths, n, &plan, &err) < 0) {
        fprintf(stderr, "bench_optimal: %s\n", err.message);
        exit(1);
    }
    pp_plan_get_info(plan, &info, NULL);
    pp_plan_destroy(plan);
    return info;
}

static void add_batch(struct tally *tally, const pp_packer *ffd, const pp_packer *automatic,
                      const int64_t *lengths, size_t n, double target)
{
    pp_plan_info first = plan_once(ffd, lengths, n);
    double started = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    pp_plan_info info = plan_once(automatic, lengths, n);
    double seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - started;
    int64_t missing = info.n_bins - info.lower_bound;
    tally->n_batches++;
    tally->ffd_bins += first.n_bins;
    tally->bins += info.n_bins;
    tally->bounds += info.lower_bound;
    tally->n_ffd_proven += first.proven_optimal;
    tally->n_proven += info.proven_optimal;
    tally->n_in_time += info.proven_optimal && seconds <= target;
    tally->n_limited += info.limit_reached != 0;
    tally->most_missing = missing > tally->most_missing ? missing : tally->most_missing;
    tally->seconds += seconds;
    tally->worst = seconds > tally->worst ? seconds : tally->worst;
}

static pp_packer *create_packer(int32_t policy)
{
    struct flat_params params;
    flat_init(&params);
    params.policy = policy;
    const char *steps = getenv("PREPACK_BENCH_STEPS");
    if (steps)
        params.max_steps = strtoll(steps, NULL, 0);
    pp_packer *packer = NULL;
    if (flat_create(&params, &packer, NULL) < 0)
        exit(1);
    return packer;
}

static void bench(const char *path, size_t n, int n_batches, double target)
{
    struct length_list source = read_lengths(path);
    int64_t *list = source.lengths;
    if (source.n < n) {
        free(list);
        return;
    }
    pp_packer *ffd = create_packer(PP_POLICY_FFD);
    pp_packer *automatic = create_packer(PP_POLICY_AUTO);
    struct tally tally = {0};
    for (int batch = 0; batch < n_batches; batch++) {
        for (size_t i = 0; i < n; i++) { /* the first n of a shuffle */
            size_t j = i + rng_next(&rng) % (source.n - i);
            int64_t length = list[i];
            list[i] = list[j];
            list[j] = length;
        }
        add_batch(&tally, ffd, automatic, list, n, target);
    }
    double share = 100.0 / n_batches;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    printf("%-20s %5zu %5.1f %5.1f %5.1f %5.1f %9.2f %9.2f %9.2f %4" PRId64 " %9.3f %9.3f\n", name,
           n, share * tally.n_ffd_proven, share * tally.n_proven, share * tally.n_in_time,
           share * tally.n_limited, (double)tally.bounds / n_batches,
           (double)tally.ffd_bins / n_batches, (double)tally.bins / n_batches, tally.most_missing,
           1e3 * tally.seconds / n_batches, 1e3 * tally.worst);
    fflush(stdout);
    pp_packer_destroy(automatic);
    pp_packer_destroy(ffd);
    free(list);
}

int main(int argc, char **argv)
{
    printf("%% proven optimal by FFD, by AUTO, by AUTO within 1 ms (64) or 50 ms (1000), limited;\n"
           "mean bound, bins of FFD, of AUTO; most bins above the bound; mean and worst ms\n"
           "list                     n   FFD  AUTO  time limit     bound       FFD      AUTO miss"
           "      mean     worst\n");
    for (int i = 1; i < argc; i++) {
        bench(argv[i], 64, 400, 1e-3);
        bench(argv[i], 1000, 40, 50e-3);
    }
    return 0;
}
