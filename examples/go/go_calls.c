/* go_calls.c: structs with pointers, made of what Go lends for one call. */
#include "go_calls.h"

#include "_cgo_export.h"

#include <stdlib.h>
#include <string.h>

/* ---- callbacks ---- */

static void *as_user(uintptr_t id)
{
    return (void *)id;
}

static void log_to_go(void *user, int32_t level, const char *message)
{
    prepackLog((uintptr_t)user, level, (char *)message);
}

static int32_t convert_progress_to_go(void *user, int64_t done, int64_t total)
{
    return prepackConverted((uintptr_t)user, done, total);
}

static void progress_to_go(void *user, int64_t n_tokens, int64_t n_all)
{
    prepackProgress((uintptr_t)user, n_tokens, n_all);
}

static int32_t sink_to_go(void *user, const pp_logits *piece)
{
    return prepackSink((uintptr_t)user, (pp_logits *)piece);
}

/* ---- model.h, session.h ---- */

static pp_model_params with_log(const pp_model_params *params, uintptr_t log)
{
    pp_model_params all = *params;
    all.log = log ? log_to_go : NULL;
    all.log_user = as_user(log);
    return all;
}

pp_status ppgo_model_open(const char *path, const pp_model_params *params, uintptr_t log,
                          pp_model **model, pp_error *err)
{
    pp_model_params all = with_log(params, log);
    return pp_model_open(path, &all, model, err);
}

pp_status ppgo_model_create_random(const char *config, uint64_t seed, const pp_model_params *params,
                                   uintptr_t log, pp_model **model, pp_error *err)
{
    pp_model_params all = with_log(params, log);
    return pp_model_create_random(config, seed, &all, model, err);
}

pp_status ppgo_model_convert(pp_model *model, const char *directory,
                             const pp_convert_params *params, uintptr_t progress, pp_error *err)
{
    pp_convert_params all = *params;
    all.progress = convert_progress_to_go;
    all.user = as_user(progress);
    return pp_model_convert(model, directory, &all, err);
}

pp_status ppgo_session_create(pp_model *model, const pp_session_params *params, uintptr_t log,
                              pp_session **session, pp_error *err)
{
    pp_session_params all = *params;
    all.log = log ? log_to_go : NULL;
    all.log_user = as_user(log);
    return pp_session_create(model, &all, session, err);
}

/* ---- errors of this file ---- */

static pp_status out_of_memory(pp_error *err)
{
    static const char sentence[] = "no memory for the arrays of a call";
    err->code = PP_ERR_NOMEM;
    err->native_code = 0;
    err->index = -1;
    memcpy(err->message, sentence, sizeof sentence);
    return PP_ERR_NOMEM;
}

/* Room for n structs, at least one: NULL always means that there is no memory. */
static void *structs(int64_t n, size_t bytes)
{
    return calloc(n > 0 ? (size_t)n : 1, bytes);
}

/* ---- run.h ---- */

static pp_run_params run_params(const ppgo_run_params *from)
{
    return (pp_run_params){
        .struct_size = sizeof(pp_run_params),
        .sink = from->has_sink ? sink_to_go : NULL,
        .sink_user = as_user(from->callbacks),
        .progress = from->has_progress ? progress_to_go : NULL,
        .progress_user = as_user(from->callbacks),
        .cancel = from->cancel,
        .min_shared_prefix = from->min_shared_prefix,
    };
}

static pp_item plain_item(const ppgo_item *from)
{
    return (pp_item){
        .struct_size = sizeof(pp_item),
        .output = from->output,
        .cache = from->cache,
        .n_tokens = from->n_tokens,
        .temperature = from->temperature,
        .top_k = from->top_k,
        .top_p = from->top_p,
        .min_p = from->min_p,
        .seed = from->seed,
        .next = from->next,
        .n_scores = from->n_scores,
        .n_top = from->n_top,
        .pooling = from->pooling,
        .discard_cache = from->discard_cache,
        .normalize = from->normalize,
        .n_hidden = from->n_hidden,
    };
}

pp_status ppgo_run(pp_session *session, const pp_plan *plan, ppgo_item *items, int64_t n,
                   const int32_t *tokens, const int64_t *hidden_tokens, pp_score *scores,
                   int32_t *top_tokens, double *top_logprobs, float *floats,
                   const ppgo_run_params *params, pp_error *err)
{
    pp_item *all = structs(n, sizeof *all);
    if (!all)
        return out_of_memory(err);
    for (int64_t i = 0; i < n; i++) {
        const ppgo_item *from = &items[i];
        int64_t n_top = from->n_scores * from->n_top;
        pp_item *item = &all[i];
        *item = plain_item(from);
        item->tokens = tokens;
        item->hidden_tokens = from->n_hidden > 0 ? hidden_tokens : NULL;
        item->scores = from->n_scores > 0 ? scores : NULL;
        item->top_tokens = n_top > 0 ? top_tokens : NULL;
        item->top_logprobs = n_top > 0 ? top_logprobs : NULL;
        item->logits = from->n_logits > 0 ? floats : NULL;
        item->hidden = from->n_vector > 0 ? floats + from->n_logits : NULL;
        tokens += from->n_tokens;
        hidden_tokens += from->n_hidden;
        scores += from->n_scores;
        top_tokens += n_top;
        top_logprobs += n_top;
        floats += from->n_logits + from->n_vector;
    }
    pp_run_params plain = run_params(params);
    pp_status status = pp_run(session, plan, all, n, &plain, err);
    for (int64_t i = 0; i < n && status >= 0; i++) {
        items[i].cache = all[i].cache;
        items[i].next = all[i].next;
    }
    free(all);
    return status;
}

pp_status ppgo_score_continuations(pp_session *session, const int32_t *tokens,
                                   const int64_t *lengths, const int64_t *contexts, int64_t n,
                                   double *logprobs, int32_t *greedy, const ppgo_run_params *params,
                                   pp_error *err)
{
    pp_continuation *all = structs(n, sizeof *all);
    if (!all)
        return out_of_memory(err);
    for (int64_t i = 0; i < n; tokens += lengths[i++])
        all[i] =
            (pp_continuation){.tokens = tokens, .n_tokens = lengths[i], .n_context = contexts[i]};
    pp_run_params plain = run_params(params);
    pp_status status = pp_score_continuations(session, all, n, &plain, err);
    for (int64_t i = 0; i < n && status >= 0; i++) {
        logprobs[i] = all[i].logprob;
        greedy[i] = all[i].is_greedy;
    }
    free(all);
    return status;
}

/* ---- packer.h, batch.h ---- */

pp_status ppgo_packer_create(const pp_packer_params *params, const pp_fewest_params *fewest,
                             const int64_t *capacities, const pp_balanced_params *balanced,
                             const pp_cheapest_params *cheapest, const int64_t *row_lens,
                             const pp_cost_model *cost, pp_packer **packer, pp_error *err)
{
    pp_packer_params all = *params;
    pp_fewest_params with_capacities;
    pp_cheapest_params with_rows;
    if (fewest) {
        with_capacities = *fewest;
        with_capacities.capacities = capacities;
        all.fewest = &with_capacities;
    }
    if (cheapest) {
        with_rows = *cheapest;
        with_rows.row_lens = row_lens;
        all.cheapest = &with_rows;
    }
    all.balanced = balanced;
    all.cost = cost;
    return pp_packer_create(&all, packer, err);
}

/* Prompts one behind the other; NULL: no memory. */
static pp_prompt *prompts_of(const int32_t *tokens, const int64_t *lengths, int64_t n)
{
    pp_prompt *prompts = structs(n, sizeof *prompts);
    for (int64_t i = 0; prompts && i < n; tokens += lengths[i++])
        prompts[i] = (pp_prompt){.tokens = tokens, .n_tokens = lengths[i]};
    return prompts;
}

pp_status ppgo_packer_plan_input(const pp_packer *packer, int64_t n, const int64_t *lengths,
                                 const int32_t *tokens, const int32_t *together,
                                 const int32_t *apart, pp_plan **plan, pp_error *err)
{
    pp_plan_input input = {.struct_size = sizeof input,
                           .n = n,
                           .lengths = lengths,
                           .together = together,
                           .apart = apart};
    pp_prompt *prompts = tokens ? prompts_of(tokens, lengths, n) : NULL;
    if (tokens && !prompts)
        return out_of_memory(err);
    input.prompts = prompts;
    pp_status status = pp_packer_plan_input(packer, &input, plan, err);
    free(prompts);
    return status;
}

pp_status ppgo_batch_build(const pp_plan *plan, const int32_t *tokens, const int64_t *lengths,
                           int64_t n, const pp_batch_params *params, pp_batch **batch,
                           pp_error *err)
{
    pp_prompt *prompts = prompts_of(tokens, lengths, n);
    if (!prompts)
        return out_of_memory(err);
    pp_status status = pp_batch_build(plan, prompts, n, params, batch, err);
    free(prompts);
    return status;
}

/* ---- queue.h ---- */

pp_status ppgo_queue_create(const pp_queue_params *params, const pp_cost_model *cost,
                            pp_queue **queue, pp_error *err)
{
    pp_queue_params all = *params;
    all.cost = cost;
    return pp_queue_create(&all, queue, err);
}

pp_status ppgo_queue_next(pp_queue *queue, double max_wait, pp_step *step, pp_step_prompt *prompts,
                          pp_error *err)
{
    pp_step all = *step;
    all.prompts = prompts;
    pp_status status = pp_queue_next(queue, max_wait, &all, err);
    all.prompts = NULL; /* Go's memory does not hold it */
    *step = all;
    return status;
}

/* ---- kvcache_save.h ---- */

static pp_kvcache_save_params save_params(const int32_t *tokens)
{
    return (pp_kvcache_save_params){.struct_size = sizeof(pp_kvcache_save_params),
                                    .tokens = tokens};
}

pp_status ppgo_kvcache_save(const pp_kvcache *cache, const char *path, const int32_t *tokens,
                            pp_error *err)
{
    pp_kvcache_save_params params = save_params(tokens);
    return pp_kvcache_save(cache, path, &params, err);
}

pp_status ppgo_kvcache_export_size(const pp_kvcache *cache, const int32_t *tokens, size_t *bytes,
                                   pp_error *err)
{
    pp_kvcache_save_params params = save_params(tokens);
    return pp_kvcache_export_size(cache, &params, bytes, err);
}

pp_status ppgo_kvcache_export(const pp_kvcache *cache, const int32_t *tokens, void *memory,
                              size_t bytes, pp_error *err)
{
    pp_kvcache_save_params params = save_params(tokens);
    return pp_kvcache_export(cache, &params, memory, bytes, err);
}

/* ---- tokenizer.h ---- */

pp_status ppgo_tokenizer_open(const char *path, uintptr_t log, pp_tokenizer **tokenizer,
                              pp_error *err)
{
    pp_tokenizer_params params = {
        .struct_size = sizeof params, .log = log ? log_to_go : NULL, .log_user = as_user(log)};
    return pp_tokenizer_open(path, &params, tokenizer, err);
}

pp_status ppgo_tokenizer_encode(pp_tokenizer *tokenizer, const char *bytes, const int64_t *lengths,
                                int64_t n, const pp_encode_params *params, pp_encoding **encoding,
                                pp_error *err)
{
    pp_text *texts = structs(n, sizeof *texts);
    if (!texts)
        return out_of_memory(err);
    for (int64_t i = 0; i < n; bytes += lengths[i++])
        texts[i] = (pp_text){.bytes = bytes, .n_bytes = (size_t)lengths[i]};
    pp_status status = pp_tokenizer_encode(tokenizer, texts, n, params, encoding, err);
    free(texts);
    return status;
}
