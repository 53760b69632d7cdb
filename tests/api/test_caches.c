/*
 * test_caches.c: caches that leave a session and come back, by each way there is: what continues
 * them gives the bits of those that never left; writing to them; looking at their pages.
 */
#define _GNU_SOURCE
#include "cache_world.h"
#include "support/tap.h"

#include <stdio.h>
#include <unistd.h>

static pp_error refusal = {.struct_size = sizeof refusal};

#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        ck_assert_int_eq((call), (status));                                                        \
        ck_assert_int_eq(refusal.code, (status));                                                  \
        ck_assert_msg(strstr(refusal.message, words), "\"%s\" lacks \"%s\"", refusal.message,      \
                      words);                                                                      \
    } while (0)

/* ---- ways ---- */

static bool is_linear(const pp_session *session, int32_t layer)
{
    pp_layer_config config = {.struct_size = sizeof config};
    OK(pp_model_get_layer(pp_session_model(session), layer, &config, perr));
    return config.kind == PP_LAYER_LINEAR;
}

static void carry_state(const pp_kvcache *cache, int32_t layer, pp_kvcache *copy)
{
    struct run_bits bits = run_collect(pp_kvcache_session(cache), cache, NULL);
    for (int which = 0; which < 2; which++)
        OK(pp_kvcache_write_state(copy, layer, which, (float *)bits.layers[layer].state[which],
                                  bits.layers[layer].state_bytes[which], perr));
    run_bits_free(&bits);
}

static pp_kvcache *carry_arrays(const pp_kvcache *cache, pp_session *to, int32_t layout, bool f32)
{
    struct cache_shape shape = cache_shape(to, 0);
    int64_t n = pp_kvcache_length(cache);
    int32_t dtype = f32 ? PP_DTYPE_F32 : shape.dtype;
    pp_kvcache *copy = NULL;
    OK(pp_kvcache_create(to, n, cache_ids, &copy, perr));
    ck_assert_int_eq(pp_kvcache_length(copy), n);
    for (int32_t layer = 0; layer < shape.n_layers; layer++) {
        if (is_linear(to, layer)) {
            carry_state(cache, layer, copy);
            continue;
        }
        int64_t first = pp_kvcache_first_token(copy, layer);
        shape = cache_shape(to, layer);
        size_t bytes = (size_t)(n - first) * (size_t)shape.n_kv_heads * (size_t)shape.head_dim *
                       pp_dtype_size(dtype);
        char *array = malloc(bytes + 1);
        ck_assert_int_ge(first, pp_kvcache_first_token(cache, layer));
        for (int32_t which = PP_KV_K; which <= PP_KV_V; which++) {
            OK(pp_kvcache_read(cache, layer, which, layout, dtype, first, n - first, array, bytes,
                               perr));
            OK(pp_kvcache_write(copy, layer, which, layout, dtype, first, n - first, array, bytes,
                                perr));
        }
        free(array);
    }
    return copy;
}

static pp_kvcache *by_rows(const pp_kvcache *cache, pp_session *to)
{
    return carry_arrays(cache, to, PP_KV_NHD, false);
}

static pp_kvcache *by_heads_in_f32(const pp_kvcache *cache, pp_session *to)
{
    return carry_arrays(cache, to, PP_KV_HND, true);
}

static char *new_path(void)
{
    char *path = strdup("/tmp/prepack-cache-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    return path;
}

static void remove_path(char *path)
{
    unlink(path);
    free(path);
}

static pp_kvcache *by_file(const pp_kvcache *cache, pp_session *to)
{
    pp_kvcache *copy = NULL;
    char *path = new_path();
    OK(pp_kvcache_save(cache, path, NULL, perr));
    OK(pp_kvcache_load(to, path, &copy, perr));
    remove_path(path);
    return copy;
}

/* Memory that is aligned to nothing. */
static pp_kvcache *by_memory(const pp_kvcache *cache, pp_session *to)
{
    pp_kvcache_save_params params;
    pp_kvcache *copy = NULL;
    size_t bytes;
    pp_kvcache_save_params_init(&params, sizeof params);
    params.tokens = cache_ids;
    OK(pp_kvcache_export_size(cache, &params, &bytes, perr));
    char *memory = malloc(bytes + 1);
    OK(pp_kvcache_export(cache, &params, memory + 1, bytes, perr));
    OK(pp_kvcache_import(to, memory + 1, bytes, &copy, perr));
    free(memory);
    return copy;
}

static const struct {
    const char *name;
    pp_kvcache *(*carry)(const pp_kvcache *cache, pp_session *to);
} ways[] = {
    {"rows", by_rows}, {"heads in f32", by_heads_in_f32}, {"file", by_file}, {"memory", by_memory}};

/* ---- tests ---- */

/* A cache of n tokens is carried to another session; both go on by some tokens, twice. */
static void check_way(size_t way, pp_session *from, pp_session *to, int64_t n)
{
    pp_kvcache *stays = cache_prefill(from, n), *moved = ways[way].carry(stays, to);
    ck_assert_int_eq(pp_kvcache_length(moved), n);
    for (int64_t begin = n, step = 1; begin <= n + 1; begin += step, step = 23) {
        struct run_bits a = cache_continue(from, stays, begin, begin + step);
        struct run_bits b = cache_continue(to, moved, begin, begin + step);
        const char *difference = run_bits_difference(&a, &b);
        ck_assert_msg(!difference, "by %s, %lld tokens: %s", ways[way].name, (long long)n,
                      difference);
        run_bits_free(&a);
        run_bits_free(&b);
    }
    pp_kvcache_destroy(stays);
    pp_kvcache_destroy(moved);
}

START_TEST(moved_caches_go_on_as_others)
{
    static const int64_t lengths[] = {150, 1, 16, 63};
    const size_t n_lengths = run_on_cuda() ? 1 : sizeof lengths / sizeof *lengths;
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_TARGET(target)
    for (int keep = 0; keep < 2 && !(run_on_cuda() && keep + target_ > 1); keep++) {
        pp_session *from = run_session(model, *target, 2, 64, 0);
        pp_session *to = from ? run_session(model, *target, 1, 0, keep) : NULL;
        for (size_t way = 0; to && way < sizeof ways / sizeof *ways; way++)
            for (size_t i = 0; i < n_lengths; i++)
                if (keep == 0 || way > 1 || _i == 0) /* else tokens were given back */
                    check_way(way, from, to, lengths[i]);
        pp_session_destroy(from);
        pp_session_destroy(to);
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(writing_leaves_forks_alone)
{
    pp_model *model = cache_model(0, 3);
    FOR_EACH_TARGET(target)
    {
        pp_session *session = run_session(model, *target, 2, 0, 0);
        if (!session)
            continue;
        struct cache_shape shape = cache_shape(session, 1);
        pp_kvcache *cache = cache_prefill(session, 40), *fork = NULL;
        OK(pp_kvcache_fork(cache, 37, &fork, perr));
        struct run_bits before = run_collect(session, fork, NULL);
        struct run_bits whole = run_collect(session, cache, NULL);
        float zeros[7 * 2 * 16] = {0};
        size_t row = (size_t)(shape.n_kv_heads * shape.head_dim) * sizeof *zeros;
        OK(pp_kvcache_write(cache, 1, PP_KV_V, PP_KV_NHD, PP_DTYPE_F32, 13, 7, zeros, 7 * row,
                            perr));
        struct run_bits after = run_collect(session, fork, NULL);
        struct run_bits written = run_collect(session, cache, NULL);
        ck_assert_ptr_null(run_bits_difference(&before, &after));
        ck_assert_str_eq(run_bits_difference(&whole, &written),
                         "values of token 13 of 40 in layer 1 differ");
        struct run_layer *a = &whole.layers[1], *b = &written.layers[1];
        size_t bytes = a->row_bytes;
        ck_assert_mem_eq(a->kv[PP_KV_V], b->kv[PP_KV_V], 13 * bytes);
        ck_assert_mem_eq(a->kv[PP_KV_V] + 20 * bytes, b->kv[PP_KV_V] + 20 * bytes, 20 * bytes);
        for (size_t i = 13 * bytes; i < 20 * bytes; i++)
            ck_assert_int_eq(b->kv[PP_KV_V][i], 0);
        memcpy(b->kv[PP_KV_V], a->kv[PP_KV_V], 40 * bytes);
        ck_assert_ptr_null(run_bits_difference(&whole, &written));
        run_bits_free(&before);
        run_bits_free(&whole);
        run_bits_free(&after);
        run_bits_free(&written);
        pp_kvcache_destroy(fork);
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(new_caches_are_zero)
{
    pp_model *model = cache_model(_i, 3);
    pp_session *session = run_session(model, *run_target(0), 1, 0, 0);
    pp_kvcache *used = cache_prefill(session, 100), *cache = NULL;
    pp_kvcache_destroy(used); /* its pages are used again */
    OK(pp_kvcache_create(session, 100, cache_ids, &cache, perr));
    struct run_bits bits = run_collect(session, cache, NULL);
    for (int32_t i = 0; i < bits.n_layers; i++)
        for (int which = 0; which < 2; which++)
            for (size_t b = 0;
                 b < (size_t)(100 - bits.layers[i].first_token) * bits.layers[i].row_bytes; b++)
                ck_assert_int_eq(bits.layers[i].kv[which][b], 0);
    for (int32_t i = 0; i < bits.n_layers; i++)
        for (int which = 0; which < 2; which++)
            for (size_t b = 0; b < bits.layers[i].state_bytes[which]; b++)
                ck_assert_int_eq(bits.layers[i].state[which][b], 0);
    run_bits_free(&bits);
    pp_kvcache_destroy(cache);
    cache = NULL;
    OK(pp_kvcache_create(session, 0, NULL, &cache, perr));
    bits = cache_continue(session, cache, 0, 20);
    used = cache_prefill(session, 19);
    struct run_bits expected = cache_continue(session, used, 19, 20);
    ck_assert_ptr_null(run_bits_difference(&bits, &expected));
    run_bits_free(&bits);
    run_bits_free(&expected);
    pp_kvcache_destroy(used);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

/* The index of an element by the formula of pp_kvcache_page. */
static int64_t element_of(const pp_kvcache_page *page, int64_t s, int64_t h, int64_t d)
{
    return h * page->head_stride + s / page->slot_group * page->slot_stride + s % page->slot_group +
           d / page->dim_group * page->dim_stride + d % page->dim_group;
}

static void check_pages(const pp_session *session, const pp_kvcache *cache, int32_t layer,
                        int32_t which)
{
    struct cache_shape shape = cache_shape(session, layer);
    int64_t first = pp_kvcache_first_token(cache, layer), n = pp_kvcache_length(cache) - first;
    size_t size = pp_dtype_size(shape.dtype), row = (size_t)(shape.n_kv_heads * shape.head_dim);
    char *rows = malloc((size_t)n * row * size);
    OK(pp_kvcache_read(cache, layer, which, PP_KV_NHD, shape.dtype, first, n, rows,
                       (size_t)n * row * size, perr));
    pp_kvcache_page page = {.struct_size = sizeof page};
    for (int64_t t = first; t < first + n; t = page.first_token + page.n_tokens) {
        OK(pp_kvcache_get_page(cache, layer, which, t, &page, perr));
        ck_assert_int_eq(page.dtype, shape.dtype);
        ck_assert_int_le(page.first_token, t);
        ck_assert_int_gt(page.first_token + page.n_tokens, t);
        ck_assert_int_eq(page.on_device, run_on_cuda());
        for (int64_t s = 0; !page.on_device && s < page.n_tokens; s++)
            for (int64_t h = 0; h < shape.n_kv_heads; h++)
                for (int64_t d = 0; d < shape.head_dim; d++) {
                    size_t at = (size_t)(page.first_token + s - first) * row +
                                (size_t)(h * shape.head_dim + d);
                    const char *there =
                        (const char *)page.data + (size_t)element_of(&page, s, h, d) * size;
                    if (memcmp(there, rows + at * size, size) != 0)
                        ck_abort_msg("layer %d which %d token %lld head %lld element %lld differ",
                                     layer, which, (long long)(page.first_token + s), (long long)h,
                                     (long long)d);
                }
    }
    ck_assert_int_eq(page.first_token + page.n_tokens, first + n);
    free(rows);
}

START_TEST(pages_lie_where_they_say)
{
    pp_model *model = cache_model(_i, 3);
    FOR_EACH_TARGET(target)
    {
        pp_session *session = run_session(model, *target, 1, 0, 0);
        pp_kvcache *cache = session ? cache_prefill(session, 90) : NULL;
        for (int32_t layer = 0; cache && layer < cache_shape(session, 0).n_layers; layer++)
            for (int32_t which = PP_KV_K; which <= PP_KV_V && !is_linear(session, layer); which++)
                check_pages(session, cache, layer, which);
        pp_kvcache_destroy(cache);
        pp_session_destroy(session);
    }
    pp_model_unref(model);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    pp_model *model = cache_model(3, 3);
    pp_session *session = run_session(model, *run_target(0), 1, 0, 0);
    pp_kvcache *cache = cache_prefill(session, 100), *none = NULL;
    float row[2 * 16] = {0};
    pp_kvcache_page page = {.struct_size = sizeof page};
    const int32_t odd[2] = {1, CACHE_VOCAB};
    REFUSED(pp_kvcache_write(NULL, 0, 0, 1, 1, 0, 0, row, 0, &refusal), PP_ERR_ARG,
            "cache is NULL");
    REFUSED(pp_kvcache_write(cache, 2, 0, 1, 1, 99, 1, row, sizeof row, &refusal), PP_ERR_ARG,
            "layer 2 is outside [0, 2)");
    REFUSED(pp_kvcache_write(cache, 0, 2, 1, 1, 99, 1, row, sizeof row, &refusal), PP_ERR_ARG,
            "which is 2");
    REFUSED(pp_kvcache_write(cache, 0, 0, 3, 1, 99, 1, row, sizeof row, &refusal), PP_ERR_ARG,
            "layout is 3");
    REFUSED(pp_kvcache_write(cache, 0, 0, 1, PP_DTYPE_BOOL, 99, 1, row, sizeof row, &refusal),
            PP_ERR_ARG, "dtype is bool");
    REFUSED(pp_kvcache_write(cache, 0, 0, 1, 1, 99, 2, row, sizeof row, &refusal), PP_ERR_ARG,
            "2 tokens from 99 on; layer 0 holds [");
    REFUSED(pp_kvcache_write(cache, 0, 0, 1, 1, 0, 1, row, sizeof row, &refusal), PP_ERR_ARG,
            "1 tokens from 0 on");
    REFUSED(pp_kvcache_write(cache, 0, 0, 1, 1, 99, 1, row, sizeof row - 1, &refusal), PP_ERR_ARG,
            "1 tokens need 128");
    REFUSED(pp_kvcache_write(cache, 0, 0, 1, 1, 99, 1, NULL, sizeof row, &refusal), PP_ERR_ARG,
            "src is NULL");
    REFUSED(pp_kvcache_create(NULL, 4, odd, &none, &refusal), PP_ERR_ARG, "session is NULL");
    REFUSED(pp_kvcache_create(session, 4, odd, NULL, &refusal), PP_ERR_ARG, "cache is NULL");
    REFUSED(pp_kvcache_create(session, -1, odd, &none, &refusal), PP_ERR_ARG, "n_tokens is -1");
    REFUSED(pp_kvcache_create(session, 513, odd, &none, &refusal), PP_ERR_TOO_LONG,
            "513 tokens; the model has positions for 512");
    REFUSED(pp_kvcache_create(session, 2, odd, &none, &refusal), PP_ERR_ARG,
            "token 96 at 1 is outside [0, 96)");
    REFUSED(pp_kvcache_create(session, 2, NULL, &none, &refusal), PP_ERR_ARG,
            "the ids of the 2 tokens are missing");
    REFUSED(pp_kvcache_get_page(cache, 0, PP_KV_K, 0, &page, &refusal), PP_ERR_ARG,
            "token 0; layer 0 holds [");
    REFUSED(pp_kvcache_get_page(cache, 0, PP_KV_K, 100, &page, &refusal), PP_ERR_ARG, "token 100");
    REFUSED(pp_kvcache_get_page(cache, -1, PP_KV_K, 99, &page, &refusal), PP_ERR_ARG, "layer -1");
    REFUSED(pp_kvcache_get_page(cache, 0, 7, 99, &page, &refusal), PP_ERR_ARG, "which is 7");
    REFUSED(pp_kvcache_get_page(cache, 0, PP_KV_K, 99, NULL, &refusal), PP_ERR_ARG, "page is NULL");
    page.struct_size = 1;
    REFUSED(pp_kvcache_get_page(cache, 0, PP_KV_K, 99, &page, &refusal), PP_ERR_STRUCT_SIZE,
            "pp_kvcache_page.struct_size is 1");
    ck_assert_ptr_null(none);
    pp_kvcache_destroy(cache);
    pp_session_destroy(session);
    pp_model_unref(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("caches");
    TCase *tcase = tcase_create("caches");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, moved_caches_go_on_as_others, 0, CACHE_ALL);
    tcase_add_test(tcase, writing_leaves_forks_alone);
    tcase_add_loop_test(tcase, new_caches_are_zero, 0, CACHE_ALL);
    tcase_add_loop_test(tcase, pages_lie_where_they_say, 0, CACHE_ALL);
    tcase_add_test(tcase, bad_arguments_are_refused);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
