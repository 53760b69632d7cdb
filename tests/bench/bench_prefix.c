/*
 * bench_prefix.c: what sharing prefixes saves on real prompts, and how long finding them takes.
 *
 *     bench_prefix [CAPACITY FILE...]
 *
 * FILE: one prompt a line, its token ids in decimal with blanks between them. Without files:
 * 100,000 generated prompts with one header of 500 tokens, and 14,000 with 57 headers of some
 * hundred tokens, the shape of few-shot MMLU.
 */
#include "support/flat_params.h"
#include "support/rng.h"

#include <prepack/prepack.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_RUNS 3

static struct rng rng = {43};

static void *grow(void *memory, size_t bytes)
{
    memory = realloc(memory, bytes);
    if (!memory && bytes > 0) {
        fprintf(stderr, "bench_prefix: out of memory\n");
        exit(1);
    }
    return memory;
}

/* Prompts whose tokens lie one after another. */
struct batch {
    int32_t *tokens;
    size_t n_tokens, room_tokens;
    pp_prompt *prompts; /* tokens is set when the batch is complete */
    size_t n, room;
};

static void add_token(struct batch *batch, int32_t token)
{
    if (batch->n_tokens == batch->room_tokens) {
        batch->room_tokens = 2 * batch->room_tokens + 4096;
        batch->tokens = grow(batch->tokens, batch->room_tokens * sizeof *batch->tokens);
    }
    batch->tokens[batch->n_tokens++] = token;
}

/* The tokens since the last prompt's end are a prompt. */
static void end_prompt(struct batch *batch, size_t first_token)
{
    if (batch->n_tokens == first_token)
        return;
    if (batch->n == batch->room) {
        batch->room = 2 * batch->room + 1024;
        batch->prompts = grow(batch->prompts, batch->room * sizeof *batch->prompts);
    }
    batch->prompts[batch->n++] = (pp_prompt){.n_tokens = (int64_t)(batch->n_tokens - first_token)};
}

static void complete(struct batch *batch)
{
    size_t first_token = 0;
    for (size_t i = 0; i < batch->n; i++) {
        batch->prompts[i].tokens = batch->tokens + first_token;
        first_token += (size_t)batch->prompts[i].n_tokens;
    }
}

static void read_batch(struct batch *batch, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t first_token = 0;
    int c = ' ';
    while (c != EOF) {
        c = getc(file);
        if (c != EOF && isdigit(c)) {
            long token = 0;
            for (; c != EOF && isdigit(c); c = getc(file))
                token = token * 10 + (c - '0');
            add_token(batch, (int32_t)token);
        }
        if (c == '\n' || c == EOF) {
            end_prompt(batch, first_token);
            first_token = batch->n_tokens;
        }
    }
    fclose(file);
    complete(batch);
}

/* n prompts, each one of n_headers headers and a question of 20 to 180 tokens. */
static void draw_batch(struct batch *batch, size_t n, size_t n_headers, size_t header_tokens)
{
    for (size_t i = 0; i < n; i++) {
        size_t first_token = batch->n_tokens;
        uint64_t header = rng_next(&rng) % n_headers;
        size_t length =
            n_headers == 1 ? header_tokens : header_tokens / 2 + header * 37 % header_tokens;
        for (size_t j = 0; j < length; j++)
            add_token(batch, (int32_t)((header * 7919 + j * j) % 32000));
        length = 20 + rng_next(&rng) % 161;
        for (size_t j = 0; j < length; j++)
            add_token(batch, (int32_t)(rng_next(&rng) % 32000));
        end_prompt(batch, first_token);
    }
    complete(batch);
}

/* The best time of several runs; *info: of the last. */
static double plan(const struct batch *batch, int64_t capacity, int share, pp_plan_info *info)
{
    struct flat_params params;
    flat_init(&params);
    params.capacity = capacity;
    params.min_shared_prefix = share ? 16 : 0;
    params.oversize = PP_OVERSIZE_SPLIT;
    int64_t *lengths = grow(NULL, batch->n * sizeof *lengths + 1);
    for (size_t i = 0; i < batch->n; i++)
        lengths[i] = batch->prompts[i].n_tokens;
    pp_plan_input input = {.struct_size = sizeof input,
                           .n = (int64_t)batch->n,
                           .lengths = lengths,
                           .prompts = batch->prompts};
    double best = 1e30;
    for (int run = 0; run < N_RUNS; run++) {
        pp_error err = {.struct_size = sizeof err};
        pp_packer *packer = NULL;
        pp_plan *made = NULL;
        if (flat_create(&params, &packer, &err) < 0 ||
            pp_packer_plan_input(packer, &input, &made, &err) < 0) {
            fprintf(stderr, "bench_prefix: %s\n", err.message);
            exit(1);
        }
        info->struct_size = sizeof *info;
        pp_plan_get_info(made, info, NULL);
        best = info->seconds < best ? info->seconds : best;
        pp_plan_destroy(made);
        pp_packer_destroy(packer);
    }
    free(lengths);
    return best;
}

static void report(const char *name, const struct batch *batch, int64_t capacity)
{
    pp_plan_info with, without;
    double seconds = plan(batch, capacity, 1, &with);
    plan(batch, capacity, 0, &without);
    int64_t saved = with.tokens - with.placed_tokens;
    printf("%-28s %7" PRId64 " %10" PRId64 " %10" PRId64 " %5.1f %% %8" PRId64 " %7" PRId64
           " %7" PRId64 " %7" PRId64 " %8.1f\n",
           name, with.n_prompts, with.tokens, with.placed_tokens,
           with.tokens > 0 ? 100.0 * (double)saved / (double)with.tokens : 0.0, with.n_segments,
           without.n_bins, with.n_bins, with.lower_bound, 1e3 * seconds);
    fflush(stdout);
}

static void release(struct batch *batch)
{
    free(batch->tokens);
    free(batch->prompts);
    *batch = (struct batch){0};
}

int main(int argc, char **argv)
{
    printf("%-28s %7s %10s %10s %7s %8s %7s %7s %7s %8s\n", "prompts of", "prompts", "tokens",
           "placed", "saved", "segments", "whole", "bins", "bound", "ms");
    struct batch batch = {0};
    if (argc < 3) {
        draw_batch(&batch, 100000, 1, 500);
        report("one header of 500", &batch, 2048);
        release(&batch);
        draw_batch(&batch, 14000, 57, 700);
        report("57 headers of 350 to 1050", &batch, 2048);
        release(&batch);
        return 0;
    }
    int64_t capacity = atoll(argv[1]);
    for (int i = 2; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        read_batch(&batch, argv[i]);
        report(slash ? slash + 1 : argv[i], &batch, capacity);
        release(&batch);
    }
    return 0;
}
