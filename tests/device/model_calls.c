/*
 * model_calls.c: the other calls of a session on a device: sampling, forks, copies of keys and
 * values, a memory limit, the shapes of known models.
 */
#include "model_runs.h"
#include "model_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int64_t LENGTHS[] = {7, 1, 33, 64, 12};
#define N COUNT(LENGTHS)

static int32_t largest(const float *logits, int32_t vocab)
{
    int32_t best = 0;
    for (int32_t t = 1; t < vocab; t++)
        if (logits[t] > logits[best])
            best = t;
    return best;
}

void tokens_are_the_largest_logits(void)
{
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, LENGTHS, N);
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        pp_kvcache *caches[N], *twins[N];
        const float *logits;
        int32_t next[N], expected[N];
        runs_prefill(session, prompts, N, PP_POLICY_FFD, 0, twins, &logits);
        CALL(pp_prefill_sample(session, NULL, prompts, N, NULL, caches, next, perr));
        runs_caches_free(twins, N);
        runs_prefill(session, prompts, N, PP_POLICY_FFD, 0, twins, &logits);
        for (int step = 0;; step++) {
            for (size_t i = 0; i < N; i++) {
                expected[i] =
                    largest(logits + i * (size_t)shape.shape.vocab_size, shape.shape.vocab_size);
                EXPECT(next[i] == expected[i], "%s: step %d, prompt %zu: token %d, not %d", *device,
                       step, i, next[i], expected[i]);
            }
            if (step == 3)
                break;
            CALL(pp_decode_sample(session, caches, next, N, NULL, next, perr));
            CALL(pp_decode(session, twins, expected, N, &logits, perr));
        }
        runs_caches_free(caches, N);
        runs_caches_free(twins, N);
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

void samples_do_not_know_their_company(void)
{
    static const uint64_t seeds[N] = {11, 22, 33, 44, 55};
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, LENGTHS, N);
    pp_sample_params params;
    pp_sample_params_init(&params, sizeof params);
    params.temperature = 1.5f;
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        pp_kvcache *caches[N];
        int32_t together[N];
        int n_unlikely = 0;
        params.seeds = seeds;
        CALL(pp_prefill_sample(session, NULL, prompts, N, &params, caches, together, perr));
        CALL(pp_decode_sample(session, caches, together, N, &params, together, perr));
        runs_caches_free(caches, N);
        for (size_t i = 0; i < N; i++) {
            pp_kvcache *cache;
            int32_t alone, likely;
            params.seeds = &seeds[i];
            CALL(pp_prefill_sample(session, NULL, &prompts[i], 1, &params, &cache, &alone, perr));
            CALL(pp_decode_sample(session, &cache, &alone, 1, &params, &alone, perr));
            EXPECT(alone == together[i], "%s: prompt %zu draws %d alone, %d in company", *device, i,
                   alone, together[i]);
            CALL(pp_kvcache_truncate(cache, LENGTHS[i], perr));
            CALL(pp_decode_sample(session, &cache, &alone, 1, NULL, &likely, perr));
            n_unlikely += likely != alone;
            pp_kvcache_destroy(cache);
        }
        EXPECT(n_unlikely > 0, "%s: at temperature 1.5 every token is the likeliest", *device);
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

/* A fork shares its pages until one of the two is written to. */
void forks_share_and_part(void)
{
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, LENGTHS, N);
    size_t vocab_bytes = (size_t)shape.shape.vocab_size * sizeof(float);
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        pp_kvcache *cache, *fork;
        const float *logits;
        float *first = plain_alloc(vocab_bytes), *second = plain_alloc(vocab_bytes);
        int32_t token = 5, other = 9;
        CALL(pp_prefill(session, NULL, &prompts[2], 1, &cache, NULL, perr));
        CALL(pp_kvcache_fork(cache, LENGTHS[2] - 1, &fork, perr));
        CALL(pp_decode(session, &fork, &other, 1, &logits, perr)); /* into a shared page */
        CALL(pp_decode(session, &cache, &token, 1, &logits, perr));
        memcpy(first, logits, vocab_bytes);
        pp_kvcache_destroy(cache);
        CALL(pp_prefill(session, NULL, &prompts[2], 1, &cache, NULL, perr));
        CALL(pp_decode(session, &cache, &token, 1, &logits, perr));
        memcpy(second, logits, vocab_bytes);
        EXPECT(memcmp(first, second, vocab_bytes) == 0, "%s: a fork changed its origin", *device);
        CALL(pp_kvcache_truncate(cache, LENGTHS[2] - 1, perr));
        CALL(pp_decode(session, &cache, &other, 1, &logits, perr));
        CALL(pp_decode(session, &cache, &token, 1, &logits, perr));
        memcpy(second, logits, vocab_bytes);
        CALL(pp_decode(session, &fork, &token, 1, &logits, perr));
        EXPECT(memcmp(second, logits, vocab_bytes) == 0, "%s: a fork is not what it should be",
               *device);
        pp_kvcache_destroy(cache);
        pp_kvcache_destroy(fork);
        free(first);
        free(second);
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

/* Both orders of heads and tokens, the session's type and f32, hold the same values. */
void layouts_and_types_of_copies(void)
{
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, LENGTHS, N);
    size_t n_heads = (size_t)shape.shape.n_kv_heads, dim = (size_t)shape.shape.head_dim;
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        pp_kvcache *cache;
        size_t n_tokens = (size_t)LENGTHS[3], n = n_tokens * n_heads * dim;
        float *tokens_first = plain_alloc(n * sizeof(float));
        float *heads_first = plain_alloc(n * sizeof(float));
        uint16_t *raw = plain_alloc(n * sizeof(uint16_t));
        CALL(pp_prefill(session, NULL, &prompts[3], 1, &cache, NULL, perr));
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
            int32_t layer = shape.shape.n_layers - 1;
            CALL(pp_kvcache_read(cache, layer, which, PP_KV_NHD, PP_DTYPE_F32, 0,
                                 pp_kvcache_length(cache), tokens_first, n * sizeof(float), perr));
            CALL(pp_kvcache_read(cache, layer, which, PP_KV_HND, PP_DTYPE_F32, 0,
                                 pp_kvcache_length(cache), heads_first, n * sizeof(float), perr));
            CALL(pp_kvcache_read(cache, layer, which, PP_KV_HND, PP_DTYPE_BF16, 0,
                                 pp_kvcache_length(cache), raw, n * sizeof(uint16_t), perr));
            for (size_t i = 0; i < n; i++) {
                size_t token = i / (n_heads * dim), head = i / dim % n_heads;
                size_t there = (head * n_tokens + token) * dim + i % dim;
                uint32_t bits = (uint32_t)raw[there] << 16;
                float widened;
                memcpy(&widened, &bits, sizeof widened);
                EXPECT(tokens_first[i] == heads_first[there], "%s: layouts differ at %zu", *device,
                       i);
                EXPECT(tokens_first[i] == widened, "%s: types differ at %zu", *device, i);
            }
        }
        pp_kvcache_destroy(cache);
        free(raw);
        free(heads_first);
        free(tokens_first);
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

/* A limit with room for `room` bytes of pages (and what loading takes for a while): what does not
 * fit is refused before anything runs, what fits still runs. */
static void check_limit(const struct runs_model *model, const char *device, int64_t room,
                        const pp_prompt *prompt)
{
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    pp_error err = {.struct_size = sizeof err};
    pp_session *session;
    const float *logits;
    pp_session_params_init(&params, sizeof params);
    params.device = device;
    params.dtype = PP_DTYPE_BF16;
    CALL(pp_session_estimate(model->model, &params, &info, perr));
    params.memory_limit = info.memory_bytes / 2;
    pp_status status = pp_session_create(model->model, &params, &session, &err);
    EXPECT(status == PP_ERR_DEVICE_NOMEM || status == PP_ERR_NOMEM, "%s: half the memory gives %d",
           device, status);
    params.memory_limit = info.memory_bytes + room;
    CALL(pp_session_create(model->model, &params, &session, perr));

    int64_t prompt_bytes = ((prompt->n_tokens - 1) / info.page_tokens + 1) * info.page_bytes;
    size_t n_many = (size_t)(room / prompt_bytes) + 2;
    pp_prompt *many = plain_alloc(n_many * sizeof *many);
    pp_kvcache **caches = plain_alloc(n_many * sizeof(pp_kvcache *));
    for (size_t i = 0; i < n_many; i++)
        many[i] = *prompt;
    for (int round = 0; round < 3; round++) {
        status = pp_prefill(session, NULL, many, n_many, caches, NULL, &err);
        EXPECT(status == PP_ERR_DEVICE_NOMEM || status == PP_ERR_NOMEM,
               "%s: %zu prompts of %lld bytes in %lld bytes give %d", device, n_many,
               (long long)prompt_bytes, (long long)room, status);
        CALL(pp_prefill(session, NULL, many, 2, caches, &logits, perr));
        runs_caches_free(caches, 2);
    }
    CALL(pp_session_get_info(session, &info, perr));
    EXPECT(info.memory_bytes <= params.memory_limit, "%s: %lld bytes held, %lld allowed", device,
           (long long)info.memory_bytes, (long long)params.memory_limit);
    free(many);
    free(caches);
    pp_session_destroy(session);
}

void no_memory_is_a_status(void)
{
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, LENGTHS, N);
    for (const char *const *device = runs_devices(); *device; device++)
        check_limit(&model, *device, runs_emulated ? 16 << 20 : 1 << 30, &prompts[3]);
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

/* Pseudo-random weights of a known shape: two layers of it, or the smallest. */
void presets_run(void)
{
    struct runs_model model = {.shape = model_shape_of(runs_emulated ? "tiny" : "llama1b")};
    model.shape.n_layers = runs_emulated ? 1 : 2;
    CALL(model_random(&model.shape, 3, NULL, &model.model, perr));
    pp_prompt *prompts = runs_prompts(&model.shape, 0, LENGTHS, N);
    size_t vocab_bytes = (size_t)model.shape.vocab_size * sizeof(float);
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_AUTO, 0);
        pp_kvcache *caches[N];
        const float *logits;
        float *packed = plain_alloc(N * vocab_bytes);
        runs_prefill(session, prompts, N, PP_POLICY_FFD, 0, caches, &logits);
        runs_caches_free(caches, N);
        memcpy(packed, logits, N * vocab_bytes);
        for (size_t i = 0; i < N; i++) {
            CALL(pp_prefill(session, NULL, &prompts[i], 1, caches, &logits, perr));
            EXPECT(memcmp(logits, packed + i * (size_t)model.shape.vocab_size, vocab_bytes) == 0,
                   "%s: logits of prompt %zu depend on its company", *device, i);
            runs_caches_free(caches, 1);
        }
        free(packed);
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}
