/*
 * tensor_codes.c: stored tensors whose rows are codes: blocks of a GGUF file, and what
 * pp_model_convert wrote (tensor_codes.h). Rows are read as codes and never become numbers.
 */
#include "model/tensor_codes.h"
#include "dtype.h"

#include <prepack/session.h>

#include <stdio.h>
#include <string.h>

#define SCALE_BYTES "U8" /* dtype of the scales of MXFP4 */
#define MXFP4_GROUP 32
#define MXFP4_NAN   255 /* of its scales */

/* What stands beside a tensor; NULL where none has codes. */
static struct ppi_code_places *beside(const struct ppi_tensors *tensors,
                                      const struct ppi_stored *stored)
{
    return tensors->codes ? &tensors->codes[stored - tensors->stored] : NULL;
}

/* What is beside the codes of a converted tensor says which they are. */
static int32_t converted_format(const struct ppi_stored *codes,
                                const struct ppi_code_places *places)
{
    if (strcmp(codes->entry->dtype_name, "I8") == 0)
        return PPI_FORMAT_INT8;
    if (strcmp(places->scales.entry->dtype_name, SCALE_BYTES) == 0)
        return PPI_FORMAT_MXFP4;
    bool wide = places->scales.entry->dtype == PP_DTYPE_F32;
    if (places->offsets.entry)
        return wide ? PPI_FORMAT_Q4_K : PPI_FORMAT_Q4_1;
    return wide ? PPI_FORMAT_NF4 : PPI_FORMAT_INT4;
}

static int32_t format_of(const struct ppi_tensors *tensors, const struct ppi_stored *stored)
{
    const struct ppi_code_places *places = beside(tensors, stored);
    if (places && places->scales.entry)
        return converted_format(stored, places);
    if (stored->entry->blocks)
        return ppi_format_of_blocks((uint32_t)stored->entry->blocks);
    return stored->entry->dtype == PP_DTYPE_BF16 ? PPI_FORMAT_BF16 : PPI_FORMAT_ACT;
}

int32_t ppi_tensors_format(const struct ppi_tensors *tensors, int32_t i_rule, int32_t layer)
{
    if (tensors->source)
        return format_of(tensors, ppi_tensors_place(tensors, i_rule, layer));
    bool bf16 = ppi_tensors_dtype(tensors, i_rule, layer) == PP_DTYPE_BF16;
    return bf16 ? PPI_FORMAT_BF16 : PPI_FORMAT_ACT;
}

/* ---- finding ---- */

struct wanted {
    const char *name;
    int64_t shape[PPI_RULE_MAX_RANK]; /* ends where there is a 0 */
};

static pp_status check_shape(const struct ppi_stored *stored, const struct wanted *wanted,
                             pp_error *err)
{
    const struct ppi_stored_entry *entry = stored->entry;
    char text[PPI_RULE_MAX_RANK * 24] = "";
    int32_t rank = 0;
    bool same = true;
    for (; rank < PPI_RULE_MAX_RANK && wanted->shape[rank] > 0; rank++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, rank ? ", %lld" : "%lld",
                 (long long)wanted->shape[rank]);
        same = same && rank < entry->rank && entry->shape[rank] == wanted->shape[rank];
    }
    if (same && entry->rank == rank)
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT, "%s: tensor \"%s\" has another shape than [%s]",
                     stored->file->label.text, ppi_label(wanted->name).text, text);
}

/* allowed: dtypes, as a sentence has them. */
static pp_status check_dtype(const struct ppi_stored *stored, const char *allowed, pp_error *err)
{
    const struct ppi_stored_entry *entry = stored->entry;
    const char *at = strstr(allowed, entry->dtype_name);
    if (at && (at == allowed || at[-1] == ' ') && strcspn(at, ", ") == strlen(entry->dtype_name))
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT, "%s: tensor \"%s\" has dtype %s; %s is needed",
                     stored->file->label.text, ppi_label(entry->name).text, entry->dtype_name,
                     allowed);
}

static pp_status find_named(const struct ppi_tensors *tensors, const char *name, const char *suffix,
                            const char *allowed, struct ppi_stored *stored, pp_error *err)
{
    char full[PPI_TENSOR_NAME_BYTES + 16];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    if (!ppi_source_find(tensors->source, full, stored))
        return ppi_source_missing(tensors->source, full, err);
    return check_dtype(stored, allowed, err);
}

/* Finds NAME and what stands beside it. */
static pp_status find(const struct ppi_tensors *tensors, const char *name,
                      struct ppi_stored *stored, struct ppi_code_places *places, pp_error *err)
{
    char offset[PPI_TENSOR_NAME_BYTES + 16];
    PP_TRY(find_named(tensors, name, "", "I8 or U8", stored, err));
    PP_TRY(find_named(tensors, name, "_scale", "F16, F32 or " SCALE_BYTES, &places->scales, err));
    snprintf(offset, sizeof offset, "%s_offset", name);
    bool whole_rows = strcmp(stored->entry->dtype_name, "I8") == 0;
    if (whole_rows || !ppi_source_find(tensors->source, offset, &places->offsets))
        return PP_OK;
    return check_dtype(&places->offsets, "F16 or F32", err);
}

pp_status ppi_tensors_find_blocks(const struct ppi_tensors *tensors, const struct ppi_rule_at *at,
                                  const char *name, struct ppi_stored *stored, pp_error *err)
{
    struct ppi_stored *scales = &beside(tensors, stored)->scales;
    struct wanted wanted = {0};
    int64_t n_rows, n_cols;
    ppi_part_rows(at, &n_rows, &n_cols);
    if (n_cols % MXFP4_GROUP != 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s: \"%s\" would have rows of %lld weights in blocks of %d",
                         ppi_source_label(tensors->source), ppi_label(name).text, (long long)n_cols,
                         MXFP4_GROUP);
    PP_TRY(find_named(tensors, name, "_blocks", "U8", stored, err));
    PP_TRY(find_named(tensors, name, "_scales", SCALE_BYTES, scales, err));
    int32_t rank = ppi_stored_shape(at, wanted.shape);
    wanted.name = stored->entry->name;
    PP_TRY(check_shape(stored, &wanted, err));
    wanted.name = scales->entry->name;
    wanted.shape[rank - 1] = 0;
    return check_shape(scales, &wanted, err);
}

pp_status ppi_tensors_find_codes(const struct ppi_tensors *tensors, const struct ppi_rule_at *at,
                                 const char *name, struct ppi_stored *stored, pp_error *err)
{
    struct ppi_code_places *places = beside(tensors, stored);
    bool table = ppi_weight_kinds[at->rule->weight].matrix == PPI_MATRIX_TABLE;
    PP_TRY(find(tensors, name, stored, places, err));
    int32_t format = converted_format(stored, places);
    if (format != PPI_FORMAT_INT8 && (table || tensors->weights == PP_WEIGHTS_INT8))
        return ppi_error(err, PP_ERR_FORMAT, "%s: tensor \"%s\" has codes of 4 bits; %s",
                         stored->file->label.text, ppi_label(name).text,
                         table ? "a table has 8" : "config.json says int8");
    int64_t n_rows, k;
    ppi_part_rows(at, &n_rows, &k);
    n_rows = ppi_stored_rows(at);
    k = table ? k : ppi_format_k(format, k);
    const struct ppi_format *f = &ppi_formats[format];
    int64_t block = ppi_code_block_bytes(format), row = k * f->bits / 8;
    const struct wanted codes = {name, {n_rows, table ? row : row / block, table ? 0 : block}};
    struct wanted numbers = {places->scales.entry->name,
                             {n_rows, f->group > 0 ? ppi_format_groups(format, k) : 0}};
    int32_t dtype = f->scale_bytes == 1 ? 0 : f->scale_bytes == 2 ? PP_DTYPE_F16 : PP_DTYPE_F32;
    const struct ppi_stored_entry *odd = places->scales.entry;
    PP_TRY(check_shape(stored, &codes, err));
    PP_TRY(check_shape(&places->scales, &numbers, err));
    if (places->offsets.entry) {
        numbers.name = places->offsets.entry->name;
        PP_TRY(check_shape(&places->offsets, &numbers, err));
        odd = odd->dtype == dtype ? places->offsets.entry : odd;
    }
    if (odd->dtype == dtype)
        return PP_OK;
    return ppi_error(
        err, PP_ERR_FORMAT, "%s: tensor \"%s\" has dtype %s; beside these codes %s is needed",
        stored->file->label.text, ppi_label(odd->name).text, odd->dtype_name, pp_dtype_name(dtype));
}

pp_status ppi_tensors_check_codes(const struct ppi_tensors *tensors,
                                  const struct ppi_model_spec *spec, int32_t i_rule, int32_t layer,
                                  pp_error *err)
{
    const struct ppi_stored *first = NULL;
    int32_t n = ppi_rule_n_parts(&tensors->rules[i_rule]);
    for (int32_t i = i_rule; i < i_rule + n; i++) {
        struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i, layer);
        int32_t n_tensors = ppi_rule_n_tensors(&at);
        for (int32_t t = 0; ppi_rule_holds(at.rule, spec, layer) && t < n_tensors; t++) {
            const struct ppi_stored *stored = ppi_tensors_place_of(tensors, i, layer, t);
            first = first ? first : stored;
            if (format_of(tensors, stored) != format_of(tensors, first))
                return ppi_error(err, PP_ERR_FORMAT,
                                 "%s: tensor \"%s\" has codes of another format than the others "
                                 "of its projection",
                                 stored->file->label.text, ppi_label(stored->entry->name).text);
        }
    }
    return PP_OK;
}

/* ---- reading rows ---- */

/* A rule's tensors of codes. */
struct coded {
    const struct ppi_tensors *tensors;
    struct ppi_rule_at at;
    int32_t i_rule, format;
    int32_t blocks;    /* the file's type of blocks; 0: codes, with scales beside them */
    int64_t k, groups; /* codes and scales of a row */
    int64_t row_bytes; /* in the file */
};

static struct coded describe(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                             int32_t i_rule, int32_t layer)
{
    struct coded coded = {.tensors = tensors,
                          .at = ppi_tensors_rule(tensors, spec, i_rule, layer),
                          .i_rule = i_rule,
                          .format = ppi_tensors_format(tensors, i_rule, layer)};
    const struct ppi_stored_entry *entry = ppi_tensors_place(tensors, i_rule, layer)->entry;
    int64_t n_rows;
    ppi_part_rows(&coded.at, &n_rows, &coded.k);
    coded.blocks = entry->blocks;
    coded.row_bytes = (entry->end - entry->begin) / ppi_stored_rows(&coded.at);
    if (ppi_weight_kinds[coded.at.rule->weight].matrix != PPI_MATRIX_TABLE)
        coded.k = ppi_format_k(coded.format, coded.k);
    coded.groups = ppi_format_groups(coded.format, coded.k);
    return coded;
}

/* Scales and offsets, codes a byte each, and a row of the file, which for Q8_0 is the longest. */
size_t ppi_tensors_code_room(int32_t format, int64_t n_cols)
{
    size_t k = (size_t)ppi_format_k(format, n_cols);
    return 2 * (size_t)ppi_format_groups(format, (int64_t)k) * sizeof(float) + 2 * k + k / 16 + 64;
}

enum beside { CODES, SCALES, OFFSETS };

/* Rows of what a tensor of the rule, or what stands beside it, stores. */
static pp_status read_raw(const struct coded *coded, enum beside which, int64_t row_bytes,
                          int64_t first_row, int64_t n_rows, char *raw, pp_error *err)
{
    for (int64_t i = 0, n; i < n_rows; i += n) {
        struct ppi_row_run run = ppi_rows_at(&coded->at, first_row + i);
        const struct ppi_stored *stored =
            ppi_tensors_place_of(coded->tensors, coded->i_rule, coded->at.layer, run.i_tensor);
        if (which != CODES)
            stored = which == SCALES ? &beside(coded->tensors, stored)->scales
                                     : &beside(coded->tensors, stored)->offsets;
        n = n_rows - i < run.n ? n_rows - i : run.n;
        PP_TRY(ppi_stored_read_run(stored, &run, n, row_bytes, raw + i * row_bytes, err));
    }
    return PP_OK;
}

/* Scales of MXFP4. A byte of 255 is no number. */
static pp_status powers_of_two(const uint8_t *bytes, int64_t n, const struct ppi_stored *stored,
                               float *scales, pp_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (bytes[i] == MXFP4_NAN)
            return ppi_error(err, PP_ERR_FORMAT,
                             "%s: a scale of tensor \"%s\" is NaN; numbers are needed",
                             stored->file->label.text, ppi_label(stored->entry->name).text);
        scales[i] = ppi_power_of_two(bytes[i]);
    }
    return PP_OK;
}

/* Scales or offsets of converted rows, as f32; room for as many f16 behind them is raw. */
static pp_status read_numbers(const struct coded *coded, enum beside which, int64_t first_row,
                              int64_t n_rows, float *to, char *raw, pp_error *err)
{
    int64_t scale_bytes = ppi_formats[coded->format].scale_bytes;
    void *stored = scale_bytes == 4 ? (void *)to : raw;
    int64_t n = n_rows * coded->groups;
    PP_TRY(read_raw(coded, which, coded->groups * scale_bytes, first_row, n_rows, stored, err));
    if (scale_bytes == 1)
        return powers_of_two((const uint8_t *)raw, n,
                             ppi_tensors_place(coded->tensors, coded->i_rule, coded->at.layer), to,
                             err);
    if (scale_bytes == 2)
        ppi_to_f32(to, raw, PP_DTYPE_F16, (size_t)n);
    return PP_OK;
}

/* Codes of one byte are signed in the file; of two to a byte the first is the low half. */
static void spread_codes(const struct coded *coded, const uint8_t *raw, uint8_t *codes)
{
    if (coded->format == PPI_FORMAT_INT8) {
        for (int64_t i = 0; i < coded->k; i++)
            codes[i] = raw[i] ^ 0x80;
        return;
    }
    for (int64_t i = 0; i < coded->k / 2; i++) {
        codes[2 * i] = raw[i] & 15;
        codes[2 * i + 1] = raw[i] >> 4;
    }
}

static void take_row(const struct coded *coded, const char *raw, struct ppi_code_row *row)
{
    uint32_t type = (uint32_t)coded->blocks;
    if (coded->blocks)
        ppi_blocks_to_row(coded->format, raw, coded->k / ppi_gguf_tensor_type(type)->block_len,
                          row);
    else
        spread_codes(coded, (const uint8_t *)raw, row->codes);
}

pp_status ppi_tensors_read_codes(const struct ppi_tensors *tensors,
                                 const struct ppi_model_spec *spec, int32_t i_rule, int32_t layer,
                                 int64_t first_row, int64_t n_rows, void *room,
                                 struct ppi_code_rows *rows, pp_error *err)
{
    struct coded coded = describe(tensors, spec, i_rule, layer);
    struct ppi_code_row row = {.scales = room};
    row.offsets = row.scales + n_rows * coded.groups;
    row.codes = (uint8_t *)(row.offsets + n_rows * coded.groups);
    char *raw = (char *)row.codes + n_rows * coded.k;
    bool has_offsets = ppi_formats[coded.format].has_offsets;
    *rows = (struct ppi_code_rows){row.codes, row.scales, has_offsets ? row.offsets : NULL};
    if (!coded.blocks) {
        PP_TRY(read_numbers(&coded, SCALES, first_row, n_rows, row.scales, raw, err));
        if (has_offsets)
            PP_TRY(read_numbers(&coded, OFFSETS, first_row, n_rows, row.offsets, raw, err));
    }
    PP_TRY(read_raw(&coded, CODES, coded.row_bytes, first_row, n_rows, raw, err));
    for (int64_t i = 0; i < n_rows; i++) {
        take_row(&coded, raw + i * coded.row_bytes, &row);
        row.codes += coded.k;
        row.scales += coded.groups;
        row.offsets += coded.groups;
    }
    return PP_OK;
}

/* ---- numbers of blocks ---- */

#define PIECE_GROUPS 512

/* The numbers of groups [first, first + n) of a stored row. */
static pp_status read_groups(const struct ppi_tensors *tensors, const struct ppi_stored *stored,
                             int64_t first, int64_t n, float *dst, pp_error *err)
{
    uint8_t codes[PIECE_GROUPS * MXFP4_GROUP / 2], bytes[PIECE_GROUPS];
    float scales[PIECE_GROUPS];
    const struct ppi_format *f = &ppi_formats[PPI_FORMAT_MXFP4];
    PP_TRY(ppi_stored_read_bytes(stored, first * (MXFP4_GROUP / 2), n * (MXFP4_GROUP / 2), codes,
                                 err));
    PP_TRY(ppi_stored_read_bytes(&beside(tensors, stored)->scales, first, n, bytes, err));
    PP_TRY(powers_of_two(bytes, n, stored, scales, err));
    for (int64_t i = 0; i < n * MXFP4_GROUP; i++) {
        int code = codes[i / 2] >> (i % 2 * 4) & 15;
        dst[i] = scales[i / MXFP4_GROUP] * (float)(f->levels[code] - f->zero);
    }
    return PP_OK;
}

pp_status ppi_tensors_read_blocks(const struct ppi_tensors *tensors,
                                  const struct ppi_stored *stored, const struct ppi_row_run *run,
                                  int64_t n_rows, int64_t n_cols, float *dst, pp_error *err)
{
    int64_t groups = n_cols / MXFP4_GROUP;
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t g = 0, n; g < groups; g += n) {
            n = groups - g < PIECE_GROUPS ? groups - g : PIECE_GROUPS;
            PP_TRY(read_groups(tensors, stored, (run->first + i * run->step) * groups + g, n,
                               dst + i * n_cols + g * MXFP4_GROUP, err));
        }
    return PP_OK;
}
