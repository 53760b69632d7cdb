/*
 * planner_only.c: lengths in, bins out; no model, no GPU.
 *
 *     planner_only                         a small example
 *     planner_only 2048 700 1200 90 ...    capacity, then the lengths of the prompts
 */
#include <prepack/prepack.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDTH 64 /* characters of a full bin */

/* One bin as a line: a letter for each prompt, as wide as its share; dots are unused. */
static void draw_bin(const int64_t *lengths, const int32_t *prompts, int64_t n_prompts,
                     int64_t capacity)
{
    int64_t filled = 0;
    int64_t column = 0;
    for (int64_t i = 0; i < n_prompts; i++) {
        filled += lengths[prompts[i]];
        while (column < (int64_t)((double)filled / (double)capacity * WIDTH)) {
            putchar('a' + prompts[i] % 26);
            column++;
        }
    }
    while (column++ < WIDTH)
        putchar('.');
}

int main(int argc, char **argv)
{
    static int64_t example[] = {93, 14, 170, 41, 41, 28, 250, 66, 9, 120, 35, 77, 18, 203, 52};
    int64_t *lengths = example;
    size_t n = sizeof example / sizeof *example;
    pp_packer_params params;
    pp_packer_params_init(&params, sizeof params);
    if (argc > 1) {
        params.capacity = strtoll(argv[1], NULL, 10);
        n = (size_t)(argc - 2);
        lengths = malloc((n + 1) * sizeof *lengths);
        for (size_t i = 0; lengths && i < n; i++)
            lengths[i] = strtoll(argv[i + 2], NULL, 10);
    }

    pp_error err = {.struct_size = sizeof err};
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    if (pp_packer_create(&params, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, n, &plan, &err) < 0) {
        fprintf(stderr, "planner_only: %s\n", err.message);
        goto done;
    }

    pp_plan_info info = {.struct_size = sizeof info};
    pp_plan_get_info(plan, &info, NULL);
    for (int64_t bin = 0; bin < info.n_bins; bin++) {
        const int32_t *prompts;
        int64_t n_prompts, tokens;
        pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, NULL);
        printf("bin %3" PRId64 "  ", bin);
        draw_bin(lengths, prompts, n_prompts, info.capacity);
        printf("  %" PRId64 " prompts, %" PRId64 " tokens\n", n_prompts, tokens);
    }
    printf("%" PRId64 " prompts of %" PRId64 " tokens in %" PRId64 " bins of %" PRId64
           ": %.1f %% waste, at least %" PRId64 " bins needed%s\n",
           info.n_prompts, info.tokens, info.n_bins, info.capacity, 100 * info.waste,
           info.lower_bound, info.proven_optimal ? ", so this is optimal" : "");
done:
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    if (lengths != example)
        free(lengths);
    return err.code < 0;
}
