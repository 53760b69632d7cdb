/*
 * bench_caches.c: what a saved cache costs and saves: prefilling a prompt, saving its cache,
 * loading it again, in turns, in one run; memory for memory beside the file. Random weights.
 *
 *     bench_caches [PRESET [TOKENS [ROUNDS [PATH]]]]      llama1b 2048 5 /tmp/prepack-bench-cache
 */
#include <prepack/prepack.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PREFILL, SAVE, LOAD, EXPORT, IMPORT, N_KINDS };
static const char *const names[N_KINDS] = {"prefill", "save", "load", "export to memory",
                                           "import from memory"};
#define MAX_ROUNDS 100

static pp_error err = {.struct_size = sizeof err};

static void must(pp_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "bench_caches: %s\n", err.message);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct bench {
    pp_session *session;
    pp_prompt prompt;
    const char *path;
    void *memory;
    size_t bytes;
    double seconds[N_KINDS][MAX_ROUNDS];
    int round;
};

/* Time from the last call on is booked. */
static double book(struct bench *bench, int kind, double since)
{
    bench->seconds[kind][bench->round] = now() - since;
    return now();
}

static void run_round(struct bench *bench)
{
    pp_kvcache *cache = NULL, *loaded = NULL;
    double t = now();
    must(pp_prefill(bench->session, NULL, &bench->prompt, 1, &cache, NULL, &err));
    must(pp_session_synchronize(bench->session, &err));
    t = book(bench, PREFILL, t);
    must(pp_kvcache_save(cache, bench->path, NULL, &err));
    t = book(bench, SAVE, t);
    must(pp_kvcache_load(bench->session, bench->path, &loaded, &err));
    book(bench, LOAD, t);
    pp_kvcache_destroy(loaded);
    loaded = NULL;
    if (!bench->memory) {
        must(pp_kvcache_export_size(cache, NULL, &bench->bytes, &err));
        bench->memory = malloc(bench->bytes);
        if (!bench->memory)
            exit(1);
        memset(bench->memory, 1, bench->bytes); /* touched before it is timed */
    }
    t = now();
    must(pp_kvcache_export(cache, NULL, bench->memory, bench->bytes, &err));
    t = book(bench, EXPORT, t);
    must(pp_kvcache_import(bench->session, bench->memory, bench->bytes, &loaded, &err));
    book(bench, IMPORT, t);
    pp_kvcache_destroy(loaded);
    pp_kvcache_destroy(cache);
    bench->round++;
}

int main(int argc, char **argv)
{
    const char *preset = argc > 1 ? argv[1] : "llama1b";
    const int64_t n = argc > 2 ? atoll(argv[2]) : 2048;
    const int n_rounds = argc > 3 ? atoi(argv[3]) : 5;
    struct bench bench = {.path = argc > 4 ? argv[4] : "/tmp/prepack-bench-cache"};
    const char *config = pp_model_preset(preset);
    int32_t *ids = n > 0 ? malloc((size_t)n * sizeof *ids) : NULL;
    pp_model *model;
    if (!config || !ids || n_rounds < 1 || n_rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_caches [PRESET [TOKENS [ROUNDS [PATH]]]]\n");
        return 1;
    }
    must(pp_model_create_random(config, 1, NULL, &model, &err));
    pp_model_config shape = {.struct_size = sizeof shape};
    must(pp_model_get_config(model, &shape, &err));
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)(i * 7919 % shape.vocab_size);
    bench.prompt = (pp_prompt){ids, n};
    pp_session_params params;
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_BF16;
    must(pp_session_create(model, &params, &bench.session, &err));
    for (int i = 0; i < n_rounds; i++)
        run_round(&bench);
    pp_session_info info = {.struct_size = sizeof info};
    must(pp_session_get_info(bench.session, &info, &err));
    printf("%s, %s, %d threads: %lld tokens, %.1f MB, medians of %d rounds\n", preset, info.device,
           info.n_threads, (long long)n, 1e-6 * (double)bench.bytes, n_rounds);
    for (int kind = 0; kind < N_KINDS; kind++)
        qsort(bench.seconds[kind], (size_t)n_rounds, sizeof(double), by_value);
    const double prefill = bench.seconds[PREFILL][n_rounds / 2];
    for (int kind = 0; kind < N_KINDS; kind++) {
        const double median = bench.seconds[kind][n_rounds / 2];
        printf("%-20s %9.1f ms  %6.2f GB/s  %7.1f x faster than prefill\n", names[kind],
               1e3 * median, kind == PREFILL ? 0 : 1e-9 * (double)bench.bytes / median,
               prefill / median);
    }
    unlink(bench.path);
    free(bench.memory);
    free(ids);
    pp_session_destroy(bench.session);
    pp_model_unref(model);
    return 0;
}
