/*
 * rival_ik.c: prefill by ik_llama.cpp for rival_ik.py, which compiles it against that library's own
 * header. It holds one context and prefills when a line on standard input says so:
 *
 *     HOW PROMPTS LOGITS      together, alone, or packs (of a ubatch, each forgetting the one
 *                             before); PROMPTS holds int32 n, lengths [n] and the ids of all;
 *                             LOGITS receives f32 [n, vocabulary] of the last tokens
 *
 * It answers each with its seconds, and once, when it has loaded, with "ready".
 * usage: rival_ik MODEL.gguf THREADS MAX_TOKENS MAX_PROMPTS UBATCH FLASH REPACK
 */
#include <llama.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct llama_context *context;
static struct llama_batch batch;
static int n_vocab;

static void quiet(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static void stop(const char *what)
{
    fprintf(stderr, "rival_ik: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Prompts first .. end - 1 as sequences of one call; their rows go to `logits`. The seconds. */
static double decode(const int *lengths, const int *ids, int first, int end, float *logits)
{
    int n = 0;
    for (int i = 0; i < first; i++)
        ids += lengths[i];
    for (int i = first; i < end; i++)
        for (int k = 0; k < lengths[i]; k++, n++) {
            batch.token[n] = *ids++;
            batch.pos[n] = k;
            batch.n_seq_id[n] = 1;
            batch.seq_id[n][0] = i;
            batch.logits[n] = k == lengths[i] - 1;
        }
    batch.n_tokens = n;
    const double began = now();
    if (llama_decode(context, batch) != 0)
        stop("llama_decode failed");
    llama_synchronize(context);
    const double seconds = now() - began;
    for (int i = 0; i < n; i++)
        if (batch.logits[i]) {
            memcpy(logits, llama_get_logits_ith(context, i), (size_t)n_vocab * sizeof *logits);
            logits += n_vocab;
        }
    return seconds;
}

/* The end of the prompts that one call takes from `first` on. */
static int end_of(const char *how, const int *lengths, int first, int n, int ubatch)
{
    int end = first + 1, held = lengths[first];
    if (strcmp(how, "alone") == 0)
        return end;
    while (end < n && (strcmp(how, "together") == 0 || held + lengths[end] <= ubatch))
        held += lengths[end++];
    return end;
}

static int *read_ints(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        stop("no file of prompts");
    const long bytes = ftell(file);
    int *ints = malloc((size_t)bytes);
    rewind(file);
    if (!ints || fread(ints, 1, (size_t)bytes, file) != (size_t)bytes)
        stop("the file of prompts cannot be read");
    fclose(file);
    return ints;
}

static double prefill(const char *how, const char *prompts, const char *out, int ubatch)
{
    int *ints = read_ints(prompts);
    const int n = ints[0], *lengths = ints + 1, *ids = ints + 1 + n;
    float *logits = malloc((size_t)n * (size_t)n_vocab * sizeof *logits);
    FILE *file = fopen(out, "wb");
    double seconds = 0;
    if (!logits || !file)
        stop("no room for the logits");
    llama_kv_cache_clear(context);
    for (int i = 0, end; i < n; i = end) {
        end = end_of(how, lengths, i, n, ubatch);
        if (strcmp(how, "packs") == 0)
            llama_kv_cache_clear(context);
        seconds += decode(lengths, ids, i, end, logits + (size_t)i * (size_t)n_vocab);
    }
    fwrite(logits, sizeof *logits, (size_t)n * (size_t)n_vocab, file);
    fclose(file);
    free(logits);
    free(ints);
    return seconds;
}

int main(int argc, char **argv)
{
    char how[16], prompts[1024], out[1024];
    if (argc != 8)
        stop("seven arguments");
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params model_params = llama_model_default_params();
    struct llama_context_params params = llama_context_default_params();
    model_params.flash_attn = params.flash_attn = atoi(argv[6]) != 0;
    model_params.repack_tensors = atoi(argv[7]) != 0;
    model_params.use_mmap = !model_params.repack_tensors;
    struct llama_model *model = llama_model_load_from_file(argv[1], model_params);
    if (!model)
        stop("no model");
    params.n_threads = params.n_threads_batch = (unsigned)atoi(argv[2]);
    params.n_ctx = params.n_batch = (unsigned)atoi(argv[3]);
    params.n_seq_max = (unsigned)atoi(argv[4]);
    params.n_ubatch = (unsigned)atoi(argv[5]);
    context = llama_init_from_model(model, params);
    if (!context)
        stop("no context");
    n_vocab = llama_n_vocab(model);
    batch = llama_batch_init(atoi(argv[3]), 0, 1);
    puts("ready");
    fflush(stdout);
    while (scanf("%15s %1023s %1023s", how, prompts, out) == 3) {
        printf("%.6f\n", prefill(how, prompts, out, atoi(argv[5])));
        fflush(stdout);
    }
    return 0;
}
