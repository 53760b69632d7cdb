/*
 * convert.c: pp_model_convert: walks the weights of a model and writes them as model.safetensors,
 * chunk by chunk, in the form in which a session keeps them (weight_specs.c). Where they go is laid
 * out before (convert_layout.c).
 */
#include "model/convert.h"
#include "model/tensor_codes.h"

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

struct converter {
    pp_model *model;
    pp_convert_params params;
    struct ppi_weights_wish wish;
    struct ppi_mem mem;
    struct ppi_convert_layout layout;
    int64_t data_start, done;
    int fd;
    char *input, *output; /* chunks */
    char *rooms;          /* [n_threads] of room_bytes */
    size_t room_bytes;
    int32_t n_threads;
};

/* JSON, and spaces up to a multiple of 64 bytes with the length in front. */
static pp_status write_header(struct converter *c, pp_error *err)
{
    struct ppi_json_out out = {0};
    ppi_convert_put_header(&out, &c->layout);
    size_t room = out.bytes + 1;
    char *text = ppi_alloc(&c->mem, room, 1);
    if (!text)
        return ppi_error_nomem(err, WEIGHTS_NAME, room);
    out = (struct ppi_json_out){.text = text, .room = room};
    ppi_convert_put_header(&out, &c->layout);
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

static pp_status write_at(const struct converter *c, int64_t place, const char *bytes, int64_t n,
                          pp_error *err)
{
    return ppi_new_file_write(c->fd, WEIGHTS_NAME, c->data_start + place, bytes, n, err);
}

static pp_status tell(struct converter *c, int64_t n, pp_error *err)
{
    c->done += n;
    if (c->params.progress && c->params.progress(c->params.user, c->done, c->layout.total) != 0)
        return ppi_error(err, PP_ERR_CANCELLED,
                         "converting was cancelled after %lld of %lld weights", (long long)c->done,
                         (long long)c->layout.total);
    return PP_OK;
}

/* n rows, ready in the output, which stand together in the file from its row `first` on. */
static pp_status write_together(const struct converter *c, const struct ppi_convert_item *item,
                                const struct ppi_convert_rows *rows, int64_t from, int64_t first,
                                int64_t n, pp_error *err)
{
    const struct ppi_convert_bytes *b = &item->bytes;
    PP_TRY(
        write_at(c, item->main + first * b->main, rows->main + from * b->main, n * b->main, err));
    PP_TRY(write_at(c, item->scales + first * b->scales, rows->scales + from * b->scales,
                    n * b->scales, err));
    return write_at(c, item->offsets + first * b->offsets, rows->offsets + from * b->offsets,
                    n * b->offsets, err);
}

/* Rows [first, first + n) of the part, each where the file has it. */
static pp_status write_rows(const struct converter *c, const struct ppi_convert_item *item,
                            const struct ppi_convert_rows *rows, int64_t first, int64_t n,
                            pp_error *err)
{
    int64_t tensor_rows = ppi_stored_rows(&item->to);
    for (int64_t i = 0, some; i < n; i += some) {
        struct ppi_row_run run = ppi_rows_at(&item->to, first + i);
        some = run.step > 1 ? 1 : n - i < run.n ? n - i : run.n;
        PP_TRY(write_together(c, item, rows, i, run.i_tensor * tensor_rows + run.first, some, err));
    }
    return PP_OK;
}

/* Rows of numbers of one expert, from row `first` of its file's on, as columns. */
static pp_status write_columns(const struct converter *c, const struct ppi_convert_item *item,
                               int64_t first, int64_t n, pp_error *err)
{
    size_t size = pp_dtype_size(item->dtype);
    int64_t all = item->n_rows / item->to.spec->experts.n;
    int64_t begin = first / all * all * item->n_cols + first % all;
    for (int64_t col = 0; col < item->n_cols; col++) {
        for (int64_t i = 0; i < n; i++)
            memcpy(c->input + (size_t)i * size, c->output + (size_t)(i * item->n_cols + col) * size,
                   size);
        PP_TRY(write_at(c, item->main + (begin + col * all) * (int64_t)size, c->input,
                        n * (int64_t)size, err));
    }
    return PP_OK;
}

/* ---- items ---- */

/* Whether the file has gate and up of one expert, or of the MLP, in turns, or rows as columns: it
 * is then written in its own order, and two runs of rows are read for each of its. */
static bool is_turning(const struct ppi_convert_item *item)
{
    enum ppi_stored_as as = item->to.rule->as;
    return item->to.rule->part == PPI_PART_ALL && (as == PPI_AS_TURNS || as == PPI_AS_TURNED);
}

/* Rows of an item that a chunk holds, read and written; of an item in turns an even number. A
 * vector is read whole. */
static int64_t chunk_rows(const struct ppi_convert_item *item, size_t input_bytes)
{
    int64_t output = item->bytes.main + item->bytes.scales + item->bytes.offsets;
    int64_t most = (int64_t)input_bytes > output ? (int64_t)input_bytes : output;
    if (item->kind == PPI_MATRIX_VECTOR)
        return item->n_rows;
    int64_t n = most < CHUNK_BYTES ? CHUNK_BYTES / most : 1;
    return n > 1 ? n & ~(int64_t)1 : is_turning(item) ? 2 : 1;
}

/* An item on its way. */
struct stream {
    struct converter *c;
    const struct ppi_convert_item *item;
    bool as_codes;
    struct ppi_code_rows codes;
    struct ppi_convert_rows rows;
};

/* Rows [first, first + n) of the part into rows `at`, at + step .. of the output. */
static pp_status convert_rows(struct stream *s, int64_t first, int64_t n, int64_t at, int64_t step,
                              pp_error *err)
{
    const pp_model *model = s->c->model;
    const struct ppi_convert_item *item = s->item;
    PP_TRY(s->as_codes ? ppi_tensors_read_codes(&model->tensors, &model->spec, item->i_rule,
                                                item->layer, first, n, s->c->input, &s->codes, err)
                       : ppi_tensors_read(&model->tensors, &model->spec, item->i_rule, item->layer,
                                          first, n, s->c->input, err));
    s->rows.first = at;
    s->rows.step = step;
    convert_chunk(s->c, &s->rows, n);
    return PP_OK;
}

/* The file's rows [first, first + n), of one expert where there are experts. */
static pp_status convert_turning(struct stream *s, int64_t first, int64_t n, pp_error *err)
{
    const struct ppi_convert_item *item = s->item;
    int64_t all = ppi_one_expert_rows(&item->to), begin = first - first % all;
    if (ppi_rows_at(&item->to, begin).step == 1) {
        PP_TRY(convert_rows(s, first, n, 0, 1, err));
    } else {
        int64_t gate = begin + first % all / 2;
        PP_TRY(convert_rows(s, gate, n / 2, 0, 2, err));
        PP_TRY(convert_rows(s, gate + all / 2, n / 2, 1, 2, err));
    }
    bool columns = item->to.rule->as == PPI_AS_TURNED && item->format == PPI_FORMAT_ACT;
    return columns ? write_columns(s->c, item, first, n, err)
                   : write_together(s->c, item, &s->rows, 0, first, n, err);
}

/* A vector in turns: put in order in the output, and written at once. */
static pp_status convert_turning_vector(struct stream *s, pp_error *err)
{
    const pp_model *model = s->c->model;
    const struct ppi_convert_item *item = s->item;
    size_t row_bytes = (size_t)item->n_cols * pp_dtype_size(s->rows.numbers_dtype);
    PP_TRY(ppi_tensors_read(&model->tensors, &model->spec, item->i_rule, item->layer, 0, 1,
                            s->c->input, err));
    for (int64_t i = 0; i < item->n_rows;) {
        struct ppi_row_run run = ppi_rows_at(&item->to, i);
        s->rows.numbers = s->c->input + (size_t)i * row_bytes;
        s->rows.first = run.first;
        s->rows.step = run.step;
        ppi_convert_rows(&s->rows, 0, run.n, s->c->rooms);
        i += run.n;
    }
    return write_together(s->c, item, &s->rows, 0, 0, item->n_rows, err);
}

static pp_status convert_item(struct converter *c, const struct ppi_convert_item *item,
                              pp_error *err)
{
    const struct ppi_tensors *tensors = &c->model->tensors;
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[item->to.rule->weight];
    int32_t dtype = ppi_tensors_dtype(tensors, item->i_rule, item->layer);
    struct stream s = {.c = c, .item = item};
    s.as_codes = ppi_format_has_codes(item->format) &&
                 ppi_tensors_format(tensors, item->i_rule, item->layer) == item->format;
    size_t input_bytes = s.as_codes ? ppi_tensors_code_room(item->format, item->n_cols)
                                    : (size_t)item->n_cols * pp_dtype_size(dtype);
    int64_t step = chunk_rows(item, input_bytes), all = item->n_rows;
    bool turning = is_turning(item), vector = item->kind == PPI_MATRIX_VECTOR;
    if (turning && !vector)
        all = ppi_one_expert_rows(&item->to);
    s.rows =
        (struct ppi_convert_rows){.kind = item->kind,
                                  .format = item->format,
                                  .dtype = item->dtype,
                                  .n_cols = item->n_cols,
                                  .minus_one = kind->meaning == PPI_MEANS_NORM && !kind->plain &&
                                               tensors->gguf && c->model->arch->norm_plus_one,
                                  .numbers = s.as_codes ? NULL : c->input,
                                  .numbers_dtype = dtype,
                                  .codes = &s.codes,
                                  .main = c->output};
    for (int64_t first = 0, n; first < item->n_rows; first += n) {
        n = all - first % all < step ? all - first % all : step;
        s.rows.scales = s.rows.main + n * item->bytes.main;
        s.rows.offsets = s.rows.scales + n * item->bytes.scales;
        if (turning) {
            PP_TRY(vector ? convert_turning_vector(&s, err) : convert_turning(&s, first, n, err));
        } else {
            PP_TRY(convert_rows(&s, first, n, 0, 1, err));
            PP_TRY(write_rows(c, item, &s.rows, first, n, err));
        }
        PP_TRY(tell(c, n * item->n_cols, err));
    }
    return PP_OK;
}

/* Room for chunks: of an item whole vectors, or at least two rows. */
static pp_status allocate(struct converter *c, pp_error *err)
{
    int64_t widest = 0, longest = 0;
    for (int64_t i = 0; i < c->layout.n_items; i++) {
        const struct ppi_convert_item *item = &c->layout.items[i];
        int64_t vector = item->kind == PPI_MATRIX_VECTOR ? item->n_rows * item->n_cols : 0;
        widest = item->n_cols > widest ? item->n_cols : widest;
        longest = vector > longest ? vector : longest;
    }
    size_t chunk = (size_t)CHUNK_BYTES + 2 * ppi_convert_room(widest) * sizeof(float) +
                   (size_t)longest * sizeof(float);
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
    PP_TRY(ppi_convert_lay_out(c->model, &c->wish, &c->mem, &c->layout, err));
    PP_TRY(allocate(c, err));
    PP_TRY(ppi_new_file(dir, WEIGHTS_NAME, &c->fd, err));
    PP_TRY(write_header(c, err));
    for (int64_t i = 0; i < c->layout.n_items; i++)
        PP_TRY(convert_item(c, &c->layout.items[i], err));
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
    ppi_free(&c->mem, c->layout.items);
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
