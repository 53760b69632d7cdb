/*
 * config_layers.c: which layers see a window only, and which rotate; of classes with linear layers
 * config_linear.c says which attend.
 */
#include "model/config.h"

#include <string.h>

struct layers {
    const struct ppi_config_reader *reader;
    const struct ppi_arch *arch;
    struct ppi_model_spec *spec;
    int32_t window; /* of the layers that have one; 0: none has */
};

/* ---- which rotate ---- */

/* no_rope_layers has a 1 for each layer that rotates. */
static pp_status read_listed(struct layers *layers)
{
    const struct ppi_config_reader *reader = layers->reader;
    struct ppi_model_spec *spec = layers->spec;
    const char *key = "no_rope_layer_interval";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    int32_t interval = 4, rotates;
    if (!ppi_json_is_absent(value))
        PP_TRY(ppi_config_clamped(reader, key, value, &interval));
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].i_rope = (i + 1) % interval != 0 ? 0 : -1;
    value = ppi_config_get(reader, key = "no_rope_layers");
    if (ppi_json_is_absent(value))
        return PP_OK;
    PP_TRY(ppi_config_array(reader, key, value, spec->n_layers));
    const struct ppi_json_value *item = ppi_json_first(value);
    for (int32_t i = 0; item; item = ppi_json_next(value, item), i++) {
        PP_TRY(ppi_config_count(reader, key, item, 0, 1, &rotates));
        spec->layers[i].i_rope = rotates - 1;
    }
    return PP_OK;
}

static pp_status read_stated(struct layers *layers)
{
    static const char key[] = "position_embedding_type";
    const struct ppi_json_value *value = ppi_config_get(layers->reader, key);
    const char *type = ppi_json_string(value);
    bool rotates = type && strcmp(type, "rope") == 0;
    if (!rotates && !ppi_json_is_absent(value) && !(type && strcmp(type, "nope") == 0))
        return ppi_config_refuse(layers->reader, PP_ERR_UNSUPPORTED, key, value,
                                 "\"rope\", \"nope\" and null are supported");
    for (int32_t i = 0; i < layers->spec->n_layers; i++)
        layers->spec->layers[i].i_rope = rotates ? 0 : -1;
    return PP_OK;
}

/* Where it follows from the windows. */
static pp_status rotate_windowed(struct layers *layers)
{
    struct ppi_model_spec *spec = layers->spec;
    enum ppi_rotates rotates = layers->arch->rotates;
    if (rotates == PPI_ROTATES_WINDOWED && layers->window == 0)
        return ppi_config_refuse(layers->reader, PP_ERR_FORMAT, "sliding_window",
                                 ppi_config_get(layers->reader, "sliding_window"),
                                 "layers of this architecture rotate only where there is a window");
    bool all = rotates == PPI_ROTATES_WINDOWED_IF_ANY && layers->window == 0;
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i].i_rope = all || spec->layers[i].window > 0 ? 0 : -1;
    return PP_OK;
}

/* ---- windows ---- */

static pp_status read_window(struct layers *layers)
{
    const struct ppi_config_reader *reader = layers->reader;
    enum ppi_window_rule rule = layers->arch->windows;
    const char *key = "sliding_window";
    const struct ppi_json_value *value = ppi_config_get(reader, key);
    bool used = rule == PPI_WINDOW_NONE || rule == PPI_WINDOW_SAME || rule == PPI_WINDOW_TYPES;
    if (!used)
        PP_TRY(ppi_config_flag(reader, reader->root, "use_sliding_window", &used));
    layers->window = 0;
    if (rule == PPI_WINDOW_NONE && !ppi_json_is_absent(value))
        ppi_log(reader->log, PP_LOG_WARNING,
                "%s: \"%s\" is %s and not used: the layers of %s have no window", reader->label,
                key, ppi_json_describe(value).text, layers->arch->model_type);
    if (rule == PPI_WINDOW_NONE || !used || ppi_json_is(value, PPI_JSON_NULL))
        return PP_OK;
    if (value)
        return ppi_config_clamped(reader, key, value, &layers->window);
    layers->window = layers->arch->window;
    return PP_OK;
}

/* Every how many layers there is one without a window; 0: all have one. A number, or letters for
 * each layer of a round: "LLLG", local and global. */
static pp_status read_period(const struct layers *layers, int32_t *period)
{
    const char *key = layers->arch->full_every_key;
    const struct ppi_json_value *value = key ? ppi_config_get(layers->reader, key) : NULL;
    *period = layers->arch->full_every;
    if (!value)
        return PP_OK;
    const char *letters = ppi_json_string(value);
    if (!letters)
        return ppi_config_clamped(layers->reader, key, value, period);
    size_t n_local = strspn(letters, "L");
    if (strcmp(letters + n_local, "G") != 0)
        return ppi_config_refuse(layers->reader, PP_ERR_UNSUPPORTED, key, value,
                                 "a number of layers, or letters L that end in one G, is needed");
    *period = (int32_t)n_local + 1;
    return PP_OK;
}

/* Without layer_types. */
static pp_status derive_windows(struct layers *layers)
{
    struct ppi_model_spec *spec = layers->spec;
    enum ppi_window_rule rule = layers->arch->windows;
    bool halves = rule == PPI_WINDOW_UPPER || rule == PPI_WINDOW_LOWER;
    int32_t period = 0, first = layers->arch->max_window_layers;
    if (layers->window == 0)
        return PP_OK;
    if (rule == PPI_WINDOW_TYPES)
        PP_TRY(read_period(layers, &period));
    const struct ppi_json_value *value = ppi_config_get(layers->reader, "max_window_layers");
    if (halves && !ppi_json_is_absent(value))
        PP_TRY(ppi_config_count(layers->reader, "max_window_layers", value, 0, INT32_MAX, &first));
    for (int32_t i = 0; i < spec->n_layers; i++) {
        bool windowed = true;
        if (rule == PPI_WINDOW_TYPES)
            windowed = period == 0 || (i + 1) % period != 0;
        else if (rule == PPI_WINDOW_UPPER)
            windowed = i >= first;
        else if (rule == PPI_WINDOW_LOWER)
            windowed = i < first && i % 2 == 0;
        else if (rule == PPI_WINDOW_NOPE)
            windowed = spec->layers[i].i_rope < 0;
        spec->layers[i].window = windowed ? layers->window : 0;
    }
    return PP_OK;
}

static pp_status read_type(const struct layers *layers, const struct ppi_json_value *value,
                           bool *windowed)
{
    const char *type = ppi_json_string(value);
    *windowed = type && strcmp(type, "sliding_attention") == 0;
    if (*windowed || (type && (strcmp(type, "full_attention") == 0 ||
                               strcmp(type, "attention") == 0))) /* an old name of it */
        return PP_OK;
    return ppi_config_refuse(layers->reader, type ? PP_ERR_UNSUPPORTED : PP_ERR_FORMAT,
                             "layer_types", value,
                             "\"full_attention\" and \"sliding_attention\" are supported");
}

/* Whether the class looks at layer_types. */
static bool types_count(const struct ppi_arch *arch)
{
    return arch->windows != PPI_WINDOW_NONE && arch->windows != PPI_WINDOW_SAME &&
           arch->windows != PPI_WINDOW_USED;
}

/* What layer_types says counts, or is only compared with what is done all the same. */
static pp_status read_types(struct layers *layers, const struct ppi_json_value *types)
{
    struct ppi_model_spec *spec = layers->spec;
    bool counts = types_count(layers->arch), differs = false;
    PP_TRY(ppi_config_array(layers->reader, "layer_types", types, spec->n_layers));
    const struct ppi_json_value *item = ppi_json_first(types);
    for (int32_t i = 0; item; item = ppi_json_next(types, item), i++) {
        bool windowed;
        PP_TRY(read_type(layers, item, &windowed));
        differs |= windowed != (spec->layers[i].window > 0);
        if (counts && windowed && layers->window == 0)
            return ppi_config_refuse(layers->reader, PP_ERR_FORMAT, "layer_types", item,
                                     "there is no sliding_window in use");
        if (counts)
            spec->layers[i].window = windowed ? layers->window : 0;
    }
    if (differs && !counts)
        ppi_log(layers->reader->log, PP_LOG_WARNING,
                "%s: \"layer_types\" is not used: the layers of %s are all alike",
                layers->reader->label, layers->arch->model_type);
    return PP_OK;
}

static pp_status read_windows(struct layers *layers)
{
    const struct ppi_json_value *types = ppi_config_get(layers->reader, "layer_types");
    bool counts = types_count(layers->arch) && !ppi_json_is_absent(types);
    PP_TRY(read_window(layers));
    if (layers->arch->linear)
        return ppi_config_linear(layers->reader, layers->arch, layers->spec);
    if (!counts)
        PP_TRY(derive_windows(layers));
    return ppi_json_is_absent(types) ? PP_OK : read_types(layers, types);
}

pp_status ppi_config_layers(const struct ppi_config_reader *reader, const struct ppi_arch *arch,
                            struct ppi_model_spec *spec)
{
    struct layers layers = {.reader = reader, .arch = arch, .spec = spec};
    size_t n = (size_t)spec->n_layers;
    spec->layers = ppi_zalloc(reader->mem, n, sizeof *spec->layers);
    if (!spec->layers)
        return ppi_error_nomem(reader->err, "the layers", n * sizeof *spec->layers);
    for (int32_t i = 0; i < spec->n_layers; i++)
        spec->layers[i] = (struct ppi_layer_spec){.n_kv_heads = spec->n_kv_heads,
                                                  .head_dim = spec->head_dim,
                                                  .kv_layer = i,
                                                  .mlp_size = spec->intermediate_size};
    if (arch->rotates == PPI_ROTATES_LISTED)
        PP_TRY(read_listed(&layers));
    if (arch->rotates == PPI_ROTATES_STATED)
        PP_TRY(read_stated(&layers));
    PP_TRY(read_windows(&layers));
    if (arch->rotates == PPI_ROTATES_WINDOWED || arch->rotates == PPI_ROTATES_WINDOWED_IF_ANY)
        PP_TRY(rotate_windowed(&layers));
    if (arch->read_layers)
        PP_TRY(arch->read_layers(reader, spec));
    for (size_t i = 0; arch->rope_by_type && i < n; i++)
        spec->layers[i].i_rope = spec->layers[i].window > 0;
    return PP_OK;
}
