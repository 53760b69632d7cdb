/*
 * mask.c: the dense independent mask of a batch. A row is three fills: what the query may not see,
 * what it may, and again what it may not.
 */
#include "arrays.h"

#include <string.h>

/* How the elements of one dtype are filled: seen ones are one repeated byte, the others copies of
 * a block of repeated words. */
struct filler {
    size_t element_bytes;
    int seen_byte;
    unsigned char unseen[1024];
};

/* false for a dtype that no mask has. */
static bool init_filler(struct filler *filler, int32_t dtype)
{
    uint32_t unseen = 0;
    filler->seen_byte = 0;
    filler->element_bytes = pp_dtype_size(dtype);
    switch (dtype) { /* minus infinity, in 32 bits */
    case PP_DTYPE_F32:
        unseen = 0xff800000u;
        break;
    case PP_DTYPE_F16:
        unseen = 0xfc00fc00u;
        break;
    case PP_DTYPE_BF16:
        unseen = 0xff80ff80u;
        break;
    case PP_DTYPE_BOOL:
        filler->seen_byte = 1;
        break;
    default:
        return false;
    }
    for (size_t i = 0; i < sizeof filler->unseen; i += sizeof unseen)
        memcpy(filler->unseen + i, &unseen, sizeof unseen);
    return true;
}

static unsigned char *fill_unseen(const struct filler *filler, unsigned char *dst, int64_t count)
{
    size_t bytes = (size_t)count * filler->element_bytes;
    while (bytes > sizeof filler->unseen) {
        memcpy(dst, filler->unseen, sizeof filler->unseen);
        dst += sizeof filler->unseen;
        bytes -= sizeof filler->unseen;
    }
    memcpy(dst, filler->unseen, bytes);
    return dst + bytes;
}

/* Writes the row of a query in column `query` that sees the columns first_seen to query. Returns
 * the next row. */
static unsigned char *write_row(const struct filler *filler, unsigned char *row, int64_t row_len,
                                int64_t first_seen, int64_t query)
{
    row = fill_unseen(filler, row, first_seen);
    size_t seen_bytes = (size_t)(query + 1 - first_seen) * filler->element_bytes;
    memset(row, filler->seen_byte, seen_bytes);
    return fill_unseen(filler, row + seen_bytes, row_len - query - 1);
}

static pp_status check_dtype(int32_t dtype, pp_error *err)
{
    struct filler filler;
    if (!init_filler(&filler, dtype))
        return ppi_error(err, PP_ERR_ARG, "a mask has dtype bool, f32, f16 or bf16, not %s (%d)",
                         pp_dtype_name(dtype), dtype);
    return PP_OK;
}

pp_status pp_batch_mask_bytes(const pp_batch *batch, int32_t dtype, size_t *bytes, pp_error *err)
{
    if (!batch || !bytes)
        return ppi_error(err, PP_ERR_ARG, "pp_batch_mask_bytes: %s is NULL",
                         batch ? "bytes" : "batch");
    PP_TRY(check_dtype(dtype, err));
    size_t size;
    if (!ppi_mul((size_t)batch->n_rows, (size_t)batch->row_len, &size) ||
        !ppi_mul(size, (size_t)batch->row_len, &size) ||
        !ppi_mul(size, pp_dtype_size(dtype), &size))
        return ppi_error(
            err, PP_ERR_LIMIT, "a mask of %lld x %lld x %lld elements has more than SIZE_MAX bytes",
            (long long)batch->n_rows, (long long)batch->row_len, (long long)batch->row_len);
    *bytes = size;
    return PP_OK;
}

pp_status pp_batch_mask(const pp_batch *batch, int32_t dtype, int64_t window_left, void *mask,
                        size_t mask_bytes, pp_error *err)
{
    size_t expected;
    if (!batch)
        return ppi_error(err, PP_ERR_ARG, "pp_batch_mask: batch is NULL");
    PP_TRY(pp_batch_mask_bytes(batch, dtype, &expected, err));
    if (window_left < -1)
        return ppi_error(err, PP_ERR_ARG, "window_left is %lld; it must be at least -1 (no limit)",
                         (long long)window_left);
    if (mask_bytes != expected)
        return ppi_error(err, PP_ERR_ARG, "mask_bytes is %zu, but the mask has %zu", mask_bytes,
                         expected);
    if (!mask && expected > 0)
        return ppi_error(err, PP_ERR_ARG, "pp_batch_mask: mask is NULL");
    struct filler filler;
    init_filler(&filler, dtype);

    int64_t row_len = batch->row_len;
    int64_t i = 0; /* index of the query in the batch's tokens */
    unsigned char *row = mask;
    for (int64_t i_prompt = 0; i_prompt < batch->n_prompts; i_prompt++) {
        for (; i < batch->starts[i_prompt]; i++) /* pads before this prompt */
            row = write_row(&filler, row, row_len, i % row_len, i % row_len);
        int64_t begin = i % row_len;
        for (; i <= batch->last_rows[i_prompt]; i++) {
            int64_t query = i % row_len;
            int64_t first_seen = begin;
            if (window_left >= 0 && query - begin > window_left)
                first_seen = query - window_left;
            row = write_row(&filler, row, row_len, first_seen, query);
        }
    }
    for (; i < batch->n_rows * row_len; i++)
        row = write_row(&filler, row, row_len, i % row_len, i % row_len);
    return PP_OK;
}
