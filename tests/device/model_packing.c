/*
 * model_packing.c: packing changes nothing, bit for bit, on a device: logits, keys and values of
 * every prompt by memcmp between a run alone and runs in company: any order, policy, capacity, pass
 * size, decoding in any groups, beside NaN.
 */
#include "model_runs.h"
#include "model_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_PROMPTS  140
#define STEPS        3 /* of decode */

/* The bits of a prompt: keys and values as the session holds them, and logits. */
struct bits {
    void *kv;
    size_t kv_bytes;
    float *logits; /* [1 + STEPS, vocab] */
};

static void collect(const struct runs_model *model, int32_t act, const pp_kvcache *cache,
                    struct bits *bits)
{
    bits->kv = runs_read_kv(&model->shape, cache, act, &bits->kv_bytes);
}

static void collect_logits(const struct runs_model *model, const float *logits, size_t step,
                           struct bits *bits)
{
    size_t vocab = (size_t)model->shape.vocab_size;
    if (!bits->logits)
        bits->logits = plain_alloc((1 + STEPS) * vocab * sizeof(float));
    memcpy(bits->logits + step * vocab, logits, vocab * sizeof(float));
}

static void bits_free(struct bits *bits)
{
    free(bits->kv);
    free(bits->logits);
    *bits = (struct bits){0};
}

/* The token that prompt i gets at a step, whoever else is there; never 0, which may be poisoned. */
static int32_t next_token(const struct runs_model *model, size_t i_prompt, int step)
{
    return 1 +
           (int32_t)((i_prompt * 31 + (size_t)step * 17) % (size_t)(model->shape.vocab_size - 1));
}

/* Each prompt alone: prefill, then decode alone. */
static void run_alone(const struct runs_model *model, const char *device, int32_t dtype,
                      const pp_prompt *prompts, size_t n, struct bits *alone)
{
    pp_session *session = runs_session(model, device, dtype, 0);
    int32_t act = runs_dtype(session);
    for (size_t i = 0; i < n; i++) {
        pp_kvcache *cache;
        const float *logits;
        alone[i] = (struct bits){0};
        CALL(pp_prefill(session, NULL, &prompts[i], 1, &cache, &logits, perr));
        collect_logits(model, logits, 0, &alone[i]);
        for (int step = 0; step < STEPS; step++) {
            int32_t token = next_token(model, i, step);
            CALL(pp_decode(session, &cache, &token, 1, &logits, perr));
            collect_logits(model, logits, (size_t)step + 1, &alone[i]);
        }
        collect(model, act, cache, &alone[i]);
        pp_kvcache_destroy(cache);
    }
    pp_session_destroy(session);
}

/* Decodes every cache STEPS times, each time in random groups. */
static void decode_in_company(const struct runs_model *model, pp_session *session,
                              pp_kvcache *const *caches, const size_t *which, size_t n,
                              struct bits *bits)
{
    size_t vocab = (size_t)model->shape.vocab_size;
    for (int step = 0; step < STEPS; step++) {
        size_t order[MAX_PROMPTS];
        runs_shuffle(order, n);
        for (size_t first = 0; first < n;) {
            size_t group = (size_t)rng_between(&runs_rng, 1, (int64_t)(n - first));
            pp_kvcache *members[MAX_PROMPTS];
            int32_t tokens[MAX_PROMPTS];
            const float *logits;
            for (size_t j = 0; j < group; j++) {
                members[j] = caches[order[first + j]];
                tokens[j] = next_token(model, which[order[first + j]], step);
            }
            CALL(pp_decode(session, members, tokens, group, &logits, perr));
            for (size_t j = 0; j < group; j++)
                collect_logits(model, logits + j * vocab, (size_t)step + 1,
                               &bits[order[first + j]]);
            first += group;
        }
    }
}

static void expect_same(const struct runs_model *model, const char *what, const pp_prompt *prompt,
                        const struct bits *bits, const struct bits *alone)
{
    size_t vocab = (size_t)model->shape.vocab_size;
    for (size_t step = 0; step <= STEPS; step++)
        EXPECT(memcmp(bits->logits + step * vocab, alone->logits + step * vocab,
                      vocab * sizeof(float)) == 0,
               "%s: logits of step %zu of the prompt of %lld tokens differ from its run alone",
               what, step, (long long)prompt->n_tokens);
    EXPECT(bits->kv_bytes == alone->kv_bytes, "%s: lengths differ", what);
    EXPECT(memcmp(bits->kv, alone->kv, bits->kv_bytes) == 0,
           "%s: keys or values of the prompt of %lld tokens differ from its run alone", what,
           (long long)prompt->n_tokens);
}

/* Prompts[which[0..n)] packed; those from `first_checked` on are compared with their run alone. */
static void check_packed(const struct runs_model *model, pp_session *session, const char *what,
                         const pp_prompt *prompts, const size_t *which, size_t n,
                         size_t first_checked, int32_t policy, int64_t capacity,
                         const struct bits *alone)
{
    static struct bits bits[MAX_PROMPTS];
    pp_prompt packed[MAX_PROMPTS];
    pp_kvcache *caches[MAX_PROMPTS];
    const float *logits;
    int32_t act = runs_dtype(session);
    memset(bits, 0, sizeof bits);
    for (size_t i = 0; i < n; i++)
        packed[i] = prompts[which[i]];
    runs_prefill(session, packed, n, policy, capacity, caches, &logits);
    for (size_t i = 0; i < n; i++)
        collect_logits(model, logits + i * (size_t)model->shape.vocab_size, 0, &bits[i]);
    decode_in_company(model, session, caches, which, n, bits);
    for (size_t i = 0; i < n; i++) {
        collect(model, act, caches[i], &bits[i]);
        if (which[i] >= first_checked)
            expect_same(model, what, &packed[i], &bits[i], &alone[which[i]]);
        bits_free(&bits[i]);
    }
    runs_caches_free(caches, n);
}

/* One device, several packings, each in a session with another pass size. */
static void check_packings(const struct runs_model *model, const char *device, int32_t dtype,
                           const pp_prompt *prompts, size_t n, int n_packings)
{
    static const int32_t pass_tokens[] = {0, 64, 200, 1024};
    static struct bits alone[MAX_PROMPTS];
    size_t order[MAX_PROMPTS];
    run_alone(model, device, dtype, prompts, n, alone);
    for (int p = 0; p < n_packings; p++) {
        int32_t tokens = pass_tokens[p % (int)COUNT(pass_tokens)];
        int32_t policy = (int32_t)rng_between(&runs_rng, PP_POLICY_FFD, PP_POLICY_ARRIVAL);
        int64_t capacity = rng_between(&runs_rng, 0, 1)
                               ? rng_between(&runs_rng, 1, runs_emulated ? 150 : 3000)
                               : 0;
        size_t n_packed = p < 2 ? n : (size_t)rng_between(&runs_rng, 1, (int64_t)n);
        char what[160];
        snprintf(what, sizeof what, "%s %s, pass %d, policy %d, capacity %lld, %zu prompts", device,
                 pp_dtype_name(dtype), tokens, policy, (long long)capacity, n_packed);
        pp_session *session = runs_session(model, device, dtype, tokens);
        runs_shuffle(order, n);
        check_packed(model, session, what, prompts, order, n_packed, 0, policy, capacity, alone);
        pp_session_destroy(session);
    }
    for (size_t i = 0; i < n; i++)
        bits_free(&alone[i]);
}

static void check_shape_packings(const struct runs_shape *shape, const int64_t *lengths, size_t n,
                                 int n_packings)
{
    struct runs_model model = runs_model_open(&shape->shape, -1);
    pp_prompt *prompts = runs_prompts(&shape->shape, 0, lengths, n);
    for (const char *const *device = runs_devices(); *device; device++) {
        check_packings(&model, *device, PP_DTYPE_BF16, prompts, n, n_packings);
        if (strncmp(*device, "cpu", 3) != 0)
            check_packings(&model, *device, PP_DTYPE_F16, prompts, n, n_packings);
    }
    runs_prompts_free(prompts, n);
    runs_model_close(&model);
}

void packing_of_every_length(void)
{
    int64_t lengths[130];
    size_t n = runs_emulated ? 24 : 130;
    struct runs_shape shape = runs_main_shape();
    for (size_t i = 0; i < n; i++)
        lengths[i] = (int64_t)(runs_emulated ? i * 3 + 1 : i + 1);
    check_shape_packings(&shape, lengths, n, runs_emulated ? 2 : 4);
}

void packing_at_tile_borders(void)
{
    static const int64_t few[] = {63, 64, 65, 127, 128, 129};
    static const int64_t many[] = {15,  16,  17,  31,  32,  33,  63,   64,   65,   127,  128,
                                   129, 191, 192, 193, 255, 256, 257,  383,  384,  385,  511,
                                   512, 513, 640, 767, 769, 999, 1023, 1024, 1025, 2047, 4100};
    struct runs_shape shape;
    for (size_t i = 0; runs_shape(i, &shape); i += runs_emulated ? 3 : 1)
        check_shape_packings(&shape, runs_emulated ? few : many,
                             runs_emulated ? COUNT(few) : COUNT(many), 2);
}

/* Prompts of a token whose embedding is NaN share packs, passes, groups and, in later rounds, pages
 * with the others. */
void nan_stays_where_it_is(void)
{
    static const int64_t lengths[] = {3, 40, 64, 1, 70, 17, 33, 65, 5, 20};
    enum { N_POISONED = 4, N = COUNT(lengths) };
    static struct bits alone[N];
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, 0);
    pp_prompt *prompts = runs_prompts(&shape.shape, 1, lengths, N);
    for (size_t i = 0; i < N_POISONED; i++)
        memset((void *)(uintptr_t)prompts[i].tokens, 0,
               (size_t)prompts[i].n_tokens * sizeof *prompts[i].tokens);
    for (const char *const *device = runs_devices(); *device; device++) {
        run_alone(&model, *device, PP_DTYPE_BF16, prompts, N, alone);
        for (int poisoned = 0; poisoned < N; poisoned++)
            EXPECT((poisoned < N_POISONED) ==
                       (alone[poisoned].logits[1] != alone[poisoned].logits[1]),
                   "prompt %d should be NaN, or should not", poisoned);
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        for (int round = 0; round < 3; round++) {
            size_t order[N];
            runs_shuffle(order, N);
            check_packed(&model, session, *device, prompts, order, N, N_POISONED, PP_POLICY_FFD,
                         round == 1 ? 1000 : 0, alone);
        }
        pp_session_destroy(session);
        for (size_t i = 0; i < N; i++)
            bits_free(&alone[i]);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

/* Prefill of a part and decode of the rest give the bits of a prefill of the whole. */
void decode_equals_prefill(void)
{
    static const int64_t lengths[] = {2, 17, 40, 65, 130};
    enum { N = COUNT(lengths) };
    const int64_t n_decoded = runs_emulated ? 3 : 20;
    struct runs_shape shape = runs_main_shape();
    struct runs_model model = runs_model_open(&shape.shape, -1);
    pp_prompt *prompts = runs_prompts(&shape.shape, 0, lengths, N);
    for (const char *const *device = runs_devices(); *device; device++) {
        pp_session *session = runs_session(&model, *device, PP_DTYPE_BF16, 0);
        int32_t act = runs_dtype(session);
        for (size_t i = 0; i < N; i++) {
            pp_prompt part = prompts[i];
            pp_kvcache *whole, *cache;
            const float *logits;
            struct bits expected = {0}, bits = {0};
            CALL(pp_prefill(session, NULL, &prompts[i], 1, &whole, &logits, perr));
            collect_logits(&model, logits, 0, &expected);
            collect(&model, act, whole, &expected);
            part.n_tokens = lengths[i] > n_decoded ? lengths[i] - n_decoded : 1;
            CALL(pp_prefill(session, NULL, &part, 1, &cache, NULL, perr));
            while (pp_kvcache_length(cache) < lengths[i]) {
                int32_t token = prompts[i].tokens[pp_kvcache_length(cache)];
                CALL(pp_decode(session, &cache, &token, 1, &logits, perr));
            }
            collect_logits(&model, logits, 0, &bits);
            collect(&model, act, cache, &bits);
            EXPECT(memcmp(bits.kv, expected.kv, bits.kv_bytes) == 0,
                   "%s: keys or values after decode to %lld tokens differ from a prefill", *device,
                   (long long)lengths[i]);
            EXPECT(memcmp(bits.logits, expected.logits,
                          (size_t)shape.shape.vocab_size * sizeof(float)) == 0,
                   "%s: logits after decode to %lld tokens differ from a prefill", *device,
                   (long long)lengths[i]);
            bits_free(&bits);
            bits_free(&expected);
            pp_kvcache_destroy(whole);
            pp_kvcache_destroy(cache);
        }
        pp_session_destroy(session);
    }
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}
