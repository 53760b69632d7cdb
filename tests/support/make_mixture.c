/*
 * make_mixture.c: see make_family_impl.h.
 */
#include "make_family_impl.h"

/* ---- what is drawn ---- */

/* Whether intermediate_size says how large they are. */
static bool experts_are_mlps(const struct draw *draw)
{
    enum experts_of experts = draw->family->experts;
    return experts == EXPERTS_MIXTRAL || experts == EXPERTS_OLMOE || experts == EXPERTS_GRANITE ||
           experts == EXPERTS_GPT_OSS;
}

static void draw_experts(struct draw *draw)
{
    struct rng *rng = draw->rng;
    enum experts_of experts = draw->family->experts;
    if (experts == EXPERTS_NONE)
        return;
    bool optional = experts == EXPERTS_GEMMA4 || draw->family->linear == LINEAR_GRANITE;
    draw->n_experts = (int32_t)rng_between(rng, 2, 6);
    draw->top_k = coin(rng) ? draw->n_experts : (int32_t)rng_between(rng, 1, draw->n_experts);
    draw->expert_size = draw_size(rng, 9, 24);
    draw->shared_size = draw->family->shared_expert ? draw_size(rng, 9, 30) : 0;
    draw->fused = coin(rng);
    draw->normalize = coin(rng);
    draw->first_dense = (int32_t)rng_between(rng, 0, 2);
    draw->sparse_step = (int32_t)rng_between(rng, 1, 2);
    draw->mxfp4 = experts == EXPERTS_GPT_OSS && coin(rng);
    if (draw->mxfp4)
        draw->hidden = draw->expert_size = 32;
    if (experts_are_mlps(draw))
        draw->inter = draw->expert_size;
    if (experts == EXPERTS_GLM)
        draw->shared_size = draw->expert_size * (int32_t)rng_between(rng, 1, 2);
    if (optional && coin(rng))
        draw->n_experts = draw->top_k = 0;
    for (int i = 0; i < draw->layers; i++) {
        draw->has_experts[i] = draw->n_experts > 0 &&
                               (experts != EXPERTS_GLM || i >= draw->first_dense) &&
                               (experts != EXPERTS_QWEN || (i + 1) % draw->sparse_step == 0);
        bool alone = draw->has_experts[i] && experts != EXPERTS_GEMMA4;
        if (alone || experts == EXPERTS_GRANITE)
            draw->own[i].inter = 0;
    }
}

static void draw_linear(struct draw *draw)
{
    struct rng *rng = draw->rng;
    if (draw->family->linear == LINEAR_NONE)
        return;
    int32_t period = (int32_t)rng_between(rng, 2, 3);
    if (draw->layers < period)
        period = draw->layers;
    draw->full[draw->layers - 1] = true; /* some layer has to attend */
    for (int i = 0; i < draw->layers; i++)
        draw->linear[i] = draw->types_given ? !draw->full[i] : (i + 1) % period != 0;
    draw->period = period;
    draw->k_heads = (int32_t)rng_between(rng, 1, 2);
    draw->v_heads = draw->k_heads * (int32_t)rng_between(rng, 1, 3);
    draw->k_dim = draw_size(rng, 5, 20);
    draw->v_dim = draw_size(rng, 5, 20);
    draw->kernel = (int32_t)rng_between(rng, 2, 4);
    draw->conv_bias = coin(rng);
    draw->linear_bias = coin(rng);
    if (draw->family->linear == LINEAR_GRANITE) { /* heads share two streams */
        draw->v_heads = draw->k_heads * (draw->hidden % 2 ? 1 : 2);
        draw->v_dim = 2 * draw->hidden / draw->v_heads;
    }
}

/* Whether the layers before the last n are of every kind that there is. */
static bool can_share(const struct draw *draw, int n)
{
    bool before[2] = {false, false}, all[2] = {false, false};
    for (int i = 0; i < draw->layers; i++) {
        all[draw->full[i]] = true;
        before[draw->full[i]] |= i < draw->layers - n;
    }
    return before[0] == all[0] && before[1] == all[1];
}

static void draw_gemma4(struct draw *draw)
{
    static const int32_t dims[] = {24, 32, 40, 56, 80};
    struct rng *rng = draw->rng;
    if (!is(draw, "gemma4_text"))
        return;
    draw->full[draw->layers - 1] = true;
    draw->v_is_k = coin(rng);
    draw->wide = coin(rng);
    draw->global_head_dim = dims[rng_between(rng, 0, 4)];
    draw->global_kv_heads = coin(rng) ? 1 : draw->kv_heads;
    draw->input_size = coin(rng) ? draw_size(rng, 3, 12) : 0;
    draw->n_shared = (int32_t)rng_between(rng, 0, draw->layers - 1);
    while (!can_share(draw, draw->n_shared))
        draw->n_shared--;
    int first = draw->layers - draw->n_shared;
    for (int i = 0; i < draw->layers; i++) {
        struct layer_shape *own = &draw->own[i];
        if (draw->full[i]) {
            own->head_dim = draw->global_head_dim;
            own->kv_heads = draw->v_is_k ? draw->global_kv_heads : draw->kv_heads;
        }
        for (int j = 0; j < first && i >= first; j++)
            if (draw->full[j] == draw->full[i])
                own->kv_layer = j;
        if (i >= first && draw->wide)
            own->inter *= 2;
    }
}

void draw_mixture(struct draw *draw)
{
    draw->qk_norm = is(draw, "glm4_moe") && coin(draw->rng);
    draw_gemma4(draw);
    draw_experts(draw);
    draw_linear(draw);
    if (draw->family->attention_gate || draw->v_is_k) /* which the library does without */
        draw->attention_bias = false;
}

/* ---- config.json ---- */

static void write_experts(FILE *file, const struct draw *draw)
{
    const char *n = "num_experts", *top_k = "num_experts_per_tok";
    switch (draw->family->experts) {
    case EXPERTS_NONE:
        return;
    case EXPERTS_GLM:
        n = "n_routed_experts";
        key(file, "n_group", "1");
        key(file, "topk_group", "1");
        key(file, "first_k_dense_replace", "%d", draw->first_dense);
        key(file, "n_shared_experts", "%d", draw->shared_size / draw->expert_size);
        key(file, "routed_scaling_factor", "1.5");
        key(file, "use_qk_norm", "%s", truth(draw->qk_norm));
        break;
    case EXPERTS_MIXTRAL:
    case EXPERTS_GRANITE:
    case EXPERTS_GPT_OSS:
        n = "num_local_experts";
        break;
    case EXPERTS_GEMMA4:
        top_k = "top_k_experts";
        key(file, "enable_moe_block", "%s", truth(draw->n_experts > 0));
        break;
    default:
        break;
    }
    if (draw->n_experts > 0 || draw->family->experts == EXPERTS_GRANITE) {
        key(file, n, "%d", draw->n_experts);
        key(file, top_k, "%d", draw->top_k);
    }
    if (draw->family->experts == EXPERTS_QWEN)
        key(file, "decoder_sparse_step", "%d", draw->sparse_step);
    if (draw->family->normalize_key)
        key(file, "norm_topk_prob", "%s", truth(draw->normalize));
    if (draw->family->experts == EXPERTS_GRANITE && draw->family->shared_expert)
        key(file, "shared_intermediate_size", "%d", draw->shared_size);
    else if (draw->family->shared_expert && draw->family->experts != EXPERTS_GLM)
        key(file, "shared_expert_intermediate_size", "%d", draw->shared_size);
    if (!experts_are_mlps(draw))
        key(file, "moe_intermediate_size", "%d", draw->expert_size);
    if (draw->mxfp4)
        key(file, "quantization_config", "{\"quant_method\": \"mxfp4\"}");
    if (draw->family->experts == EXPERTS_GPT_OSS && coin(draw->rng))
        key(file, "swiglu_limit", "1.25");
}

static void write_types(FILE *file, const struct draw *draw, const char *attention,
                        const char *linear)
{
    key(file, "layer_types", "[");
    for (int i = 0; i < draw->layers; i++)
        fprintf(file, "%s\"%s\"", i ? ", " : "", draw->linear[i] ? linear : attention);
    fprintf(file, "]");
}

static void write_linear(FILE *file, const struct draw *draw)
{
    if (draw->family->linear == LINEAR_NONE)
        return;
    if (draw->family->linear == LINEAR_GRANITE) {
        bool old = coin(draw->rng);
        write_types(file, draw, old ? "attention" : "full_attention",
                    old ? "mamba" : "linear_attention");
        key(file, "mamba_n_heads", "%d", draw->v_heads);
        key(file, "mamba_d_head", "%d", draw->v_dim);
        key(file, "mamba_d_state", "%d", draw->k_dim);
        key(file, "mamba_n_groups", "%d", draw->k_heads);
        key(file, "mamba_d_conv", "%d", draw->kernel);
        key(file, "mamba_conv_bias", "%s", truth(draw->conv_bias));
        key(file, "mamba_proj_bias", "%s", truth(draw->linear_bias));
        key(file, "position_embedding_type", "\"%s\"", draw->rotates[0] ? "rope" : "nope");
        return;
    }
    if (draw->types_given)
        write_types(file, draw, "full_attention", "linear_attention");
    else
        key(file, "full_attention_interval", "%d", draw->period);
    key(file, "linear_num_key_heads", "%d", draw->k_heads);
    key(file, "linear_num_value_heads", "%d", draw->v_heads);
    key(file, "linear_key_head_dim", "%d", draw->k_dim);
    key(file, "linear_value_head_dim", "%d", draw->v_dim);
    key(file, "linear_conv_kernel_dim", "%d", draw->kernel);
}

/* Heads of full layers in the words of one release or another. */
static void write_gemma4(FILE *file, const struct draw *draw)
{
    if (!is(draw, "gemma4_text"))
        return;
    bool newer = coin(draw->rng);
    key(file, "attention_k_eq_v", "%s", truth(draw->v_is_k));
    key(file, "num_kv_shared_layers", "%d", draw->n_shared);
    key(file, "use_double_wide_mlp", "%s", truth(draw->wide));
    key(file, "hidden_size_per_layer_input", "%d", draw->input_size);
    key(file, "vocab_size_per_layer_input", "%d", draw->vocab + 3);
    if (coin(draw->rng))
        key(file, "final_logit_softcapping", "9.0");
    if (newer) {
        const char *comma = "";
        key(file, "per_layer_config", "{");
        for (int i = 0; i < draw->layers; i++, comma = ", ")
            fprintf(file, "%s\"%d\": {\"head_dim\": %d, \"num_key_value_heads\": %d}", comma, i,
                    draw->own[i].head_dim, draw->own[i].kv_heads);
        fprintf(file, "}");
        return;
    }
    key(file, "global_head_dim", "%d", draw->global_head_dim);
    if (draw->v_is_k)
        key(file, "num_global_key_value_heads", "%d", draw->global_kv_heads);
}

void write_gemma4_rope(FILE *file, const struct draw *draw)
{
    key(file, "rope_parameters",
        "{\"full_attention\": {\"rope_type\": \"proportional\", \"rope_theta\": 700.0, "
        "\"partial_rotary_factor\": %g}, \"sliding_attention\": {\"rope_type\": \"default\", "
        "\"rope_theta\": 500.0}}",
        0.25 * (double)rng_between(draw->rng, 1, 4));
}

void write_mixture_keys(FILE *file, const struct draw *draw)
{
    write_experts(file, draw);
    write_linear(file, draw);
    write_gemma4(file, draw);
}
