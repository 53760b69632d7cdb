/*
 * config_tokens.c: the tokens that begin and end a text. A model may state several that end it, in
 * config.json and in generation_config.json: each counts.
 */
#include "model/config.h"

static pp_status add_eos(const struct ppi_config_reader *reader, const struct ppi_json_value *value,
                         struct ppi_model_spec *spec)
{
    static const char key[] = "eos_token_id";
    int32_t token;
    if (ppi_json_is(value, PPI_JSON_NULL))
        return PP_OK;
    PP_TRY(ppi_config_count(reader, key, value, -1, INT32_MAX, &token));
    if (token < 0) /* how some files say "none" */
        return PP_OK;
    for (int32_t i = 0; i < spec->n_eos_tokens; i++)
        if (spec->eos_tokens[i] == token)
            return PP_OK;
    if (spec->n_eos_tokens == PPI_MAX_EOS_TOKENS)
        return ppi_error(reader->err, PP_ERR_LIMIT,
                         "%s: more than %d different tokens of \"%s\" are stated", reader->label,
                         PPI_MAX_EOS_TOKENS, key);
    spec->eos_tokens[spec->n_eos_tokens++] = token;
    return PP_OK;
}

/* A token or a list of them. */
static pp_status read_eos(const struct ppi_config_reader *reader,
                          const struct ppi_json_value *object, struct ppi_config *config)
{
    const struct ppi_json_value *value = ppi_json_get(object, "eos_token_id");
    if (!value)
        return PP_OK;
    config->states_eos = true;
    if (!ppi_json_is(value, PPI_JSON_ARRAY))
        return add_eos(reader, value, &config->spec);
    const struct ppi_json_value *item = ppi_json_first(value);
    for (; item; item = ppi_json_next(value, item))
        PP_TRY(add_eos(reader, item, &config->spec));
    return PP_OK;
}

/* The first that is stated. */
static pp_status read_bos(const struct ppi_config_reader *reader,
                          const struct ppi_json_value *object, struct ppi_config *config)
{
    static const char key[] = "bos_token_id";
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (!value || config->states_bos)
        return PP_OK;
    config->states_bos = true;
    if (ppi_json_is(value, PPI_JSON_ARRAY))
        value = ppi_json_first(value);
    if (ppi_json_is_absent(value))
        return PP_OK;
    return ppi_config_count(reader, key, value, -1, INT32_MAX, &config->spec.bos_token);
}

pp_status ppi_config_tokens(const struct ppi_config_reader *reader, struct ppi_config *config)
{
    PP_TRY(read_bos(reader, reader->top, config));
    PP_TRY(read_eos(reader, reader->top, config));
    if (reader->root == reader->top)
        return PP_OK;
    PP_TRY(read_bos(reader, reader->root, config));
    return read_eos(reader, reader->root, config);
}

void ppi_config_default_tokens(struct ppi_config *config)
{
    const struct ppi_arch *arch = config->arch;
    struct ppi_model_spec *spec = &config->spec;
    if (!config->states_bos)
        spec->bos_token = arch->bos_token;
    for (int32_t i = 0; !config->states_eos && i < arch->n_eos_tokens; i++)
        spec->eos_tokens[spec->n_eos_tokens++] = arch->eos_tokens[i];
}
