/*
 * model.c: the model object: opened from a directory or made up, counted, asked for its figures.
 */
#include "model/model_impl.h"

#include <string.h>

static const pp_model_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_model_params_init(pp_model_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

/* A model without config or source yet, living in its own allocator. */
static pp_status create_empty(const pp_model_params *caller_params, pp_model **out, pp_error *err)
{
    pp_model_params params = DEFAULT_PARAMS;
    struct ppi_mem mem;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_model_params", err));
    PP_TRY(ppi_reserved_check(params.reserved, PPI_COUNT(params.reserved), "pp_model_params", err));
    PP_TRY(ppi_mem_init(&mem, params.allocator, 0, err));
    pp_model *model = ppi_zalloc(&mem, 1, sizeof *model);
    if (!model)
        return ppi_error_nomem(err, "a model", sizeof *model);
    PP_TRY(ppi_mem_init(&model->mem, params.allocator, 0, err));
    atomic_init(&model->refs, 1);
    model->log = (struct ppi_log){params.log, params.log_user};
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
    if (model->source)
        ppi_source_close(model->source);
    pthread_mutex_destroy(&model->lock);
    struct ppi_mem mem = {.allocator = model->mem.allocator};
    ppi_free(&mem, model);
}

pp_status pp_model_open(const char *dir, const pp_model_params *params, pp_model **out,
                        pp_error *err)
{
    if (!dir || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_model_open: %s is NULL", dir ? "model" : "dir");
    pp_model *model;
    PP_TRY(create_empty(params, &model, err));
    pp_status status = ppi_config_read(dir, &model->mem, &model->log, &model->config, err);
    if (status >= 0)
        status =
            ppi_source_open_dir(dir, &model->config, &model->mem, &model->log, &model->source, err);
    if (status < 0) {
        destroy(model);
        return status;
    }
    /* what the files hold, whatever config.json says */
    model->config.dtype = ppi_source_dtype(model->source, PPI_TENSOR_Q, 0);
    *out = model;
    return PP_OK;
}

pp_status pp_model_create_random(const pp_model_config *config, uint64_t seed,
                                 const pp_model_params *params, pp_model **out, pp_error *err)
{
    if (!config || !out)
        return ppi_error(err, PP_ERR_ARG, "pp_model_create_random: %s is NULL",
                         config ? "model" : "config");
    pp_model_config known = {.struct_size = sizeof known, .bos_token = -1, .eos_token = -1};
    PP_TRY(ppi_struct_read(&known, sizeof known, config, "pp_model_config", err));
    PP_TRY(ppi_reserved_check(known.reserved, PPI_COUNT(known.reserved), "pp_model_config", err));
    PP_TRY(ppi_config_check(&known, err));
    pp_model *model;
    PP_TRY(create_empty(params, &model, err));
    model->config = known;
    model->is_random = true;
    pp_status status = ppi_source_open_random(&known, seed, &model->mem, &model->source, err);
    if (status < 0) {
        destroy(model);
        return status;
    }
    *out = model;
    return PP_OK;
}

pp_status pp_model_get_config(const pp_model *model, pp_model_config *config, pp_error *err)
{
    if (!model)
        return ppi_error(err, PP_ERR_ARG, "pp_model_get_config: model is NULL");
    return ppi_struct_write(config, &model->config, sizeof model->config, "pp_model_config", err);
}

int64_t pp_model_n_parameters(const pp_model *model)
{
    if (!model)
        return 0;
    int64_t total = 0;
    for (int t = 0; t < PPI_N_TENSORS; t++) {
        int64_t n_rows, n_cols;
        ppi_tensor_shape(&model->config, (enum ppi_tensor)t, &n_rows, &n_cols);
        bool once = t == PPI_TENSOR_EMBED || t == PPI_TENSOR_FINAL_NORM || t == PPI_TENSOR_LM_HEAD;
        if (t != PPI_TENSOR_LM_HEAD || !model->config.tie_embeddings)
            total += n_rows * n_cols * (once ? 1 : model->config.n_layers);
    }
    return total;
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
