/* needs.c: counts the passes and the KV pages that pp_prefill would take. */
#include "needs.h"
#include "engine.h"
#include "say.h"

/* A session's forward pass while it fills, by the rules of pp_prefill. */
struct filling {
    const pp_session_info *info;
    int64_t rows, passes;
};

static void run_pass(struct filling *filling)
{
    filling->passes += filling->rows > 0;
    filling->rows = 0;
}

/* A bin that fits into a pass, but not into what is left of this one, starts a new one. */
static void start_bin(struct filling *filling, int64_t bin_tokens)
{
    const int64_t most = filling->info->max_pass_tokens;
    if (filling->rows + bin_tokens > most && bin_tokens <= most)
        run_pass(filling);
}

/* What does not fit is cut at multiples of the session's chunk. */
static void add_prompt(struct filling *filling, int64_t n_tokens)
{
    const int64_t chunk = filling->info->chunk_tokens;
    int64_t begin = 0;
    while (begin < n_tokens) {
        const int64_t room = filling->info->max_pass_tokens - filling->rows;
        int64_t n = n_tokens - begin;
        if (n > room)
            n = (begin + room) / chunk * chunk - begin;
        if (n > 0) {
            filling->rows += n;
            begin += n;
        } else {
            run_pass(filling);
        }
    }
}

static int fill_by_bins(struct filling *filling, const pp_plan *plan, const pp_prompt *prompts)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    for (int64_t b = 0; b < info.n_bins; b++) {
        const int32_t *members;
        int64_t n_members, bin_tokens;
        if (pp_plan_get_bin(plan, b, &members, &n_members, &bin_tokens, &err) < 0)
            return fail_library(&err);
        start_bin(filling, bin_tokens);
        for (int64_t i = 0; i < n_members; i++)
            add_prompt(filling, prompts[members[i]].n_tokens);
    }
    return STATUS_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int needs_add_step(struct needs *needs, const pp_session_info *info, const pp_plan *plan,
                   const pp_prompt *prompts, size_t n)
{
    struct filling filling = {.info = info};
    int64_t tokens = 0, pages = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t length = prompts[i].n_tokens;
        tokens += length;
        pages += (length + info->page_tokens - 1) / info->page_tokens;
        needs->longest = larger(needs->longest, length);
        if (!plan) {
            start_bin(&filling, length);
            add_prompt(&filling, length);
        }
    }
    const int status = plan ? fill_by_bins(&filling, plan, prompts) : STATUS_OK;
    run_pass(&filling);
    needs->steps++;
    needs->tokens += tokens;
    needs->passes += filling.passes;
    needs->most_tokens = larger(needs->most_tokens, tokens);
    needs->most_passes = larger(needs->most_passes, filling.passes);
    needs->most_pages = larger(needs->most_pages, pages);
    needs->most_prompts = larger(needs->most_prompts, (int64_t)n);
    return status;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rotary angles, at most: a table that doubles as prompts need it, and the one it replaces. */
static int64_t angle_bytes(const struct needs *needs, const pp_model_config *config)
{
    enum { FIRST_TABLE = 1024 };
    const int64_t all = config->max_position;
    int64_t positions = smaller(FIRST_TABLE, all);
    if (needs->longest > FIRST_TABLE)
        positions = smaller(needs->longest, all) + smaller(2 * needs->longest, all);
    return positions * config->head_dim * (int64_t)sizeof(float);
}

/* Room enough for the lists that a session keeps of caches and pages. */
static int64_t list_bytes(const struct needs *needs)
{
    return 512 * needs->most_prompts + 96 * needs->most_pages;
}

struct needed_memory needs_memory(const struct needs *needs, const pp_session_info *info,
                                  const pp_model_config *config)
{
    const int64_t angles = angle_bytes(needs, config);
    const int64_t host = angles + list_bytes(needs); /* angles are made on the host */
    struct needed_memory memory = {.kv = needs->most_pages * info->page_bytes};
    memory.device = info->memory_bytes + memory.kv + angles;
    if (is_on_gpu(info))
        memory.host = info->host_bytes + host;
    else
        memory.device += host;
    return memory;
}
