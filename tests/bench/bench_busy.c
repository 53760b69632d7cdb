/*
 * bench_busy.c: two threads on a machine that has something else to do.
 *
 *     bench_busy MODEL LENGTHS ROUNDS LIBRARY...
 *
 * Spinning processes run beside: none, one at nice 0, one at nice 10. 64 prompts of LENGTHS are
 * prefilled by a model of 110 million parameters; then MODEL, a small one, decodes 201 tokens one
 * by one beside two of them, on default threads and on one. Libraries and conditions take turns in
 * each round, and medians of the rounds count. With two builds of libprepack it compares them.
 *
 * "processors" is the time of processors that this process had, by the time that passed: what it
 * gets of a shared machine is the system's to say; what it makes of that is the library's.
 */
#define _GNU_SOURCE
#include "length_list.h"

#include <prepack/prepack.h>

#include <dlfcn.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_PROMPTS     64
#define N_DECODED     201
#define N_REPEATS     10 /* of the decodes: 201 are over within a time slice or two */
#define MAX_ROUNDS    200
#define MAX_LIBRARIES 4
#define VOCAB         32000

static const char shape_110m[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"dtype\":\"bfloat16\","
    "\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true,\"vocab_size\":32000,\"hidden_size\":768,"
    "\"intermediate_size\":2048,\"num_hidden_layers\":12,\"num_attention_heads\":12,"
    "\"num_key_value_heads\":12,\"max_position_embeddings\":2048,\"rope_theta\":10000.0}";

/* What is called, of one build. */
struct library {
    const char *path;
    __typeof__(&pp_model_create_random) model_create_random;
    __typeof__(&pp_model_open) model_open;
    __typeof__(&pp_session_params_init) session_params_init;
    __typeof__(&pp_session_create) session_create;
    __typeof__(&pp_prefill) prefill;
    __typeof__(&pp_decode) decode;
    __typeof__(&pp_kvcache_destroy) kvcache_destroy;
    pp_session *large, *small, *small_one; /* two threads; default threads; one */
};

static pp_error err = {.struct_size = sizeof err};

static void must(pp_status status, const char *what)
{
    if (status == PP_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err.message);
    exit(1);
}

static void *find(void *handle, const char *name)
{
    void *symbol = dlsym(handle, name);
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return symbol;
}

static pp_session *open_session(const struct library *library, pp_model *model, int32_t n_threads)
{
    pp_session_params params;
    pp_session *session;
    library->session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_BF16;
    params.n_threads = n_threads;
    must(library->session_create(model, &params, &session, &err), "pp_session_create");
    return session;
}

static struct library open_library(const char *path, const char *small)
{
    struct library l = {.path = path};
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&l.model_create_random = find(handle, "pp_model_create_random");
    *(void **)&l.model_open = find(handle, "pp_model_open");
    *(void **)&l.session_params_init = find(handle, "pp_session_params_init");
    *(void **)&l.session_create = find(handle, "pp_session_create");
    *(void **)&l.prefill = find(handle, "pp_prefill");
    *(void **)&l.decode = find(handle, "pp_decode");
    *(void **)&l.kvcache_destroy = find(handle, "pp_kvcache_destroy");

    pp_model *model;
    must(l.model_create_random(shape_110m, 1, NULL, &model, &err), "pp_model_create_random");
    l.large = open_session(&l, model, 2);
    must(l.model_open(small, NULL, &model, &err), small);
    l.small = open_session(&l, model, 0);
    l.small_one = open_session(&l, model, 1);
    return l;
}

/* ---- other processes ---- */

/* A process that spins when it is continued; it ends with this one. */
static pid_t start_spinner(int niceness)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpriority(PRIO_PROCESS, 0, niceness);
    if (getppid() != parent)
        _exit(0);
    raise(SIGSTOP);
    for (;;)
        __asm__ volatile("");
}

static void set_running(const pid_t *pids, int n, int signal)
{
    for (int i = 0; i < n; i++)
        kill(pids[i], signal);
}

/* ---- what is timed ---- */

static double seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

struct timing {
    double seconds, processors;
};

static struct timing time_prefill(const struct library *l, const pp_prompt *prompts)
{
    pp_kvcache *caches[N_PROMPTS];
    const float *logits;
    double start = seconds(), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    must(l->prefill(l->large, NULL, prompts, N_PROMPTS, caches, &logits, &err), "pp_prefill");
    used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    double taken = seconds() - start;
    for (int i = 0; i < N_PROMPTS; i++)
        l->kvcache_destroy(caches[i]);
    return (struct timing){taken, used / taken};
}

static struct timing time_decodes(const struct library *l, pp_session *session)
{
    pp_kvcache *cache;
    const float *logits;
    double start = seconds();
    for (int repeat = 0; repeat < N_REPEATS; repeat++) {
        int32_t token = 1;
        must(l->prefill(session, NULL, &(pp_prompt){&token, 1}, 1, &cache, &logits, &err),
             "pp_prefill");
        for (int i = 0; i < N_DECODED; i++) {
            token = i + 2;
            must(l->decode(session, &cache, &token, 1, &logits, &err), "pp_decode");
        }
        l->kvcache_destroy(cache);
    }
    return (struct timing){.seconds = (seconds() - start) / N_REPEATS};
}

/* ---- rounds ---- */

enum { QUIET, BUSY, NICE_BUSY, DECODE_QUIET, DECODE_BUSY, ONE_QUIET, ONE_BUSY, N_FIGURES };

static struct timing timings[MAX_LIBRARIES][N_FIGURES][MAX_ROUNDS];

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of both, each for itself. */
static struct timing median(int library, int figure, int n)
{
    double taken[MAX_ROUNDS], processors[MAX_ROUNDS];
    for (int i = 0; i < n; i++) {
        taken[i] = timings[library][figure][i].seconds;
        processors[i] = timings[library][figure][i].processors;
    }
    qsort(taken, (size_t)n, sizeof *taken, compare);
    qsort(processors, (size_t)n, sizeof *processors, compare);
    return (struct timing){taken[n / 2], processors[n / 2]};
}

static void run_round(const struct library *l, int i, int round, const pp_prompt *prompts,
                      const pid_t *spinners, pid_t nice_spinner)
{
    struct timing(*to)[MAX_ROUNDS] = timings[i];
    to[QUIET][round] = time_prefill(l, prompts);
    set_running(spinners, 1, SIGCONT);
    to[BUSY][round] = time_prefill(l, prompts);
    set_running(spinners, 1, SIGSTOP);
    set_running(&nice_spinner, 1, SIGCONT);
    to[NICE_BUSY][round] = time_prefill(l, prompts);
    set_running(&nice_spinner, 1, SIGSTOP);
    to[DECODE_QUIET][round] = time_decodes(l, l->small);
    to[ONE_QUIET][round] = time_decodes(l, l->small_one);
    set_running(spinners, 2, SIGCONT);
    to[DECODE_BUSY][round] = time_decodes(l, l->small);
    to[ONE_BUSY][round] = time_decodes(l, l->small_one);
    set_running(spinners, 2, SIGSTOP);
}

static void report(const struct library *l, int i, int n_rounds, int64_t n_tokens)
{
    static const char *const beside[] = {"alone", "beside nice 0", "beside nice 10"};
    double quiet = median(i, QUIET, n_rounds).seconds, busy[2], one[2];
    printf("%s\n", l->path);
    for (int figure = QUIET; figure <= NICE_BUSY; figure++) {
        struct timing timing = median(i, figure, n_rounds);
        printf("  prefill %-15s %7.0f tokens/s, %.2f processors, %.3f of alone\n", beside[figure],
               (double)n_tokens / timing.seconds, timing.processors, quiet / timing.seconds);
    }
    for (int k = 0; k < 2; k++) {
        busy[k] = 1e3 * median(i, k ? DECODE_BUSY : DECODE_QUIET, n_rounds).seconds;
        one[k] = 1e3 * median(i, k ? ONE_BUSY : ONE_QUIET, n_rounds).seconds;
        printf("  %d decodes %-13s %7.1f ms, on one thread %.1f ms: %.2f times\n", N_DECODED,
               k ? "beside two" : beside[0], busy[k], one[k], busy[k] / one[k]);
    }
}

int main(int argc, char **argv)
{
    int n_libraries = argc - 4, n_rounds = argc > 3 ? atoi(argv[3]) : 0;
    if (n_libraries < 1 || n_libraries > MAX_LIBRARIES || n_rounds < 1 || n_rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_busy MODEL LENGTHS ROUNDS LIBRARY...\n");
        return 2;
    }
    const pid_t spinners[2] = {start_spinner(0), start_spinner(0)};
    pid_t nice_spinner = start_spinner(10);
    static struct library libraries[MAX_LIBRARIES];
    for (int i = 0; i < n_libraries; i++)
        libraries[i] = open_library(argv[4 + i], argv[1]);

    struct length_list list = read_lengths(argv[2]);
    struct rng rng = {.state = 20260311};
    pp_prompt prompts[N_PROMPTS];
    int64_t n_tokens = 0;
    for (int i = 0; i < N_PROMPTS; i++) {
        int64_t n = draw_length(&rng, &list);
        int32_t *tokens = malloc((size_t)n * sizeof *tokens);
        if (!tokens)
            return 1;
        for (int64_t t = 0; t < n; t++)
            tokens[t] = (int32_t)(rng_next(&rng) % VOCAB);
        prompts[i] = (pp_prompt){tokens, n};
        n_tokens += n;
    }
    printf("%d prompts, %lld tokens, %d rounds\n", N_PROMPTS, (long long)n_tokens, n_rounds);
    for (int round = -1; round < n_rounds; round++) /* the first is overwritten */
        for (int i = 0; i < n_libraries; i++)
            run_round(&libraries[i], i, round < 0 ? 0 : round, prompts, spinners, nice_spinner);
    for (int i = 0; i < n_libraries; i++)
        report(&libraries[i], i, n_rounds, n_tokens);
    set_running(spinners, 2, SIGKILL);
    set_running(&nice_spinner, 1, SIGKILL);
    return 0;
}
