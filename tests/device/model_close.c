/*
 * model_close.c: a model's logits, keys and values on a device against the CPU's.
 */
#include "model_runs.h"
#include "model_tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_PROMPTS  32
#define STEPS        3 /* of decode */

/* What one prompt leaves: logits after the prefill and after each step, then keys and values. */
struct trail {
    float *logits; /* [1 + STEPS, vocab] */
    float *kv;     /* [n_layers, 2, tokens, n_kv_heads, head_dim] */
    size_t n_kv;
};

static void run_trails(const struct runs_model *model, const char *device, int32_t dtype,
                       const pp_prompt *prompts, size_t n, int32_t *act, struct trail *trails)
{
    pp_session *session = runs_session(model, device, dtype, 0);
    pp_kvcache *caches[MAX_PROMPTS];
    size_t vocab = (size_t)model->shape.vocab_size;
    const float *logits;
    *act = runs_dtype(session);
    runs_prefill(session, prompts, n, PP_POLICY_FFD, 0, caches, &logits);
    for (size_t i = 0; i < n; i++)
        trails[i].logits = plain_alloc((1 + STEPS) * vocab * sizeof(float));
    for (int step = 0;; step++) {
        for (size_t i = 0; i < n; i++)
            memcpy(trails[i].logits + (size_t)step * vocab, logits + i * vocab,
                   vocab * sizeof(float));
        if (step == STEPS)
            break;
        int32_t tokens[MAX_PROMPTS];
        for (size_t i = 0; i < n; i++)
            tokens[i] = (int32_t)((i * 7 + (size_t)step * 13 + 1) % vocab);
        CALL(pp_decode(session, caches, tokens, n, &logits, perr));
    }
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        trails[i].kv = runs_read_kv(&model->shape, caches[i], PP_DTYPE_F32, &bytes);
        trails[i].n_kv = bytes / sizeof(float);
    }
    runs_caches_free(caches, n);
    pp_session_destroy(session);
}

static void trails_free(struct trail *trails, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(trails[i].logits);
        free(trails[i].kv);
    }
}

/* Squares of an error and of what it is relative to. */
struct error {
    double difference, exact;
};

static void add_error(struct error *sum, const float *x, const float *exact, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum->difference += ((double)x[i] - exact[i]) * ((double)x[i] - exact[i]);
        sum->exact += (double)exact[i] * exact[i];
    }
}

static double relative(struct error error)
{
    return sqrt(error.difference / error.exact);
}

/* The i-th tensor of a trail: logits of each step, then keys and values of each layer. */
static const float *tensor_of(const struct runs_model *model, const struct trail *trail, size_t i,
                              size_t *n)
{
    size_t half = trail->n_kv / (2 * (size_t)model->shape.n_layers);
    *n = i <= STEPS ? (size_t)model->shape.vocab_size : half;
    return i <= STEPS ? trail->logits + i * *n : trail->kv + (i - 1 - STEPS) * half;
}

/*
 * FlashAttention's rule: truth is f32 on the CPU; the device may err twice as much as the same
 * model in bf16 on the CPU, plus one rounding. f16 has eight times finer steps. Errors are relative
 * root mean squares, of all prompts together and of each prompt against the worst.
 */
static void compare_trails(const struct runs_model *model, const char *what, int32_t act,
                           const struct trail *truth, const struct trail *naive,
                           const struct trail *trails, size_t n)
{
    size_t n_tensors = 1 + STEPS + 2 * (size_t)model->shape.n_layers;
    double finer = act == PP_DTYPE_F16 ? 8 : 1, one_rounding = 0x1p-9 / finer;
    double worst_share = 0, worst = 0;
    for (size_t t = 0; t < n_tensors; t++) {
        struct error all = {0, 0}, naive_all = {0, 0};
        double worst_prompt = 0, worst_naive = 0;
        for (size_t i = 0; i < n; i++) {
            struct error one = {0, 0}, naive_one = {0, 0};
            size_t length;
            const float *exact = tensor_of(model, &truth[i], t, &length);
            add_error(&one, tensor_of(model, &trails[i], t, &length), exact, length);
            add_error(&naive_one, tensor_of(model, &naive[i], t, &length), exact, length);
            worst_prompt = fmax(worst_prompt, relative(one));
            worst_naive = fmax(worst_naive, relative(naive_one));
            EXPECT(relative(one) < 1, "%s: tensor %zu of prompt %zu: error %g", what, t, i,
                   relative(one)); /* NaN too, which fmax hides */
            all.difference += one.difference;
            all.exact += one.exact;
            naive_all.difference += naive_one.difference;
            naive_all.exact += naive_one.exact;
        }
        double allowed = 2 * relative(naive_all) / finer + one_rounding;
        EXPECT(relative(all) <= allowed, "%s: tensor %zu: error %.3g, allowed %.3g", what, t,
               relative(all), allowed);
        allowed = 2 * worst_naive / finer + one_rounding;
        EXPECT(worst_prompt <= allowed, "%s: tensor %zu: a prompt's error is %.3g, allowed %.3g",
               what, t, worst_prompt, allowed);
        worst_share = fmax(worst_share, worst_prompt / allowed);
        worst = fmax(worst, relative(all));
    }
    printf("# %s: error at most %.2g, of a prompt %.0f %% of what is allowed\n", what, worst,
           100 * worst_share);
}

static const int64_t *mixed_lengths(size_t *n)
{
    static const int64_t few[] = {1, 5, 17, 64, 65, 70, 9};
    static const int64_t many[] = {1,  2,  3,  15,  16,  17,  31,  33,  50,  63,  64,
                                   65, 66, 90, 127, 128, 129, 200, 257, 300, 511, 700};
    *n = runs_emulated ? COUNT(few) : COUNT(many);
    return runs_emulated ? few : many;
}

static void check_close(const struct runs_shape *shape, int32_t dtype)
{
    static struct trail truth[MAX_PROMPTS], naive[MAX_PROMPTS], trails[MAX_PROMPTS];
    size_t n;
    int32_t act;
    const int64_t *lengths = mixed_lengths(&n);
    struct runs_model model = runs_model_open(&shape->shape, -1);
    pp_prompt *prompts = runs_prompts(&shape->shape, 0, lengths, n);
    run_trails(&model, "cpu", PP_DTYPE_F32, prompts, n, &act, truth);
    run_trails(&model, "cpu", PP_DTYPE_BF16, prompts, n, &act, naive);
    for (const char *const *device = runs_devices(); *device; device++) {
        char what[128];
        run_trails(&model, *device, dtype, prompts, n, &act, trails);
        snprintf(what, sizeof what, "%s %s, %s", *device, pp_dtype_name(act), shape->name);
        compare_trails(&model, what, act, truth, naive, trails, n);
        trails_free(trails, n);
    }
    trails_free(truth, n);
    trails_free(naive, n);
    runs_prompts_free(prompts, n);
    runs_model_close(&model);
}

void close_to_the_cpu(void)
{
    struct runs_shape shape;
    for (size_t i = 0; runs_shape(i, &shape); i++)
        check_close(&shape, PP_DTYPE_AUTO);
}

/* Weights of one type, products in the other. */
void close_in_the_other_type(void)
{
    struct runs_shape shape = runs_main_shape();
    if (strncmp(runs_devices()[0], "cpu", 3) == 0)
        return; /* has no f16 */
    check_close(&shape, PP_DTYPE_F16);
    shape.shape.dtype = PP_DTYPE_F16;
    check_close(&shape, PP_DTYPE_BF16);
}
