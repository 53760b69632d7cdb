/* needs.c: sums what the library foretells of a run's steps, and adds what a session holds beside
 * them. */
#include "needs.h"
#include "engine.h"
#include "say.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* KV pages at the most while a step runs: those behind the windows of layers go back only after the
 * pass that fills them. */
static int64_t held_bytes(const pp_session_info *info, int64_t kv_bytes, int64_t tokens,
                          int64_t pages, int64_t n_prompts)
{
    int64_t windowed = 0;
    for (int32_t c = 0; c < info->n_page_classes; c++)
        if (info->class_windows[c] > 0 && !info->keep_window_pages)
            windowed += info->class_page_bytes[c];
    const int64_t of_pass = smaller(tokens, info->max_pass_tokens) / info->page_tokens;
    return smaller(pages * info->page_bytes, kv_bytes + (of_pass + 2 * n_prompts) * windowed);
}

/* Tokens that a plan computes: less those that prefixes share. */
static int64_t placed_tokens(const pp_plan *plan, int64_t tokens)
{
    pp_plan_info info = {.struct_size = sizeof info};
    return plan && pp_plan_get_info(plan, &info, NULL) >= 0 ? info.placed_tokens : tokens;
}

int needs_add_step(struct needs *needs, const pp_session_info *info, const pp_cost_model *cost,
                   const pp_plan *plan, const int64_t *lengths, size_t n)
{
    pp_error err = {.struct_size = sizeof err};
    pp_prediction step = {.struct_size = sizeof step};
    int64_t tokens = 0, pages = 0;
    if (pp_run_predict(info, cost, plan, lengths, (int64_t)n, &step, &err) < 0)
        return fail_library(&err);
    for (size_t i = 0; i < n; i++) {
        tokens += lengths[i];
        pages += (lengths[i] + info->page_tokens - 1) / info->page_tokens;
        needs->longest = larger(needs->longest, lengths[i]);
    }
    tokens = placed_tokens(plan, tokens);
    needs->steps++;
    needs->tokens += tokens;
    needs->passes += step.passes;
    needs->seconds += step.seconds;
    needs->kv_bytes += step.kv_bytes;
    needs->most_tokens = larger(needs->most_tokens, tokens);
    needs->most_passes = larger(needs->most_passes, step.passes);
    needs->most_kv_bytes = larger(needs->most_kv_bytes, step.kv_bytes);
    needs->most_held_bytes =
        larger(needs->most_held_bytes,
               held_bytes(info, step.kv_bytes, tokens, pages, (int64_t)n) + step.state_bytes);
    needs->most_pages = larger(needs->most_pages, pages);
    needs->most_prompts = larger(needs->most_prompts, (int64_t)n);
    return STATUS_OK;
}

/* ---- memory ---- */

static bool rotate_alike(const pp_layer_config *a, const pp_layer_config *b)
{
    return a->rope_type == b->rope_type && a->rotary_dim == b->rotary_dim &&
           a->rope_theta == b->rope_theta && a->rope_factor == b->rope_factor;
}

/* Bytes of a position's angles: layers that rotate alike share them. *by_length: whether they
 * depend on the length of the prompt. */
static int64_t position_bytes(const pp_model *model, int32_t n_layers, bool *by_length)
{
    enum { MAX_KINDS = 16 };
    pp_layer_config kinds[MAX_KINDS];
    int n_kinds = 0;
    int64_t bytes = sizeof(float); /* a scale of the queries, where there is one */
    *by_length = false;
    for (int32_t i = 0; i < n_layers; i++) {
        pp_layer_config layer = {.struct_size = sizeof layer};
        int k = 0;
        if (pp_model_get_layer(model, i, &layer, NULL) < 0 || layer.rope_type == PP_ROPE_NONE)
            continue;
        while (k < n_kinds && !rotate_alike(&kinds[k], &layer))
            k++;
        *by_length |= layer.rope_type == PP_ROPE_LONGROPE || layer.rope_type == PP_ROPE_DYNAMIC;
        if (k < n_kinds || n_kinds == MAX_KINDS)
            continue;
        kinds[n_kinds++] = layer;
        bytes += layer.rotary_dim * (int64_t)sizeof(float);
    }
    return bytes;
}

/* Rotary angles, at most: a table that doubles as prompts need it, and the one it replaces. Where
 * they depend on a prompt's length, each prompt of a step may have some of its own. */
static int64_t angle_bytes(const struct needs *needs, const pp_model *model)
{
    enum { FIRST_TABLE = 1024 };
    bool by_length;
    pp_model_config config = {.struct_size = sizeof config};
    if (pp_model_get_config(model, &config, NULL) < 0)
        return 0;
    const int64_t all = config.max_position;
    int64_t positions = smaller(FIRST_TABLE, all);
    if (needs->longest > FIRST_TABLE)
        positions = smaller(needs->longest, all) + smaller(2 * needs->longest, all);
    const int64_t bytes = position_bytes(model, config.n_layers, &by_length);
    return (by_length ? 2 * (positions + needs->most_tokens) : positions) * bytes;
}

/* Room enough for the lists that a session keeps of caches and pages. */
static int64_t list_bytes(const struct needs *needs, const pp_session_info *info)
{
    return 512 * needs->most_prompts + 96 * needs->most_pages * info->n_page_classes;
}

struct needed_memory needs_memory(const struct needs *needs, const pp_session_info *info,
                                  const pp_model *model)
{
    const int64_t angles = angle_bytes(needs, model);
    const int64_t host = angles + list_bytes(needs, info); /* angles are made on the host */
    struct needed_memory memory = {.kv = needs->most_kv_bytes};
    memory.device = info->memory_bytes + needs->most_held_bytes + angles;
    if (is_on_gpu(info))
        memory.host = info->host_bytes + host;
    else
        memory.device += host;
    return memory;
}
