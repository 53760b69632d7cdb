/*
 * run.c: see run.h.
 */
#include "run.h"

#include "rng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct run_target cpu_targets[] = {{"cpu:ref", PP_DTYPE_F32},
                                                {"cpu:ref", PP_DTYPE_BF16},
                                                {"cpu:avx2", PP_DTYPE_F32},
                                                {"cpu:avx2", PP_DTYPE_BF16},
                                                {"cpu:avx512", PP_DTYPE_F32},
                                                {"cpu:avx512", PP_DTYPE_BF16},
                                                {"cpu:avx512bf16", PP_DTYPE_F32},
                                                {"cpu:avx512bf16", PP_DTYPE_BF16},
                                                {NULL, 0}};
static const struct run_target cuda_targets[] = {
    {"cuda", PP_DTYPE_BF16}, {"cuda", PP_DTYPE_F16}, {"cuda:own", PP_DTYPE_BF16}, {NULL, 0}};

const struct run_target *run_target(int i)
{
    const struct run_target *target = &(run_on_cuda() ? cuda_targets : cpu_targets)[i];
    return target->device ? target : NULL;
}

pp_session *run_session(pp_model *model, struct run_target target, int32_t n_threads,
                        int32_t max_pass_tokens)
{
    pp_session_params params;
    pp_session *session = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_session_params_init(&params, sizeof params);
    params.device = target.device;
    params.dtype = target.dtype;
    params.n_threads = n_threads;
    params.max_pass_tokens = max_pass_tokens;
    params.keep_window_pages = 1; /* tests look at all of a cache */
    pp_status status = pp_session_create(model, &params, &session, &err);
    if (status == PP_ERR_NO_BACKEND && !run_on_cuda())
        return NULL;
    if (status == PP_ERR_UNSUPPORTED && run_on_cuda()) {
        printf("# %s\n", err.message);
        return NULL;
    }
    ck_assert_msg(status == PP_OK, "pp_session_create(%s): %s", target.device, err.message);
    return session;
}

struct run_bits run_collect(const pp_model *model, const pp_session *session,
                            const pp_kvcache *cache, const float *logits)
{
    pp_model_config config = {.struct_size = sizeof config};
    pp_session_info info = {.struct_size = sizeof info};
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(pp_model_get_config(model, &config, &err), PP_OK);
    ck_assert_int_eq(pp_session_get_info(session, &info, &err), PP_OK);
    size_t half = (size_t)pp_kvcache_length(cache) * (size_t)config.n_kv_heads *
                  (size_t)config.head_dim * pp_dtype_size(info.dtype);
    struct run_bits bits = {.kv_bytes = half * 2 * (size_t)config.n_layers,
                            .logits_bytes = (size_t)config.vocab_size * sizeof(float)};
    bits.kv = malloc(bits.kv_bytes + 1);
    bits.logits = malloc(bits.logits_bytes);
    char *dst = bits.kv;
    for (int32_t layer = 0; layer < config.n_layers; layer++)
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++, dst += half)
            ck_assert_msg(pp_kvcache_read(cache, layer, which, PP_KV_NHD, info.dtype, 0,
                                          pp_kvcache_length(cache), dst, half, &err) == PP_OK,
                          "%s", err.message);
    memcpy(bits.logits, logits, bits.logits_bytes);
    return bits;
}

void run_bits_free(struct run_bits *bits)
{
    free(bits->kv);
    free(bits->logits);
}

pp_prompt *run_prompts(const pp_model *model, uint64_t seed, const int64_t *lengths, size_t n)
{
    struct rng rng = {seed};
    pp_model_config config = {.struct_size = sizeof config};
    ck_assert_int_eq(pp_model_get_config(model, &config, NULL), PP_OK);
    pp_prompt *prompts = calloc(n, sizeof *prompts);
    for (size_t i = 0; i < n; i++) {
        int32_t *tokens = malloc((size_t)lengths[i] * sizeof *tokens);
        for (int64_t j = 0; j < lengths[i]; j++)
            tokens[j] = (int32_t)rng_between(&rng, 0, config.vocab_size - 1);
        prompts[i] = (pp_prompt){tokens, lengths[i]};
    }
    return prompts;
}

void run_prompts_free(pp_prompt *prompts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((void *)prompts[i].tokens);
    free(prompts);
}
