/*
 * convert.c: pp_model_convert: walks the weights of a model and writes them as model.safetensors,
 * chunk by chunk, in the form in which a session keeps them (weight_specs.c). Names are those of
 * the class. Places in the file are laid out before the first value is read: tensors of wider
 * elements come first, so that each is aligned.
 */
#include "model/convert.h"
#include "model/tensor_codes.h"
#include "model/weight_specs.h"

#include <prepack/session.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEIGHTS_NAME "model.safetensors"
#define CHUNK_BYTES  ((int64_t)8 << 20) /* of a tensor in flight, as it is stored */
#define MAX_THREADS  256

static const pp_convert_params DEFAULT_PARAMS = {.struct_size = sizeof DEFAULT_PARAMS};

void pp_convert_params_init(pp_convert_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULT_PARAMS, sizeof DEFAULT_PARAMS);
}

/* ---- layout ---- */

/* One stored tensor on its way: its rows' bytes and where they go. */
struct item {
    int32_t i_rule, layer, kind, format, dtype;
    int64_t n_rows, n_cols;
    struct ppi_convert_bytes bytes;
    int64_t main, scales, offsets; /* places in the data */
};

struct converter {
    pp_model *model;
    pp_convert_params params;
    struct ppi_weights_wish wish;
    struct ppi_mem mem;
    struct item *items;
    int64_t n_items, data_start, data_bytes, done, total;
    int fd;
    char *input, *output; /* chunks */
    char *rooms;          /* [n_threads] of room_bytes */
    size_t room_bytes;
    int32_t n_threads;
};

static bool is_left_out(const struct converter *c, const struct ppi_weight_group *group)
{
    return group->weight == PPI_WEIGHT_LM_HEAD && c->model->spec.tie_embeddings &&
           c->params.weights < PP_WEIGHTS_INT8;
}

static void add_group(struct converter *c, const struct ppi_weight_group *group, int32_t layer)
{
    const struct ppi_tensors *tensors = &c->model->tensors;
    struct ppi_matrix_spec spec = ppi_group_spec(c->model, &c->wish, group, layer);
    bool vector = spec.kind == PPI_MATRIX_VECTOR;
    bool codes = ppi_format_has_codes(spec.format);
    for (int32_t i = group->i_rule; i < group->i_rule + group->n_parts; i++) {
        if (!ppi_rule_holds(&tensors->rules[i], &c->model->spec, layer))
            continue;
        struct item *item = &c->items[c->n_items++];
        *item = (struct item){.i_rule = i, .layer = layer, .kind = spec.kind};
        item->format = codes ? spec.format : PPI_FORMAT_ACT;
        item->dtype =
            !vector && c->params.weights == PP_WEIGHTS_BF16 ? PP_DTYPE_BF16 : PP_DTYPE_F32;
        ppi_part_shape(&c->model->spec, layer, group->weight, tensors->rules[i].part, &item->n_rows,
                       &item->n_cols);
        item->bytes = ppi_convert_row_bytes(item->kind, item->format, item->dtype, item->n_cols);
        c->total += item->n_rows * item->n_cols;
    }
}

/* Bytes of an element of what begins at a place. */
static int32_t main_width(const struct item *item)
{
    return item->format == PPI_FORMAT_ACT ? (int32_t)pp_dtype_size(item->dtype) : 1;
}

static void lay_out(struct converter *c)
{
    for (int32_t width = 4; width >= 1; width /= 2)
        for (int64_t i = 0; i < c->n_items; i++) {
            struct item *item = &c->items[i];
            bool scales = ppi_formats[item->format].scale_bytes == width;
            if (main_width(item) == width) {
                item->main = c->data_bytes;
                c->data_bytes += item->n_rows * item->bytes.main;
            }
            if (scales) {
                item->scales = c->data_bytes;
                item->offsets = item->scales + item->n_rows * item->bytes.scales;
                c->data_bytes = item->offsets + item->n_rows * item->bytes.offsets;
            }
        }
}

static pp_status list_items(struct converter *c, pp_error *err)
{
    const pp_model *model = c->model;
    struct ppi_weight_group group;
    size_t n = (size_t)model->spec.n_layers * (size_t)model->tensors.n_rules;
    c->items = ppi_zalloc(&c->mem, n, sizeof *c->items);
    if (!c->items)
        return ppi_error_nomem(err, "the tensors of a new model", n * sizeof *c->items);
    for (int32_t layer = 0; layer < model->spec.n_layers; layer++)
        for (int32_t i = 0; ppi_next_group(model, layer, &i, &group);)
            if (!is_left_out(c, &group))
                add_group(c, &group, layer);
    lay_out(c);
    return PP_OK;
}

/* ---- the header ---- */

struct entry {
    const char *suffix, *dtype;
    int64_t shape[3]; /* ends where there is a 0 */
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
    for (int i = 0; i < 3 && entry->shape[i] > 0; i++) {
        ppi_json_put(out, i ? "," : ",\"shape\":[");
        ppi_json_put_integer(out, entry->shape[i]);
    }
    ppi_json_put(out, "],\"data_offsets\":[");
    ppi_json_put_integer(out, entry->begin);
    ppi_json_put(out, ",");
    ppi_json_put_integer(out, entry->begin + entry->bytes);
    ppi_json_put(out, "]}");
}

/* Of a tensor of numbers, or of codes. */
static struct entry main_entry(const struct item *item)
{
    const struct ppi_format *f = &ppi_formats[item->format];
    struct entry entry = {"",
                          f->bits == 8                   ? "I8"
                          : f->bits == 4                 ? "U8"
                          : item->dtype == PP_DTYPE_BF16 ? "BF16"
                                                         : "F32",
                          {item->n_rows, item->bytes.n_codes, 0},
                          item->main,
                          item->n_rows * item->bytes.main};
    if (item->kind == PPI_MATRIX_VECTOR) {
        entry.shape[0] = item->n_cols;
        entry.shape[1] = 0;
    } else if (f->bits > 0 && item->kind != PPI_MATRIX_TABLE) {
        entry.shape[2] = ppi_code_block_bytes(item->format);
        entry.shape[1] /= entry.shape[2];
    }
    return entry;
}

static void put_item(struct ppi_json_out *out, const struct converter *c, const struct item *item)
{
    char name[PPI_TENSOR_NAME_BYTES];
    const struct ppi_tensors *tensors = &c->model->tensors;
    const struct ppi_format *f = &ppi_formats[item->format];
    struct entry entry = main_entry(item);
    ppi_rule_name(&tensors->rules[item->i_rule], &tensors->prefixes, &c->model->spec, item->layer,
                  name);
    put_entry(out, name, &entry);
    entry = (struct entry){"_scale",
                           f->scale_bytes == 2 ? "F16" : "F32",
                           {item->n_rows, f->group > 0 ? item->bytes.n_scales : 0},
                           item->scales,
                           item->n_rows * item->bytes.scales};
    if (f->bits > 0)
        put_entry(out, name, &entry);
    entry.suffix = "_offset";
    entry.begin = item->offsets;
    if (f->has_offsets)
        put_entry(out, name, &entry);
}

/* JSON, and spaces up to a multiple of 64 bytes with the length in front. */
static void put_header(struct ppi_json_out *out, const struct converter *c)
{
    ppi_json_put(out, "{");
    for (int64_t i = 0; i < c->n_items; i++)
        put_item(out, c, &c->items[i]);
    ppi_json_put(out, "}");
    while ((out->bytes + sizeof(uint64_t)) % 64 != 0)
        ppi_json_put(out, " ");
}

static pp_status write_header(struct converter *c, pp_error *err)
{
    struct ppi_json_out out = {0};
    put_header(&out, c);
    size_t room = out.bytes + 1;
    char *text = ppi_alloc(&c->mem, room, 1);
    if (!text)
        return ppi_error_nomem(err, WEIGHTS_NAME, room);
    out = (struct ppi_json_out){.text = text, .room = room};
    put_header(&out, c);
    uint64_t len = out.bytes;
    c->data_start = (int64_t)(sizeof len + len);
    pp_status status = ppi_new_file_write(c->fd, WEIGHTS_NAME, 0, &len, sizeof len, err);
    if (status >= 0)
        status = ppi_new_file_write(c->fd, WEIGHTS_NAME, sizeof len, text, (int64_t)len, err);
    ppi_free(&c->mem, text);
    return status;
}

/* ---- values ---- */

/* A thread's share of a chunk. */
struct share {
    const struct ppi_convert_rows *rows;
    int64_t first, end;
    void *room;
    pthread_t thread;
    bool started;
};

static void *run_share(void *arg)
{
    struct share *share = arg;
    ppi_convert_rows(share->rows, share->first, share->end, share->room);
    return NULL;
}

/* A thread that does not start leaves its share to the caller. */
static void convert_chunk(struct converter *c, const struct ppi_convert_rows *rows, int64_t n_rows)
{
    struct share shares[MAX_THREADS];
    int32_t n = n_rows < c->n_threads ? (int32_t)n_rows : c->n_threads;
    for (int32_t i = 0; i < n; i++) {
        shares[i] = (struct share){.rows = rows,
                                   .first = n_rows * i / n,
                                   .end = n_rows * (i + 1) / n,
                                   .room = c->rooms + (size_t)i * c->room_bytes};
        shares[i].started =
            i + 1 < n && pthread_create(&shares[i].thread, NULL, run_share, &shares[i]) == 0;
        if (!shares[i].started)
            run_share(&shares[i]);
    }
    for (int32_t i = 0; i < n; i++)
        if (shares[i].started)
            pthread_join(shares[i].thread, NULL);
}

static pp_status write_rows(const struct converter *c, int64_t place, int64_t row_bytes,
                            int64_t first, int64_t n, const char *bytes, pp_error *err)
{
    return ppi_new_file_write(c->fd, WEIGHTS_NAME, c->data_start + place + first * row_bytes, bytes,
                              n * row_bytes, err);
}

static pp_status tell(struct converter *c, int64_t n, pp_error *err)
{
    c->done += n;
    if (c->params.progress && c->params.progress(c->params.user, c->done, c->total) != 0)
        return ppi_error(err, PP_ERR_CANCELLED,
                         "converting was cancelled after %lld of %lld weights", (long long)c->done,
                         (long long)c->total);
    return PP_OK;
}

/* Rows of an item that a chunk holds, read and written. */
static int64_t chunk_rows(const struct item *item, size_t input_bytes)
{
    int64_t output = item->bytes.main + item->bytes.scales + item->bytes.offsets;
    int64_t most = (int64_t)input_bytes > output ? (int64_t)input_bytes : output;
    return most < CHUNK_BYTES ? CHUNK_BYTES / most : 1;
}

static pp_status convert_item(struct converter *c, const struct item *item, pp_error *err)
{
    const pp_model *model = c->model;
    const struct ppi_tensors *tensors = &model->tensors;
    bool as_codes = ppi_format_has_codes(item->format) &&
                    ppi_tensors_format(tensors, item->i_rule, item->layer) == item->format;
    int32_t dtype = ppi_tensors_dtype(tensors, item->i_rule, item->layer);
    size_t input_bytes = as_codes ? ppi_tensors_code_room(item->format, item->n_cols)
                                  : (size_t)item->n_cols * pp_dtype_size(dtype);
    int64_t step = chunk_rows(item, input_bytes);
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[tensors->rules[item->i_rule].weight];
    struct ppi_code_rows codes;
    struct ppi_convert_rows rows = {.kind = item->kind,
                                    .format = item->format,
                                    .dtype = item->dtype,
                                    .n_cols = item->n_cols,
                                    .minus_one = kind->meaning == PPI_MEANS_NORM && !kind->plain &&
                                                 tensors->gguf && model->arch->norm_plus_one,
                                    .numbers = as_codes ? NULL : c->input,
                                    .numbers_dtype = dtype,
                                    .codes = &codes,
                                    .main = c->output};
    for (int64_t first = 0; first < item->n_rows; first += step) {
        int64_t n = item->n_rows - first < step ? item->n_rows - first : step;
        PP_TRY(as_codes ? ppi_tensors_read_codes(tensors, &model->spec, item->i_rule, item->layer,
                                                 first, n, c->input, &codes, err)
                        : ppi_tensors_read(tensors, &model->spec, item->i_rule, item->layer, first,
                                           n, c->input, err));
        rows.scales = rows.main + n * item->bytes.main;
        rows.offsets = rows.scales + n * item->bytes.scales;
        convert_chunk(c, &rows, n);
        PP_TRY(write_rows(c, item->main, item->bytes.main, first, n, rows.main, err));
        PP_TRY(write_rows(c, item->scales, item->bytes.scales, first, n, rows.scales, err));
        PP_TRY(write_rows(c, item->offsets, item->bytes.offsets, first, n, rows.offsets, err));
        PP_TRY(tell(c, n * item->n_cols, err));
    }
    return PP_OK;
}

/* Room for chunks, and for a row of the widest weight. */
static pp_status allocate(struct converter *c, pp_error *err)
{
    int64_t widest = 0;
    for (int64_t i = 0; i < c->n_items; i++)
        widest = c->items[i].n_cols > widest ? c->items[i].n_cols : widest;
    size_t chunk = (size_t)CHUNK_BYTES + ppi_convert_room(widest) * sizeof(float);
    c->room_bytes = (size_t)ppi_round_up((int64_t)ppi_convert_room(widest), 64);
    c->input = ppi_alloc(&c->mem, 1, chunk);
    c->output = ppi_alloc(&c->mem, 1, chunk);
    c->rooms = ppi_alloc(&c->mem, (size_t)c->n_threads, c->room_bytes);
    if (!c->input || !c->output || !c->rooms)
        return ppi_error_nomem(err, "converting a model", 2 * chunk);
    return PP_OK;
}

static pp_status write_weights(struct converter *c, const struct ppi_new_dir *dir, pp_error *err)
{
    PP_TRY(list_items(c, err));
    PP_TRY(allocate(c, err));
    PP_TRY(ppi_new_file(dir, WEIGHTS_NAME, &c->fd, err));
    PP_TRY(write_header(c, err));
    for (int64_t i = 0; i < c->n_items; i++)
        PP_TRY(convert_item(c, &c->items[i], err));
    int fd = c->fd;
    c->fd = -1;
    return ppi_new_file_close(fd, WEIGHTS_NAME, err);
}

static void free_converter(struct converter *c)
{
    if (c->fd >= 0)
        close(c->fd);
    ppi_free(&c->mem, c->rooms);
    ppi_free(&c->mem, c->output);
    ppi_free(&c->mem, c->input);
    ppi_free(&c->mem, c->items);
}

/* ---- the call ---- */

static pp_status check(const pp_model *model, const char *directory,
                       const pp_convert_params *params, pp_error *err)
{
    if (!model || !directory)
        return ppi_error(err, PP_ERR_ARG, "pp_model_convert: %s is NULL",
                         model ? "directory" : "model");
    if (params->weights < PP_WEIGHTS_F32 || params->weights > PP_WEIGHTS_NF4)
        return ppi_error(err, PP_ERR_ARG,
                         "pp_convert_params.weights is %d; allowed: %d (f32) to %d (nf4)",
                         params->weights, PP_WEIGHTS_F32, PP_WEIGHTS_NF4);
    if (params->n_threads < 0 || params->n_threads > MAX_THREADS)
        return ppi_error(err, PP_ERR_ARG, "pp_convert_params.n_threads is %d; allowed: 0 to %d",
                         params->n_threads, MAX_THREADS);
    if (model->tensors.weights != PP_WEIGHTS_AUTO)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s holds a model that was converted to %s; what it was made from can be "
                         "converted, not this",
                         ppi_source_label(model->tensors.source),
                         pp_weights_name(model->tensors.weights));
    return PP_OK;
}

pp_status pp_model_convert(pp_model *model, const char *directory,
                           const pp_convert_params *caller_params, pp_error *err)
{
    struct ppi_new_dir dir;
    pp_convert_params params = DEFAULT_PARAMS;
    PP_TRY(ppi_struct_read(&params, sizeof params, caller_params, "pp_convert_params", err));
    PP_TRY(check(model, directory, &params, err));
    struct converter converter = {.model = model,
                                  .params = params,
                                  .wish = {&ppi_cpu_ops, 0, PP_DTYPE_F32, params.weights},
                                  .mem = {.allocator = model->mem.allocator},
                                  .fd = -1,
                                  .n_threads = params.n_threads};
    if (converter.n_threads == 0)
        converter.n_threads = ppi_usable_threads();
    if (converter.n_threads > MAX_THREADS)
        converter.n_threads = MAX_THREADS;
    PP_TRY(ppi_weights_check(model, &converter.wish, err));
    PP_TRY(ppi_new_dir_begin(directory, &dir, err));
    pp_status status = ppi_convert_configs(model, params.weights, &dir, err);
    if (status >= 0)
        status = write_weights(&converter, &dir, err);
    if (status >= 0)
        status = ppi_new_dir_finish(&dir, err);
    free_converter(&converter);
    ppi_new_dir_drop(&dir);
    return status;
}
