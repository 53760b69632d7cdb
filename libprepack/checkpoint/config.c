/*
 * config.c: the ranges of a configuration, whoever made it.
 */
#include "checkpoint/config_file.h"

#include <math.h>

const struct ppi_config_count ppi_config_counts[PPI_N_CONFIG_COUNTS] = {
#define FIELD(name) #name, offsetof(pp_model_config, name)
    {"vocab_size", FIELD(vocab_size), 1, 1 << 24, 32000, 32000},
    {"hidden_size", FIELD(hidden_size), 1, 65536, 4096, 4096},
    {"intermediate_size", FIELD(intermediate_size), 1, 1 << 20, 11008, 14336},
    {"num_hidden_layers", FIELD(n_layers), 1, 1024, 32, 32},
    {"num_attention_heads", FIELD(n_heads), 1, 1024, 32, 32},
    {"num_key_value_heads", FIELD(n_kv_heads), 1, 1024, 0, 8},
    {"head_dim", FIELD(head_dim), 2, 512, 0, 0},
    {"max_position_embeddings", FIELD(max_position), 1, INT32_MAX, 2048, 131072},
#undef FIELD
};

static bool is_positive(double value)
{
    return isfinite(value) && value > 0;
}

static pp_status check_rope(const pp_model_config *config, pp_error *err)
{
    if (config->rope_type < PP_ROPE_DEFAULT || config->rope_type > PP_ROPE_LLAMA3)
        return ppi_error(err, PP_ERR_ARG, "rope_type is %d; PP_ROPE_DEFAULT (0) to LLAMA3 (2)",
                         config->rope_type);
    if (!is_positive(config->rope_theta))
        return ppi_error(err, PP_ERR_ARG, "rope_theta is %g; it must be finite and above 0",
                         config->rope_theta);
    if (config->rope_type == PP_ROPE_DEFAULT)
        return PP_OK;
    if (!is_positive(config->rope_factor))
        return ppi_error(err, PP_ERR_ARG, "the rope factor is %g; it must be finite and above 0",
                         config->rope_factor);
    if (config->rope_type == PP_ROPE_LINEAR)
        return PP_OK;
    if (!is_positive(config->rope_low_freq_factor) || !is_positive(config->rope_high_freq_factor) ||
        config->rope_high_freq_factor <= config->rope_low_freq_factor)
        return ppi_error(err, PP_ERR_ARG,
                         "low_freq_factor is %g and high_freq_factor %g; they must be finite and "
                         "above 0, the second larger",
                         config->rope_low_freq_factor, config->rope_high_freq_factor);
    if (config->rope_original_max_position < 1)
        return ppi_error(err, PP_ERR_ARG,
                         "the original maximum position of rope is %d; it must be at least 1",
                         config->rope_original_max_position);
    return PP_OK;
}

pp_status ppi_config_check(const pp_model_config *config, pp_error *err)
{
    if (config->arch != PP_ARCH_LLAMA && config->arch != PP_ARCH_MISTRAL)
        return ppi_error(err, PP_ERR_ARG, "arch is %d; PP_ARCH_LLAMA (1) or PP_ARCH_MISTRAL (2)",
                         config->arch);
    for (size_t i = 0; i < PPI_N_CONFIG_COUNTS; i++) {
        const struct ppi_config_count *count = &ppi_config_counts[i];
        int32_t value = *(const int32_t *)((const char *)config + count->offset);
        if (value < count->min || value > count->max)
            return ppi_error(err, PP_ERR_ARG, "%s is %d; %d to %d are accepted", count->field,
                             value, count->min, count->max);
    }
    if (config->n_heads % config->n_kv_heads != 0)
        return ppi_error(err, PP_ERR_ARG,
                         "%d attention heads are not a multiple of %d key/value heads",
                         config->n_heads, config->n_kv_heads);
    if (config->head_dim % 2 != 0)
        return ppi_error(err, PP_ERR_ARG, "head_dim is %d; it must be even", config->head_dim);
    if (config->sliding_window < 0)
        return ppi_error(err, PP_ERR_ARG, "sliding_window is %d; 0 (all) or more is needed",
                         config->sliding_window);
    if (config->tie_embeddings != 0 && config->tie_embeddings != 1)
        return ppi_error(err, PP_ERR_ARG, "tie_embeddings is %d; 0 or 1 is needed",
                         config->tie_embeddings);
    if (config->dtype != PP_DTYPE_F32 && config->dtype != PP_DTYPE_F16 &&
        config->dtype != PP_DTYPE_BF16)
        return ppi_error(err, PP_ERR_ARG, "dtype is %s; f32, f16 or bf16 is needed",
                         pp_dtype_name(config->dtype));
    if (!is_positive(config->rms_norm_eps))
        return ppi_error(err, PP_ERR_ARG, "rms_norm_eps is %g; it must be finite and above 0",
                         config->rms_norm_eps);
    if (config->bos_token < -1 || config->eos_token < -1)
        return ppi_error(err, PP_ERR_ARG, "bos_token is %d and eos_token %d; -1 or more is needed",
                         config->bos_token, config->eos_token);
    return check_rope(config, err);
}
