/*
 * sessions.c: see sessions.h.
 */
#include "sessions.h"

#include "rng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct run_target cpu_targets[] = {{"cpu:ref", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:ref", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:avx2", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:avx2", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:avx512", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:avx512", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:avx512bf16", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:avx512bf16", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:avx512amx", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:neon", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:neon", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {"cpu:neondot", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:neonbf16", PP_DTYPE_F32, PP_WEIGHTS_AUTO},
                                                {"cpu:neonbf16", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                {NULL, 0, 0}};
static const struct run_target cuda_targets[] = {{"cuda", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                 {"cuda", PP_DTYPE_F16, PP_WEIGHTS_AUTO},
                                                 {"cuda:own", PP_DTYPE_BF16, PP_WEIGHTS_AUTO},
                                                 {NULL, 0, 0}};

const struct run_target *run_target(int i)
{
    const struct run_target *target = &(run_on_cuda() ? cuda_targets : cpu_targets)[i];
    return target->device ? target : NULL;
}

pp_session *run_session(pp_model *model, struct run_target target, int32_t n_threads,
                        int32_t max_pass_tokens, int32_t keep_window_pages)
{
    pp_session_params params;
    pp_session *session = NULL;
    pp_error err = {.struct_size = sizeof err};
    pp_session_params_init(&params, sizeof params);
    params.device = target.device;
    params.dtype = target.dtype;
    params.weights = target.weights;
    params.n_threads = n_threads;
    params.max_pass_tokens = max_pass_tokens;
    params.keep_window_pages = keep_window_pages;
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

static struct run_layer collect_state(const pp_model *model, const pp_kvcache *cache, int32_t i)
{
    pp_model_config c = {.struct_size = sizeof c};
    struct run_layer layer = {.first_token = pp_kvcache_first_token(cache, i)};
    OK(pp_model_get_config(model, &c, perr));
    size_t heads = (size_t)c.linear_key_heads * (size_t)c.linear_key_dim;
    size_t values = (size_t)c.linear_value_heads * (size_t)c.linear_value_dim;
    layer.state_bytes[PP_STATE_RECURRENT] = values * (size_t)c.linear_key_dim * sizeof(float);
    layer.state_bytes[PP_STATE_CONV] =
        (size_t)(c.linear_kernel - 1) * (2 * heads + values) * sizeof(float);
    for (int which = 0; which < 2 && pp_kvcache_length(cache) > 0; which++) {
        layer.state[which] = malloc(layer.state_bytes[which] + 1);
        OK(pp_kvcache_read_state(cache, i, which, (float *)layer.state[which],
                                 layer.state_bytes[which], perr));
    }
    return layer;
}

static struct run_layer collect_layer(const pp_model *model, const pp_kvcache *cache, int32_t i,
                                      int32_t dtype)
{
    pp_layer_config config = {.struct_size = sizeof config};
    OK(pp_model_get_layer(model, i, &config, perr));
    if (config.kind == PP_LAYER_LINEAR)
        return collect_state(model, cache, i);
    struct run_layer layer = {.first_token = pp_kvcache_first_token(cache, i)};
    layer.row_bytes = (size_t)config.n_kv_heads * (size_t)config.head_dim * pp_dtype_size(dtype);
    int64_t n_held = pp_kvcache_length(cache) - layer.first_token;
    size_t bytes = (size_t)n_held * layer.row_bytes;
    for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
        layer.kv[which] = malloc(bytes + 1);
        OK(pp_kvcache_read(cache, i, which, PP_KV_NHD, dtype, layer.first_token, n_held,
                           layer.kv[which], bytes, perr));
    }
    return layer;
}

struct run_bits run_collect(const pp_session *session, const pp_kvcache *cache, const float *logits)
{
    const pp_model *model = pp_session_model(session);
    pp_model_config config = {.struct_size = sizeof config};
    pp_session_info info = {.struct_size = sizeof info};
    OK(pp_model_get_config(model, &config, perr));
    OK(pp_session_get_info(session, &info, perr));
    struct run_bits bits = {.n_layers = config.n_layers, .n_tokens = pp_kvcache_length(cache)};
    bits.layers = calloc((size_t)config.n_layers, sizeof *bits.layers);
    for (int32_t i = 0; i < config.n_layers; i++)
        bits.layers[i] = collect_layer(model, cache, i, info.dtype);
    if (logits) {
        bits.logits_bytes = (size_t)config.vocab_size * sizeof(float);
        bits.logits = malloc(bits.logits_bytes);
        memcpy(bits.logits, logits, bits.logits_bytes);
    }
    return bits;
}

void run_bits_free(struct run_bits *bits)
{
    for (int32_t i = 0; i < bits->n_layers; i++) {
        free(bits->layers[i].kv[PP_KV_K]);
        free(bits->layers[i].kv[PP_KV_V]);
        free(bits->layers[i].state[PP_STATE_RECURRENT]);
        free(bits->layers[i].state[PP_STATE_CONV]);
    }
    free(bits->layers);
    free(bits->logits);
}

/* Keys or values of a token that the layer holds. */
static const char *row_of(const struct run_layer *layer, int which, int64_t token)
{
    return layer->kv[which] + (size_t)(token - layer->first_token) * layer->row_bytes;
}

const char *run_bits_difference(const struct run_bits *a, const struct run_bits *b)
{
    static char text[120];
    ck_assert_int_eq(a->n_layers, b->n_layers);
    snprintf(text, sizeof text, "%lld tokens instead of %lld", (long long)a->n_tokens,
             (long long)b->n_tokens);
    if (a->n_tokens != b->n_tokens)
        return text;
    for (int32_t i = 0; i < a->n_layers; i++) {
        const struct run_layer *x = &a->layers[i], *y = &b->layers[i];
        ck_assert_uint_eq(x->row_bytes, y->row_bytes);
        for (int which = 0; which < 2; which++)
            if (x->state[which] &&
                memcmp(x->state[which], y->state[which], x->state_bytes[which]) != 0) {
                snprintf(text, sizeof text, "%s behind token %lld in layer %d differ",
                         which == PP_STATE_CONV ? "inputs" : "states", (long long)a->n_tokens - 1,
                         i);
                return text;
            }
        if (x->state_bytes[0] > 0)
            continue;
        for (int which = PP_KV_K; which <= PP_KV_V; which++)
            for (int64_t t = x->first_token > y->first_token ? x->first_token : y->first_token;
                 t < a->n_tokens; t++)
                if (memcmp(row_of(x, which, t), row_of(y, which, t), x->row_bytes) != 0) {
                    snprintf(text, sizeof text, "%s of token %lld of %lld in layer %d differ",
                             which == PP_KV_K ? "keys" : "values", (long long)t,
                             (long long)a->n_tokens, i);
                    return text;
                }
    }
    if (a->logits && b->logits && memcmp(a->logits, b->logits, a->logits_bytes) != 0) {
        snprintf(text, sizeof text, "logits after %lld tokens differ", (long long)a->n_tokens);
        return text;
    }
    return NULL;
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
