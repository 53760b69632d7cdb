/*
 * model_runs.c: see model_runs.h.
 */
#include "support/flat_params.h"
#include "model_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What a shape is made from. Rows are multiples of 8 elements, as the kernels want them. */
struct outline {
    const char *name;
    int32_t n_heads, n_kv_heads, head_dim, hidden, intermediate, n_layers, vocab;
    int32_t window, tied, rope, dtype;
};

/* clang-format off */
static const struct outline HARDWARE[] = {
    {"gqa, head_dim 128",        8, 2, 128, 1024, 2816, 3, 4000,   0, 0, 0, PP_DTYPE_BF16},
    {"mha, head_dim 64",         8, 8,  64,  512, 1376, 4, 1000,   0, 0, 0, PP_DTYPE_BF16},
    {"mha, head_dim 96, tied",   8, 8,  96,  768, 2048, 2, 1000,   0, 1, 0, PP_DTYPE_BF16},
    {"group of 7, head_dim 64", 14, 2,  64,  896, 2432, 2, 2000,   0, 0, 0, PP_DTYPE_BF16},
    {"head_dim 256",             4, 1, 256,  640, 1720, 2, 1000,   0, 0, 0, PP_DTYPE_BF16},
    {"window of 100",            8, 2, 128,  512, 1376, 2, 1000, 100, 0, 0, PP_DTYPE_BF16},
    {"window of 1",              4, 2,  64,  256,  688, 2,  500,   1, 0, 0, PP_DTYPE_BF16},
    {"rope linear",              8, 4,  64,  512, 1376, 2, 1000,   0, 0, PP_ROPE_LINEAR, PP_DTYPE_BF16},
    {"rope llama3",              8, 4, 128,  512, 1376, 2, 1000,   0, 0, PP_ROPE_LLAMA3, PP_DTYPE_BF16},
    {"f16, head_dim 128",        8, 2, 128,  768, 2048, 2, 2000,   0, 0, 0, PP_DTYPE_F16},
    {"f16, head_dim 64, window", 8, 8,  64,  512, 1376, 2, 1000,  70, 1, 0, PP_DTYPE_F16},
    {"f32 weights",              6, 3,  64,  384, 1000, 2, 1000,   0, 0, 0, PP_DTYPE_F32},
    {"odd sizes",                5, 1,  72,  200,  344, 3,  137,   0, 0, 0, PP_DTYPE_BF16},
};
static const struct outline EMULATED[] = {
    {"gqa, head_dim 64",         4, 2,  64,   64,  128, 2,   96,   0, 0, 0, PP_DTYPE_BF16},
    {"mha, head_dim 128",        2, 2, 128,   64,   96, 1,   72,   0, 0, 0, PP_DTYPE_BF16},
    {"head_dim 96, tied",        3, 1,  96,   48,   64, 1,   64,   0, 1, 0, PP_DTYPE_BF16},
    {"window of 20",             2, 1,  64,   64,   64, 2,   64,  20, 0, 0, PP_DTYPE_BF16},
    {"rope llama3",              2, 1,  64,   64,   64, 1,   64,   0, 0, PP_ROPE_LLAMA3, PP_DTYPE_BF16},
    {"rope linear",              2, 1,  64,   64,   64, 1,   64,   0, 0, PP_ROPE_LINEAR, PP_DTYPE_BF16},
    {"f16",                      4, 2,  64,   64,   96, 2,   72,   0, 0, 0, PP_DTYPE_F16},
    {"odd sizes",                5, 1,  72,   40,   56, 1,   61,   0, 0, 0, PP_DTYPE_BF16},
};
/* clang-format on */

bool runs_emulated;
struct rng runs_rng;
static const char *devices[4]; /* NULL ends the list */

static struct model_shape shape_of(const struct outline *outline)
{
    return (struct model_shape){.arch = outline->window ? PP_ARCH_MISTRAL : PP_ARCH_LLAMA,
                                .vocab_size = outline->vocab,
                                .hidden_size = outline->hidden,
                                .intermediate_size = outline->intermediate,
                                .n_layers = outline->n_layers,
                                .n_heads = outline->n_heads,
                                .n_kv_heads = outline->n_kv_heads,
                                .head_dim = outline->head_dim,
                                .max_position = 8192,
                                .sliding_window = outline->window,
                                .tie_embeddings = outline->tied,
                                .dtype = outline->dtype,
                                .rope_type = outline->rope,
                                .norm_eps = 1e-5,
                                .rope_theta = 10000,
                                .rope_factor = outline->rope ? 4 : 0,
                                .rope_low_freq_factor = outline->rope == PP_ROPE_LLAMA3 ? 1 : 0,
                                .rope_high_freq_factor = outline->rope == PP_ROPE_LLAMA3 ? 4 : 0,
                                .rope_original_max_position =
                                    outline->rope == PP_ROPE_LLAMA3 ? 64 : 0};
}

bool runs_shape(size_t i, struct runs_shape *shape)
{
    const struct outline *outlines = runs_emulated ? EMULATED : HARDWARE;
    if (i >= (runs_emulated ? COUNT(EMULATED) : COUNT(HARDWARE)))
        return false;
    *shape = (struct runs_shape){outlines[i].name, shape_of(&outlines[i])};
    return true;
}

struct runs_shape runs_main_shape(void)
{
    struct runs_shape shape;
    (void)runs_shape(0, &shape);
    return shape;
}

const char *const *runs_devices(void)
{
    return devices;
}

bool runs_start(void)
{
    const char *emulated = getenv("PREPACK_TEST_DEVICE_EMULATED");
    const char *device = getenv("PREPACK_TEST_DEVICE");
    runs_emulated = emulated && strcmp(emulated, "0") != 0;
    devices[0] = device ? device : "cuda";
    bool is_cuda = strcmp(devices[0], "cuda") == 0;
    devices[1] = is_cuda ? "cuda:own" : NULL;
    devices[2] = is_cuda && !runs_emulated ? "cuda:mma" : NULL; /* in emulation it is "cuda" */

    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_session_params params;
    pp_session_info info = {.struct_size = sizeof info};
    struct runs_shape shape = runs_main_shape();
    pp_session_params_init(&params, sizeof params);
    params.device = devices[0];
    pp_status status = model_random(&shape.shape, 1, NULL, &model, &err);
    if (status >= 0)
        status = pp_session_create(model, &params, &session, &err);
    pp_model_unref(model);
    if (status == PP_ERR_NO_BACKEND) {
        printf("1..0 # SKIP %s\n", err.message);
        return false;
    }
    if (status < 0) {
        printf("Bail out! %s\n", err.message);
        exit(EXIT_FAILURE);
    }
    (void)pp_session_get_info(session, &info, &err);
    printf("# %s %s, attention %s, %d tokens a page, at most %d a pass%s\n", info.device,
           info.device_name, info.attention, info.page_tokens, info.max_pass_tokens,
           runs_emulated ? ", small shapes" : "");
    pp_session_destroy(session);
    runs_rng = rng_seeded(20260311);
    return true;
}

struct runs_model runs_model_open(const struct model_shape *shape, int32_t poisoned_token)
{
    struct runs_model model = {.shape = *shape, .dir = checkpoint_write(shape, &runs_rng)};
    if (poisoned_token >= 0)
        checkpoint_poison(model.dir, shape, poisoned_token);
    CALL(pp_model_open(model.dir, NULL, &model.model, perr));
    return model;
}

void runs_model_close(struct runs_model *model)
{
    pp_model_unref(model->model);
    if (model->dir)
        checkpoint_remove(model->dir);
}

pp_session *runs_session(const struct runs_model *model, const char *device, int32_t dtype,
                         int32_t max_pass_tokens)
{
    pp_session_params params;
    pp_session *session = NULL;
    pp_session_params_init(&params, sizeof params);
    params.device = device;
    params.dtype = dtype;
    params.max_pass_tokens = max_pass_tokens;
    params.keep_window_pages = 1; /* tests look at all of a cache */
    CALL(pp_session_create(model->model, &params, &session, perr));
    return session;
}

int32_t runs_dtype(const pp_session *session)
{
    pp_session_info info = {.struct_size = sizeof info};
    CALL(pp_session_get_info(session, &info, perr));
    return info.dtype;
}

pp_prompt *runs_prompts(const struct model_shape *shape, int32_t first_token,
                        const int64_t *lengths, size_t n)
{
    pp_prompt *prompts = plain_alloc(n * sizeof *prompts);
    for (size_t i = 0; i < n; i++) {
        int32_t *tokens = plain_alloc((size_t)lengths[i] * sizeof *tokens);
        for (int64_t j = 0; j < lengths[i]; j++)
            tokens[j] = (int32_t)rng_between(&runs_rng, first_token, shape->vocab_size - 1);
        prompts[i] = (pp_prompt){tokens, lengths[i]};
    }
    return prompts;
}

void runs_prompts_free(pp_prompt *prompts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)prompts[i].tokens);
    free(prompts);
}

void runs_prefill(pp_session *session, const pp_prompt *prompts, size_t n, int32_t policy,
                  int64_t capacity, pp_kvcache **caches, const float **logits)
{
    struct flat_params params;
    pp_packer *packer;
    pp_plan *plan;
    int64_t *lengths = plain_alloc(n * sizeof *lengths);
    flat_init(&params);
    params.policy = policy;
    params.capacity = capacity;
    for (size_t i = 0; i < n; i++) {
        lengths[i] = prompts[i].n_tokens;
        if (capacity && lengths[i] > params.capacity)
            params.capacity = lengths[i];
    }
    CALL(flat_create(&params, &packer, perr));
    CALL(pp_packer_plan(packer, lengths, n, &plan, perr));
    CALL(pp_prefill(session, plan, prompts, n, caches, logits, perr));
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    free(lengths);
}

void *runs_read_kv(const struct model_shape *shape, const pp_kvcache *cache, int32_t dtype,
                   size_t *bytes)
{
    size_t half = (size_t)pp_kvcache_length(cache) * (size_t)shape->n_kv_heads *
                  (size_t)shape->head_dim * pp_dtype_size(dtype);
    *bytes = half * 2 * (size_t)shape->n_layers;
    char *kv = plain_alloc(*bytes), *dst = kv;
    for (int32_t layer = 0; layer < shape->n_layers; layer++)
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++, dst += half)
            CALL(pp_kvcache_read(cache, layer, which, PP_KV_NHD, dtype, 0, pp_kvcache_length(cache),
                                 dst, half, perr));
    return kv;
}

void runs_caches_free(pp_kvcache **caches, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pp_kvcache_destroy(caches[i]);
}

void runs_shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_between(&runs_rng, 0, (int64_t)i - 1), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}
