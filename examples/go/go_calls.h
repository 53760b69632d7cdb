/*
 * go_calls.h: calls of libprepack in a form that Go may make. Go lends memory to C for a call, but
 * only memory in which no pointers to other Go memory lie; so ragged arrays come flat, one behind
 * the other with their lengths, and the structs that point into them are made here, in C's memory.
 */
#ifndef PREPACK_GO_CALLS_H
#define PREPACK_GO_CALLS_H

#include <prepack/prepack.h>
#include <prepack/tokenizer.h>

/* ---- model.h, session.h ----
 *
 * log, progress: what callbacks.go knows the Go function by; 0: none. They are no pointers, so Go
 * must not keep them in a field that is one. */

pp_status ppgo_model_open(const char *path, const pp_model_params *params, uintptr_t log,
                          pp_model **model, pp_error *err);
pp_status ppgo_model_create_random(const char *config, uint64_t seed, const pp_model_params *params,
                                   uintptr_t log, pp_model **model, pp_error *err);
pp_status ppgo_model_convert(pp_model *model, const char *directory,
                             const pp_convert_params *params, uintptr_t progress, pp_error *err);
pp_status ppgo_session_create(pp_model *model, const pp_session_params *params, uintptr_t log,
                              pp_session **session, pp_error *err);

/* ---- run.h ---- */

/* A pp_item whose arrays are the next ones of the flat arrays. */
typedef struct ppgo_item {
    pp_kvcache *cache;
    int64_t n_tokens;
    int64_t n_scores;
    int64_t n_hidden; /* entries of hidden_tokens */
    int64_t n_logits; /* floats, of the logits; 0: none, or to the sink */
    int64_t n_vector; /* floats, of the hidden states */
    uint64_t seed;
    int32_t output;
    int32_t top_k;
    int32_t n_top;
    int32_t pooling;
    int32_t discard_cache;
    int32_t normalize;
    int32_t next;
    float temperature;
    float top_p;
    float min_p;
} ppgo_item;

typedef struct ppgo_run_params {
    uintptr_t callbacks; /* a runCallbacks of callbacks.go */
    int32_t has_sink;
    int32_t has_progress;
    pp_cancel *cancel;
    int64_t min_shared_prefix;
} ppgo_run_params;

/* pp_run; `cache` and `next` of the items are filled. floats: of each item its logits, then its
 * hidden states. */
pp_status ppgo_run(pp_session *session, const pp_plan *plan, ppgo_item *items, int64_t n,
                   const int32_t *tokens, const int64_t *hidden_tokens, pp_score *scores,
                   int32_t *top_tokens, double *top_logprobs, float *floats,
                   const ppgo_run_params *params, pp_error *err);

/* pp_score_continuations. lengths, contexts: [n]; logprobs, greedy: [n], filled. */
pp_status ppgo_score_continuations(pp_session *session, const int32_t *tokens,
                                   const int64_t *lengths, const int64_t *contexts, int64_t n,
                                   double *logprobs, int32_t *greedy, const ppgo_run_params *params,
                                   pp_error *err);

/* ---- packer.h, batch.h ---- */

/* pp_packer_create; fewest, balanced and cheapest may be NULL, the arrays are theirs. */
pp_status ppgo_packer_create(const pp_packer_params *params, const pp_fewest_params *fewest,
                             const int64_t *capacities, const pp_balanced_params *balanced,
                             const pp_cheapest_params *cheapest, const int64_t *row_lens,
                             const pp_cost_model *cost, pp_packer **packer, pp_error *err);

/* pp_packer_plan_input; tokens NULL: no prompts are given. */
pp_status ppgo_packer_plan_input(const pp_packer *packer, int64_t n, const int64_t *lengths,
                                 const int32_t *tokens, const int32_t *together,
                                 const int32_t *apart, pp_plan **plan, pp_error *err);

pp_status ppgo_batch_build(const pp_plan *plan, const int32_t *tokens, const int64_t *lengths,
                           int64_t n, const pp_batch_params *params, pp_batch **batch,
                           pp_error *err);

/* ---- queue.h ---- */

pp_status ppgo_queue_create(const pp_queue_params *params, const pp_cost_model *cost,
                            pp_queue **queue, pp_error *err);

/* step->prompts is set to prompts for the call. */
pp_status ppgo_queue_next(pp_queue *queue, double max_wait, pp_step *step, pp_step_prompt *prompts,
                          pp_error *err);

/* ---- kvcache_save.h ---- */

pp_status ppgo_kvcache_save(const pp_kvcache *cache, const char *path, const int32_t *tokens,
                            pp_error *err);
pp_status ppgo_kvcache_export_size(const pp_kvcache *cache, const int32_t *tokens, size_t *bytes,
                                   pp_error *err);
pp_status ppgo_kvcache_export(const pp_kvcache *cache, const int32_t *tokens, void *memory,
                              size_t bytes, pp_error *err);

/* ---- tokenizer.h ---- */

pp_status ppgo_tokenizer_open(const char *path, uintptr_t log, pp_tokenizer **tokenizer,
                              pp_error *err);
/* bytes: the texts one behind the other; lengths: [n] of them. */
pp_status ppgo_tokenizer_encode(pp_tokenizer *tokenizer, const char *bytes, const int64_t *lengths,
                                int64_t n, const pp_encode_params *params, pp_encoding **encoding,
                                pp_error *err);

#endif
