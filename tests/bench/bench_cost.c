/*
 * bench_cost.c: how well a cost model that was just measured predicts prefills it has not seen:
 * batches drawn from lists of lengths, packed, run and compared with the prediction.
 *
 *     bench_cost PRESET SECONDS FILE...
 *
 * PRESET: llama1b and others, or "mid" (134 million parameters); SECONDS: for the measuring. FILE:
 * lengths to draw from, one a line. The environment may name a device and a number of threads
 * (PREPACK_BENCH_DEVICE, PREPACK_BENCH_THREADS). Times are the shortest of several runs; only a
 * calm machine gives figures worth keeping. Where there is none, PREPACK_BENCH_CLOCK=cpu with one
 * thread takes the processor time of this process for the clock, here and in the library.
 */
#define _GNU_SOURCE
#include "length_list.h"
#include "support/model_json.h"

#include <prepack/prepack.h>

#include <sys/syscall.h>
#include <unistd.h>

#define N_RUNS    3
#define N_BATCHES 4 /* of each size and list */
#define MAX_BATCH 64

/* Ends the program where a call of the library fails. */
#define CALL(call)                                                                                 \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            fprintf(stderr, "bench_cost: %s\n", err.message);                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static pp_error err = {.struct_size = sizeof err};
static struct rng rng = {41};

/* Stands in for libc's, for the library too. */
int clock_gettime(clockid_t id, struct timespec *time)
{
    const char *clock = getenv("PREPACK_BENCH_CLOCK");
    if (id == CLOCK_MONOTONIC && clock && strcmp(clock, "cpu") == 0)
        id = CLOCK_PROCESS_CPUTIME_ID;
    return (int)syscall(SYS_clock_gettime, id, time);
}

static pp_session *open_session(const char *preset)
{
    struct model_shape shape = model_shape_of(strcmp(preset, "mid") ? preset : "llama1b");
    pp_model *model;
    pp_session *session;
    const char *device = getenv("PREPACK_BENCH_DEVICE");
    const char *threads = getenv("PREPACK_BENCH_THREADS");
    pp_session_params params;
    if (strcmp(preset, "mid") == 0) {
        shape.hidden_size = 768;
        shape.intermediate_size = 2048;
        shape.n_layers = 12;
        shape.n_heads = shape.n_kv_heads = 12;
        shape.head_dim = 64;
    }
    CALL(model_random(&shape, 1, NULL, &model, &err));
    pp_session_params_init(&params, sizeof params);
    if (device)
        params.device = device;
    if (threads)
        params.n_threads = atoi(threads);
    CALL(pp_session_create(model, &params, &session, &err));
    printf("model %s, %.0f million parameters, ", preset,
           (double)pp_model_n_parameters(model) / 1e6);
    pp_model_unref(model);
    return session;
}

/* Seconds of a prefill with logits: the shortest of N_RUNS. */
static double run_batch(pp_session *session, const pp_plan *plan, const int64_t *lengths, size_t n)
{
    static int32_t tokens[1 << 20];
    pp_prompt prompts[MAX_BATCH];
    pp_kvcache *caches[MAX_BATCH];
    const float *logits;
    size_t n_tokens = 0;
    double best = 1e9;
    for (size_t i = 0; i < n; i++) {
        prompts[i] = (pp_prompt){tokens + n_tokens, lengths[i]};
        for (int64_t k = 0; k < lengths[i]; k++)
            tokens[n_tokens++] = (int32_t)(rng_next(&rng) % 512);
    }
    for (int run = 0; run < N_RUNS; run++) {
        double start = seconds_of(CLOCK_MONOTONIC);
        CALL(pp_prefill(session, plan, prompts, n, caches, &logits, &err));
        CALL(pp_session_synchronize(session, &err));
        double seconds = seconds_of(CLOCK_MONOTONIC) - start;
        best = seconds < best ? seconds : best;
        for (size_t i = 0; i < n; i++)
            pp_kvcache_destroy(caches[i]);
    }
    return best;
}

struct errors {
    double sum, worst;
    int n;
};

static void bench_batch(pp_session *session, const pp_cost_model *cost,
                        const struct length_list *list, const char *name, size_t n,
                        struct errors *errors)
{
    pp_session_info info = {.struct_size = sizeof info};
    pp_prediction prediction = {.struct_size = sizeof prediction};
    pp_packer_params params;
    pp_packer *packer;
    pp_plan *plan;
    int64_t lengths[MAX_BATCH], tokens = 0;
    for (size_t i = 0; i < n; i++)
        tokens += lengths[i] = draw_length(&rng, list);
    pp_packer_params_init(&params, sizeof params);
    CALL(pp_packer_create(&params, &packer, &err));
    CALL(pp_packer_plan(packer, lengths, n, &plan, &err));
    CALL(pp_session_get_info(session, &info, &err));
    CALL(pp_run_predict(&info, cost, plan, NULL, 0, &prediction, &err));
    double seconds = run_batch(session, plan, lengths, n);
    double error = prediction.seconds / seconds - 1;
    printf("%-16s %4zu %7" PRId64 " %5" PRId64 "   %9.2f ms  %9.2f ms  %+6.1f %%\n", name, n,
           tokens, prediction.passes, seconds * 1e3, prediction.seconds * 1e3, error * 100);
    errors->sum += fabs(error);
    errors->worst = fmax(errors->worst, fabs(error));
    errors->n++;
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1, 4, 16, MAX_BATCH};
    if (argc < 4) {
        fprintf(stderr, "usage: bench_cost PRESET SECONDS FILE...\n");
        return 2;
    }
    pp_session *session = open_session(argv[1]);
    pp_cost_model cost = {.struct_size = sizeof cost};
    pp_cost_params params;
    struct errors errors = {0};
    pp_cost_params_init(&params, sizeof params);
    params.seconds = atof(argv[2]);
    double start = seconds_of(CLOCK_MONOTONIC);
    CALL(pp_cost_measure(session, &params, &cost, &err));
    printf("%s\n", cost.device);
    printf("measured in %.1f s, up to %" PRId64
           " tokens: %.3g s + %.3g tokens (in steps of %" PRId64
           ") + %.3g squares + %.3g prompts; error %.1f %%\n\n",
           seconds_of(CLOCK_MONOTONIC) - start, cost.max_tokens, cost.per_pass, cost.per_token,
           cost.tile, cost.per_square, cost.per_prompt, cost.error * 100);
    printf("lengths       prompts  tokens passes      measured     predicted     error\n");
    for (int i = 3; i < argc; i++) {
        struct length_list list = read_lengths(argv[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            for (int batch = 0; batch < N_BATCHES; batch++)
                bench_batch(session, &cost, &list, list.name, sizes[k], &errors);
        free(list.lengths);
    }
    printf("\n%d batches: mean error %.1f %%, worst %.1f %%\n", errors.n,
           100 * errors.sum / errors.n, 100 * errors.worst);
    pp_session_destroy(session);
    return 0;
}
