/*
 * model.c: the model object: opened from files or made up, counted, asked for its figures.
 */
#include "model/model_impl.h"
#include "checkpoint/model_path.h"

#include <string.h>

static const pp_model_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_model_params_init(pp_model_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

/* A model without anything yet, living in its own allocator. */
static pp_status create_empty(const pp_model_params *params, pp_model **out, pp_error *err)
{
    struct ppi_mem mem;
    PP_TRY(ppi_mem_init(&mem, params->allocator, 0, err));
    pp_model *model = ppi_zalloc(&mem, 1, sizeof *model);
    if (!model)
        return ppi_error_nomem(err, "a model", sizeof *model);
    PP_TRY(ppi_mem_init(&model->mem, params->allocator, 0, err));
    atomic_init(&model->refs, 1);
    model->log = (struct ppi_log){params->log, params->log_user};
    pthread_mutex_init(&model->lock, NULL);
    *out = model;
    return PP_OK;
}

static void destroy(pp_model *model)
{
    while (model->weights) {
        struct ppi_weights *weights = model->weights;
        model->weights = weights->next;
        ppi_weights_free(weights, &model->mem);
    }
    ppi_tensors_close(&model->tensors, &model->mem);
    ppi_spec_free(&model->spec, &model->mem);
    ppi_free(&model->mem, model->config_text);
    pthread_mutex_destroy(&model->lock);
    struct ppi_mem mem = {.allocator = model->mem.allocator};
    ppi_free(&mem, model);
}

static void take_config(pp_model *model, const struct ppi_config *config)
{
    model->spec = config->spec;
    model->arch = config->arch;
    model->config_text = config->text;
}

/* The config passes to the model, whatever comes of the tensors. */
static pp_status open_dir(pp_model *model, const char *path, pp_error *err)
{
    struct ppi_dir dir;
    struct ppi_config config;
    PP_TRY(ppi_model_path_check(path, err));
    PP_TRY(ppi_dir_open(path, &dir, err));
    PP_TRY(ppi_config_read(&dir, &model->mem, &model->log, &config, err));
    pp_status status =
        ppi_tensors_open(&dir, &config, &model->mem, &model->log, &model->tensors, err);
    take_config(model, &config);
    return status;
}

/* The source passes to the tensors. */
static pp_status open_gguf(pp_model *model, struct ppi_source *source, int32_t window,
                           pp_error *err)
{
    struct ppi_config config;
    const struct ppi_gguf_arch *arch;
    pp_status status =
        ppi_gguf_config(source, window, &model->mem, &model->log, &config, &arch, err);
    ppi_source_drop_keys(source);
    if (status < 0) {
        ppi_source_close(source);
        return status;
    }
    status = ppi_tensors_open_gguf(source, arch, &config, &model->mem, &model->log, &model->tensors,
                                   err);
    take_config(model, &config);
    return status;
}

static pp_status open_path(pp_model *model, const char *path, int32_t window, pp_error *err)
{
    struct ppi_source *source;
    PP_TRY(ppi_source_open_gguf(path, &model->mem, &source, err));
    if (source)
        return open_gguf(model, source, window, err);
    if (window != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_model_params.sliding_window is %d; it is for GGUF files: in %s the "
                         "config.json says it",
                         window, ppi_label_path(path, NULL).text);
    return open_dir(model, path, err);
}

pp_status pp_model_open(const char *dir, const pp_model_params *caller_params, pp_model **out,
                        pp_error *err)
{
    if (!dir || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_model_open: %s is NULL", dir ? "model" : "dir");
    pp_model_params params = DEFAULT_PARAMS;
    pp_model *model;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_model_params", err));
    if (params.sliding_window < 0)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_model_params.sliding_window is %d; 0 or a number of keys is needed",
                         params.sliding_window);
    PP_TRY(create_empty(&params, &model, err));
    pp_status status = open_path(model, dir, params.sliding_window, err);
    if (status < 0)
        destroy(model);
    else
        *out = model;
    return status;
}

static pp_status make_random(pp_model *model, const char *text, uint64_t seed, pp_error *err)
{
    static const char label[] = "config_json";
    size_t len = strlen(text);
    struct ppi_config config;
    char *copy = ppi_alloc(&model->mem, len + 1, 1);
    if (!copy)
        return ppi_error_nomem(err, label, len + 1);
    memcpy(copy, text, len + 1);
    pp_status status = ppi_config_parse(copy, len, label, &model->mem, &model->log, &config, err);
    ppi_free(&model->mem, copy);
    PP_TRY(status);
    take_config(model, &config);
    model->is_random = true;
    if (model->spec.dtype == 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s: \"dtype\" is none of float32, float16 and bfloat16", label);
    ppi_tensors_random(&config, seed, &model->tensors);
    return PP_OK;
}

pp_status pp_model_create_random(const char *config_json, uint64_t seed,
                                 const pp_model_params *caller_params, pp_model **out,
                                 pp_error *err)
{
    if (!config_json || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_model_create_random: %s is NULL",
                         config_json ? "model" : "config_json");
    pp_model_params params = DEFAULT_PARAMS;
    pp_model *model;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_model_params", err));
    if (params.sliding_window != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_model_params.sliding_window is %d; it is for GGUF files: config_json "
                         "says it",
                         params.sliding_window);
    PP_TRY(create_empty(&params, &model, err));
    pp_status status = make_random(model, config_json, seed, err);
    if (status < 0)
        destroy(model);
    else
        *out = model;
    return status;
}

static void set_linear(const struct ppi_linear_shape *shape, pp_model_config *config)
{
    config->linear_rule = shape->rule == PPI_LINEAR_DELTA ? PP_LINEAR_DELTA : PP_LINEAR_MAMBA2;
    config->linear_key_heads = shape->n_k_heads;
    config->linear_value_heads = shape->n_v_heads;
    config->linear_key_dim = shape->k_dim;
    config->linear_value_dim = shape->v_dim;
    config->linear_kernel = shape->conv_kernel;
}

pp_status pp_model_get_config(const pp_model *model, pp_model_config *config, pp_error *err)
{
    if (!model)
        return ppi_error(err, PP_ERR_ARG, "pp_model_get_config: model is NULL");
    const struct ppi_model_spec *spec = &model->spec;
    pp_model_config full = {
        .struct_size = sizeof full,
        .arch = spec->arch,
        .vocab_size = spec->vocab_size,
        .hidden_size = spec->hidden_size,
        .intermediate_size = spec->intermediate_size,
        .n_layers = spec->n_layers,
        .n_heads = spec->n_heads,
        .n_kv_heads = spec->n_kv_heads,
        .head_dim = spec->head_dim,
        .max_position = spec->max_position,
        .tie_embeddings = spec->tie_embeddings,
        .dtype = spec->dtype,
        .bos_token = spec->bos_token,
        .n_eos_tokens = spec->n_eos_tokens,
        .norm_eps = spec->norm_eps,
        .has_lm_head = spec->has_lm_head,
        .n_labels = spec->n_labels,
        .pooling = spec->pooling,
        .normalize = spec->normalize,
        .n_experts = spec->experts.n,
        .n_experts_per_token = spec->experts.top_k,
        .expert_size = spec->experts.intermediate_size,
        .shared_expert_size = spec->experts.shared_size,
        .n_linear_layers = spec->n_linear,
    };
    if (spec->n_linear > 0)
        set_linear(&spec->linear, &full);
    _Static_assert(PPI_COUNT(full.eos_tokens) == PPI_MAX_EOS_TOKENS, "each has room for each");
    for (int32_t i = 0; i < PPI_MAX_EOS_TOKENS; i++)
        full.eos_tokens[i] = i < spec->n_eos_tokens ? spec->eos_tokens[i] : -1;
    return ppi_struct_write(config, &full, sizeof full, "pp_model_config", err);
}

pp_status pp_model_get_layer(const pp_model *model, int32_t i_layer, pp_layer_config *layer,
                             pp_error *err)
{
    if (!model)
        return ppi_error(err, PP_ERR_ARG, "pp_model_get_layer: model is NULL");
    const struct ppi_model_spec *spec = &model->spec;
    if (i_layer < 0 || i_layer >= spec->n_layers)
        return ppi_error_at(err, PP_ERR_ARG, i_layer, "layer %d: the model has layers 0 to %d",
                            i_layer, spec->n_layers - 1);
    const struct ppi_layer_spec *at = &spec->layers[i_layer];
    bool linear = at->kind == PPI_LAYER_LINEAR;
    pp_layer_config full = {
        .struct_size = sizeof full,
        .sliding_window = at->window,
        .rope_type = PP_ROPE_NONE,
        .rope_factor = 1,
        .n_kv_heads = linear ? 0 : at->n_kv_heads,
        .head_dim = linear ? 0 : at->head_dim,
        .kind = linear ? PP_LAYER_LINEAR : PP_LAYER_ATTENTION,
        .kv_layer = linear ? -1 : at->kv_layer,
        .intermediate_size = at->mlp_size,
        .has_experts = at->has_experts,
    };
    if (at->i_rope >= 0) {
        const struct ppi_rope_spec *rope = &spec->ropes[at->i_rope];
        full.rope_type = rope->type;
        full.rotary_dim = rope->rotary_dim;
        full.rope_theta = rope->theta;
        full.rope_factor = rope->factor;
    }
    return ppi_struct_write(layer, &full, sizeof full, "pp_layer_config", err);
}

int64_t pp_model_n_parameters(const pp_model *model)
{
    return model ? ppi_weights_n_parameters(model) : 0;
}

int32_t pp_model_is_random(const pp_model *model)
{
    return model && model->is_random;
}

pp_model *pp_model_ref(pp_model *model)
{
    if (model)
        atomic_fetch_add(&model->refs, 1);
    return model;
}

void pp_model_unref(pp_model *model)
{
    if (model && atomic_fetch_sub(&model->refs, 1) == 1)
        destroy(model);
}
