/*
 * test_attention.c: pp_attention_varlen against double precision: masks, grouped heads, layouts,
 * gaps, pages; and that a prompt's bits do not depend on its company. What is no prompt's is NaN in
 * every run.
 */
#include "attention_world.h"
#include "support/tap.h"

#include <check.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static pp_session *session;

static void open_session(void)
{
    session = world_session(2);
}

static void close_session(void)
{
    pp_session_destroy(session);
}

/* The dtypes of the device, none where there is no device. */
#define FOR_EACH_DTYPE(dtype)                                                                      \
    for (const int32_t *dtype = world_dtypes(); session && *dtype; dtype++)

static void run_and_check(const struct world *world)
{
    struct result result = world_run(world, session);
    world_check(world, &result);
    result_free(&result);
}

START_TEST(values_by_head_dim)
{
    static const int32_t head_dims[] = {8, 16, 40, 64, 72, 96, 128, 192, 256};
    FOR_EACH_DTYPE(dtype)
    for (int i = 0; i < COUNT(head_dims); i++) {
        struct world world = world_of(*dtype);
        world.head_dim = head_dims[i];
        world_add(&world, 1, 1, 1);
        world_add(&world, 2, 9, 9);
        world_add(&world, 3, 70, 70);
        run_and_check(&world);
    }
}
END_TEST

START_TEST(values_by_mask)
{
    static const int32_t windows[][2] = {{-1, 0},   {-1, -1}, {0, 0},   {3, 0},
                                         {64, 0},   {0, 5},   {-1, 7},  {10, 10},
                                         {1000, 0}, {5, -1},  {63, 65}, {INT32_MAX, INT32_MAX}};
    FOR_EACH_DTYPE(dtype)
    for (int i = 0; i < COUNT(windows); i++) {
        struct world world = world_of(*dtype);
        world.window_left = windows[i][0];
        world.window_right = windows[i][1];
        world_add(&world, 1, 67, 67);
        world_add(&world, 2, 5, 130); /* the end of a longer prompt */
        world_add(&world, 3, 1, 65);
        world_add(&world, 4, 20, 3); /* the first rows see nothing */
        world_add(&world, 5, 0, 7);
        world_add(&world, 6, 6, 0);
        world_add(&world, 7, 0, 0);
        run_and_check(&world);
    }
}
END_TEST

START_TEST(values_by_group)
{
    static const int32_t heads[][2] = {{1, 1}, {3, 3}, {6, 2}, {7, 1}, {8, 1}, {20, 1}};
    FOR_EACH_DTYPE(dtype)
    for (int i = 0; i < COUNT(heads); i++) {
        struct world world = world_of(*dtype);
        world.n_heads = heads[i][0];
        world.n_kv_heads = heads[i][1];
        world.head_dim = 16;
        world_add(&world, 1, 37, 37);
        world_add(&world, 2, 2, 40);
        run_and_check(&world);
    }
}
END_TEST

START_TEST(values_by_layout_and_gap)
{
    FOR_EACH_DTYPE(dtype)
    for (int32_t layout = LAYOUT_PACKED; layout <= LAYOUT_HEAD_MAJOR; layout++)
        for (int32_t gap = 0; gap <= 5; gap += 5) {
            struct world world = world_of(*dtype);
            world.layout = layout;
            world.gap = gap;
            world.scale = gap > 0 ? 0.3f : 0;
            world_add(&world, 1, 66, 66);
            world_add(&world, 2, 0, 0);
            world_add(&world, 3, 12, 12);
            world_add(&world, 4, 1, 1);
            run_and_check(&world);
        }
}
END_TEST

START_TEST(values_by_page_size)
{
    static const int32_t page_sizes[] = {1, 5, 16, 64, 100};
    FOR_EACH_DTYPE(dtype)
    for (int i = 0; i < COUNT(page_sizes); i++)
        for (int32_t layout = LAYOUT_PACKED; layout <= LAYOUT_HEAD_MAJOR;
             layout += LAYOUT_HEAD_MAJOR) {
            struct world world = world_of(*dtype);
            world.page_size = page_sizes[i];
            world.layout = layout;
            world.gap = layout; /* once with lengths from offsets, once with seqlens */
            world_add(&world, 1, 70, 70);
            world_add(&world, 2, 3, 129);
            world_add(&world, 3, 4, 0);
            world_add(&world, 4, 1, 64);
            run_and_check(&world);
        }
}
END_TEST

/* Many lengths in one run, around the edges of tiles. */
START_TEST(values_by_length)
{
    static const int32_t lengths[] = {2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65};
    FOR_EACH_DTYPE(dtype)
    {
        struct world world = world_of(*dtype);
        world.head_dim = 16;
        for (int i = 0; i < COUNT(lengths); i++)
            world_add(&world, (uint64_t)i + 1, lengths[i], lengths[i]);
        run_and_check(&world);
    }
}
END_TEST

/* The prompt of interest among others, one of them all NaN. */
static struct world company(const struct world *alone)
{
    struct world world = *alone;
    struct prompt prompt = alone->prompts[0];
    world.n_prompts = 0;
    world_add(&world, 21, 13, 13);
    world_add(&world, 0, 40, 40);
    world_add(&world, prompt.who, prompt.n_q, prompt.n_k);
    world_add(&world, 0, 1, 1);
    world_add(&world, 22, 90, 90);
    return world;
}

static void check_company(int32_t dtype, int32_t n_q, int32_t n_k, int32_t left, int32_t right)
{
    struct world alone = world_of(dtype);
    alone.window_left = left;
    alone.window_right = right;
    world_add(&alone, 9, n_q, n_k);
    struct result expected = world_run(&alone, session);

    struct world packed = company(&alone);
    struct result result = world_run(&packed, session);
    world_same(&alone, &expected, 0, &packed, &result, 2, "among others");
    result_free(&result);
    if (n_q == n_k) {
        packed.layout = LAYOUT_FUSED;
        result = world_run(&packed, session);
        world_same(&alone, &expected, 0, &packed, &result, 2, "in a fused buffer");
        result_free(&result);
    }
    packed.layout = LAYOUT_HEAD_MAJOR;
    packed.gap = 3;
    packed.page_size = 5;
    result = world_run(&packed, session);
    world_same(&alone, &expected, 0, &packed, &result, 2, "in pages with gaps");
    result_free(&result);

    pp_session *other = world_session(1);
    result = world_run(&packed, other);
    world_same(&alone, &expected, 0, &packed, &result, 2, "in another session");
    result_free(&result);
    pp_session_destroy(other);
    result_free(&expected);
}

START_TEST(bits_do_not_depend_on_company)
{
    FOR_EACH_DTYPE(dtype)
    {
        check_company(*dtype, 77, 77, -1, 0);
        check_company(*dtype, 7, 7, -1, 0);
        check_company(*dtype, 6, 140, -1, 0);
        check_company(*dtype, 80, 80, 9, 4);
    }
}
END_TEST

/* The same rows as a whole prompt, and as its end after a prefix: a row's position is the same, so
 * are its bits. */
START_TEST(bits_do_not_depend_on_where_a_prompt_is_cut)
{
    enum { WHOLE = 100 };
    FOR_EACH_DTYPE(dtype)
    {
        struct world world = world_of(*dtype);
        world_add(&world, 11, WHOLE, WHOLE);
        struct result whole = world_run(&world, session);
        size_t row_floats = (size_t)world.n_heads;
        size_t row_bytes = row_floats * (size_t)world.head_dim * pp_dtype_size(*dtype);
        for (int32_t n_q = 1; n_q < WHOLE; n_q += 33) {
            struct world tail = world;
            tail.prompts[0].n_q = n_q;
            tail.first_row = WHOLE - n_q;
            struct result end = world_run(&tail, session);
            size_t skipped = (size_t)(WHOLE - n_q);
            ck_assert_mem_eq(end.out, whole.out + skipped * row_bytes, end.out_bytes);
            ck_assert_mem_eq(end.lse, whole.lse + skipped * row_floats, end.lse_bytes);
            result_free(&end);
        }
        result_free(&whole);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attention");
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, open_session, close_session);
    tcase_add_test(tcase, values_by_head_dim);
    tcase_add_test(tcase, values_by_mask);
    tcase_add_test(tcase, values_by_group);
    tcase_add_test(tcase, values_by_layout_and_gap);
    tcase_add_test(tcase, values_by_page_size);
    tcase_add_test(tcase, values_by_length);
    tcase_add_test(tcase, bits_do_not_depend_on_company);
    tcase_add_test(tcase, bits_do_not_depend_on_where_a_prompt_is_cut);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
