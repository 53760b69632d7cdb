/*
 * test_attention_items.c: work lists of the attention kernels against a list made by looking at
 * every row and key: complete, sorted by blocks of keys, stable.
 */
#include "cuda/attention_items.h"
#include "support/rng.h"
#include "support/tap.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct ppi_cuda_tiles mma_tiles = {PPI_CUDA_ATTENTION_ROWS,
                                                PPI_CUDA_ATTENTION_FEW_ROWS};

struct lists {
    int64_t n[2];
    struct ppi_cuda_attention_item *items[2]; /* many rows, few rows */
};

static struct lists make_lists(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                               int32_t n_spans, int32_t group, int32_t left, int32_t right)
{
    struct lists lists;
    ppi_cuda_count_items(tiles, spans, n_spans, group, &lists.n[0], &lists.n[1]);
    for (int i = 0; i < 2; i++) {
        size_t bytes = (size_t)(lists.n[i] + 1) * sizeof *lists.items[i];
        lists.items[i] = malloc(bytes);
        memset(lists.items[i], 0xee, bytes); /* the last stays so */
    }
    ppi_cuda_make_items(tiles, spans, n_spans, group, left, right, lists.items[0], lists.items[1]);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(lists.items[i][lists.n[i]].q_row, (int32_t)0xeeeeeeee);
        ck_assert_int_eq(lists.items[i][lists.n[i]].reserved[2], (int32_t)0xeeeeeeee);
    }
    return lists;
}

static void free_lists(struct lists *lists)
{
    free(lists->items[0]);
    free(lists->items[1]);
}

/* Blocks from the first key that any row of the tile sees to the last. */
static int64_t blocks_of(const struct ppi_cuda_attention_item *item, int32_t group, int32_t rows,
                         int32_t left, int32_t right)
{
    int64_t first = INT64_MAX, last = -1;
    for (int64_t r = item->packed_row; r < (int64_t)item->packed_row + rows; r++) {
        if (r / group >= item->n_rows)
            break;
        int64_t p = r / group + item->n_keys - item->n_rows;
        int64_t low = left >= 0 && p > left ? p - left : 0;
        int64_t high = right >= 0 && p + right < item->n_keys ? p + right : item->n_keys - 1;
        if (low > high)
            continue;
        first = low < first ? low : first;
        last = high > last ? high : last;
    }
    return last < 0 ? 0 : last / 64 - first / 64 + 1;
}

static void check_tiles(struct ppi_cuda_tiles tiles, const struct ppi_cuda_span *spans,
                        int32_t n_spans, int32_t group, int32_t left, int32_t right)
{
    struct lists lists = make_lists(tiles, spans, n_spans, group, left, right);
    /* Spans are told apart by q_row: 10 times their number. */
    int64_t n_packed = 0, n_covered = 0;
    for (int32_t i = 0; i < n_spans; i++)
        n_packed += (int64_t)spans[i].n_rows * group;
    for (int list = 0; list < 2; list++) {
        int32_t rows = list == 0 ? tiles.rows : tiles.few_rows;
        int64_t cost_before = INT64_MAX;
        const struct ppi_cuda_attention_item *before = NULL;
        for (int64_t i = 0; i < lists.n[list]; i++) {
            const struct ppi_cuda_attention_item *item = &lists.items[list][i];
            int32_t s = item->q_row / 10;
            int64_t of_span = (int64_t)item->n_rows * group;
            int64_t cost = blocks_of(item, group, rows, left, right);
            bool is_of_span = s >= 0 && s < n_spans && item->n_rows == spans[s].n_rows &&
                              item->n_keys == spans[s].n_keys && item->first == spans[s].first;
            bool is_tile = (of_span <= tiles.few_rows) == list && item->packed_row < of_span &&
                           item->packed_row % rows == 0;
            /* Among equals every item comes after the one before in spans and rows, so none is
             * twice in a list. */
            bool is_sorted =
                cost < cost_before ||
                (cost == cost_before &&
                 (item->q_row > before->q_row ||
                  (item->q_row == before->q_row && item->packed_row > before->packed_row)));
            if (!is_of_span || !is_tile || !is_sorted)
                ck_abort_msg("group %d, window %d %d: item %d of list %d: packed row %d of span %d",
                             group, left, right, (int)i, list, item->packed_row, s);
            n_covered += item->packed_row + rows < of_span ? rows : of_span - item->packed_row;
            cost_before = cost;
            before = item;
        }
    }
    ck_assert_int_eq(n_covered, n_packed); /* no item twice, none missing */
    free_lists(&lists);
}

static void check_lists(const struct ppi_cuda_span *spans, int32_t n_spans, int32_t group,
                        int32_t left, int32_t right)
{
    static const struct ppi_cuda_tiles tiles[] = {{64, 16}, {128, 0}, {192, 0}};
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        check_tiles(tiles[i], spans, n_spans, group, left, right);
}

START_TEST(random_lengths)
{
    struct rng rng = rng_seeded(1);
    static const int32_t groups[] = {1, 2, 3, 4, 7, 8, 16, 17, 63, 64, 65, 71, 128};
    for (int round = 0; round < 400; round++) {
        struct ppi_cuda_span spans[40];
        int32_t n = (int32_t)rng_between(&rng, 0, 40);
        int32_t group = groups[rng_between(&rng, 0, 12)];
        for (int32_t i = 0; i < n; i++) {
            int32_t n_rows = (int32_t)rng_between(&rng, 0, rng_between(&rng, 0, 3) ? 300 : 3);
            int32_t n_keys = n_rows;
            if (rng_between(&rng, 0, 2) == 0)
                n_keys = (int32_t)rng_between(&rng, 0, 1000);
            spans[i] = (struct ppi_cuda_span){10 * i, n_rows, n_keys, 7 * i};
        }
        int32_t left = (int32_t)rng_between(&rng, -1, rng_between(&rng, 0, 1) ? 200 : -1);
        int32_t right = rng_between(&rng, 0, 2) ? 0 : (int32_t)rng_between(&rng, -1, 100);
        check_lists(spans, n, group, left, right);
    }
}
END_TEST

/* More blocks of keys than there are counters, and windows as wide as they get. */
START_TEST(long_prompts)
{
    struct ppi_cuda_span spans[] = {
        {0, 40, 200000, 0},   {10, 500, 65536, 1}, {20, 70, 65600, 2},      {30, 1, 1000000, 3},
        {40, 9, 65535, 4},    {50, 0, 1000000, 5}, {60, 1, 1000000, 6},     {70, 2, 131072, 7},
        {80, 300, 131071, 8}, {90, 100, 100, 9},   {100, 70000, 70000, 10},
    };
    for (int32_t group = 1; group <= 8; group++) {
        check_lists(spans, 11, group, -1, 0);
        check_lists(spans, 11, group, 100000, 0);
        check_lists(spans, 11, group, INT32_MAX, INT32_MAX);
        check_lists(spans, 11, group, -1, -1);
    }
}
END_TEST

START_TEST(few_and_many)
{
    /* 16 packed rows are few, 17 are not. */
    struct ppi_cuda_span spans[] = {{0, 16, 16, 0}, {10, 17, 17, 1}, {20, 1, 90, 2}};
    struct lists lists = make_lists(mma_tiles, spans, 3, 1, -1, 0);
    ck_assert_int_eq(lists.n[0], 1);
    ck_assert_int_eq(lists.n[1], 2);
    ck_assert_int_eq(lists.items[0][0].q_row, 10);
    ck_assert_int_eq(lists.items[1][0].q_row, 20); /* two blocks of keys */
    ck_assert_int_eq(lists.items[1][1].q_row, 0);
    free_lists(&lists);
    /* The last tile of a prompt sees the most keys. */
    struct ppi_cuda_span prompt = {0, 130, 130, 0};
    lists = make_lists(mma_tiles, &prompt, 1, 1, -1, 0);
    ck_assert_int_eq(lists.n[0], 3);
    ck_assert_int_eq(lists.items[0][0].packed_row, 128);
    ck_assert_int_eq(lists.items[0][1].packed_row, 64);
    ck_assert_int_eq(lists.items[0][2].packed_row, 0);
    free_lists(&lists);
    /* With a window of 64 keys all but the first read two blocks. */
    lists = make_lists(mma_tiles, &prompt, 1, 1, 63, 0);
    ck_assert_int_eq(lists.items[0][0].packed_row, 64);
    ck_assert_int_eq(lists.items[0][1].packed_row, 128);
    ck_assert_int_eq(lists.items[0][2].packed_row, 0);
    free_lists(&lists);
}
END_TEST

START_TEST(nothing)
{
    struct lists lists = make_lists(mma_tiles, NULL, 0, 4, -1, 0);
    ck_assert_int_eq(lists.n[0] + lists.n[1], 0);
    free_lists(&lists);
    struct ppi_cuda_span empty[] = {{0, 0, 0, 0}, {10, 0, 50, 1}};
    lists = make_lists(mma_tiles, empty, 2, 4, -1, 0);
    ck_assert_int_eq(lists.n[0] + lists.n[1], 0);
    free_lists(&lists);
    /* Rows without keys are work: they become zeros. */
    struct ppi_cuda_span blind[] = {{0, 3, 0, 0}, {10, 30, 0, 1}};
    lists = make_lists(mma_tiles, blind, 2, 1, -1, 0);
    ck_assert_int_eq(lists.n[0], 1);
    ck_assert_int_eq(lists.n[1], 1);
    free_lists(&lists);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("items");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, random_lengths);
    tcase_add_test(tests, long_prompts);
    tcase_add_test(tests, few_and_many);
    tcase_add_test(tests, nothing);
    Suite *suite = suite_create("attention items");
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_FORK);
}
