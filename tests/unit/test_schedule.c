/*
 * test_schedule.c: how runs are cut into passes: every token once and in order, no pass too full,
 * cuts at multiples of the chunk, bins whole where they fit, no pass announced twice or empty, what
 * continues a prefix behind it.
 */
#include "run/schedule.h"
#include "support/rng.h"
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>

#define MAX_ITEMS 40

static struct ppi_mem mem;

static struct ppi_stretches stretches_of(const pp_plan *plan, const int64_t *begins,
                                         const int64_t *lengths, int64_t n)
{
    struct ppi_stretches stretches = {0};
    ck_assert_int_eq(ppi_stretches_of_plan(&stretches, plan, begins, lengths, n, &mem, NULL),
                     PP_OK);
    return stretches;
}

static void check_schedule(struct ppi_schedule schedule)
{
    const struct ppi_stretches *stretches = schedule.stretches;
    int64_t done[MAX_ITEMS * 4] = {0}, rows = 0, chunk = schedule.chunk_tokens;
    int64_t cut = -1;       /* was cut by the end of the pass */
    int64_t n_complete = 0; /* stretches, before this pass */
    struct ppi_piece piece;
    enum ppi_step step;
    while ((step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE) {
        if (step == PPI_STEP_PASS) {
            ck_assert_int_gt(rows, 0);
            rows = 0;
            while (n_complete < stretches->n &&
                   done[n_complete] ==
                       stretches->all[n_complete].end - stretches->all[n_complete].begin)
                n_complete++;
            continue;
        }
        int64_t i = piece.i_stretch;
        const struct ppi_stretch *stretch = &stretches->all[i];
        ck_assert_int_ge(piece.n_tokens, 1);
        ck_assert_int_eq(piece.begin, stretch->begin + done[i]);
        ck_assert_int_lt(stretch->after, n_complete); /* what it continues has run */
        if (cut >= 0) /* what was cut goes on before anything else */
            ck_assert_int_eq(i, cut);
        done[i] += piece.n_tokens;
        rows += piece.n_tokens;
        ck_assert_int_le(rows, schedule.max_pass_tokens);
        ck_assert_int_eq(piece.is_last, stretch->begin + done[i] == stretch->end);
        if (!piece.is_last)
            ck_assert_int_eq((piece.begin + piece.n_tokens) % chunk, 0);
        cut = piece.is_last ? -1 : i;
    }
    ck_assert_int_eq(rows, 0); /* the last pass was announced */
    for (int64_t i = 0; i < stretches->n; i++)
        ck_assert_int_eq(stretches->all[i].begin + done[i], stretches->all[i].end);
    ck_assert_int_eq(ppi_schedule_next(&schedule, &piece), PPI_STEP_DONE);
}

START_TEST(every_token_once)
{
    struct rng rng = rng_seeded(5);
    for (int round = 0; round < 3000; round++) {
        int64_t n = rng_between(&rng, 0, MAX_ITEMS), lengths[MAX_ITEMS], begins[MAX_ITEMS];
        int64_t longest = rng_between(&rng, 0, 1) ? 40 : 700;
        for (int64_t i = 0; i < n; i++) {
            lengths[i] = rng_between(&rng, 1, longest);
            begins[i] = rng_between(&rng, 0, 2) ? 0 : rng_between(&rng, 0, 500);
        }
        struct ppi_stretches stretches =
            stretches_of(NULL, rng_between(&rng, 0, 1) ? begins : NULL, lengths, n);
        struct ppi_schedule schedule = {.max_pass_tokens = 64 * rng_between(&rng, 1, 5),
                                        .chunk_tokens = 64,
                                        .stretches = &stretches};
        check_schedule(schedule);
        ppi_stretches_free(&stretches, &mem);
    }
}
END_TEST

START_TEST(bins_stay_whole)
{
    /* two bins of 50 + 10 and 40 + 20 tokens in passes of 64, though 60 + 4 would fit */
    static const int64_t lengths[] = {50, 40, 20, 10};
    pp_packer_params params;
    pp_packer *packer;
    pp_plan *plan;
    pp_packer_params_init(&params, sizeof params);
    params.capacity = 60;
    ck_assert_int_eq(pp_packer_create(&params, &packer, NULL), PP_OK);
    ck_assert_int_eq(pp_packer_plan(packer, lengths, 4, &plan, NULL), PP_OK);
    struct ppi_stretches stretches = stretches_of(plan, NULL, lengths, 4);
    struct ppi_schedule schedule = {
        .max_pass_tokens = 64, .chunk_tokens = 64, .stretches = &stretches};
    check_schedule(schedule);
    struct ppi_piece piece;
    int64_t tokens = 0, n_passes = 0;
    for (enum ppi_step step; (step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE;) {
        if (step == PPI_STEP_PASS) {
            ck_assert_int_eq(tokens, 60);
            tokens = 0;
            n_passes++;
        } else {
            tokens += piece.n_tokens;
        }
    }
    ck_assert_int_eq(n_passes, 2);
    ppi_stretches_free(&stretches, &mem);
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}
END_TEST

/* Every prompt's tokens lie on its chain of stretches, whose items are the lowest that share them,
 * and sharers stand next to each other. */
static void check_chains(const struct ppi_stretches *stretches, const pp_prompt *prompts)
{
    for (int64_t i = 0; i < stretches->n_items; i++) {
        int64_t end = prompts[i].n_tokens;
        for (int64_t p = stretches->ends[i]; p != PPI_NO_STRETCH; p = stretches->all[p].after) {
            const struct ppi_stretch *stretch = &stretches->all[p];
            int64_t lowest = INT64_MAX, n_found = 0;
            ck_assert_int_eq(stretch->end, end);
            ck_assert_int_lt(stretch->begin, end);
            ck_assert_mem_eq(prompts[i].tokens + stretch->begin,
                             prompts[stretch->i_item].tokens + stretch->begin,
                             (size_t)(end - stretch->begin) * sizeof(int32_t));
            for (int64_t j = 0; j < stretch->n_sharers; j++) {
                int64_t sharer = stretches->sharers[stretch->first_sharer + j];
                lowest = sharer < lowest ? sharer : lowest;
                n_found += sharer == i;
            }
            ck_assert_int_eq(lowest, stretch->i_item);
            ck_assert_int_eq(n_found, 1);
            end = stretch->begin;
        }
        ck_assert_int_eq(end, 0);
    }
}

/* Prompts made of few tokens, so that they share much; longer than a prefix's least length. */
START_TEST(prefixes_once)
{
    struct rng rng = rng_seeded(8);
    static int32_t ids[MAX_ITEMS][60];
    for (int round = 0; round < 1000; round++) {
        int64_t n = rng_between(&rng, 1, MAX_ITEMS), lengths[MAX_ITEMS], begins[MAX_ITEMS] = {0};
        int64_t min_prefix = rng_between(&rng, 1, 9), shared = 0, placed = 0;
        pp_prompt prompts[MAX_ITEMS];
        for (int64_t i = 0; i < n; i++) {
            int64_t from = i > 0 ? rng_between(&rng, 0, i - 1) : 0, like = 0;
            lengths[i] = rng_between(&rng, 1, 60);
            if (i > 0)
                like =
                    rng_between(&rng, 0, lengths[from] < lengths[i] ? lengths[from] : lengths[i]);
            for (int64_t t = 0; t < lengths[i]; t++)
                ids[i][t] = t < like ? ids[from][t] : (int32_t)rng_between(&rng, 0, 1);
            prompts[i] = (pp_prompt){ids[i], lengths[i]};
            shared += lengths[i];
        }
        struct ppi_stretches stretches = {0};
        ck_assert_int_eq(ppi_stretches_of_prefixes(&stretches, prompts, begins, lengths, n,
                                                   min_prefix, 64, &mem, NULL),
                         PP_OK);
        check_chains(&stretches, prompts);
        for (int64_t p = 0; p < stretches.n; p++)
            placed += stretches.all[p].end - stretches.all[p].begin;
        ck_assert_int_le(placed, shared);
        struct ppi_schedule schedule = {.max_pass_tokens = 64 * rng_between(&rng, 1, 5),
                                        .chunk_tokens = 64,
                                        .stretches = &stretches};
        check_schedule(schedule);
        ppi_stretches_free(&stretches, &mem);
    }
}
END_TEST

int main(void)
{
    if (ppi_mem_init(&mem, NULL, 0, NULL) < 0)
        return 1;
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");
    tcase_add_test(tcase, every_token_once);
    tcase_add_test(tcase, bins_stay_whole);
    tcase_add_test(tcase, prefixes_once);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
