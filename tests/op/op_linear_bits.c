/*
 * op_linear_bits.c: the bits that a linear layer gives for a prompt, which may depend on its own
 * tokens only: not on cuts, company, threads, on who else goes on from a state or on whether
 * anybody wants the one behind it.
 */
#include "linear_world.h"

#include <string.h>

#define MAX_ROWS 160

static bool same_states(const struct linear_world *w, const char *a, const char *b)
{
    return memcmp(a, b, linear_state_size(w)) == 0;
}

/* A prompt in one call, for the tests to compare with. */
struct whole {
    float *rows;
    char *out, *state;
    size_t out_bytes;
};

static struct whole run_whole(const struct linear_world *w, struct rng *rng, int32_t n)
{
    struct whole whole = {.rows = linear_random_rows(rng, w->shape, n),
                          .state = linear_make_state(w)};
    size_t elements = (size_t)(n * ppi_linear_v_size(w->shape));
    whole.out_bytes = elements * w->backend->act_bytes;
    whole.out = checkop_alloc(elements, sizeof(float));
    linear_run_part(w, whole.rows, 0, n, whole.state, whole.out);
    return whole;
}

static void free_whole(struct whole *whole)
{
    free(whole->rows);
    free(whole->out);
    free(whole->state);
}

/* Any two calls, and as many calls as there are tokens, give the bits of one. */
START_TEST(cuts_change_nothing)
{
    enum { N = 67 };
    struct rng rng = rng_seeded(62);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 1; i < LINEAR_SHAPES; i++) {
        struct linear_world w = linear_make(variant, dtype, 1, &linear_shapes[i]);
        struct whole whole = run_whole(&w, &rng, N);
        char *out = checkop_alloc(whole.out_bytes, 1), *state = linear_make_state(&w);
        for (int32_t cut = 1; cut <= N; cut++) { /* N: one by one */
            memset(out, 0, whole.out_bytes);
            memset(state, 0x55, linear_state_size(&w));
            linear_run_part(&w, whole.rows, 0, cut < N ? cut : 1, state, out);
            for (int32_t at = cut < N ? cut : 1; at < N; at += cut < N ? N - cut : 1)
                linear_run_part(&w, whole.rows, at, cut < N ? N : at + 1, state, out);
            EXPECT(memcmp(out, whole.out, whole.out_bytes) == 0 &&
                       same_states(&w, state, whole.state),
                   "%s dtype %d shape %d: cut at %d, other bits", variant, dtype, (int)i, cut);
        }
        free(state);
        free(out);
        free_whole(&whole);
        linear_destroy(&w);
    }
}
END_TEST

/* Where the states behind a segment go. */
enum { IN_PLACE, ELSEWHERE, NOWHERE };

static bool same_layer(const struct linear_world *w, const char *a, const char *b)
{
    int64_t bytes = ppi_linear_state_bytes(w->shape), at = LINEAR_INDEX * bytes;
    return memcmp(a + at, b + at, (size_t)bytes) == 0;
}

/* The rest of each prompt, behind a cut of its own, in passes of several in any order. */
static void check_company(struct rng *rng, struct linear_world *w, const char *variant,
                          struct whole *prompts, const int32_t *lengths, int32_t n_prompts)
{
    int64_t row_size = ppi_linear_row(w->shape), v_size = ppi_linear_v_size(w->shape);
    struct ppi_segment segments[8] = {{0}};
    float *rows = checkop_alloc(MAX_ROWS * (size_t)row_size, sizeof *rows);
    char *out = checkop_alloc(MAX_ROWS * (size_t)v_size, sizeof(float));
    char *kept[8];
    int32_t first = (int32_t)rng_between(rng, 0, n_prompts - 1), n_rows = 0;
    for (int32_t i = 0; i < n_prompts; i++) {
        int32_t p = (first + i) % n_prompts;
        int32_t cut = (int32_t)rng_between(rng, 0, lengths[p] - 1);
        char *before = linear_make_state(w);
        if (cut > 0)
            linear_run_part(w, prompts[p].rows, 0, cut, before, out);
        int64_t way = rng_between(rng, IN_PLACE, NOWHERE);
        segments[i] = (struct ppi_segment){.row = n_rows,
                                           .n_rows = lengths[p] - cut,
                                           .position = cut,
                                           .state = way == IN_PLACE    ? before
                                                    : way == ELSEWHERE ? linear_make_state(w)
                                                                       : NULL,
                                           .state_before = before};
        kept[i] = checkop_alloc(1, linear_state_size(w));
        memcpy(kept[i], before, linear_state_size(w));
        memcpy(rows + n_rows * row_size, prompts[p].rows + cut * row_size,
               (size_t)(segments[i].n_rows * row_size) * sizeof *rows);
        n_rows += segments[i].n_rows;
    }
    linear_run(w, rows, segments, n_prompts, out);
    for (int32_t i = 0; i < n_prompts; i++) {
        int32_t p = (first + i) % n_prompts;
        size_t token = (size_t)v_size * w->backend->act_bytes;
        bool same = memcmp(out + (size_t)segments[i].row * token,
                           prompts[p].out + (size_t)segments[i].position * token,
                           (size_t)segments[i].n_rows * token) == 0;
        char *before = (char *)(uintptr_t)segments[i].state_before, *state = segments[i].state;
        same &= !state || same_layer(w, state, prompts[p].state);
        EXPECT(same, "%s shape %d: prompt %d from token %d on has other bits in company", variant,
               (int)(w->shape - linear_shapes), p, segments[i].position);
        EXPECT(state == before || same_states(w, before, kept[i]),
               "%s shape %d: the state before token %d of prompt %d was written", variant,
               (int)(w->shape - linear_shapes), segments[i].position, p);
        if (before != state)
            free(before);
        free(state);
        free(kept[i]);
    }
    free(out);
    free(rows);
}

START_TEST(company_and_threads_change_nothing)
{
    static const int32_t lengths[] = {70, 1, 17, 2, 33};
    enum { N = PPI_COUNT(lengths) };
    struct rng rng = rng_seeded(63);
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < LINEAR_SHAPES; i++) {
        struct whole prompts[N];
        struct linear_world alone = linear_make(variant, dtype, 1, &linear_shapes[i]);
        for (int p = 0; p < N; p++)
            prompts[p] = run_whole(&alone, &rng, lengths[p]);
        for (int32_t n_threads = 1; n_threads <= 3; n_threads++) {
            struct linear_world w = linear_make(variant, dtype, n_threads, &linear_shapes[i]);
            for (int round = 0; round < 3; round++)
                check_company(&rng, &w, variant, prompts, lengths, N);
            linear_destroy(&w);
        }
        for (int p = 0; p < N; p++)
            free_whole(&prompts[p]);
        linear_destroy(&alone);
    }
}
END_TEST

/* Several go on from one state, which stays; states of other layers stay too. */
START_TEST(forks_share_what_was_before)
{
    enum { CUT = 6, N = 20, FORKS = 3 };
    struct rng rng = rng_seeded(64);
    const struct ppi_linear_shape *of[] = {LINEAR_ODD_DELTA, LINEAR_ODD_MAMBA2};
    FOR_EACH_KERNEL_SET(variant, dtype)
    for (size_t i = 0; i < PPI_COUNT(of); i++) {
        struct linear_world w = linear_make(variant, dtype, 2, of[i]);
        struct whole whole = run_whole(&w, &rng, N);
        int64_t row = ppi_linear_row(w.shape);
        size_t token = (size_t)ppi_linear_v_size(w.shape) * w.backend->act_bytes;
        struct ppi_segment segments[FORKS] = {{0}};
        char *before = linear_make_state(&w), *kept = linear_make_state(&w);
        char *out = checkop_alloc(FORKS * whole.out_bytes, 1);
        float *rows = checkop_alloc((size_t)(FORKS * N * row), sizeof *rows);
        linear_run_part(&w, whole.rows, 0, CUT, before, out);
        memcpy(kept, before, linear_state_size(&w));
        for (int f = 0; f < FORKS; f++) {
            segments[f] = (struct ppi_segment){.row = f * (N - CUT),
                                               .n_rows = N - CUT,
                                               .position = CUT,
                                               .state = linear_make_state(&w),
                                               .state_before = before};
            memcpy(rows + f * (N - CUT) * row, whole.rows + CUT * row,
                   (size_t)((N - CUT) * row) * sizeof *rows);
        }
        linear_run(&w, rows, segments, FORKS, out);
        EXPECT(same_states(&w, before, kept), "%s: a state before was written", variant);
        for (int f = 0; f < FORKS; f++) {
            EXPECT(memcmp(out + (size_t)(f * (N - CUT)) * token, whole.out + CUT * token,
                          (N - CUT) * token) == 0 &&
                       same_states(&w, segments[f].state, whole.state),
                   "%s: fork %d has other bits", variant, f);
            free(segments[f].state);
        }
        free(rows);
        free(out);
        free(kept);
        free(before);
        free_whole(&whole);
        linear_destroy(&w);
    }
}
END_TEST

Suite *checkop_linear_bits_suite(void)
{
    Suite *suite = suite_create("linear_bits");
    TCase *tcase = tcase_create("linear_bits");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, cuts_change_nothing);
    tcase_add_test(tcase, company_and_threads_change_nothing);
    tcase_add_test(tcase, forks_share_what_was_before);
    suite_add_tcase(suite, tcase);
    return suite;
}
