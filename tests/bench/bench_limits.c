/*
 * bench_limits.c: bins under a limit on the number of their prompts: first-fit decreasing as it is,
 * the planner, the lower bound, and the time the planner takes.
 *
 *     bench_limits CAPACITY N FILE...      FILE: lengths to draw N from, one a line
 */
#include "support/flat_params.h"
#include "length_list.h"

#include <prepack/prepack.h>

static int64_t *draw(const char *path, int64_t capacity, size_t n)
{
    struct rng rng = {41};
    struct length_list list = read_lengths(path);
    int64_t *lengths = malloc(n * sizeof *lengths);
    for (size_t i = 0; lengths && i < n; i++) {
        lengths[i] = draw_length(&rng, &list);
        if (lengths[i] > capacity)
            lengths[i] = capacity;
    }
    free(list.lengths);
    if (!lengths)
        exit(1);
    return lengths;
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* First-fit decreasing, bin after bin; lengths are sorted, longest first. */
static int64_t plain_ffd(const int64_t *lengths, size_t n, int64_t capacity, int64_t max_prompts)
{
    char *placed = calloc(n, 1);
    int64_t n_bins = 0;
    size_t first = 0;
    while (placed && first < n) {
        int64_t room = capacity, places = max_prompts;
        for (size_t i = first; i < n && places > 0; i++)
            if (!placed[i] && lengths[i] <= room) {
                placed[i] = 1;
                room -= lengths[i];
                places--;
            }
        while (first < n && placed[first])
            first++;
        n_bins++;
    }
    free(placed);
    return n_bins;
}

static void measure(const char *path, const int64_t *lengths, size_t n, int64_t capacity,
                    int64_t max_prompts)
{
    struct flat_params params;
    flat_init(&params);
    params.capacity = capacity;
    params.max_prompts = max_prompts;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;
    pp_error err = {.struct_size = sizeof err};
    if (flat_create(&params, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, n, &plan, &err) < 0) {
        fprintf(stderr, "bench_limits: %s\n", err.message);
        exit(1);
    }
    pp_plan_info info = {.struct_size = sizeof info};
    pp_plan_get_info(plan, &info, NULL);
    printf("%-40s %8zu %6" PRId64 " %6" PRId64 "  %8" PRId64 " %8" PRId64 " %8" PRId64
           " %9.2f ms\n",
           path, n, capacity, max_prompts, plain_ffd(lengths, n, capacity, max_prompts),
           info.n_bins, info.lower_bound, info.seconds * 1e3);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}

int main(int argc, char **argv)
{
    static const int64_t limits[] = {2, 4, 8, 16, 32, 64};
    if (argc < 4) {
        fprintf(stderr, "usage: bench_limits CAPACITY N FILE...\n");
        return argc == 1 ? 0 : 1; /* nothing to draw from */
    }
    int64_t capacity = strtoll(argv[1], NULL, 10);
    size_t n = (size_t)strtoull(argv[2], NULL, 10);
    if (capacity < 1 || n < 1)
        return 1;
    printf("lengths                                         n    cap.  limit       FFD     plan    "
           "bound      time\n");
    for (int i = 3; i < argc; i++) {
        int64_t *lengths = draw(argv[i], capacity, n);
        qsort(lengths, n, sizeof *lengths, descending);
        for (size_t j = 0; j < sizeof limits / sizeof *limits; j++)
            measure(argv[i], lengths, n, capacity, limits[j]);
        free(lengths);
    }
    return 0;
}
