/*
 * convert.h: between the files of pp_model_convert: convert.c walks the model, convert_layout.c
 * says where in the file everything goes, convert_rows.c makes the bytes of rows, convert_config.c
 * the text of config.json, convert_files.c writes files under a temporary name.
 */
#ifndef PPI_CONVERT_H
#define PPI_CONVERT_H

#include "json/json_write.h"
#include "model/model_impl.h"

#include <limits.h>

/* ---- convert_files.c ---- */

/* A directory that becomes the caller's when all is written. */
struct ppi_new_dir {
    const char *path;     /* the caller's */
    char real[PATH_MAX];  /* the same without slashes at its end */
    char place[PATH_MAX]; /* where files are written until then; "" when there is nothing */
};

/* Errors: PP_ERR_IO (also for a path that is there and is no empty directory), PP_ERR_ARG. */
pp_status ppi_new_dir_begin(const char *path, struct ppi_new_dir *dir, pp_error *err);
/* Gives it its name. */
pp_status ppi_new_dir_finish(struct ppi_new_dir *dir, pp_error *err);
/* Removes what was written, unless it is finished. */
void ppi_new_dir_drop(struct ppi_new_dir *dir);

/* A new file in it. */
pp_status ppi_new_file(const struct ppi_new_dir *dir, const char *name, int *fd, pp_error *err);
pp_status ppi_new_file_write(int fd, const char *name, int64_t offset, const void *bytes, int64_t n,
                             pp_error *err);
/* What the system kept for later comes to light here. */
pp_status ppi_new_file_close(int fd, const char *name, pp_error *err);

/* ---- convert_config.c ---- */

/* The files config.json and generation_config.json, and for a model with a pooling those of
 * sentence_modules.h. Errors: PP_ERR_UNSUPPORTED (F32 and BF16: what
 * the model computes has no words in a config.json), PP_ERR_IO, PP_ERR_NOMEM. */
pp_status ppi_convert_configs(const pp_model *model, int32_t weights, const struct ppi_new_dir *dir,
                              pp_error *err);

/* ---- convert_rows.c ---- */

/* Rows of a weight on their way: numbers or codes in, the bytes of the file out. */
struct ppi_convert_rows {
    int32_t kind;   /* PPI_MATRIX_* */
    int32_t format; /* PPI_FORMAT_*; ACT: dtype says it */
    int32_t dtype;  /* of numbers in the file */
    int64_t n_cols;
    bool minus_one;      /* numbers are stored with a 1 that the file does not have */
    const void *numbers; /* [n_rows, n_cols] of numbers_dtype, or NULL: `codes` are there */
    int32_t numbers_dtype;
    const struct ppi_code_rows *codes;
    /* for each row the bytes that ppi_convert_row_bytes tells; NULL where that is 0. Row i goes to
     * row first + i step of them. */
    char *main, *scales, *offsets;
    int64_t first, step;
};

struct ppi_convert_bytes {
    int64_t main, scales, offsets; /* of a row */
    int64_t n_codes, n_scales;     /* elements of a row: of main's tensor and of the others' */
};

struct ppi_convert_bytes ppi_convert_row_bytes(int32_t kind, int32_t format, int32_t dtype,
                                               int64_t n_cols);

/* Room for a thread. */
size_t ppi_convert_room(int64_t n_cols);
/* Rows [first, end). */
void ppi_convert_rows(const struct ppi_convert_rows *rows, int64_t first, int64_t end, void *room);

/* ---- convert_layout.c ---- */

/* What a rule of the model becomes: rows of one tensor, or of one for each expert. */
struct ppi_convert_item {
    int32_t i_rule, layer; /* of the model */
    struct ppi_rule_at to; /* what is written */
    int32_t kind, format, dtype;
    int64_t n_rows, n_cols; /* of the part: ppi_part_rows */
    struct ppi_convert_bytes bytes;
    const struct ppi_convert_item *shared; /* has the tensor, where other rules name it too; NULL */
    int64_t main, scales, offsets; /* places in the data; tensors of experts follow one another */
};

struct ppi_convert_layout {
    const pp_model *model;
    int32_t weights;            /* PP_WEIGHTS_* */
    struct ppi_model_spec spec; /* the model's, but for the form of its experts */
    struct ppi_convert_item *items;
    int64_t n_items, data_bytes;
    int64_t total; /* weights */
};

/* Errors: PP_ERR_NOMEM, PP_ERR_UNSUPPORTED. The caller frees the items. */
pp_status ppi_convert_lay_out(const pp_model *model, const struct ppi_weights_wish *wish,
                              struct ppi_mem *mem, struct ppi_convert_layout *layout,
                              pp_error *err);

/* JSON, and spaces up to a multiple of 64 bytes with the length in front. */
void ppi_convert_put_header(struct ppi_json_out *out, const struct ppi_convert_layout *layout);

#endif
