/*
 * convert_layout.c: the file model.safetensors of a converted model before its values: which
 * tensors there will be, where they stand and what its header says. Tensors are those of the class,
 * in their order of rows, whatever file the model was read from. Those of wider elements come
 * first, so that each is aligned.
 */
#include "model/convert.h"
#include "model/tensor_codes.h"
#include "model/weight_specs.h"

#include <prepack/session.h>

#include <stdio.h>
#include <string.h>

/* ---- items ---- */

/* The class has another rule for what is stored in MXFP4; NULL: none. */
static const struct ppi_tensor_rule *rule_to_write(const struct ppi_tensor_rule *rules,
                                                   const struct ppi_tensor_rule *rule)
{
    if (rule->when != PPI_WHEN_EXPERTS_PACKED)
        return rule;
    for (; rules->name; rules++)
        if (rules->weight == rule->weight && rules->part == rule->part &&
            rules->when == PPI_WHEN_EXPERTS_FUSED)
            return rules;
    return NULL;
}

/* The item of a rule before it whose tensor it shares. */
static const struct ppi_convert_item *find_shared(const struct ppi_convert_layout *layout,
                                                  const struct ppi_convert_item *item)
{
    const struct ppi_convert_item *other = item;
    while (other > layout->items && other[-1].layer == item->layer) {
        other--;
        bool in_layer = ppi_weight_kinds[other->to.rule->weight].in_layer;
        if (in_layer == ppi_weight_kinds[item->to.rule->weight].in_layer &&
            strcmp(other->to.rule->name, item->to.rule->name) == 0)
            return other;
    }
    return NULL;
}

static pp_status add_item(struct ppi_convert_layout *layout, int32_t i_rule,
                          const struct ppi_matrix_spec *spec, int32_t layer, pp_error *err)
{
    const struct ppi_tensors *tensors = &layout->model->tensors;
    const struct ppi_tensor_rule *rule = rule_to_write(tensors->rules, &tensors->rules[i_rule]);
    struct ppi_convert_item *item = &layout->items[layout->n_items];
    if (!rule)
        return ppi_error(err, PP_ERR_UNSUPPORTED, "%s: \"%s\" has no other form than MXFP4",
                         ppi_source_label(tensors->source), tensors->rules[i_rule].name);
    bool narrow = ppi_weight_has_codes(rule->weight) && layout->weights == PP_WEIGHTS_BF16;
    bool codes = ppi_format_has_codes(spec->format);
    *item = (struct ppi_convert_item){.i_rule = i_rule,
                                      .layer = layer,
                                      .to = {rule, &layout->spec, NULL, layer},
                                      .kind = spec->kind,
                                      .format = codes ? spec->format : PPI_FORMAT_ACT,
                                      .dtype = narrow ? PP_DTYPE_BF16 : PP_DTYPE_F32};
    ppi_part_rows(&item->to, &item->n_rows, &item->n_cols);
    item->bytes = ppi_convert_row_bytes(item->kind, item->format, item->dtype, item->n_cols);
    item->shared = find_shared(layout, item);
    layout->total += item->n_rows * item->n_cols;
    layout->n_items++;
    return PP_OK;
}

/* What is stored nowhere, and values that are keys, need no tensor. */
static bool is_stored(const struct ppi_tensor_rule *rule)
{
    return rule->as != PPI_AS_ONES && rule->when != PPI_WHEN_V_IS_K;
}

static pp_status add_group(struct ppi_convert_layout *layout, const struct ppi_weights_wish *wish,
                           const struct ppi_weight_group *group, int32_t layer, pp_error *err)
{
    const pp_model *model = layout->model;
    struct ppi_matrix_spec spec = ppi_group_spec(model, wish, group, layer);
    for (int32_t i = group->i_rule; i < group->i_rule + group->n_parts; i++)
        if (ppi_rule_holds(&model->tensors.rules[i], &model->spec, layer) &&
            is_stored(&model->tensors.rules[i]))
            PP_TRY(add_item(layout, i, &spec, layer, err));
    return PP_OK;
}

/* ---- places ---- */

static int32_t n_tensors(const struct ppi_convert_item *item)
{
    return ppi_rule_n_tensors(&item->to);
}

/* Of all its tensors, which follow one another. */
static int64_t rows_of(const struct ppi_convert_item *item)
{
    return ppi_stored_rows(&item->to) * n_tensors(item);
}

/* Bytes of an element of what begins at a place. */
static int32_t main_width(const struct ppi_convert_item *item)
{
    return item->format == PPI_FORMAT_ACT ? (int32_t)pp_dtype_size(item->dtype) : 1;
}

static void place_item(struct ppi_convert_layout *layout, struct ppi_convert_item *item,
                       int32_t width)
{
    int64_t n_rows = rows_of(item);
    if (main_width(item) == width) {
        item->main = layout->data_bytes;
        layout->data_bytes += n_rows * item->bytes.main;
    }
    if (ppi_formats[item->format].scale_bytes == width) {
        item->scales = layout->data_bytes;
        item->offsets = item->scales + n_rows * item->bytes.scales;
        layout->data_bytes = item->offsets + n_rows * item->bytes.offsets;
    }
}

static void place_all(struct ppi_convert_layout *layout)
{
    for (int32_t width = 4; width >= 1; width /= 2)
        for (int64_t i = 0; i < layout->n_items; i++)
            if (!layout->items[i].shared)
                place_item(layout, &layout->items[i], width);
    for (int64_t i = 0; i < layout->n_items; i++) {
        struct ppi_convert_item *item = &layout->items[i];
        if (!item->shared)
            continue;
        item->main = item->shared->main;
        item->scales = item->shared->scales;
        item->offsets = item->shared->offsets;
    }
}

static bool is_left_out(const struct ppi_convert_layout *layout,
                        const struct ppi_weight_group *group)
{
    return group->weight == PPI_WEIGHT_LM_HEAD && layout->spec.tie_embeddings &&
           layout->weights < PP_WEIGHTS_INT8;
}

pp_status ppi_convert_lay_out(const pp_model *model, const struct ppi_weights_wish *wish,
                              struct ppi_mem *mem, struct ppi_convert_layout *layout, pp_error *err)
{
    struct ppi_weight_group group;
    size_t n = (size_t)model->spec.n_layers * (size_t)model->tensors.n_rules;
    layout->model = model;
    layout->weights = wish->weights;
    layout->spec = model->spec;
    if (layout->spec.experts.files == PPI_WHEN_EXPERTS_PACKED)
        layout->spec.experts.files = PPI_WHEN_EXPERTS_FUSED;
    layout->items = ppi_zalloc(mem, n, sizeof *layout->items);
    if (!layout->items)
        return ppi_error_nomem(err, "the tensors of a new model", n * sizeof *layout->items);
    for (int32_t layer = 0; layer < model->spec.n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(model, layer, &i, &group);)
            if (!is_left_out(layout, &group))
                PP_TRY(add_group(layout, wish, &group, layer, err));
    place_all(layout);
    return PP_OK;
}

/* ---- the header ---- */

struct entry {
    const char *suffix, *dtype;
    int64_t shape[PPI_RULE_MAX_RANK]; /* ends where there is a 0 */
    int64_t begin, bytes;
};

static void put_entry(struct ppi_json_out *out, const char *name, const struct entry *entry)
{
    char text[PPI_TENSOR_NAME_BYTES + 16];
    snprintf(text, sizeof text, "%s%s", name, entry->suffix);
    ppi_json_put(out, out->bytes > 1 ? "," : "");
    ppi_json_put_string(out, text);
    ppi_json_put(out, ":{\"dtype\":");
    ppi_json_put_string(out, entry->dtype);
    for (int i = 0; i < PPI_RULE_MAX_RANK && entry->shape[i] > 0; i++) {
        ppi_json_put(out, i ? "," : ",\"shape\":[");
        ppi_json_put_integer(out, entry->shape[i]);
    }
    ppi_json_put(out, "],\"data_offsets\":[");
    ppi_json_put_integer(out, entry->begin);
    ppi_json_put(out, ",");
    ppi_json_put_integer(out, entry->begin + entry->bytes);
    ppi_json_put(out, "]}");
}

/* Of a tensor of numbers, or of codes; the i-th of an item. */
static struct entry main_entry(const struct ppi_convert_item *item, int32_t i)
{
    const struct ppi_format *f = &ppi_formats[item->format];
    int64_t n_rows = ppi_stored_rows(&item->to), bytes = n_rows * item->bytes.main;
    struct entry entry = {.suffix = "",
                          .dtype = f->bits == 8                   ? "I8"
                                   : f->bits == 4                 ? "U8"
                                   : item->dtype == PP_DTYPE_BF16 ? "BF16"
                                                                  : "F32",
                          .begin = item->main + i * bytes,
                          .bytes = bytes};
    if (f->bits == 0) {
        ppi_stored_shape(&item->to, entry.shape);
        return entry;
    }
    entry.shape[0] = n_rows;
    entry.shape[1] = item->bytes.n_codes;
    if (item->kind != PPI_MATRIX_TABLE) {
        entry.shape[2] = ppi_code_block_bytes(item->format);
        entry.shape[1] /= entry.shape[2];
    }
    return entry;
}

static void put_tensor(struct ppi_json_out *out, const char *name,
                       const struct ppi_convert_item *item, int32_t i)
{
    static const char *const dtypes[] = {[1] = "U8", [2] = "F16", [4] = "F32"};
    const struct ppi_format *f = &ppi_formats[item->format];
    int64_t n_rows = ppi_stored_rows(&item->to), bytes = n_rows * item->bytes.scales;
    struct entry entry = main_entry(item, i);
    put_entry(out, name, &entry);
    if (f->bits == 0)
        return;
    entry = (struct entry){"_scale",
                           dtypes[f->scale_bytes],
                           {n_rows, f->group > 0 ? item->bytes.n_scales : 0},
                           item->scales + i * bytes,
                           bytes};
    put_entry(out, name, &entry);
    entry.suffix = "_offset";
    entry.begin = item->offsets + i * bytes;
    if (f->has_offsets)
        put_entry(out, name, &entry);
}

void ppi_convert_put_header(struct ppi_json_out *out, const struct ppi_convert_layout *layout)
{
    ppi_json_put(out, "{");
    for (int64_t i = 0; i < layout->n_items; i++) {
        const struct ppi_convert_item *item = &layout->items[i];
        for (int32_t t = 0; !item->shared && t < n_tensors(item); t++) {
            char name[PPI_TENSOR_NAME_BYTES];
            ppi_rule_name(item->to.rule, &layout->model->tensors.prefixes, &layout->spec,
                          item->layer, name);
            ppi_name_expert(name, t);
            put_tensor(out, name, item, t);
        }
    }
    ppi_json_put(out, "}");
    while ((out->bytes + sizeof(uint64_t)) % 64 != 0)
        ppi_json_put(out, " ");
}
