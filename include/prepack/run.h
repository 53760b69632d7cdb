/*
 * prepack/run.h: the one way tokens go through a model. An item is a cache, tokens to append to it,
 * and what is wanted of them; a run takes items of every kind together, prompts and single tokens
 * alike, without padding.
 *
 *     pp_item items[2] = {{.struct_size = sizeof(pp_item), .tokens = a, .n_tokens = 300},
 *                         {.struct_size = sizeof(pp_item), .tokens = b, .n_tokens = 1,
 *                          .cache = chat, .output = PP_OUTPUT_TOKEN, .temperature = 0.7f}};
 *     pp_run(session, NULL, items, 2, NULL, &err);
 *     ... items[0].cache is new, items[1].next was drawn
 *
 * What the company of an item does to its numbers: nothing. Its cache, logits and tokens are
 * bitwise the same alone and with any others, in any order, plan, pass size and number of threads,
 * and whether its tokens come in one run or in many (docs/numerics.md).
 */
#ifndef PREPACK_RUN_H
#define PREPACK_RUN_H

#include "batch.h"
#include "outputs.h"
#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One item. All items of an array have the same struct_size, which is the step from one to the
 * next. Zero is the default of everything but the tokens.
 *
 * Drawing: the tokens that stay are, in order of their logits (the smaller id of equals first), the
 * first top_k; of those as many as make up a share top_p of their probability under
 * softmax(logits / temperature), at least one; of those the ones with at least min_p times the
 * probability of the first. One of them is drawn by the Gumbel-max method (Gumbel 1954; Maddison et
 * al., arXiv 1411.0030) with noise that is a function of seed, position and token id alone.
 */
typedef struct pp_item {
    uint32_t struct_size;
    int32_t output;        /* PP_OUTPUT_* */
    pp_kvcache *cache;     /* to append to; NULL: a new one, which is put here when the run has
                              succeeded and is the caller's to destroy */
    const int32_t *tokens; /* [n_tokens] ids in [0, vocab_size), borrowed for the call */
    int64_t n_tokens;      /* at least 1 */
    float *logits;     /* the caller's, for PP_OUTPUT_*_LOGITS and LABELS; NULL: *_LOGITS go to the
                          sink. Undefined after an error */
    float temperature; /* at least 0; 0: the most likely token, the smallest id of equals */
    int32_t top_k;     /* 0: no limit */
    float top_p;       /* 0 .. 1; 0 and 1: no limit */
    float min_p;       /* 0 .. 1; 0: no limit */
    uint64_t seed;
    int32_t next; /* result of PP_OUTPUT_TOKEN */

    pp_score *scores; /* [n_scores] log-probabilities wanted besides `output`, in any order;
                         filled. After an error what is given is undefined */
    int64_t n_scores;
    int32_t *top_tokens;   /* [n_scores, n_top] the n_top most likely ids of each score's row, most
                              likely first, the smaller id of equals first */
    double *top_logprobs;  /* [n_scores, n_top] theirs */
    int32_t n_top;         /* 0 .. PP_MAX_TOP, at most vocab_size; 0: the two arrays may be NULL */
    int32_t pooling;       /* PP_POOLING_*, of PP_OUTPUT_POOLED */
    int32_t discard_cache; /* 1: no cache is handed out, its pages go back as soon as the item is
                              done, and where there are linear layers no state is written that
                              nobody goes on from; `cache` must be NULL */
    int32_t normalize;     /* 1: the vectors of HIDDEN and POOLED are divided by their Euclidean
                              norm; of zeros they stay */
    float *hidden; /* the caller's: f32, after the model's last norm, which is computed in f32
                      whatever the session's dtype is; see PP_OUTPUT_HIDDEN and POOLED */
    const int64_t *hidden_tokens; /* [n_hidden] of HIDDEN: which tokens' states, in the order of
                                     `hidden`; NULL: of every token */
    int64_t n_hidden;
} pp_item;

/* Called after each forward pass, on the thread of the call: tokens computed so far, and in all. */
typedef void (*pp_progress_fn)(void *user, int64_t n_tokens, int64_t n_all);

/* Thread-safety: any thread may request at any time but while it is destroyed; a signal handler
 * too. */
typedef struct pp_cancel pp_cancel;

/* A token with which a call can be ended early. Errors: PP_ERR_NOMEM. The caller destroys
 * *cancel. */
PP_API pp_status pp_cancel_create(pp_cancel **cancel, pp_error *err);
/* Every call that it is given to, now or later, returns PP_ERR_CANCELLED before its next layer. */
PP_API void pp_cancel_request(pp_cancel *cancel);
/* 1 after a request. */
PP_API int32_t pp_cancel_is_requested(const pp_cancel *cancel);
PP_API void pp_cancel_destroy(pp_cancel *cancel);

typedef struct pp_run_params {
    uint32_t struct_size;
    pp_logits_fn sink; /* for logits of items without an array of their own */
    void *sink_user;
    pp_progress_fn progress; /* NULL: silence */
    void *progress_user;
    const pp_cancel *cancel;   /* NULL: pp_session_cancel alone */
    int64_t min_shared_prefix; /* without a plan: what items that have no tokens yet begin with
                                  alike is computed once, where it is at least so many tokens, in
                                  trees of such prefixes; each may cost a forward pass more. 0, the
                                  default: never */
} pp_run_params;

PP_API void pp_run_params_init(pp_run_params *params, size_t struct_size);

/*
 * Runs n items in forward passes of at most max_pass_tokens tokens. Items longer than a pass go
 * through several, one after another.
 *
 * plan: made from the items' numbers of tokens: its bins, in order, say which items share a pass;
 * NULL: the items in the order given. A plan that splits items runs their parts bin after bin; one
 * that shares prefixes computes each once, and the caches of the items that have it share its
 * pages. items: [n], each cache of this session and given once.
 *
 * Errors: PP_ERR_ARG (err->index: the item; also one that shares a prefix by the plan and has other
 * tokens there, or a cache of its own), PP_ERR_UNSUPPORTED (an output that the model has no head
 * for; a prefix shared by items whose rotary embedding differs), PP_ERR_TOO_LONG (more tokens than
 * the model has positions for), PP_ERR_NOMEM, PP_ERR_DEVICE_NOMEM, PP_ERR_DEVICE, PP_ERR_CANCELLED,
 * PP_ERR_NOT_FINITE (logits that are not numbers, where a token was to be drawn or scored),
 * PP_ERR_STRUCT_SIZE. After an error every cache has its length of before, none was created,
 * `cache` and `next` of every item are as they were, and the session is usable (after PP_ERR_DEVICE
 * only if the device is).
 *
 * Models whose rotary embedding depends on a prompt's length (longrope, dynamic): a cache that
 * grows past the length at which the angles change is computed anew from its first token, so that
 * what a run leaves and gives is a function of the cache's tokens alone. With `dynamic` every run
 * past that length is such a change.
 */
PP_API pp_status pp_run(pp_session *session, const pp_plan *plan, pp_item *items, int64_t n,
                        const pp_run_params *params, pp_error *err);

/* ---- short forms of pp_run ---- */

/*
 * New caches for n prompts. caches: [n], receives one each; the caller destroys them. logits: NULL:
 * none wanted. Otherwise *logits is a view [n, vocab_size], row i for prompt i's last token; it
 * lives until the session's next call, or its end. Errors: as pp_run.
 */
PP_API pp_status pp_prefill(pp_session *session, const pp_plan *plan, const pp_prompt *prompts,
                            int64_t n, pp_kvcache **caches, const float **logits, pp_error *err);

/* Appends one token to each of n caches. logits: as in pp_prefill, row i for cache i. */
PP_API pp_status pp_decode(pp_session *session, pp_kvcache *const *caches, const int32_t *tokens,
                           int64_t n, const float **logits, pp_error *err);

/* How tokens are drawn; the fields are those of pp_item. */
typedef struct pp_sample_params {
    uint32_t struct_size;
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
    const uint64_t *seeds; /* [n], one per prompt; NULL: 0 for each. Read during the call */
} pp_sample_params;

PP_API void pp_sample_params_init(pp_sample_params *params, size_t struct_size);

/* pp_prefill that writes the token after prompt i to next[i]. next: [n]. */
PP_API pp_status pp_prefill_sample(pp_session *session, const pp_plan *plan,
                                   const pp_prompt *prompts, int64_t n,
                                   const pp_sample_params *params, pp_kvcache **caches,
                                   int32_t *next, pp_error *err);

/* pp_decode that writes the token after tokens[i] of cache i to next[i]. next: [n], may be
 * tokens. */
PP_API pp_status pp_decode_sample(pp_session *session, pp_kvcache *const *caches,
                                  const int32_t *tokens, int64_t n, const pp_sample_params *params,
                                  int32_t *next, pp_error *err);

/* ---- before it runs ---- */

/* What one run of new prompts takes. */
typedef struct pp_prediction {
    uint32_t struct_size;
    double seconds;      /* or the cost model's unit */
    int64_t passes;      /* forward passes */
    int64_t kv_bytes;    /* of the prompts' caches afterwards, states of linear layers included */
    int64_t state_bytes; /* of states of linear layers that the run takes at most; where caches are
                            discarded only those of prefixes and of prompts of several passes */
} pp_prediction;

/*
 * Predicts pp_run of new prompts by cutting the passes that it would; nothing is loaded or run.
 * info: of the session, or of one that only exists as pp_session_estimate. cost: of that device and
 * model; NULL: a pass costs its tokens. plan: its bins, or NULL: prompts of `lengths` [n] in this
 * order. The caller sets prediction->struct_size.
 * Errors: PP_ERR_ARG (NULL; a length below 1; an info that no session fills so; a cost model as for
 * pp_cost_predict), PP_ERR_NOMEM, PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_run_predict(const pp_session_info *info, const pp_cost_model *cost,
                                const pp_plan *plan, const int64_t *lengths, int64_t n,
                                pp_prediction *prediction, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
