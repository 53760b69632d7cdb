/*
 * arch.c: the list of architectures, and which of them a config.json describes: model_type decides,
 * and `architectures` must not say otherwise.
 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

static const struct ppi_arch *const ARCHS[] = {
    &ppi_arch_llama,   &ppi_arch_mistral, &ppi_arch_ministral, &ppi_arch_ministral3,
    &ppi_arch_qwen2,   &ppi_arch_qwen3,   &ppi_arch_gemma2,    &ppi_arch_gemma3,
    &ppi_arch_phi3,    &ppi_arch_olmo2,   &ppi_arch_olmo3,     &ppi_arch_granite,
    &ppi_arch_smollm3, &ppi_arch_cohere2, &ppi_arch_glm4,      &ppi_arch_exaone4,
};

static const struct ppi_wrapper WRAPPERS[] = {
    {"gemma3", "Gemma3ForConditionalGeneration", "gemma3_text", true, true},
    {"mistral3", "Mistral3ForConditionalGeneration", "mistral", true, false},
};

const struct ppi_arch *ppi_arch_at(size_t i)
{
    return i < PPI_COUNT(ARCHS) ? ARCHS[i] : NULL;
}

const char *pp_arch_name(int32_t arch)
{
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++)
        if (ARCHS[i]->id == arch)
            return ARCHS[i]->model_type;
    return "unknown";
}

static const struct ppi_arch *arch_of_type(const char *type)
{
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++)
        if (strcmp(type, ARCHS[i]->model_type) == 0)
            return ARCHS[i];
    return NULL;
}

static const struct ppi_wrapper *wrapper_of_type(const char *type)
{
    for (size_t i = 0; i < PPI_COUNT(WRAPPERS); i++)
        if (strcmp(type, WRAPPERS[i].model_type) == 0)
            return &WRAPPERS[i];
    return NULL;
}

/* Whether `name` is the class, or the same without its LM head: Qwen3Model for Qwen3ForCausalLM. */
static bool is_class(const char *name, const char *class_name)
{
    size_t stem = strlen(class_name) - strlen("ForCausalLM");
    return strcmp(name, class_name) == 0 ||
           (strcmp(class_name + stem, "ForCausalLM") == 0 && strncmp(name, class_name, stem) == 0 &&
            strcmp(name + stem, "Model") == 0);
}

/* The model_type of a class, NULL for one that is not known. */
static const char *type_of_class(const char *name)
{
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++)
        if (is_class(name, ARCHS[i]->class_name))
            return ARCHS[i]->model_type;
    for (size_t i = 0; i < PPI_COUNT(WRAPPERS); i++)
        if (strcmp(name, WRAPPERS[i].class_name) == 0)
            return WRAPPERS[i].model_type;
    return NULL;
}

static pp_status refuse_unknown(const struct ppi_config_reader *reader, const char *key,
                                const struct ppi_json_value *value)
{
    char known[256] = "supported are ";
    for (size_t i = 0; i < PPI_COUNT(ARCHS) + PPI_COUNT(WRAPPERS); i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                 i < PPI_COUNT(ARCHS) ? ARCHS[i]->model_type
                                      : WRAPPERS[i - PPI_COUNT(ARCHS)].model_type);
    }
    return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, value, known);
}

/* `architectures` must be an array of strings, if it is there. */
static pp_status first_class(const struct ppi_config_reader *reader,
                             const struct ppi_json_value **first)
{
    static const char key[] = "architectures";
    const struct ppi_json_value *array = ppi_json_get(reader->top, key);
    if (!ppi_json_is_absent(array) && !ppi_json_is(array, PPI_JSON_ARRAY))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, key, array,
                                 "an array of strings is needed");
    *first = ppi_json_first(array);
    for (const struct ppi_json_value *item = *first; item; item = ppi_json_next(array, item))
        if (!ppi_json_string(item))
            return ppi_config_refuse(reader, PP_ERR_FORMAT, key, item,
                                     "the name of an architecture is needed");
    return PP_OK;
}

/* The model_type of `object`; without one, what `otherwise` says. */
static pp_status read_type(const struct ppi_config_reader *reader,
                           const struct ppi_json_value *object, const char *otherwise,
                           const char **type)
{
    const struct ppi_json_value *value = ppi_json_get(object, "model_type");
    *type = ppi_json_is_absent(value) ? otherwise : ppi_json_string(value);
    if (!*type)
        return ppi_config_refuse(reader, PP_ERR_FORMAT, "model_type", value,
                                 "the name of an architecture is needed");
    return PP_OK;
}

/* Weights of another head, or of another model, are not what model_type promises. */
static pp_status check_classes(const struct ppi_config_reader *reader, const char *type,
                               const char *class_name, const char *also)
{
    const struct ppi_json_value *array = ppi_json_get(reader->top, "architectures");
    const struct ppi_json_value *item = ppi_json_first(array);
    for (; item; item = ppi_json_next(array, item)) {
        const char *name = ppi_json_string(item);
        if (is_class(name, class_name) || is_class(name, also))
            continue;
        char wanted[160];
        snprintf(wanted, sizeof wanted, "%s is supported for model_type \"%s\"", class_name, type);
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, "architectures", item, wanted);
    }
    return PP_OK;
}

/* Mistral with a window in some layers only goes by another name. */
static const struct ppi_arch *by_layer_types(const struct ppi_config_reader *reader,
                                             const struct ppi_arch *arch)
{
    bool typed = ppi_json_get(reader->top, "layer_types") != NULL;
    return arch == &ppi_arch_mistral && typed ? &ppi_arch_ministral : arch;
}

pp_status ppi_arch_find(struct ppi_config_reader *reader, const struct ppi_arch **arch,
                        const struct ppi_wrapper **wrapper)
{
    const struct ppi_json_value *first = NULL;
    const char *type;
    reader->root = reader->top;
    PP_TRY(first_class(reader, &first));
    const char *stated = first ? type_of_class(ppi_json_string(first)) : NULL;
    if (first && !stated && ppi_json_is_absent(ppi_json_get(reader->top, "model_type")))
        return refuse_unknown(reader, "architectures", first);
    PP_TRY(read_type(reader, reader->top, stated, &type));
    *wrapper = wrapper_of_type(type);
    if (*wrapper) {
        PP_TRY(check_classes(reader, type, (*wrapper)->class_name, (*wrapper)->class_name));
        reader->root = ppi_json_get(reader->top, "text_config");
        if (!ppi_json_is(reader->root, PPI_JSON_OBJECT))
            return ppi_config_refuse(reader, PP_ERR_FORMAT, "text_config", reader->root,
                                     "an object is needed");
        PP_TRY(read_type(reader, reader->root, (*wrapper)->text_type, &type));
    }
    const struct ppi_arch *plain = arch_of_type(type);
    if (!plain)
        return refuse_unknown(reader, "model_type", ppi_json_get(reader->root, "model_type"));
    *arch = *wrapper ? plain : by_layer_types(reader, plain);
    if (*wrapper)
        return PP_OK;
    return check_classes(reader, type, (*arch)->class_name, plain->class_name);
}
