/*
 * arch.c: the list of architectures, and which of them a config.json describes: model_type decides,
 * and `architectures`, which says the head, must not say otherwise.
 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

static const struct ppi_arch *const ARCHS[] = {
    &ppi_arch_llama,       &ppi_arch_mistral,
    &ppi_arch_ministral,   &ppi_arch_ministral3,
    &ppi_arch_qwen2,       &ppi_arch_qwen3,
    &ppi_arch_gemma2,      &ppi_arch_gemma3,
    &ppi_arch_phi3,        &ppi_arch_olmo2,
    &ppi_arch_olmo3,       &ppi_arch_granite,
    &ppi_arch_smollm3,     &ppi_arch_cohere2,
    &ppi_arch_glm4,        &ppi_arch_exaone4,
    &ppi_arch_mixtral,     &ppi_arch_qwen2_moe,
    &ppi_arch_qwen3_moe,   &ppi_arch_olmoe,
    &ppi_arch_granitemoe,  &ppi_arch_granitemoeshared,
    &ppi_arch_gpt_oss,     &ppi_arch_glm4_moe,
    &ppi_arch_qwen3_next,  &ppi_arch_qwen3_5,
    &ppi_arch_qwen3_5_moe, &ppi_arch_granitemoehybrid,
    &ppi_arch_gemma4,      &ppi_arch_gemma4_unified,
};

static const struct ppi_wrapper WRAPPERS[] = {
    {"gemma3", "Gemma3ForConditionalGeneration", "gemma3_text", true, false, true},
    {"gemma4", "Gemma4ForConditionalGeneration", "gemma4_text", true, true, false},
    {"gemma4_unified", "Gemma4UnifiedForConditionalGeneration", "gemma4_unified_text", true, true,
     false},
    {"mistral3", "Mistral3ForConditionalGeneration", "mistral", true, true, false},
    {"qwen3_5", "Qwen3_5ForConditionalGeneration", "qwen3_5_text", false, false, false},
    {"qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe_text", false, true, false},
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

#define LABELS "ForSequenceClassification"

/* The names of a model's classes: each begins with the stem, and its ending says its head. */
struct class_names {
    const char *with_lm_head;
    const char *stem;
    size_t stem_len;
    bool has_labels;
};

/* `stem` may be NULL: with_lm_head up to its "For". */
static struct class_names names_of(const char *with_lm_head, const char *stem, bool has_labels)
{
    size_t len = stem ? strlen(stem) : (size_t)(strstr(with_lm_head, "For") - with_lm_head);
    return (struct class_names){with_lm_head, stem ? stem : with_lm_head, len, has_labels};
}

static struct class_names names_of_arch(const struct ppi_arch *arch)
{
    return names_of(arch->class_name, arch->stem, !arch->no_labels);
}

static struct class_names names_of_wrapper(const struct ppi_wrapper *wrapper)
{
    return names_of(wrapper->class_name, NULL, !wrapper->no_labels);
}

/* Whether `name` is one of the classes, and with which head. */
static bool is_class(const char *name, const struct class_names *names, enum ppi_head *head)
{
    bool stem = strncmp(name, names->stem, names->stem_len) == 0;
    const char *ending = stem ? name + names->stem_len : "";
    if (strcmp(name, names->with_lm_head) == 0)
        *head = PPI_HEAD_LM;
    else if (strcmp(ending, "Model") == 0)
        *head = PPI_HEAD_NONE;
    else if (names->has_labels && strcmp(ending, LABELS) == 0)
        *head = PPI_HEAD_LABELS;
    else
        return false;
    return true;
}

bool ppi_arch_labels_class(const struct ppi_arch *arch, char name[PPI_CLASS_NAME_BYTES])
{
    struct class_names names = names_of_arch(arch);
    snprintf(name, PPI_CLASS_NAME_BYTES, "%.*s" LABELS, (int)names.stem_len, names.stem);
    return names.has_labels;
}

/* The model_type of a class, NULL for one that is not known. */
static const char *type_of_class(const char *name)
{
    enum ppi_head head;
    for (size_t i = 0; i < PPI_COUNT(ARCHS); i++) {
        struct class_names names = names_of_arch(ARCHS[i]);
        if (is_class(name, &names, &head))
            return ARCHS[i]->model_type;
    }
    for (size_t i = 0; i < PPI_COUNT(WRAPPERS); i++) {
        struct class_names names = names_of_wrapper(&WRAPPERS[i]);
        if (is_class(name, &names, &head))
            return WRAPPERS[i].model_type;
    }
    return NULL;
}

static pp_status refuse_unknown(const struct ppi_config_reader *reader, const char *key,
                                const struct ppi_json_value *value)
{
    char known[512] = "supported are ";
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

/* Weights of another model, or of a head that it has no class for, are not what model_type
 * promises. names: of the classes, and others that go for them too. */
static pp_status check_classes(const struct ppi_config_reader *reader, const char *type,
                               const struct class_names names[2], enum ppi_head *head)
{
    static const char key[] = "architectures";
    const struct ppi_json_value *array = ppi_json_get(reader->top, key);
    const struct ppi_json_value *first = ppi_json_first(array), *item = first;
    *head = PPI_HEAD_LM;
    for (; item; item = ppi_json_next(array, item)) {
        const char *name = ppi_json_string(item), *wanted = "the class before it has another head";
        enum ppi_head found;
        char text[256];
        int len = (int)names->stem_len;
        bool known = is_class(name, &names[0], &found) || is_class(name, &names[1], &found);
        if (known && (item == first || found == *head)) {
            *head = found;
            continue;
        }
        if (!known) {
            snprintf(text, sizeof text,
                     "%s%s %.*sModel%s%.*s%s are supported for model_type \"%s\"",
                     names->with_lm_head, names->has_labels ? "," : " and", len, names->stem,
                     names->has_labels ? " and " : "", names->has_labels ? len : 0, names->stem,
                     names->has_labels ? LABELS : "", type);
            wanted = text;
        }
        return ppi_config_refuse(reader, PP_ERR_UNSUPPORTED, key, item, wanted);
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

/* The text model's object inside another model, and its model_type. */
static pp_status enter_text(struct ppi_config_reader *reader, const struct ppi_wrapper *wrapper,
                            const char **type)
{
    reader->root = ppi_json_get(reader->top, "text_config");
    if (!ppi_json_is(reader->root, PPI_JSON_OBJECT))
        return ppi_config_refuse(reader, PP_ERR_FORMAT, "text_config", reader->root,
                                 "an object is needed");
    return read_type(reader, reader->root, wrapper->text_type, type);
}

pp_status ppi_arch_find(struct ppi_config_reader *reader, const struct ppi_arch **arch,
                        const struct ppi_wrapper **wrapper, enum ppi_head *head)
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
        const struct class_names names = names_of_wrapper(*wrapper);
        PP_TRY(check_classes(reader, type, (struct class_names[]){names, names}, head));
        PP_TRY(enter_text(reader, *wrapper, &type));
    }
    const struct ppi_arch *plain = arch_of_type(type);
    if (!plain)
        return refuse_unknown(reader, "model_type", ppi_json_get(reader->root, "model_type"));
    *arch = *wrapper ? plain : by_layer_types(reader, plain);
    if (*wrapper)
        return PP_OK;
    const struct class_names names[] = {names_of_arch(*arch), names_of_arch(plain)};
    return check_classes(reader, type, names, head);
}
