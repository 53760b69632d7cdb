/*
 * prepack/attention.h: attention over prompts of different lengths in tensors of the caller's own,
 * with FlashAttention's names. No model is needed: pp_session_create(NULL, ...).
 *
 *     pp_attention_plan_params shape;
 *     pp_attention_plan_params_init(&shape, sizeof shape);
 *     shape.dtype = PP_DTYPE_BF16;
 *     shape.n_heads = 32, shape.n_kv_heads = 8, shape.head_dim = 128;
 *     shape.n_prompts = 3;
 *     shape.cu_seqlens_q = shape.cu_seqlens_k = (int32_t[]){0, 5, 12, 20};
 *     pp_attention_plan_create(session, &shape, &plan, &err);
 *     pp_attention_plan_get_info(plan, &info, &err);
 *     cudaMalloc(&workspace, info.workspace_bytes);
 *     pp_attention_plan_upload(plan, workspace, info.workspace_bytes, stream, &err);
 *     for (int layer = 0; layer < n_layers; layer++) {
 *         pp_attention_params tensors = {.struct_size = sizeof tensors, .stream = stream,
 *             .q = q[layer], .k = k[layer], .v = v[layer], .out = out[layer]};
 *         pp_attention_varlen(session, plan, &tensors, &err);
 *     }
 *
 * Query row i of a prompt with n_q query rows and n_k keys stands at position p = i + n_k - n_q
 * (FlashAttention's bottom-right alignment) and sees the keys j of its own prompt with
 * p - window_left <= j <= p + window_right. Query head h uses kv head h / (n_heads / n_kv_heads):
 *
 *     out = sum_j exp(softmax_scale q k_j - lse) v_j,   lse = ln sum_j exp(softmax_scale q k_j)
 *
 * A row that sees no key gives 0 and lse -infinity. The bits of a row depend on its query, its
 * position and the keys and values it sees, and on nothing else: not on other rows and prompts, on
 * where it lies, in which pages its keys are, or which lengths share a plan.
 *
 * "Device memory" is memory of the session's device; for the CPU, host memory.
 */
#ifndef PREPACK_ATTENTION_H
#define PREPACK_ATTENTION_H

#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Which rows see which keys, as a list of work for the device. Made once for a set of lengths, used
 * by every layer. Thread-safety: part of its session, one thread at a time; only
 * pp_attention_plan_destroy may be called from any thread.
 */
typedef struct pp_attention_plan pp_attention_plan;

typedef struct pp_attention_plan_params {
    uint32_t struct_size;
    int32_t dtype;        /* of q, k, v and out. cuda: PP_DTYPE_BF16 or F16; cpu: F32, BF16 or F16.
                             AUTO, the default: the session's */
    int64_t n_heads;      /* query heads, a multiple of n_kv_heads, at most 65536 */
    int64_t n_kv_heads;   /* at least 1 */
    int64_t head_dim;     /* a multiple of 8, at most 256 */
    int64_t window_left;  /* keys before a row's position that it sees; -1, the default: all */
    int64_t window_right; /* keys after it; 0, the default: none (causal); -1: all */
    int64_t n_prompts;    /* 0: nothing to do, which is fine */
    const int32_t *cu_seqlens_q; /* host [n_prompts + 1]: prompt i has rows cu_seqlens_q[i] to
                                    cu_seqlens_q[i + 1] - 1 of q and out; from 0, never falling */
    const int32_t *cu_seqlens_k; /* host [n_prompts + 1]: the same for rows of k and v. With pages
                                    its differences are the numbers of keys; not read when seqlens_k
                                    says those */
    const int32_t *seqlens_q;    /* host [n_prompts], or NULL: only the first seqlens_q[i] rows of
                                    prompt i exist; the gap up to the next is not touched */
    const int32_t *seqlens_k;    /* host [n_prompts], or NULL: the same for keys */
    int64_t page_size;           /* 0: k and v are rows; else tokens of a page, 1 or more */
    int64_t
        block_table_stride; /* pages: entries of a row of block_table, enough for every prompt */
} pp_attention_plan_params;

PP_API void pp_attention_plan_params_init(pp_attention_plan_params *params, size_t struct_size);

/*
 * Makes a plan: host work alone, in time proportional to the tiles. At most it waits for the upload
 * of an earlier plan; on a GPU the first plans of a session, and longer ones, take pinned memory,
 * which may wait for the device. The arrays are only read during the call; lengths are at most
 * 2^30, offsets and numbers of pages at most 2^31 - 1. The plan holds a reference to the session;
 * the caller destroys *plan. Errors: PP_ERR_ARG (err->index: the prompt), PP_ERR_UNSUPPORTED (a
 * dtype the device has no kernel for; more tiles than it can launch), PP_ERR_NOMEM,
 * PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_attention_plan_create(pp_session *session,
                                          const pp_attention_plan_params *params,
                                          pp_attention_plan **plan, pp_error *err);
/* Uploads and runs that the device has still to come to stay valid. */
PP_API void pp_attention_plan_destroy(pp_attention_plan *plan);

typedef struct pp_attention_plan_info {
    uint32_t struct_size;
    int32_t dtype;          /* of q, k, v and out */
    size_t workspace_bytes; /* exactly what the upload needs; 0 on the CPU */
    int64_t n_tiles;        /* blocks of the launches; CPU: prompts times heads */
    int64_t n_launches;     /* kernel launches of a run: 0 to 2; CPU: 0 */
    int64_t max_seqlen_q;   /* the most query rows and keys of a prompt */
    int64_t max_seqlen_k;
    int64_t total_q; /* rows of q and out, gaps included: cu_seqlens_q[n_prompts] */
    int64_t total_k; /* of k and v; with pages: keys of all prompts */
} pp_attention_plan_info;

/* Fills *info; the caller sets info->struct_size. Errors: PP_ERR_ARG, PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_attention_plan_get_info(const pp_attention_plan *plan,
                                            pp_attention_plan_info *info, pp_error *err);

/*
 * Enqueues the copy of the plan's list to the workspace and does not wait. Once before the first
 * run; again to move the plan to another workspace.
 * workspace: device memory, 16-byte aligned, of at least info.workspace_bytes; the caller's, in use
 * by every later run of the plan, not to be written by others. NULL when 0 bytes are needed.
 * stream: cuda: a cudaStream_t on the session's device; NULL: the session's; the default stream
 * is cudaStreamLegacy, (void *)1. cpu: not used. An upload that a graph captures must be the plan's
 * first, and the plan must outlive the graph.
 * Errors: PP_ERR_ARG, PP_ERR_DEVICE. After an error the plan counts as not uploaded.
 */
PP_API pp_status pp_attention_plan_upload(pp_attention_plan *plan, void *workspace,
                                          size_t workspace_bytes, void *stream, pp_error *err);

/*
 * The tensors of one run, all in device memory. Strides are in elements, so that views work (q, k
 * and v in one fused buffer, pages [n_pages, n_kv_heads, page_size, head_dim]); the last dimension
 * has no gaps. A stride of 0 is that of a packed tensor: [total_q, n_heads, head_dim] for q and
 * out, [total_k, n_kv_heads, head_dim] or [n_pages, page_size, n_kv_heads, head_dim] for k and v,
 * [n_heads, total_q] for lse. Pointers and strides of q, k, v and out are multiples of 16 bytes.
 */
typedef struct pp_attention_params {
    uint32_t struct_size;
    float softmax_scale;        /* above 0; 0, the default: 1 / sqrt(head_dim) */
    const void *q;              /* [total_q, n_heads, head_dim] */
    const void *k;              /* [total_k, n_kv_heads, head_dim], or pages; without keys NULL is
                                   fine */
    const void *v;              /* as k */
    void *out;                  /* as q; overlaps none of the others */
    float *lse;                 /* [n_heads, total_q], 4-byte aligned, natural logarithm; or NULL */
    const int32_t *block_table; /* pages: [n_prompts, block_table_stride] numbers of pages: token t
                                   of prompt i is token t % page_size of page [i, t / page_size].
                                   Entries behind a prompt's last page are not read. Else NULL */
    void *stream;               /* as for the upload, whose copy must come before; what is on the
                                   session's own is done after pp_session_synchronize */
    int64_t q_row_stride, q_head_stride;
    int64_t k_page_stride, k_row_stride, k_head_stride; /* page strides: pages only */
    int64_t v_page_stride, v_row_stride, v_head_stride;
    int64_t out_row_stride, out_head_stride; /* at least head_dim */
    int64_t lse_head_stride;                 /* at least total_q */
} pp_attention_params;

PP_API void pp_attention_params_init(pp_attention_params *params, size_t struct_size);

/*
 * Runs attention: cuda: enqueues one or two kernels and nothing else: no allocation, copy or wait,
 * so a stream may be capturing a graph. cpu: runs to the end, without allocating.
 * plan: of this session, uploaded. What the numbers in block_table and the sizes of the tensors
 * are is not checked; everything else is.
 * Errors: PP_ERR_ARG, PP_ERR_DEVICE, PP_ERR_STRUCT_SIZE. After an error other than PP_ERR_DEVICE
 * nothing was written.
 */
PP_API pp_status pp_attention_varlen(pp_session *session, const pp_attention_plan *plan,
                                     const pp_attention_params *params, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
