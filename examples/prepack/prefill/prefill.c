/* prefill.c: `prepack prefill`: runs prompts batch by batch and writes what comes of them. */
#include "engine.h"
#include "interrupt.h"
#include "json_out.h"
#include "model_tokenizer.h"
#include "output_files.h"
#include "packed_run.h"
#include "prefill_options.h"
#include "progress.h"
#include "promptset.h"
#include "say.h"
#include "stopwatch.h"
#include "tensor_out.h"

#include <inttypes.h>
#include <stdlib.h>

/* Keys or values are copied out in pieces of about this size. */
enum { PIECE_BYTES = 1 << 22 };

struct prefill {
    const struct prefill_options *options;
    struct dataset dataset;
    struct engine engine;
    struct tokenizer *tokenizer; /* of prompts that are texts */
    struct promptset prompts;
    pp_layer_config *layers; /* [n_layers] */
    struct tensor_states states;
    pp_session *session;
    pp_session_info info;
    pp_packer *packer;
    struct progress progress;
    struct outputs outputs;
    struct tensor_out out;
    pp_item *items; /* [batch_size] of the batch that runs */
    float *piece;
    int64_t piece_elements;
    size_t first; /* prompt of the batch that runs */
    int write_status;
    double seconds, run_seconds; /* all of it, and in forward passes */
};

static int open_data(struct prefill *prefill)
{
    const struct prefill_options *options = prefill->options;
    struct dataset *set = &prefill->dataset;
    struct engine *engine = &prefill->engine;
    int status = prompt_options_load(&options->prompts, &options->data, "prefill", set);
    if (!status)
        status = engine_find(&options->model, engine);
    if (!status && set->texts)
        status = model_tokenizer_open(engine, &options->data, &prefill->tokenizer);
    if (!status)
        status = engine_load(engine, 0);
    if (!status && prefill->tokenizer)
        status = model_tokenizer_join(prefill->tokenizer, engine);
    if (status)
        return status;
    return promptset_build(set, prefill->tokenizer, engine->config.vocab_size, -1,
                           engine->config.max_position, 0, &prefill->prompts);
}

static struct tensor_states states_of(const pp_model_config *config)
{
    if (config->n_linear_layers == 0)
        return (struct tensor_states){0};
    return (struct tensor_states){
        .heads = config->linear_value_heads,
        .key_dim = config->linear_key_dim,
        .value_dim = config->linear_value_dim,
        .rows = config->linear_kernel - 1,
        .channels = 2 * config->linear_key_heads * config->linear_key_dim +
                    config->linear_value_heads * config->linear_value_dim,
    };
}

static int read_layers(struct prefill *prefill)
{
    pp_error err = {.struct_size = sizeof err};
    const int32_t n = prefill->engine.config.n_layers;
    prefill->layers = calloc((size_t)n, sizeof *prefill->layers);
    if (!prefill->layers)
        return fail_memory();
    for (int32_t i = 0; i < n; i++) {
        prefill->layers[i].struct_size = sizeof *prefill->layers;
        if (pp_model_get_layer(prefill->engine.model, i, &prefill->layers[i], &err) < 0)
            return fail_library(&err);
        const int64_t token = (int64_t)prefill->layers[i].n_kv_heads * prefill->layers[i].head_dim;
        if (prefill->piece_elements < token)
            prefill->piece_elements = token;
    }
    prefill->states = states_of(&prefill->engine.config);
    for (int which = 0; which < 2; which++)
        if (prefill->piece_elements < tensor_state_size(&prefill->states, which))
            prefill->piece_elements = tensor_state_size(&prefill->states, which);
    if (prefill->piece_elements < PIECE_BYTES / (int64_t)sizeof(float))
        prefill->piece_elements = PIECE_BYTES / (int64_t)sizeof(float);
    return STATUS_OK;
}

static int take_memory(struct prefill *prefill)
{
    const size_t n = (size_t)prefill->options->batch_size;
    const size_t most = n < prefill->prompts.n ? n : prefill->prompts.n;
    prefill->items = calloc(most, sizeof *prefill->items);
    prefill->piece = prefill->options->kv
                         ? calloc((size_t)prefill->piece_elements, sizeof *prefill->piece)
                         : NULL;
    const bool has_piece = prefill->piece || !prefill->options->kv;
    return prefill->items && has_piece ? STATUS_OK : fail_memory();
}

static int open_file(struct prefill *prefill)
{
    const struct prefill_options *options = prefill->options;
    const struct tensor_plan plan = {
        .prompts = prefill->prompts.prompts,
        .n_prompts = prefill->prompts.n,
        .vocab_size = prefill->engine.config.vocab_size,
        .layers = prefill->layers,
        .n_layers = options->kv ? prefill->engine.config.n_layers : 0,
        .states = prefill->states,
        .model = prefill->engine.name,
        .dtype = pp_dtype_name(prefill->info.dtype),
        .device = prefill->info.device,
    };
    return tensor_out_open(options->out, options->force, &plan, &prefill->out);
}

/* A pp_logits_fn: the rows of last tokens, to their places. */
static int32_t take_logits(void *user, const pp_logits *piece)
{
    struct prefill *prefill = user;
    prefill->write_status =
        tensor_out_logits(&prefill->out, prefill->first + (size_t)piece->i_item, piece->logits);
    return prefill->write_status;
}

/* A linear layer's. */
static int write_state(struct prefill *prefill, size_t i, int32_t layer, int which)
{
    pp_error err = {.struct_size = sizeof err};
    const size_t bytes =
        (size_t)tensor_state_size(&prefill->states, which) * sizeof *prefill->piece;
    if (pp_kvcache_read_state(prefill->items[i].cache, layer,
                              which ? PP_STATE_CONV : PP_STATE_RECURRENT, prefill->piece, bytes,
                              &err) < 0)
        return fail_library(&err);
    return interrupt_requested()
               ? fail_interrupted()
               : tensor_out_state(&prefill->out, prefill->first + i, layer, which, prefill->piece);
}

/* That of one that attends. */
static int write_layer(struct prefill *prefill, size_t i, int32_t layer, int which)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_item *item = &prefill->items[i];
    const pp_layer_config *shape = &prefill->layers[layer];
    const int64_t token = (int64_t)shape->n_kv_heads * shape->head_dim;
    const int64_t most = prefill->piece_elements / token;
    int status = STATUS_OK;
    for (int64_t t = 0; t < item->n_tokens && !status; t += most) {
        const int64_t n = item->n_tokens - t < most ? item->n_tokens - t : most;
        if (pp_kvcache_read(item->cache, layer, which ? PP_KV_V : PP_KV_K, PP_KV_NHD, PP_DTYPE_F32,
                            t, n, prefill->piece, (size_t)(n * token) * sizeof *prefill->piece,
                            &err) < 0)
            return fail_library(&err);
        status = interrupt_requested() ? fail_interrupted()
                                       : tensor_out_kv(&prefill->out, prefill->first + i, layer,
                                                       which, t, n, prefill->piece);
    }
    return status;
}

static int write_cache(struct prefill *prefill, size_t i)
{
    int status = STATUS_OK;
    for (int32_t layer = 0; layer < prefill->out.plan.n_layers; layer++)
        for (int which = 0; which < 2 && !status; which++)
            status = prefill->layers[layer].kind == PP_LAYER_LINEAR
                         ? write_state(prefill, i, layer, which)
                         : write_layer(prefill, i, layer, which);
    return status;
}

static int fail_run(const struct prefill *prefill, const pp_error *err)
{
    if (prefill->write_status)
        return prefill->write_status;
    return err->index < 0
               ? fail_library(err)
               : dataset_fail_library(&prefill->dataset, prefill->first + (size_t)err->index, err);
}

static int run_items(struct prefill *prefill, size_t n)
{
    pp_error err = {.struct_size = sizeof err, .index = -1};
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.sink = take_logits;
    params.sink_user = prefill;
    params.cancel = interrupt_token();
    const double start = seconds_now();
    const pp_status done =
        packed_run(prefill->session, prefill->packer, prefill->items, (int64_t)n, &params, &err);
    prefill->run_seconds += seconds_now() - start;
    return done < 0 ? fail_run(prefill, &err) : STATUS_OK;
}

/* Prompts first .. first + n - 1; no cache is left. */
static int run_batch(struct prefill *prefill, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const pp_prompt *prompt = &prefill->prompts.prompts[prefill->first + i];
        prefill->items[i] = (pp_item){.struct_size = sizeof(pp_item),
                                      .output = PP_OUTPUT_LAST_LOGITS,
                                      .tokens = prompt->tokens,
                                      .n_tokens = prompt->n_tokens};
    }
    int status = run_items(prefill, n);
    for (size_t i = 0; i < n; i++) {
        if (!status)
            status = write_cache(prefill, i);
        pp_kvcache_destroy(prefill->items[i].cache);
        progress_step(&prefill->progress);
    }
    return status;
}

static int run_all(struct prefill *prefill)
{
    const size_t n = prefill->prompts.n, batch_size = (size_t)prefill->options->batch_size;
    int status = STATUS_OK;
    const double start = seconds_now();
    progress_start(&prefill->progress, "prefilling", (int64_t)n);
    for (; prefill->first < n && !status; prefill->first += batch_size) {
        const size_t left = n - prefill->first;
        status = run_batch(prefill, left < batch_size ? left : batch_size);
    }
    progress_clear(&prefill->progress);
    prefill->seconds = seconds_now() - start;
    if (!status && interrupt_requested())
        status = fail_interrupted();
    return status ? status : tensor_out_finish(&prefill->out);
}

static int run(struct prefill *prefill)
{
    const struct prefill_options *options = prefill->options;
    prefill->engine.keep_windows = options->kv;
    int status = read_layers(prefill);
    if (!status)
        status = take_memory(prefill);
    if (!status)
        status = packer_open(&options->packing, &prefill->packer);
    if (!status)
        status = engine_session_open(&prefill->engine, &options->device, 0, &prefill->session);
    if (!status)
        status = engine_session_info(prefill->session, &prefill->info);
    if (!status)
        status = open_file(prefill);
    if (!status)
        status = run_all(prefill);
    return status ? status : engine_session_info(prefill->session, &prefill->info);
}

static json_t *figures_json(const struct prefill *prefill)
{
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(prefill->engine.name));
    json_put(&json, "out", json_lenient(prefill->options->out));
    json_put_device(&json, &prefill->info);
    json_put_count(&json, "prompts", (int64_t)prefill->prompts.n);
    json_put_count(&json, "tokens", prefill->prompts.n_tokens);
    json_put_count(&json, "vocab_size", prefill->engine.config.vocab_size);
    json_put_count(&json, "layers", prefill->engine.config.n_layers);
    json_put(&json, "kv", json_boolean(prefill->options->kv));
    json_put_count(&json, "file_bytes", prefill->out.file_bytes);
    json_put_count(&json, "peak_session_bytes", prefill->info.peak_memory_bytes);
    json_put(&json, "seconds", json_real(prefill->seconds));
    json_put(&json, "run_seconds", json_real(prefill->run_seconds));
    return json;
}

static int print_figures(struct prefill *prefill)
{
    FILE *text = prefill->outputs.text;
    char device[160];
    describe_session(&prefill->info, device, sizeof device);
    fprintf(text,
            "%s: %.1f MB, logits%s of %zu prompt%s of %" PRId64 " tokens; %.3f s, %.3f s of them "
            "forward passes\non %s\n",
            prefill->options->out, (double)prefill->out.file_bytes / 1e6,
            prefill->options->kv ? ", keys and values" : "", prefill->prompts.n,
            prefill->prompts.n == 1 ? "" : "s", prefill->prompts.n_tokens, prefill->seconds,
            prefill->run_seconds, device);
    return prefill->outputs.json ? outputs_write_json(&prefill->outputs, figures_json(prefill))
                                 : STATUS_OK;
}

int run_prefill(const void *line)
{
    const struct prefill_options *options = line;
    struct prefill prefill = {.options = options, .out.file.fd = -1};
    int status = partial_file_check(options->out, options->force);
    if (!status)
        status = outputs_open(options->json, &prefill.outputs);
    if (!status)
        status = open_data(&prefill);
    if (!status)
        status = run(&prefill);
    if (!status)
        status = print_figures(&prefill);
    tensor_out_close(&prefill.out);
    engine_session_close(prefill.session);
    pp_packer_destroy(prefill.packer);
    free(prefill.items);
    free(prefill.piece);
    free(prefill.layers);
    promptset_free(&prefill.prompts);
    dataset_free(&prefill.dataset);
    tokenizer_close(prefill.tokenizer);
    engine_close(&prefill.engine);
    outputs_close(&prefill.outputs);
    return status;
}
