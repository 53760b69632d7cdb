/*
 * bench_positions.c: what scoring every position of long prompts takes beside weights and KV pages.
 *
 *     bench_positions [N LENGTH VOCAB]        32 prompts of 2,048 tokens, 128,256 ids
 *
 * The shape is 12 layers of 768, weights random. The process's memory is its largest resident set
 * since the session was made, as the kernel counts it (VmHWM, after /proc/self/clear_refs).
 */
#include <prepack/prepack.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pp_error err = {.struct_size = sizeof err};

static void check(pp_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "bench_positions: %s\n", err.message);
    exit(1);
}

/* A line of /proc/self/status in bytes. */
static int64_t process_bytes(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    int64_t kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = atoll(line + strlen(name) + 1);
    if (file)
        fclose(file);
    return kib * 1024;
}

static pp_session *open_session(int64_t vocab)
{
    char config[512];
    pp_model *model;
    pp_session *session;
    pp_session_params params;
    snprintf(config, sizeof config,
             "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"vocab_size\":"
             "%" PRId64 ",\"hidden_size\":768,\"intermediate_size\":2048,\"num_hidden_layers\":12,"
             "\"num_attention_heads\":12,\"num_key_value_heads\":12,\"max_position_embeddings\":"
             "4096,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":false}",
             vocab);
    check(pp_model_create_random(config, 1, NULL, &model, &err));
    pp_session_params_init(&params, sizeof params);
    params.dtype = PP_DTYPE_BF16;
    check(pp_session_create(model, &params, &session, &err));
    pp_model_unref(model);
    return session;
}

int main(int argc, char **argv)
{
    int64_t n = argc > 1 ? atoll(argv[1]) : 32, length = argc > 2 ? atoll(argv[2]) : 2048;
    int64_t vocab = argc > 3 ? atoll(argv[3]) : 128256;
    if (n < 1 || length < 2 || vocab < 16) {
        fprintf(stderr, "usage: bench_positions [N LENGTH VOCAB]\n");
        return 2;
    }
    pp_session *session = open_session(vocab);
    int32_t *ids = malloc((size_t)(n * length) * sizeof *ids);
    pp_score *scores = malloc((size_t)(n * length) * sizeof *scores);
    pp_item *items = calloc((size_t)n, sizeof *items);
    for (int64_t i = 0; i < n * length; i++) {
        ids[i] = (int32_t)((i * 2654435761) % vocab);
        scores[i] = (pp_score){.token = i % length, .target = PP_NO_TARGET};
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = 0; t + 1 < length; t++)
            scores[i * length + t].target = ids[i * length + t + 1];
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = ids + i * length,
                             .n_tokens = length,
                             .scores = scores + i * length,
                             .n_scores = length - 1};
    }
    FILE *refs = fopen("/proc/self/clear_refs", "w");
    if (refs) {
        fputs("5", refs);
        fclose(refs);
    }
    int64_t before = process_bytes("VmRSS");
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    check(pp_run(session, NULL, items, n, NULL, &err));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    pp_session_info info = {.struct_size = sizeof info};
    check(pp_session_get_info(session, &info, &err));
    double sum = 0;
    for (int64_t i = 0; i < n * length; i++)
        sum += scores[i].logprob;
    int64_t beside = info.workspace_bytes;
    int64_t grown = process_bytes("VmHWM") - before - info.kv_pool_bytes;
    printf(
        "%" PRId64 " prompts of %" PRId64 " tokens, %" PRId64 " ids: %.1f s, %.0f tokens/s, mean "
        "log-probability %.4f\n"
        "weights %.0f MB, KV pages %.0f MB; workspace %.0f MB; the process grew by %.0f MB beside "
        "KV pages\n",
        n, length, vocab, seconds, (double)(n * length) / seconds, sum / (double)(n * (length - 1)),
        (double)info.weight_bytes / 1e6, (double)info.kv_pool_bytes / 1e6, (double)beside / 1e6,
        (double)grown / 1e6);
    for (int64_t i = 0; i < n; i++)
        pp_kvcache_destroy(items[i].cache);
    pp_session_destroy(session);
    free(ids);
    free(scores);
    free(items);
    return 0;
}
