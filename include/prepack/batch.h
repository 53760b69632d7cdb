/*
 * prepack/batch.h: the arrays of one or several bins, for hosts that run their own engine.
 * (pp_prefill builds its own; a host that uses pp_prefill does not need this header.)
 *
 *     pp_batch_build(plan, prompts, n, NULL, &batch, &err);         every bin, ragged
 *     pp_batch_view view = {.struct_size = sizeof view};
 *     pp_batch_get_view(batch, &view, &err);
 *     my_engine(view.tokens, view.positions, view.cu_seqlens, view.last_rows);
 *
 * Every token of a prompt is in the batch, the last one included: logits of the last token come out
 * of the same pass. Positions restart at 0 at each prompt.
 */
#ifndef PREPACK_BATCH_H
#define PREPACK_BATCH_H

#include "packer.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Layouts. Values are frozen.
 *  RAGGED: all tokens of the bins one after another, [n_tokens]: no pads, also where the plan
 *      aligns its prompts, since cu_seqlens knows no room between them.
 *  PADDED: one row a bin, [n_rows, row_len], each prompt at its place in the bin
 *      (pp_segment.start); pads after prompts that are shorter than their aligned room, and on the
 *      right.
 */
enum {
    PP_LAYOUT_RAGGED = 1,
    PP_LAYOUT_PADDED = 2,
    PP_LAYOUT_INT32 = -1, /* no value: see common.h */
};

typedef struct pp_batch_params {
    uint32_t struct_size;
    int32_t layout;    /* default PP_LAYOUT_RAGGED */
    int32_t pad_token; /* PADDED only; default 0. A pad's position is 0. */
    int64_t first_bin; /* default 0 */
    int64_t n_bins;    /* default -1: all from first_bin on */
    int64_t row_len;   /* PADDED only; default 0: the fullest of these bins, alignment
                          included */
} pp_batch_params;

PP_API void pp_batch_params_init(pp_batch_params *params, size_t struct_size);

/* Thread-safety: immutable, may be shared by threads. */
typedef struct pp_batch pp_batch;

/*
 * Lays the prompts of some bins out. prompts: [n], the prompts whose lengths the plan was made
 * from, in the same order; borrowed for the call; only those in the bins asked for are looked at.
 * Token ids are copied, not inspected. The caller destroys *batch, which does not depend on plan or
 * prompts afterwards.
 * Errors: PP_ERR_ARG (bins outside the plan; an n or a length that is not the plan's; a prompt that
 * is NULL: err->index names the prompt; unknown layout), PP_ERR_TOO_LONG (row_len shorter than a
 * bin; more than 2^31 - 1 real tokens), PP_ERR_UNSUPPORTED (a plan that splits prompts or shares
 * prefixes), PP_ERR_STRUCT_SIZE, PP_ERR_NOMEM.
 */
PP_API pp_status pp_batch_build(const pp_plan *plan, const pp_prompt *prompts, int64_t n,
                                const pp_batch_params *params, pp_batch **batch, pp_error *err);
PP_API void pp_batch_destroy(pp_batch *batch);

/* Views of a batch's arrays; they live as long as the batch. */
typedef struct pp_batch_view {
    uint32_t struct_size;
    int32_t layout;
    int64_t n_rows;            /* PADDED: rows; RAGGED: 1 */
    int64_t row_len;           /* tokens and pads of a row; RAGGED: all tokens */
    int64_t n_prompts;         /* prompts in these bins */
    int64_t n_tokens;          /* real tokens */
    int64_t max_seqlen;        /* longest prompt */
    const int32_t *tokens;     /* [n_rows, row_len] */
    const int32_t *positions;  /* [n_rows, row_len], restart at 0 at each prompt */
    const int32_t *cu_seqlens; /* [n_prompts + 1] prefix sums of the lengths, in batch order */
    const int64_t *starts;     /* [n_prompts] index of each prompt's first token in `tokens` */
    const int64_t *last_rows;  /* [n_prompts] index of each prompt's last token in `tokens` */
    const int32_t *prompts;    /* [n_prompts] which prompt this is, an index into the plan's */
} pp_batch_view;

/* Fills *view; the caller sets view->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_batch_get_view(const pp_batch *batch, pp_batch_view *view, pp_error *err);

/*
 * The dense independent mask, for engines without variable-length attention: query row i may see
 * key column j exactly when both belong to the same prompt, j is not after i, and i - j <=
 * window_left (-1: no limit, as in FlashAttention). A pad sees itself only, so that no softmax row
 * is empty.
 *
 * mask: [n_rows, row_len, row_len], caller-owned, mask_bytes long. dtype PP_DTYPE_BOOL: 1 may see,
 * 0 may not; PP_DTYPE_F32, F16, BF16: additive, 0 and -infinity.
 * Errors: PP_ERR_ARG (dtype, window_left below -1, mask_bytes not pp_batch_mask_bytes).
 */
PP_API pp_status pp_batch_mask(const pp_batch *batch, int32_t dtype, int64_t window_left,
                               void *mask, size_t mask_bytes, pp_error *err);
/* Bytes of the mask. Errors: PP_ERR_ARG (dtype), PP_ERR_LIMIT (more than SIZE_MAX). */
PP_API pp_status pp_batch_mask_bytes(const pp_batch *batch, int32_t dtype, size_t *bytes,
                                     pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
