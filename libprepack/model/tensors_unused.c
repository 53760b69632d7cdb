/*
 * tensors_unused.c: what a model's files hold and nobody asked for: said aloud, unless it is known
 * to change nothing.
 */
#include "model/arch.h"
#include "model/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Of a layer behind the last. */
static bool is_behind(const struct ppi_tensors *tensors, const struct ppi_config *config,
                      const char *name)
{
    const char *layers = tensors->gguf ? "blk." : "layers.";
    if (!begins_with(name, layers))
        return false;
    long layer = strtol(name + strlen(layers), NULL, 10);
    return layer >= config->spec.n_layers;
}

/* Keys and values of a layer that sees another's: some files have them all the same. */
static bool is_of_shared_keys(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                              const char *name)
{
    char known[PPI_TENSOR_NAME_BYTES];
    for (int32_t layer = 0; layer < spec->n_layers; layer++)
        for (int32_t i = 0; spec->layers[layer].kv_layer != layer && i < tensors->n_rules; i++) {
            const struct ppi_tensor_rule *rule = &tensors->rules[i];
            if (!ppi_weight_kinds[rule->weight].in_layer || ppi_rule_holds(rule, spec, layer))
                continue;
            ppi_rule_name(rule, &tensors->prefixes, spec, layer, known);
            if (strcmp(name, known) == 0)
                return true;
        }
    return false;
}

/* Tables that old files hold and everybody computes; the parts of a model that a text model is
 * inside of; and what the class passes over. */
static bool is_harmless(const struct ppi_tensors *tensors, const struct ppi_config *config,
                        const char *stored)
{
    const char *name = stored;
    static const char *const tables[] = {"rotary_emb.inv_freq", "rotary_emb.cos_cached",
                                         "rotary_emb.sin_cached"};
    static const char *const others[] = {
        "vision_tower.", "multi_modal_projector.", "visual.",         "audio_tower.",
        "embed_vision.", "embed_audio.",           "vision_embedder."};
    const struct ppi_arch *arch = config->arch;
    for (size_t i = 0; i < PPI_COUNT(tables); i++) {
        size_t len = strlen(name), tail = strlen(tables[i]);
        if (len >= tail && strcmp(name + len - tail, tables[i]) == 0)
            return true;
    }
    if (begins_with(name, "model."))
        name += strlen("model.");
    for (size_t i = 0; config->wrapper && i < PPI_COUNT(others); i++)
        if (begins_with(name, others[i]))
            return true;
    return (arch->ignores && begins_with(name, arch->ignores)) ||
           (arch->ignores_behind && is_behind(tensors, config, name)) ||
           is_of_shared_keys(tensors, &config->spec, stored);
}

void ppi_tensors_warn_of_unused(const struct ppi_tensors *tensors, const struct ppi_config *config,
                                const char *label, const struct ppi_log *log)
{
    char list[320] = "";
    int64_t n = 0, n_listed = 0;
    size_t cursor = 0;
    const char *name;
    while ((name = ppi_source_unasked(tensors->source, &cursor))) {
        size_t used = strlen(list);
        if (is_harmless(tensors, config, name))
            continue;
        bool fits = n_listed == n && n < 4 && used + strlen(name) + 4 < sizeof list;
        if (fits)
            snprintf(list + used, sizeof list - used, "%s\"%s\"", n ? ", " : "", name);
        n_listed += fits;
        n++;
    }
    if (n == 0)
        return;
    const char *type = config->arch->model_type;
    if (n_listed == n)
        ppi_log(log, PP_LOG_WARNING, "%s: stored, and not used by %s: %s", label, type, list);
    else
        ppi_log(log, PP_LOG_WARNING, "%s: stored, and not used by %s: %s%s%lld %stensors", label,
                type, list, n_listed ? " and " : "", (long long)(n - n_listed),
                n_listed ? "more " : "");
}
