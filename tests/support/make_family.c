/*
 * make_family.c: see make_family.h. First everything is drawn, then config.json is written, then
 * the tensors.
 */
#include "make_family.h"
#include "make_family_impl.h"

#include <stdarg.h>
#include <unistd.h>

const char *const checkpoint_families[] = {"llama",
                                           "mistral",
                                           "ministral",
                                           "ministral3",
                                           "qwen2",
                                           "qwen3",
                                           "gemma2",
                                           "gemma3_text",
                                           "gemma3",
                                           "phi3",
                                           "olmo2",
                                           "olmo3",
                                           "granite",
                                           "smollm3",
                                           "cohere2",
                                           "glm4",
                                           "exaone4",
                                           "mixtral",
                                           "qwen2_moe",
                                           "qwen3_moe",
                                           "olmoe",
                                           "granitemoe",
                                           "granitemoeshared",
                                           "glm4_moe",
                                           "gpt_oss",
                                           "qwen3_next",
                                           "qwen3_5_text",
                                           "qwen3_5",
                                           "qwen3_5_moe_text",
                                           "qwen3_5_moe",
                                           "granitemoehybrid",
                                           "gemma4_text",
                                           "gemma4",
                                           NULL};

int checkpoint_n_plain_families(void)
{
    int n = 0;
    while (strcmp(checkpoint_families[n], "mixtral") != 0)
        n++;
    return n;
}

static void draw_shape(struct draw *draw)
{
    static const int32_t dims[] = {24, 24, 32, 40, 56, 80, 96, 128, 256, 320}, odd[] = {22, 26, 50};
    struct rng *rng = draw->rng;
    draw->vocab = (int32_t)rng_between(rng, 50, 150);
    draw->layers = (int32_t)rng_between(rng, 2, MAX_LAYERS);
    draw->head_dim = dims[rng_between(rng, 0, 9)];
    bool partial = draw->family->partial > 0;
    if (is(draw, "phi3"))
        draw->head_dim = dims[rng_between(rng, 0, 4)];
    if (!run_on_cuda() && !partial && rng_between(rng, 0, 3) == 0)
        draw->head_dim = odd[rng_between(rng, 0, 2)];
    draw->partial = partial ? 0.25 * (double)rng_between(rng, 1, 4) : 1;
    draw->kv_heads = (int32_t)rng_between(rng, 1, draw->head_dim > 100 ? 1 : 3);
    draw->heads = draw->kv_heads * (int32_t)rng_between(rng, 1, draw->head_dim > 100 ? 3 : 5);
    /* A multiple of the heads, which some classes of transformers insist on; Phi counts its factors
     * by it. A stream of a few elements would blow up every rounding. */
    bool whole = is(draw, "phi3") || is(draw, "olmoe");
    int32_t per_head = whole ? draw->head_dim : draw_size(rng, 3, 9);
    while (per_head * draw->heads < 24)
        per_head *= 2;
    draw->hidden = per_head * draw->heads;
    draw->inter = draw_size(rng, 30, 90);
    draw->window = (int32_t)rng_between(rng, 1, 20);
    draw->max_position = 512;
    draw->original = (int32_t)rng_between(rng, 12, 40);
    for (int i = 0; i < draw->layers; i++)
        draw->own[i] = (struct layer_shape){draw->kv_heads, draw->head_dim, draw->inter, i};
}

static enum oracle_rope_kind draw_rope(const struct draw *draw, const char *wanted)
{
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "dynamic"};
    for (int i = 0; wanted && i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(wanted, names[i]) == 0)
            return (enum oracle_rope_kind)i;
    if (is(draw, "ministral3"))
        return ORACLE_ROPE_YARN;
    if (is(draw, "phi3"))
        return coin(draw->rng) ? ORACLE_ROPE_LONGROPE : ORACLE_ROPE_DEFAULT;
    return (enum oracle_rope_kind)rng_between(draw->rng, ORACLE_ROPE_DEFAULT, ORACLE_ROPE_LONGROPE);
}

static void draw_all(struct draw *draw, const char *rope)
{
    static const int32_t dtypes[] = {PP_DTYPE_F32, PP_DTYPE_BF16, PP_DTYPE_F16};
    struct rng *rng = draw->rng;
    draw_shape(draw);
    draw->classic = coin(rng);
    draw->attention_bias = coin(rng);
    draw->mlp_bias = coin(rng);
    draw->tied = coin(rng);
    draw->use_sliding = coin(rng);
    draw->types_given = coin(rng);
    draw->dtype = dtypes[rng_between(rng, 0, 2)];
    draw->n_files = coin(rng) ? 1 : (int)rng_between(rng, 2, 4);
    draw->rope = draw_rope(draw, rope);
    if (draw->rope == ORACLE_ROPE_DYNAMIC)
        draw->max_position = 32;
    for (int i = 0; i < draw->layers; i++) {
        draw->full[i] = coin(rng);
        draw->rotates[i] = coin(rng);
    }
    draw_mixture(draw);
    bool old = coin(rng) && is(draw, "gemma3_text");
    draw->model_prefix = !draw->nested ? "model."
                         : old         ? "language_model.model."
                                       : "model.language_model.";
    draw->head_prefix = draw->nested && old ? "language_model." : "";
}

/* ---- config.json ---- */

/* "name": and a value, after a comma but for the first. */
void key(FILE *file, const char *name, const char *format, ...)
{
    va_list args;
    fprintf(file, ", \"%s\": ", name);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
}

static void write_factors(FILE *file, const char *name, const struct draw *draw, double step)
{
    int n = (int)(draw->head_dim * draw->partial) / 2;
    key(file, name, "[");
    for (int p = 0; p < n; p++)
        fprintf(file, "%s%.17g", p ? ", " : "", 1 + step * p / n);
    fprintf(file, "]");
}

/* The keys of a rotation after its type, without theta. */
static void write_rope_keys(FILE *file, const struct draw *draw)
{
    const int32_t original = draw->original;
    if (draw->rope == ORACLE_ROPE_LINEAR || draw->rope == ORACLE_ROPE_DYNAMIC)
        key(file, "factor", "%.17g", 3.5);
    if (draw->rope == ORACLE_ROPE_LLAMA3) {
        key(file, "factor", "8.0");
        key(file, "low_freq_factor", "1.0");
        key(file, "high_freq_factor", "4.0");
        key(file, "original_max_position_embeddings", "%d", original);
    }
    if (draw->rope == ORACLE_ROPE_YARN) {
        key(file, "factor", coin(draw->rng) || is(draw, "ministral3") ? "6.0" : "null");
        key(file, "original_max_position_embeddings", "%d", original);
        if (coin(draw->rng))
            key(file, "attention_factor", "1.1");
        if (coin(draw->rng)) {
            key(file, "mscale", "1.0");
            key(file, "mscale_all_dim", "%.17g", coin(draw->rng) ? 1.0 : 0.4);
        }
        if (coin(draw->rng)) {
            key(file, "beta_fast", "%d", (int)rng_between(draw->rng, 0, 40));
            key(file, "beta_slow", "%.17g", 0.5);
        }
        if (draw->family->sliding_theta == 0 && coin(draw->rng))
            key(file, "truncate", "false");
    }
    if (draw->rope == ORACLE_ROPE_LONGROPE) {
        write_factors(file, "short_factor", draw, 1);
        write_factors(file, "long_factor", draw, 20);
        key(file, "original_max_position_embeddings", "%d", original);
        if (coin(draw->rng))
            key(file, "factor", "5.0");
    }
    if (is(draw, "ministral3"))
        key(file, "llama_4_scaling_beta", "0.25");
}

static void write_rope(FILE *file, const struct draw *draw)
{
    static const char *const names[] = {"default", "linear",   "llama3",
                                        "yarn",    "longrope", "dynamic"};
    bool layered = draw->family->sliding_theta > 0, partial = draw->partial != 1;
    double theta = coin(draw->rng) ? 10000 : 700;
    if (is(draw, "phi3") && draw->rope == ORACLE_ROPE_LONGROPE)
        key(file, "original_max_position_embeddings", "%d", draw->original);
    partial |= draw->family->partial > 0 && draw->family->partial < 1;
    if (draw->classic) {
        key(file, "rope_theta", "%.17g", theta);
        if (is(draw, "gemma3_text"))
            key(file, "rope_local_base_freq", "%.17g", 500.0);
        if (partial)
            key(file, "partial_rotary_factor", "%.17g", draw->partial);
        if (draw->rope == ORACLE_ROPE_DEFAULT)
            return;
        bool old = !layered && coin(draw->rng);
        key(file, "rope_scaling", "{\"%s\": \"%s\"", old ? "type" : "rope_type", names[draw->rope]);
        write_rope_keys(file, draw);
        fprintf(file, "}");
        return;
    }
    key(file, "rope_parameters", layered ? "{\"full_attention\": {" : "{");
    fprintf(file, "\"rope_type\": \"%s\", \"rope_theta\": %.17g", names[draw->rope], theta);
    if (partial)
        key(file, "partial_rotary_factor", "%.17g", draw->partial);
    write_rope_keys(file, draw);
    if (layered)
        fprintf(file, "}, \"sliding_attention\": {\"rope_type\": \"default\", "
                      "\"rope_theta\": 500.0}");
    fprintf(file, "}");
}

static void write_list(FILE *file, const char *name, const struct draw *draw, const bool *chosen,
                       const char *yes, const char *no)
{
    key(file, name, "[");
    for (int i = 0; i < draw->layers; i++)
        fprintf(file, "%s%s", i ? ", " : "", chosen[i] ? yes : no);
    fprintf(file, "]");
}

static void write_windows(FILE *file, const struct draw *draw)
{
    const struct family *family = draw->family;
    if (family->windows == WINDOW_NONE)
        return;
    bool none =
        !family->use_sliding_key && family->windows == WINDOW_EVERYWHERE && !draw->use_sliding;
    if (none)
        key(file, "sliding_window", "null");
    else
        key(file, "sliding_window", "%d", draw->window);
    if (family->rope == ROPE_LISTED && coin(draw->rng))
        write_list(file, "no_rope_layers", draw, draw->rotates, "1", "0");
    if (family->use_sliding_key) {
        key(file, "use_sliding_window", "%s", truth(draw->use_sliding));
        if (family->rope != ROPE_LISTED)
            key(file, "max_window_layers", "%d", draw->layers / 2);
    }
    bool typed =
        family->windows == WINDOW_BY_TYPE && (!family->use_sliding_key || draw->use_sliding);
    if (typed && (draw->types_given || is(draw, "ministral") || is(draw, "gemma4_text")))
        write_list(file, "layer_types", draw, draw->full, "\"full_attention\"",
                   "\"sliding_attention\"");
    else if (typed && family->pattern > 2 && !is(draw, "olmo3") && coin(draw->rng))
        key(file, "sliding_window_pattern", "%d", 2);
}

static void write_numbers(FILE *file, const struct draw *draw)
{
    bool gemma2 = is(draw, "gemma2");
    if (draw->family->gemma && !is(draw, "gemma4_text")) {
        key(file, "query_pre_attn_scalar", "%d", draw->head_dim / 2);
        if (gemma2 && coin(draw->rng))
            key(file, "attn_logit_softcapping", coin(draw->rng) ? "null" : "7.0");
        if ((gemma2 || !draw->nested) && coin(draw->rng))
            key(file, "final_logit_softcapping", coin(draw->rng) ? "null" : "9.0");
    }
    if (strncmp(draw->family->name, "granite", 7) == 0) {
        key(file, "embedding_multiplier", "3.0");
        key(file, "attention_multiplier", "%.17g", 0.5 / draw->head_dim);
        key(file, "residual_multiplier", "0.3");
        key(file, "logits_scaling", "2.5");
    }
    if (is(draw, "cohere2") && coin(draw->rng))
        key(file, "logit_scale", "0.75");
}

static void write_text_keys(FILE *file, const struct draw *draw)
{
    static const char *const dtypes[] = {
        [PP_DTYPE_F32] = "float32", [PP_DTYPE_F16] = "float16", [PP_DTYPE_BF16] = "bfloat16"};
    const struct family *family = draw->family;
    key(file, "vocab_size", "%d", draw->vocab);
    key(file, "hidden_size", "%d", draw->hidden);
    key(file, "intermediate_size", "%d", draw->inter);
    key(file, "num_hidden_layers", "%d", draw->layers);
    key(file, "num_attention_heads", "%d", draw->heads);
    key(file, "num_key_value_heads", "%d", draw->kv_heads);
    key(file, "head_dim", "%d", draw->head_dim);
    key(file, "max_position_embeddings", "%d", draw->max_position);
    key(file, is(draw, "cohere2") ? "layer_norm_eps" : "rms_norm_eps", "%g",
        family->linear == LINEAR_NONE ? 1e-5 : 5e-3);
    key(file, family->gemma ? "hidden_activation" : "hidden_act",
        family->gemma ? "\"gelu_pytorch_tanh\"" : "\"silu\"");
    key(file, draw->classic ? "torch_dtype" : "dtype", "\"%s\"", dtypes[draw->dtype]);
    key(file, "bos_token_id", "1");
    key(file, "eos_token_id", coin(draw->rng) ? "2" : "[2, 3]");
    key(file, "pad_token_id", "0");
    if (family->bias == BIAS_BY_KEY || family->bias == BIAS_QKV_BY_KEY)
        key(file, "attention_bias", "%s", truth(draw->attention_bias));
    if (family->mlp_bias_key)
        key(file, "mlp_bias", "%s", truth(draw->mlp_bias));
    write_windows(file, draw);
    write_numbers(file, draw);
    if (is(draw, "gemma4_text"))
        write_gemma4_rope(file, draw);
    else
        write_rope(file, draw);
    write_mixture_keys(file, draw);
}

static void write_config(const char *dir, const struct draw *draw)
{
    char path[640];
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *file = fopen(path, "wb");
    if (!file) {
        printf("Bail out! cannot open %s\n", path);
        exit(EXIT_FAILURE);
    }
    bool renamed = is(draw, "ministral") && coin(draw->rng);
    const char *name = renamed ? "mistral" : draw->family->name;
    const char *class_name = renamed ? "MistralForCausalLM" : draw->family->class_name;
    if (draw->nested)
        fprintf(file,
                "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", "
                "\"text_config\": {\"model_type\": \"%s\"",
                draw->nested->class_name, draw->nested->name, name);
    else
        fprintf(file, "{\"architectures\": [\"%s\"], \"model_type\": \"%s\"", class_name, name);
    write_text_keys(file, draw);
    if (draw->nested)
        fprintf(file, "}, \"vision_config\": {\"model_type\": \"siglip_vision_model\"}");
    if (draw->tied != draw->family->tied || coin(draw->rng))
        key(file, "tie_word_embeddings", "%s", truth(draw->tied));
    fprintf(file, "}\n");
    fclose(file);
}

/* The class around the text model, or NULL. */
static const struct outer *outer_of(const char *name)
{
    static const struct outer outers[] = {
        {"gemma3", "Gemma3ForConditionalGeneration", "gemma3_text"},
        {"qwen3_5", "Qwen3_5ForConditionalGeneration", "qwen3_5_text"},
        {"qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe_text"},
        {"gemma4", "Gemma4ForConditionalGeneration", "gemma4_text"}};
    for (size_t i = 0; i < sizeof outers / sizeof *outers; i++)
        if (strcmp(name, outers[i].name) == 0)
            return &outers[i];
    return NULL;
}

char *checkpoint_write_family(const char *family, struct rng *rng)
{
    char name[64], dir[512];
    const char *base = getenv("TMPDIR"), *slash = strchr(family, '/');
    struct draw draw = {.rng = rng};
    snprintf(name, sizeof name, "%.*s", (int)strcspn(family, "/"), family);
    draw.nested = outer_of(name);
    draw.family = oracle_family(draw.nested ? draw.nested->inner : name);
    snprintf(dir, sizeof dir, "%s/prepack-test-XXXXXX", base ? base : "/tmp");
    if (!draw.family || !mkdtemp(dir)) {
        printf("Bail out! cannot make a checkpoint of %s in %s\n", family, dir);
        exit(EXIT_FAILURE);
    }
    draw_all(&draw, slash ? slash + 1 : NULL);
    write_config(dir, &draw);
    write_weights(dir, &draw);
    return strdup(dir);
}
