/*
 * kv_form.c: the header of a saved cache, written and read. A header is taken only when it is,
 * tensor by tensor, the one that would have been written.
 */
#include "kv/kv_form.h"

#include "checkpoint/safetensors.h"
#include "kv/kv_states.h"

#include <prepack/session.h>
#include <prepack/version.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT         "prepack-kvcache"
#define VERSION        "1"
#define LINEAR_VERSION "2" /* of models with linear layers */

static const char *stored_dtype(int32_t dtype)
{
    return dtype == PP_DTYPE_F32 ? "F32" : dtype == PP_DTYPE_F16 ? "F16" : "BF16";
}

/* ---- parts ---- */

static void describe_kv(const struct ppi_kv_form *form, int32_t layer, int32_t which,
                        struct ppi_kv_part *part)
{
    const struct ppi_kv_shape *shape = form->shape;
    const struct ppi_kv_class *of = ppi_kv_class_of(shape, layer);
    part->layer = layer;
    part->which = which;
    snprintf(part->name, sizeof part->name, "layer.%d.%c", layer, which == PP_KV_V ? 'v' : 'k');
    part->dtype = stored_dtype(shape->dtype);
    part->rank = 3;
    part->shape[0] = form->n_tokens - form->first_tokens[shape->places[layer].page_class];
    part->shape[1] = of->n_kv_heads;
    part->shape[2] = of->head_dim;
    part->end = part->begin + part->shape[0] * part->shape[1] * part->shape[2] *
                                  (int64_t)pp_dtype_size(shape->dtype);
}

static void describe_state(const struct ppi_kv_form *form, int32_t layer, int32_t which,
                           struct ppi_kv_part *part)
{
    const struct ppi_state_part state = ppi_state_part(form->shape->linear, which);
    part->layer = layer;
    part->which = which;
    part->is_state = true;
    snprintf(part->name, sizeof part->name, "layer.%d.%s", layer,
             which == PP_STATE_CONV ? "conv" : "state");
    part->dtype = "F32";
    part->rank = state.rank;
    memcpy(part->shape, state.shape, sizeof part->shape);
    part->end = part->begin + ppi_state_part_bytes(&state);
}

/* The state behind a part, if there is one. */
static bool next_state(const struct ppi_kv_form *form, const struct ppi_kv_part *last,
                       struct ppi_kv_part *part)
{
    const struct ppi_kv_shape *shape = form->shape;
    int32_t layer = last->is_state ? last->layer + 1 : 0;
    if (!form->has_states)
        return false;
    if (last->is_state && last->which == PP_STATE_RECURRENT && shape->linear->conv_kernel > 1) {
        describe_state(form, last->layer, PP_STATE_CONV, part);
        return true;
    }
    while (layer < shape->n_layers && shape->places[layer].page_class >= 0)
        layer++;
    if (layer < shape->n_layers)
        describe_state(form, layer, PP_STATE_RECURRENT, part);
    return layer < shape->n_layers;
}

bool ppi_kv_next_part(const struct ppi_kv_form *form, struct ppi_kv_part *part)
{
    const struct ppi_kv_part last = *part;
    int64_t number = last.number + 1;
    *part = (struct ppi_kv_part){.number = number, .begin = last.end, .layer = -1, .rank = 1};
    if (last.is_checksum)
        return false;
    bool of_layer = last.number > 0 && last.layer >= 0, values = of_layer && last.which == PP_KV_K;
    int32_t layer =
        values ? last.layer : ppi_kv_next_layer(form->shape, of_layer ? last.layer + 1 : 0);
    if (form->has_tokens && number == 1) {
        snprintf(part->name, sizeof part->name, "tokens");
        part->dtype = "I32";
        part->shape[0] = form->n_tokens;
        part->end = part->begin + form->n_tokens * (int64_t)sizeof(int32_t);
    } else if (!last.is_state && layer < form->shape->n_layers) {
        describe_kv(form, layer, values ? PP_KV_V : PP_KV_K, part);
    } else if (!next_state(form, &last, part)) {
        snprintf(part->name, sizeof part->name, "checksum");
        part->dtype = "U64";
        part->shape[0] = 1;
        part->end = part->begin + (int64_t)sizeof(uint64_t);
        part->is_checksum = true;
    }
    return true;
}

/* ---- writing ---- */

static void put_pair(struct ppi_json_out *out, const char *name, const char *value)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, name);
    ppi_json_put(out, ":");
    ppi_json_put_string(out, value);
}

static void put_number(struct ppi_json_out *out, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    put_pair(out, name, text);
}

static void put_part(struct ppi_json_out *out, const struct ppi_kv_part *part)
{
    ppi_json_put(out, ",");
    ppi_json_put_string(out, part->name);
    ppi_json_put(out, ":{\"dtype\":");
    ppi_json_put_string(out, part->dtype);
    ppi_json_put(out, ",\"shape\":[");
    for (int32_t i = 0; i < part->rank; i++) {
        if (i > 0)
            ppi_json_put(out, ",");
        ppi_json_put_integer(out, part->shape[i]);
    }
    ppi_json_put(out, "],\"data_offsets\":[");
    ppi_json_put_integer(out, part->begin);
    ppi_json_put(out, ",");
    ppi_json_put_integer(out, part->end);
    ppi_json_put(out, "]}");
}

struct identity_text {
    char text[20];
};

static struct identity_text identity_text(uint64_t identity)
{
    struct identity_text text;
    snprintf(text.text, sizeof text.text, "%016" PRIx64, identity);
    return text;
}

static const char *version_of(const struct ppi_kv_shape *shape)
{
    return shape->linear ? LINEAR_VERSION : VERSION;
}

void ppi_kv_put_header(const struct ppi_kv_form *form, const struct ppi_kv_origin *origin,
                       struct ppi_json_out *out)
{
    ppi_json_put(out, "{\"__metadata__\":{\"format\":\"" FORMAT "\"");
    put_pair(out, "version", version_of(form->shape));
    put_pair(out, "model", identity_text(origin->identity).text);
    put_pair(out, "architecture", pp_arch_name(origin->model->spec.arch));
    put_number(out, "n_layers", form->shape->n_layers);
    put_number(out, "n_kv_heads", origin->model->spec.n_kv_heads);
    put_number(out, "head_dim", origin->model->spec.head_dim);
    put_pair(out, "dtype", pp_dtype_name(form->shape->dtype));
    put_pair(out, "weights", pp_weights_name(origin->weights));
    put_pair(out, "device", origin->device);
    put_pair(out, "producer", "libprepack " PP_VERSION_STRING);
    put_number(out, "n_tokens", form->n_tokens);
    put_number(out, "rope_set", form->rope_set);
    if (form->shape->linear)
        put_number(out, "n_linear", form->shape->n_linear);
    ppi_json_put(out, "}");
    struct ppi_kv_part part = {.number = 0};
    while (ppi_kv_next_part(form, &part))
        put_part(out, &part);
    ppi_json_put(out, "}");
}

/* ---- reading ---- */

/* A header that is being read. */
struct reading {
    const char *label;
    const struct ppi_kv_store *store;
    const struct ppi_kv_origin *origin;
    const struct ppi_json_value *metadata;
    const struct ppi_safetensors *table;
    pp_error *err;
};

static pp_status get_text(const struct reading *r, const char *name, const char **text)
{
    *text = ppi_json_string(ppi_json_get(r->metadata, name));
    if (*text)
        return PP_OK;
    return ppi_error(r->err, PP_ERR_FORMAT, "%s: __metadata__ has no \"%s\"", r->label, name);
}

static pp_status get_number(const struct reading *r, const char *name, int64_t *number)
{
    const char *text;
    char *end;
    PP_TRY(get_text(r, name, &text));
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return ppi_error(r->err, PP_ERR_FORMAT,
                         "%s: __metadata__ \"%s\" is \"%s\"; an integer of at least 0 is needed",
                         r->label, name, ppi_label(text).text);
    *number = value;
    return PP_OK;
}

static pp_status check_format(const struct reading *r)
{
    const char *format = ppi_json_string(ppi_json_get(r->metadata, "format")), *version;
    if (!format || strcmp(format, FORMAT) != 0)
        return ppi_error(r->err, PP_ERR_FORMAT,
                         "%s is no saved cache: its __metadata__ \"format\" is not \"" FORMAT "\"",
                         r->label);
    PP_TRY(get_text(r, "version", &version));
    if (strcmp(version, VERSION) != 0 && strcmp(version, LINEAR_VERSION) != 0)
        return ppi_error(r->err, PP_ERR_UNSUPPORTED,
                         "%s is a saved cache of form %s; this library reads forms " VERSION
                         " and " LINEAR_VERSION,
                         r->label, ppi_label(version).text);
    return PP_OK;
}

/* The session must be of the model that computed the cache. */
static pp_status check_model(const struct reading *r)
{
    const struct ppi_model_spec *spec = &r->origin->model->spec;
    const char *arch, *model;
    int64_t n_layers, n_kv_heads, head_dim;
    PP_TRY(get_text(r, "model", &model));
    PP_TRY(get_text(r, "architecture", &arch));
    PP_TRY(get_number(r, "n_layers", &n_layers));
    PP_TRY(get_number(r, "n_kv_heads", &n_kv_heads));
    PP_TRY(get_number(r, "head_dim", &head_dim));
    struct identity_text own = identity_text(r->origin->identity);
    if (strcmp(model, own.text) == 0 && n_layers == spec->n_layers &&
        n_kv_heads == spec->n_kv_heads && head_dim == spec->head_dim)
        return PP_OK;
    return ppi_error(
        r->err, PP_ERR_ARG,
        "%s holds a cache of another model: %s %.20s, %lld layers of %lld kv heads of %lld; the "
        "session's is %s %s, %d layers of %d kv heads of %d",
        r->label, ppi_label(arch).text, model, (long long)n_layers, (long long)n_kv_heads,
        (long long)head_dim, pp_arch_name(spec->arch), own.text, spec->n_layers, spec->n_kv_heads,
        spec->head_dim);
}

/* Caches of models with linear layers have a form of their own. */
static pp_status check_states(const struct reading *r)
{
    const struct ppi_kv_shape *shape = &r->store->shape;
    const char *version;
    int64_t n_linear = 0;
    PP_TRY(get_text(r, "version", &version));
    if (strcmp(version, LINEAR_VERSION) == 0)
        PP_TRY(get_number(r, "n_linear", &n_linear));
    if (strcmp(version, version_of(shape)) == 0 && n_linear == shape->n_linear)
        return PP_OK;
    return ppi_error(r->err, PP_ERR_FORMAT,
                     "%s is of form %s with %lld linear layers; a cache of this model is of form "
                     "%s with %d",
                     r->label, ppi_label(version).text, (long long)n_linear, version_of(shape),
                     shape->n_linear);
}

/* And compute in the same way. */
static pp_status check_session(const struct reading *r)
{
    const char *own_dtype = pp_dtype_name(r->store->shape.dtype);
    const char *own_weights = pp_weights_name(r->origin->weights);
    const char *dtype, *weights, *device;
    PP_TRY(get_text(r, "dtype", &dtype));
    PP_TRY(get_text(r, "weights", &weights));
    PP_TRY(get_text(r, "device", &device));
    if (strcmp(dtype, own_dtype) != 0 || strcmp(weights, own_weights) != 0)
        return ppi_error(r->err, PP_ERR_ARG,
                         "%s holds a cache computed in %s with weights in %s; the session computes "
                         "in %s with weights in %s",
                         r->label, ppi_label(dtype).text, ppi_label(weights).text, own_dtype,
                         own_weights);
    if (strcmp(device, r->origin->device) != 0)
        ppi_log(r->origin->log, PP_LOG_WARNING,
                "%s was computed on device \"%s\"; what continues it on \"%s\" is right, but not "
                "the same bit for bit",
                r->label, ppi_label(device).text, r->origin->device);
    return PP_OK;
}

/* What the tensors' shapes say: which tokens the layers of a class hold. */
static pp_status get_first_tokens(const struct reading *r, struct ppi_kv_form *form)
{
    const struct ppi_kv_shape *shape = form->shape;
    for (int32_t layer = ppi_kv_next_layer(shape, 0); layer < shape->n_layers;
         layer = ppi_kv_next_layer(shape, layer + 1)) {
        char name[32];
        int32_t c = shape->places[layer].page_class, window = shape->classes[c].window;
        snprintf(name, sizeof name, "layer.%d.k", layer);
        const struct ppi_stored_entry *entry = ppi_safetensors_find(r->table, name);
        int64_t n = entry && entry->rank == 3 ? entry->shape[0] : -1, first = form->n_tokens - n;
        if (n < 0 || first < 0 || first % r->store->page_tokens != 0 ||
            (first > 0 && (window == 0 || first > form->n_tokens - window + 1)))
            return ppi_error_at(r->err, PP_ERR_FORMAT, layer,
                                "%s: tensor \"%s\" is missing or does not hold the tokens that "
                                "layer %d needs of %lld",
                                r->label, name, layer, (long long)form->n_tokens);
        form->first_tokens[c] = first;
    }
    return PP_OK;
}

static bool is_part(const struct ppi_stored_entry *entry, const struct ppi_kv_part *part)
{
    return entry && strcmp(entry->dtype_name, part->dtype) == 0 && entry->rank == part->rank &&
           memcmp(entry->shape, part->shape, (size_t)part->rank * sizeof *part->shape) == 0 &&
           entry->begin == part->begin && entry->end == part->end;
}

static pp_status check_parts(const struct reading *r, const struct ppi_kv_form *form)
{
    struct ppi_kv_part part = {.number = 0};
    size_t n = 0;
    for (; ppi_kv_next_part(form, &part); n++)
        if (!is_part(ppi_safetensors_find(r->table, part.name), &part))
            return ppi_error(r->err, PP_ERR_FORMAT,
                             "%s: tensor \"%s\" is missing, or its dtype, shape or place is not "
                             "that of a saved cache of %lld tokens",
                             r->label, part.name, (long long)form->n_tokens);
    if (n != r->table->n_entries)
        return ppi_error(r->err, PP_ERR_FORMAT,
                         "%s has %zu tensors; a saved cache of this model has %zu", r->label,
                         r->table->n_entries, n);
    return PP_OK;
}

static pp_status read_form(const struct reading *r, struct ppi_kv_form *form)
{
    const struct ppi_model_spec *spec = &r->origin->model->spec;
    PP_TRY(check_format(r));
    PP_TRY(check_model(r));
    PP_TRY(check_states(r));
    PP_TRY(check_session(r));
    PP_TRY(get_number(r, "n_tokens", &form->n_tokens));
    PP_TRY(get_number(r, "rope_set", &form->rope_set));
    if (form->n_tokens > spec->max_position)
        return ppi_error(r->err, PP_ERR_FORMAT,
                         "%s: n_tokens is %lld; the model has positions for "
                         "%d",
                         r->label, (long long)form->n_tokens, spec->max_position);
    form->has_tokens = ppi_safetensors_find(r->table, "tokens") != NULL;
    form->has_states = form->shape->linear && form->n_tokens > 0;
    PP_TRY(get_first_tokens(r, form));
    return check_parts(r, form);
}

pp_status ppi_kv_read_header(char *header, size_t len, int64_t data_bytes, const char *label,
                             const struct ppi_kv_store *store, const struct ppi_kv_origin *origin,
                             struct ppi_kv_form *out, pp_error *err)
{
    static const struct ppi_json_limits limits = {
        .what = "tensor", .depth = 1, .max_members = 4096, .max_name = 4096};
    struct ppi_kv_form form = {.shape = &store->shape};
    struct ppi_safetensors table;
    struct ppi_json json = {.root = NULL};
    char *copy = ppi_alloc(store->mem, len, 1); /* parsing changes the text */
    if (!copy)
        return ppi_error_nomem(err, label, len);
    memcpy(copy, header, len);
    pp_status status = ppi_safetensors_parse(copy, len, data_bytes, label, store->mem, &table, err);
    if (status < 0) {
        ppi_free(store->mem, copy);
        return status;
    }
    status = ppi_json_parse(header, len, label, &limits, store->mem, &json, err);
    if (status >= 0) {
        const struct reading reading = {
            label, store, origin, ppi_json_get(json.root, "__metadata__"), &table, err};
        status = read_form(&reading, &form);
        ppi_json_free(&json, store->mem);
    }
    ppi_safetensors_free(&table, store->mem);
    ppi_free(store->mem, copy);
    if (status >= 0)
        *out = form;
    return status;
}
