/*
 * model_mixed.c: models with experts, linear layers and sinks on a device: the bits of a prompt's
 * logits are the same alone and packed, whole and in passes of a few tokens, read at once and
 * decoded. What these models compute is the golden files' business.
 */
#include "model_runs.h"
#include "model_tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int64_t LENGTHS[] = {7, 1, 33, 150, 64};
#define N       COUNT(LENGTHS)
#define N_STEPS 3

struct mixed {
    const char *name, *config;
};

#define COMMON                                                                                     \
    "\"vocab_size\":96,\"hidden_size\":32,\"num_attention_heads\":2,"                              \
    "\"num_key_value_heads\":1,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,"             \
    "\"bos_token_id\":1,\"eos_token_id\":2,\"hidden_act\":\"silu\",\"torch_dtype\":\"bfloat16\","  \
    "\"num_hidden_layers\":3,\"num_experts_per_tok\":2,\"rope_theta\":10000.0,"                    \
    "\"tie_word_embeddings\":false,"

static const struct mixed MODELS[] = {
    {"gated delta rule, shared expert, gated attention",
     "{\"architectures\":[\"Qwen3NextForCausalLM\"],\"model_type\":\"qwen3_next\"," COMMON
     "\"full_attention_interval\":3,\"head_dim\":16,\"intermediate_size\":40,"
     "\"linear_conv_kernel_dim\":4,\"linear_key_head_dim\":16,\"linear_num_key_heads\":2,"
     "\"linear_num_value_heads\":4,\"linear_value_head_dim\":24,\"moe_intermediate_size\":16,"
     "\"norm_topk_prob\":true,\"num_experts\":6,\"partial_rotary_factor\":0.25,"
     "\"shared_expert_intermediate_size\":24}"},
    {"Mamba 2",
     "{\"architectures\":[\"GraniteMoeHybridForCausalLM\"],\"model_type\":"
     "\"granitemoehybrid\"," COMMON
     "\"layer_types\":[\"mamba\",\"mamba\",\"attention\"],\"attention_multiplier\":0.11,"
     "\"embedding_multiplier\":6.0,\"intermediate_size\":16,\"logits_scaling\":0.7,"
     "\"mamba_chunk_size\":256,\"mamba_conv_bias\":true,\"mamba_d_conv\":4,\"mamba_d_head\":8,"
     "\"mamba_d_state\":16,\"mamba_expand\":2,\"mamba_n_groups\":1,\"mamba_n_heads\":8,"
     "\"mamba_proj_bias\":false,\"num_local_experts\":6,\"position_embedding_type\":\"nope\","
     "\"residual_multiplier\":0.4,\"shared_intermediate_size\":24}"},
    {"sinks, clamped experts, windows",
     "{\"architectures\":[\"GptOssForCausalLM\"],\"model_type\":\"gpt_oss\"," COMMON
     "\"head_dim\":16,\"intermediate_size\":24,\"num_local_experts\":6,\"sliding_window\":8,"
     "\"swiglu_limit\":1.5,\"attention_bias\":true}"},
};

/* Logits of prompts, [n, vocab], from one prefill and, in their caches, N_STEPS decoding steps. */
struct answers {
    float *logits;
    size_t bytes; /* of a prompt's, of all its steps */
};

enum { VOCAB = 96 };

/* Prompts `order[i]` together; a prompt's answers lie by its number. */
static void answer(pp_session *session, const pp_prompt *prompts, const size_t *order, size_t n,
                   const struct answers *to)
{
    pp_prompt chosen[N];
    pp_kvcache *caches[N];
    const float *logits;
    for (size_t i = 0; i < n; i++)
        chosen[i] = prompts[order[i]];
    runs_prefill(session, chosen, n, PP_POLICY_FFD, 0, caches, &logits);
    for (int step = 0;; step++) {
        int32_t tokens[N];
        for (size_t i = 0; i < n; i++) {
            memcpy((char *)to->logits + order[i] * to->bytes +
                       (size_t)step * VOCAB * sizeof *logits,
                   logits + i * VOCAB, VOCAB * sizeof *logits);
            tokens[i] = (int32_t)(3 + 7 * order[i] + 11 * (size_t)step) % VOCAB;
        }
        if (step == N_STEPS)
            break;
        CALL(pp_decode(session, caches, tokens, n, &logits, perr));
    }
    runs_caches_free(caches, n);
}

static struct answers answers_make(void)
{
    struct answers a = {.bytes = (N_STEPS + 1) * VOCAB * sizeof(float)};
    a.logits = plain_alloc(N * a.bytes);
    memset(a.logits, 0, N * a.bytes);
    return a;
}

static void expect_equal(const struct answers *a, const struct answers *b, const char *device,
                         const char *model, const char *how)
{
    for (size_t i = 0; i < N; i++)
        for (size_t step = 0; step <= N_STEPS; step++) {
            size_t at = (i * (N_STEPS + 1) + step) * VOCAB;
            EXPECT(memcmp(a->logits + at, b->logits + at, VOCAB * sizeof *a->logits) == 0,
                   "%s, %s: prompt of %lld, step %zu: other bits %s", device, model,
                   (long long)LENGTHS[i], step, how);
        }
}

/* Prompts that end where others are after a decoding step have the same logits. */
static void expect_decoded(pp_session *session, const pp_prompt *prompts, const struct answers *a,
                           const char *device, const char *model)
{
    for (size_t i = 0; i < N; i++) {
        int64_t n = LENGTHS[i];
        int32_t *tokens = plain_alloc((size_t)(n + 1) * sizeof *tokens);
        memcpy(tokens, prompts[i].tokens, (size_t)n * sizeof *tokens);
        tokens[n] = (int32_t)(3 + 7 * i) % VOCAB;
        pp_prompt longer = {tokens, n + 1};
        pp_kvcache *cache;
        const float *logits;
        runs_prefill(session, &longer, 1, PP_POLICY_FFD, 0, &cache, &logits);
        EXPECT(memcmp(logits, a->logits + (i * (N_STEPS + 1) + 1) * VOCAB,
                      VOCAB * sizeof *logits) == 0,
               "%s, %s: prompt of %lld: other bits decoded", device, model, (long long)n);
        pp_kvcache_destroy(cache);
        free(tokens);
    }
}

static void check_model(const struct mixed *mixed, const char *device)
{
    struct model_shape shape = {.vocab_size = VOCAB};
    struct runs_model model = {.shape = shape};
    CALL(pp_model_create_random(mixed->config, 5, NULL, &model.model, perr));
    pp_prompt *prompts = runs_prompts(&shape, 0, LENGTHS, N);
    pp_session *session = runs_session(&model, device, PP_DTYPE_BF16, 0);
    pp_session *small = runs_session(&model, device, PP_DTYPE_BF16, 64);
    struct answers alone = answers_make(), packed = answers_make(), cut = answers_make();
    size_t order[N];
    for (size_t i = 0; i < N; i++)
        answer(session, prompts, &i, 1, &alone);
    for (size_t i = 0; i < N * (N_STEPS + 1) * VOCAB; i++)
        EXPECT(isfinite(alone.logits[i]), "%s, %s: logit %zu is %g", device, mixed->name, i,
               (double)alone.logits[i]);
    runs_shuffle(order, N);
    answer(session, prompts, order, N, &packed);
    expect_equal(&packed, &alone, device, mixed->name, "packed");
    answer(small, prompts, order, N, &cut);
    expect_equal(&cut, &alone, device, mixed->name, "in passes of 64");
    expect_decoded(session, prompts, &alone, device, mixed->name);
    free(alone.logits);
    free(packed.logits);
    free(cut.logits);
    pp_session_destroy(session);
    pp_session_destroy(small);
    runs_prompts_free(prompts, N);
    runs_model_close(&model);
}

void packing_of_mixed_models(void)
{
    /* another emulated architecture differs in attention alone: sinks, the last */
    size_t first = getenv("PREPACK_EMU_CC") ? COUNT(MODELS) - 1 : 0;
    for (size_t i = first; i < COUNT(MODELS); i++)
        for (const char *const *device = runs_devices(); *device; device++)
            check_model(&MODELS[i], *device);
}
