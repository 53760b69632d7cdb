/*
 * bench_balance.c: how even the bins of BALANCED are and how cheap the rows of CHEAPEST, against
 * what hosts do without them, and how long planning takes.
 *
 *     bench_balance [FILE...]      FILE: lengths to draw from, one a line
 *
 * Balance: 8 workers, a prompt of l tokens costs 12288 l + l^2 (the products and the attention of a
 * layer with 2048 hidden units). Figures are the dearest worker's cost by the mean worker's, means
 * of 50 draws; "bound" is what no assignment can beat. Rivals: prompts dealt in turn; the smallest
 * rows that FFD fits into 8; LPT on tokens.
 *
 * Rows: dense rows of 128, 256, ... tokens up to what holds the longest prompt, a row of C costs
 * 12288 C + C^2. Figures are cost by the bound. Rivals: FFD into the largest row; FFD into the rows
 * that suit best; one prompt a row.
 */
#include "support/flat_params.h"
#include "length_list.h"

#include <prepack/prepack.h>

#define N_WORKERS 8
#define N_DRAWS   50
#define N_RUNS    7

static struct rng rng = {41};

/* n lengths; from a list without repeating one where it has that many. */
static void draw(struct length_list *source, int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (source->n >= n) {
            size_t j = i + rng_next(&rng) % (source->n - i);
            lengths[i] = source->lengths[j];
            source->lengths[j] = source->lengths[i];
            source->lengths[i] = lengths[i];
        } else {
            lengths[i] = draw_length(&rng, source);
        }
    }
}

static pp_cost_model cost_of_layer(void)
{
    pp_cost_model cost;
    pp_cost_init(&cost, sizeof cost);
    cost.per_token = 12288;
    cost.per_square = 1;
    return cost;
}

static pp_plan *plan(const struct flat_params *params, const int64_t *lengths, size_t n)
{
    pp_error err = {.struct_size = sizeof err};
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    if (flat_create(params, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, n, &plan, &err) < 0) {
        fprintf(stderr, "bench_balance: %s\n", err.message);
        exit(1);
    }
    pp_packer_destroy(packer);
    return plan;
}

static pp_plan_info info_of(const pp_plan *plan)
{
    pp_plan_info info = {.struct_size = sizeof info};
    pp_plan_get_info(plan, &info, NULL);
    return info;
}

static struct flat_params balanced(int32_t policy, const pp_cost_model *cost)
{
    struct flat_params params;
    flat_init(&params);
    params.objective = PP_OBJECTIVE_BALANCED;
    params.policy = policy;
    params.n_bins = N_WORKERS;
    params.cost = cost;
    return params;
}

/* ---- balance ---- */

static double weight_of(int64_t length)
{
    return (double)length * (12288 + (double)length);
}

/* The dearest bin's cost by the layer's model, whatever the plan was made by. Destroys the plan. */
static double dearest_of(pp_plan *plan, const int64_t *lengths)
{
    double dearest = 0;
    for (int64_t bin = 0; bin < info_of(plan).n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts;
        pp_plan_get_bin(plan, bin, &prompts, &n_prompts, NULL, NULL);
        double cost = 0;
        for (int64_t i = 0; i < n_prompts; i++)
            cost += weight_of(lengths[prompts[i]]);
        dearest = fmax(dearest, cost);
    }
    pp_plan_destroy(plan);
    return dearest;
}

/* The smallest rows of which FFD needs N_WORKERS. */
static double dearest_of_rows(const int64_t *lengths, size_t n)
{
    struct flat_params params;
    flat_init(&params);
    int64_t low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = lengths[i] > low ? lengths[i] : low;
        high += lengths[i];
    }
    while (low < high) {
        params.capacity = low + (high - low) / 2;
        pp_plan *rows = plan(&params, lengths, n);
        if (info_of(rows).n_bins <= N_WORKERS)
            high = params.capacity;
        else
            low = params.capacity + 1;
        pp_plan_destroy(rows);
    }
    params.capacity = high;
    return dearest_of(plan(&params, lengths, n), lengths);
}

static double dearest_in_turn(const int64_t *lengths, size_t n)
{
    double loads[N_WORKERS] = {0}, dearest = 0;
    for (size_t i = 0; i < n; i++)
        dearest = fmax(dearest, loads[i % N_WORKERS] += weight_of(lengths[i]));
    return dearest;
}

static void bench_balance(struct length_list *source, int64_t *lengths, size_t n)
{
    pp_cost_model cost = cost_of_layer();
    double sums[7] = {0};
    int n_proven = 0;
    for (int i = 0; i < N_DRAWS; i++) {
        draw(source, lengths, n);
        double mean = 0;
        for (size_t j = 0; j < n; j++)
            mean += weight_of(lengths[j]) / N_WORKERS;
        struct flat_params params = balanced(PPI_POLICY_LPT, NULL);
        sums[0] += dearest_in_turn(lengths, n) / mean;
        sums[1] += dearest_of_rows(lengths, n) / mean;
        sums[2] += dearest_of(plan(&params, lengths, n), lengths) / mean;
        static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
        for (int j = 0; j < 3; j++) {
            params = balanced(policies[j], &cost);
            pp_plan *found = plan(&params, lengths, n);
            if (j == 2) {
                sums[6] += info_of(found).cost_bound / mean;
                n_proven += info_of(found).gap <= 1e-4;
            }
            sums[3 + j] += dearest_of(found, lengths) / mean;
        }
    }
    printf("%-14s %6zu", source->name, n);
    for (int i = 0; i < 7; i++)
        printf(" %9.4f", sums[i] / N_DRAWS);
    printf("  %3d %%\n", n_proven * 100 / N_DRAWS);
}

/* ---- rows ---- */

static void bench_rows(struct length_list *source, int64_t *lengths, size_t n)
{
    pp_cost_model cost = cost_of_layer();
    double sums[4] = {0}, optimal = 0;
    int64_t n_ordered = 0;
    for (int i = 0; i < N_DRAWS; i++) {
        draw(source, lengths, n);
        int64_t longest = 0, shapes[64], n_shapes = 0;
        for (size_t j = 0; j < n; j++)
            longest = lengths[j] > longest ? lengths[j] : longest;
        for (int64_t shape = 128; n_shapes == 0 || shapes[n_shapes - 1] < longest; shape *= 2)
            shapes[n_shapes++] = shape;
        struct flat_params params;
        flat_init(&params);
        params.objective = PP_OBJECTIVE_CHEAPEST;
        params.cost = &cost;
        static const int32_t policies[] = {PP_POLICY_FFD, PP_POLICY_FFD, PPI_POLICY_ORDERED,
                                           PP_POLICY_AUTO};
        double costs[4], bound = 0;
        for (int j = 0; j < 4; j++) {
            params.policy = policies[j];
            params.capacities = j == 0 ? shapes + n_shapes - 1 : shapes;
            params.n_capacities = j == 0 ? 1 : n_shapes;
            pp_plan *rows = plan(&params, lengths, n);
            pp_plan_info info = info_of(rows);
            costs[j] = info.mean_cost * (double)info.n_bins;
            bound = info.cost_bound;
            optimal += j == 3 && info.gap < 0.01;
            n_ordered += j == 3 && info.n_bins == (int64_t)n;
            pp_plan_destroy(rows);
        }
        for (int j = 0; j < 4; j++)
            sums[j] += costs[j] / bound;
    }
    printf("%-14s %6zu %9.3f %9.3f %9.3f %9.3f   %3.0f %% %8" PRId64 "\n", source->name, n,
           sums[0] / N_DRAWS, sums[1] / N_DRAWS, sums[2] / N_DRAWS, sums[3] / N_DRAWS,
           optimal * 100 / N_DRAWS, n_ordered);
}

/* ---- time ---- */

/* Seconds for one plan, best of several runs. */
static double measure(const struct flat_params *params, const int64_t *lengths, size_t n)
{
    size_t n_repeats = n < 1000 ? 200 : n < 100000 ? 20 : 1;
    double best = 1e9;
    pp_packer *packer = NULL;
    if (flat_create(params, &packer, NULL) < 0)
        exit(1);
    for (int run = 0; run < N_RUNS; run++) {
        double started = seconds_of(CLOCK_MONOTONIC);
        for (size_t i = 0; i < n_repeats; i++) {
            pp_plan *made = NULL;
            if (pp_packer_plan(packer, lengths, n, &made, NULL) < 0)
                exit(1);
            pp_plan_destroy(made);
        }
        best = fmin(best, (seconds_of(CLOCK_MONOTONIC) - started) / (double)n_repeats);
    }
    pp_packer_destroy(packer);
    return best;
}

static void bench_time(struct length_list *source, int64_t *lengths, size_t n)
{
    pp_cost_model cost = cost_of_layer();
    draw(source, lengths, n);
    printf("%-14s %7zu", source->name, n);
    static const int32_t policies[] = {PPI_POLICY_LPT, PPI_POLICY_KK, PP_POLICY_AUTO};
    for (int i = 0; i < 5; i++) {
        struct flat_params params = balanced(policies[i < 3 ? i : 2], &cost);
        const int64_t shapes[] = {128, 256, 512, 1024, 2048, 4096, 8192, INT64_C(1) << 40};
        if (i == 3)
            params.keep_order = 1;
        if (i == 4) {
            params.objective = PP_OBJECTIVE_CHEAPEST;
            params.n_bins = 0;
            params.capacities = shapes;
            params.n_capacities = 8;
        }
        printf(" %11.1f", measure(&params, lengths, n) * 1e6);
    }
    printf("\n");
}

/* ---- */

int main(int argc, char **argv)
{
    static const size_t batches[] = {64, 512};
    static const size_t numbers[] = {64, 1000, 10000, 100000};
    struct length_list sources[16] = {{.name = "questions", .median = 28, .sigma = 1.3},
                                      {.name = "conversations", .median = 1020, .sigma = 0.9}};
    int n_sources = 2;
    for (int i = 1; i < argc && i <= 16; i++) {
        sources[i - 1] = read_lengths(argv[i]);
        n_sources = i;
    }
    int64_t *lengths = malloc(numbers[3] * sizeof *lengths);
    if (!lengths)
        return 1;
    printf("lengths             n   in turn  FFD rows LPT token  LPT cost   KK cost      AUTO     "
           "bound  gap <= 1e-4\n");
    for (int i = 0; i < n_sources; i++)
        for (int j = 0; j < 2; j++)
            bench_balance(&sources[i], lengths, batches[j]);
    printf(
        "\nlengths             n   largest       FFD       one      AUTO  gap < 1 %%  ordered\n");
    for (int i = 0; i < n_sources; i++)
        for (int j = 0; j < 2; j++)
            bench_rows(&sources[i], lengths, batches[j]);
    printf(
        "\nus                   n         LPT          KK        AUTO        runs    CHEAPEST\n");
    for (int i = 0; i < n_sources; i++)
        for (int j = 0; j < 4; j++)
            bench_time(&sources[i], lengths, numbers[j]);
    free(lengths);
    for (int i = 0; i < n_sources; i++)
        free(sources[i].lengths);
    return 0;
}
