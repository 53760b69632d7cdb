/*
 * gguf_keys.c: see gguf_keys.h.
 */
#include "model/gguf_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys that change what is computed. Where the architecture's row reads the key, it is not refused.
 */
static const struct refused {
    const char *name;
    enum { UNLESS_ZERO, WHEN_FALSE, UNLESS_ONE } when;
    const char *wanted;
} REFUSED[] = {
    {"expert_count", UNLESS_ZERO, "experts are not supported for this architecture"},
    {"expert_used_count", UNLESS_ZERO, "experts are not supported for this architecture"},
    {"expert_shared_count", UNLESS_ZERO, "experts are not supported for this architecture"},
    {"expert_weights_scale", UNLESS_ONE, "it is not supported for this architecture"},
    {"expert_group_count", UNLESS_ONE, "groups of experts are not supported"},
    {"expert_group_used_count", UNLESS_ONE, "groups of experts are not supported"},
    {"attention.causal", WHEN_FALSE, "attention is causal here"},
    {"attention.max_alibi_bias", UNLESS_ZERO, "positions by ALiBi are not supported"},
    {"attention.clamp_kqv", UNLESS_ZERO, "clamped projections are not supported"},
    {"attention.output_scale", UNLESS_ONE, "it is not supported for this architecture"},
    {"attention.temperature_scale", UNLESS_ZERO, "it is not supported for this architecture"},
    {"attention.temperature_length", UNLESS_ZERO, "it is not supported"},
    {"attention.shared_kv_layers", UNLESS_ZERO, "layers that share keys are not supported"},
    {"attention.q_lora_rank", UNLESS_ZERO, "latent attention is not supported"},
    {"attention.kv_lora_rank", UNLESS_ZERO, "latent attention is not supported"},
    {"attn_logit_softcapping", UNLESS_ZERO, "it is not supported for this architecture"},
    {"final_logit_softcapping", UNLESS_ZERO, "it is not supported for this architecture"},
    {"logit_scale", UNLESS_ONE, "it is not supported for this architecture"},
    {"embedding_scale", UNLESS_ONE, "it is not supported for this architecture"},
    {"residual_scale", UNLESS_ONE, "it is not supported for this architecture"},
    {"embedding_length_per_layer_input", UNLESS_ZERO, "embeddings of layers are not supported"},
    {"embedding_length_out", UNLESS_ZERO, "another width of the output is not supported"},
    {"nextn_predict_layers", UNLESS_ZERO, "layers that predict further tokens are not supported"},
    {"leading_dense_block_count", UNLESS_ZERO, "experts are not supported for this architecture"},
    {"full_attention_interval", UNLESS_ZERO, "layers without attention are not supported"},
    {"n_deepstack_layers", UNLESS_ZERO, "inputs of inner layers are not supported"},
    {"deepstack_mapping", UNLESS_ZERO, "inputs of inner layers are not supported"},
    {"use_parallel_residual", UNLESS_ZERO, "it is not supported for this architecture"},
    {"swin_norm", UNLESS_ZERO, "it is not supported for this architecture"},
    {"rope.dimension_sections", UNLESS_ZERO, "rotation by sections is not supported"},
    {"rope.scaling.alpha", UNLESS_ZERO, "it is not supported"},
    {"rope.scaling.yarn_ext_factor", UNLESS_ONE, "1 is supported"},
};

/* Keys that gguf_config.c reads, or that change nothing. */
static const char *const KNOWN[] = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "expert_gating_func",
    "expert_weights_norm",
    "vocab_size",
    "tensor_data_layout",
    "pooling_type",
    "classifier.output_labels",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.scale",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "ssm.conv_kernel",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.inner_size",
    "ssm.time_step_rank",
    "rope.dimension_count",
    "rope.dimension_count_swa",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
};

#define KEY_BYTES 160

const struct ppi_gguf_value *ppi_gguf_of(const struct ppi_gguf_reader *reader, const char *name)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%s.%s", reader->arch->name, name);
    return ppi_gguf_find(reader->gguf, key);
}

pp_status ppi_gguf_refuse(const struct ppi_gguf_reader *reader, pp_status code, const char *name,
                          const char *wanted)
{
    return ppi_error(reader->err, code, "%s: %s.%s is %s; %s", reader->label, reader->arch->name,
                     name, ppi_gguf_describe(ppi_gguf_of(reader, name)).text, wanted);
}

/* ---- one key ---- */

/* The only integer of a value, which may stand in it once for each layer. */
static bool only_integer(const struct ppi_gguf_value *value, int64_t *out)
{
    int64_t integer = 0, first = 0;
    if (value->type != PPI_GGUF_ARRAY)
        return ppi_gguf_integer(value, out);
    for (uint64_t i = 0; value->item_type != PPI_GGUF_STRING && i < value->len; i++) {
        struct ppi_gguf_value item = ppi_gguf_item(value, i);
        if (!ppi_gguf_integer(&item, &integer) || (i > 0 && integer != first))
            return false;
        first = integer;
    }
    *out = first;
    return value->item_type != PPI_GGUF_STRING && value->len > 0;
}

pp_status ppi_gguf_take_integer(const struct ppi_gguf_reader *reader, const char *name,
                                bool required, int64_t *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, name);
    if (!value && !required)
        return PP_OK;
    if (value && only_integer(value, out))
        return PP_OK;
    bool varies = value && value->type == PPI_GGUF_ARRAY;
    return ppi_gguf_refuse(reader, varies ? PP_ERR_UNSUPPORTED : PP_ERR_FORMAT, name,
                           varies ? "layers that differ in it are not supported"
                                  : "an integer is needed");
}

double ppi_gguf_decimal(float value)
{
    char digits[64];
    double number = (double)value;
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        number = strtod(digits, NULL);
        if ((float)number == value)
            return number;
    }
    return number;
}

pp_status ppi_gguf_take_number(const struct ppi_gguf_reader *reader, const char *name,
                               bool required, double *out)
{
    const struct ppi_gguf_value *value = ppi_gguf_of(reader, name);
    double number;
    if (!value && !required)
        return PP_OK;
    if (!ppi_gguf_number(value, &number) || !isfinite(number))
        return ppi_gguf_refuse(reader, PP_ERR_FORMAT, name, "a finite number is needed");
    *out = value->type == PPI_GGUF_F32 ? ppi_gguf_decimal((float)number) : number;
    return PP_OK;
}

/* ---- all keys ---- */

static bool is_number_besides(const struct ppi_gguf_value *value, double allowed)
{
    double number;
    bool truth;
    if (ppi_gguf_number(value, &number))
        return number != allowed && number != 0;
    return !ppi_gguf_bool(value, &truth) || truth;
}

static bool is_refused(const struct refused *refused, const struct ppi_gguf_value *value)
{
    bool truth = true;
    if (refused->when == WHEN_FALSE)
        return ppi_gguf_bool(value, &truth) ? !truth : true;
    double allowed = refused->when == UNLESS_ONE ? 1 : 0;
    if (value->type != PPI_GGUF_ARRAY || value->item_type == PPI_GGUF_STRING)
        return is_number_besides(value, allowed);
    for (uint64_t i = 0; i < value->len; i++) {
        struct ppi_gguf_value item = ppi_gguf_item(value, i);
        if (is_number_besides(&item, allowed))
            return true;
    }
    return false;
}

static bool row_reads(const struct ppi_gguf_arch *arch, const char *name)
{
    for (const struct ppi_gguf_key *key = arch->keys; key->name; key++)
        if (strcmp(key->name, name) == 0)
            return true;
    if (arch->experts &&
        (strcmp(name, "expert_count") == 0 || strcmp(name, "expert_used_count") == 0))
        return true;
    if (arch->deepseek && (strcmp(name, "expert_shared_count") == 0 ||
                           strcmp(name, "leading_dense_block_count") == 0 ||
                           strcmp(name, "nextn_predict_layers") == 0))
        return true;
    return arch->tempered_type && strcmp(name, "attention.temperature_scale") == 0;
}

static bool is_known(const struct ppi_gguf_arch *arch, const char *name)
{
    for (size_t i = 0; i < PPI_COUNT(KNOWN); i++)
        if (strcmp(KNOWN[i], name) == 0)
            return true;
    for (size_t i = 0; i < PPI_COUNT(REFUSED); i++)
        if (strcmp(REFUSED[i].name, name) == 0)
            return true;
    return row_reads(arch, name);
}

/* Kept apart from the model: what an adapter or a projector holds is no model. */
static pp_status check_type(const struct ppi_gguf_reader *reader)
{
    const struct ppi_gguf_value *value = ppi_gguf_find(reader->gguf, "general.type");
    const char *type = ppi_gguf_string(value);
    if (!value || (type && strcmp(type, "model") == 0))
        return PP_OK;
    return ppi_error(reader->err, PP_ERR_UNSUPPORTED,
                     "%s: general.type is %s; a file of type \"model\" is needed", reader->label,
                     ppi_gguf_describe(value).text);
}

pp_status ppi_gguf_check_keys(const struct ppi_gguf_reader *reader)
{
    size_t len = strlen(reader->arch->name);
    PP_TRY(check_type(reader));
    for (size_t i = 0; i < PPI_COUNT(REFUSED); i++) {
        const struct ppi_gguf_value *value = ppi_gguf_of(reader, REFUSED[i].name);
        if (value && !row_reads(reader->arch, REFUSED[i].name) && is_refused(&REFUSED[i], value))
            return ppi_gguf_refuse(reader, PP_ERR_UNSUPPORTED, REFUSED[i].name, REFUSED[i].wanted);
    }
    for (size_t i = 0; i < reader->gguf->n_values; i++) {
        const struct ppi_gguf_value *value = &reader->gguf->values[i];
        bool ours = strncmp(value->key, reader->arch->name, len) == 0 && value->key[len] == '.';
        if (ours && !is_known(reader->arch, value->key + len + 1))
            ppi_log(reader->log, PP_LOG_WARNING, "%s: the key %s is not known and not used",
                    reader->label, ppi_label(value->key).text);
    }
    return PP_OK;
}
