/*
 * test_schedule.c: how runs are cut into passes: every token once and in order, no pass too full,
 * cuts at multiples of the chunk, bins whole where they fit, no pass announced twice or empty.
 */
#include "run/schedule.h"
#include "support/rng.h"
#include "support/tap.h"

#include <prepack/prepack.h>

#include <check.h>

#define MAX_ITEMS 40

static void check_schedule(struct ppi_schedule schedule, int64_t n)
{
    int64_t done[MAX_ITEMS] = {0}, rows = 0, chunk = schedule.chunk_tokens;
    int64_t cut_item = -1; /* was cut by the end of the pass */
    struct ppi_piece piece;
    enum ppi_step step;
    while ((step = ppi_schedule_next(&schedule, &piece)) != PPI_STEP_DONE) {
        if (step == PPI_STEP_PASS) {
            ck_assert_int_gt(rows, 0);
            rows = 0;
            continue;
        }
        int64_t item = piece.i_item, first = schedule.begins ? schedule.begins[item] : 0;
        ck_assert_int_ge(piece.n_tokens, 1);
        ck_assert_int_eq(piece.begin, first + done[item]);
        if (cut_item >= 0) /* what was cut goes on before anything else */
            ck_assert_int_eq(item, cut_item);
        done[item] += piece.n_tokens;
        rows += piece.n_tokens;
        ck_assert_int_le(rows, schedule.max_pass_tokens);
        ck_assert_int_eq(piece.is_last, done[item] == schedule.lengths[item]);
        if (!piece.is_last)
            ck_assert_int_eq((piece.begin + piece.n_tokens) % chunk, 0);
        cut_item = piece.is_last ? -1 : item;
    }
    ck_assert_int_eq(rows, 0); /* the last pass was announced */
    for (int64_t i = 0; i < n; i++)
        ck_assert_int_eq(done[i], schedule.lengths[i]);
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
        struct ppi_schedule schedule = {.max_pass_tokens = 64 * rng_between(&rng, 1, 5),
                                        .chunk_tokens = 64,
                                        .n_items = n,
                                        .begins = rng_between(&rng, 0, 1) ? begins : NULL,
                                        .lengths = lengths};
        check_schedule(schedule, n);
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
    struct ppi_schedule schedule = {
        .max_pass_tokens = 64, .chunk_tokens = 64, .plan = plan, .lengths = lengths};
    check_schedule(schedule, 4);
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
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");
    tcase_add_test(tcase, every_token_once);
    tcase_add_test(tcase, bins_stay_whole);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
