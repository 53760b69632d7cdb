/*
 * test_tokenizer_failing.c: a tokenizer that many threads use at once, and an allocator that fails
 * at every call in turn: a status comes back, nothing leaks, what succeeds gives the same.
 */
#include "support/tap.h"
#include "support/tokenizer_files.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pp_error err;
static struct tokenizer_dir dir;

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)

static void set_up(void)
{
    err = (pp_error){.struct_size = sizeof err};
    dir = tokenizer_dir_make();
    tokenizer_dir_put(&dir, "tokenizer.json", TINY_TOKENIZER);
}

static void tear_down(void)
{
    tokenizer_dir_remove(&dir);
}

static pp_text text_of(const char *text)
{
    return (pp_text){text, strlen(text)};
}

/* The ids of one text, as "1 2 3". */
static const char *ids_of(pp_tokenizer *tokenizer, const char *text, const pp_encode_params *params)
{
    static char ids[1024];
    const pp_text one = text_of(text);
    pp_encoding *encoding;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    OK(pp_tokenizer_encode(tokenizer, &one, 1, params, &encoding, &err));
    OK(pp_encoding_get(encoding, 0, &encoded, &err));
    ids[0] = '\0';
    for (int64_t i = 0; i < encoded.n; i++)
        sprintf(ids + strlen(ids), i ? " %d" : "%d", encoded.ids[i]);
    pp_encoding_destroy(encoding);
    return ids;
}

/* ---- threads ---- */

#define N_THREADS 8

static pp_tokenizer *tiny;

static void *encode_and_decode(void *argument)
{
    const pp_text texts[] = {text_of("hello hello w"), text_of("<s>\xc3\xa9 w"), text_of("lolo")};
    const pp_encode_params params = {.struct_size = sizeof params, .n_threads = 2};
    int *n_wrong = argument;
    for (int round = 0; round < 200; round++) {
        char text[64];
        size_t n_bytes = 0;
        pp_encoding *encoding = NULL;
        pp_encoded encoded = {.struct_size = sizeof encoded};
        if (pp_tokenizer_encode(tiny, texts, 3, &params, &encoding, NULL) < 0 ||
            pp_encoding_get(encoding, round % 3, &encoded, NULL) < 0 ||
            pp_tokenizer_decode(tiny, encoded.ids, encoded.n, NULL, text, sizeof text, &n_bytes,
                                NULL) < 0)
            ++*n_wrong;
        else if (strcmp(text, round % 3 == 0   ? "hello hello w"
                              : round % 3 == 1 ? "\xc3\xa9 w"
                                               : "lolo") != 0)
            ++*n_wrong;
        pp_encoding_destroy(encoding);
    }
    return NULL;
}

START_TEST(threads_share_a_tokenizer)
{
    pthread_t threads[N_THREADS];
    int n_wrong[N_THREADS] = {0};
    OK(pp_tokenizer_open(dir.path, NULL, &tiny, &err));
    for (int i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, encode_and_decode, &n_wrong[i]), 0);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(n_wrong[i], 0);
    }
    pp_tokenizer_destroy(tiny);
}
END_TEST

/* ---- memory ---- */

/* What a whole run gives. */
struct outcome {
    char ids[512], text[512];
    size_t n_ids, n_text;
};

static pp_status stream_all(const pp_tokenizer *tokenizer, const pp_encoded *encoded,
                            struct outcome *outcome)
{
    pp_text_stream *stream;
    pp_text piece;
    pp_status status = pp_text_stream_create(tokenizer, NULL, &stream, &err);
    if (status < 0)
        return status;
    for (int64_t i = 0; status >= 0 && i <= encoded->n; i++) {
        status = i < encoded->n ? pp_text_stream_push(stream, encoded->ids[i], &piece, &err)
                                : pp_text_stream_finish(stream, &piece, &err);
        if (status >= 0 && piece.n_bytes)
            memcpy(outcome->text + outcome->n_text, piece.bytes, piece.n_bytes);
        outcome->n_text += status >= 0 ? piece.n_bytes : 0;
    }
    pp_text_stream_destroy(stream);
    return status;
}

/* Opens, encodes with offsets, decodes, streams; the first failure ends it. */
static pp_status whole_run(const pp_allocator *allocator, int32_t n_threads,
                           struct outcome *outcome)
{
    const pp_tokenizer_params open = {.struct_size = sizeof open, .allocator = allocator};
    const pp_encode_params params = {
        .struct_size = sizeof params, .offsets = 1, .n_threads = n_threads};
    const pp_text texts[] = {text_of("hello <tool> hello\xc3\xa9 w w"), text_of("low"),
                             text_of("</s>hell")};
    pp_tokenizer *tokenizer = NULL;
    pp_encoding *encoding = NULL;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    *outcome = (struct outcome){.n_ids = 0};
    pp_status status = pp_tokenizer_open(dir.path, &open, &tokenizer, &err);
    if (status >= 0)
        status = pp_tokenizer_encode(tokenizer, texts, 3, &params, &encoding, &err);
    for (int64_t i = 0; status >= 0 && i < 3; i++) {
        size_t n_bytes;
        pp_encoding_get(encoding, i, &encoded, NULL);
        for (int64_t k = 0; k < encoded.n; k++)
            outcome->ids[outcome->n_ids++] = (char)encoded.ids[k];
        status = pp_tokenizer_decode(tokenizer, encoded.ids, encoded.n, NULL,
                                     outcome->text + outcome->n_text, 256, &n_bytes, &err);
        if (status >= 0)
            outcome->n_text += n_bytes;
        if (status >= 0)
            status = stream_all(tokenizer, &encoded, outcome);
    }
    pp_encoding_destroy(encoding);
    pp_tokenizer_destroy(tokenizer);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    struct outcome expected, got;
    struct counting counting = COUNTING_INIT;
    const pp_allocator allocator = counting_allocator(&counting);
    const int32_t n_threads = _i & 1 ? 3 : 1;
    tokenizer_dir_put(&dir, "tokenizer_config.json",
                      "{'add_bos_token':true,'add_eos_token':true,'bos_token':'<s>','eos_token':"
                      "{'content':'</s>'},'added_tokens_decoder':{'20':{'content':'<more>'}}}");
    OK(whole_run(&allocator, n_threads, &expected));
    const int64_t n_calls = counting.calls;
    ck_assert_int_eq(counting.held, 0);
    ck_assert_int_gt(n_calls, 30);
    counting.persistent = _i >> 1;
    for (int64_t n = 1; n <= n_calls + 3; n++) {
        counting.calls = 0;
        counting.fail_at = n;
        err = (pp_error){.struct_size = sizeof err};
        const pp_status status = whole_run(&allocator, n_threads, &got);
        ck_assert_msg(status == PP_ERR_NOMEM || status == PP_OK, "call %lld: status %d (%s)",
                      (long long)n, status, err.message);
        ck_assert_msg(counting.held == 0, "call %lld: %lld bytes leaked", (long long)n,
                      (long long)counting.held);
        if (status == PP_OK)
            ck_assert_mem_eq(&got, &expected, sizeof got);
    }
    counting.fail_at = 0;
    OK(whole_run(&allocator, n_threads, &got));
    ck_assert_mem_eq(&got, &expected, sizeof got);
}
END_TEST

/* A call that fails leaves the tokenizer as it was. */
START_TEST(a_failed_call_changes_nothing)
{
    struct counting counting = COUNTING_INIT;
    const pp_allocator allocator = counting_allocator(&counting);
    const pp_tokenizer_params open = {.struct_size = sizeof open, .allocator = &allocator};
    const pp_text text = text_of("hello <s> w");
    pp_tokenizer *tokenizer;
    pp_encoding *encoding = NULL;
    OK(pp_tokenizer_open(dir.path, &open, &tokenizer, &err));
    pp_status status = PP_ERR_NOMEM;
    for (int64_t n = 1; status == PP_ERR_NOMEM; n++) {
        ck_assert_int_lt(n, 200);
        counting.calls = 0;
        counting.fail_at = n;
        status = pp_tokenizer_encode(tokenizer, &text, 1, NULL, &encoding, &err);
        ck_assert(status == PP_ERR_NOMEM || status == PP_OK);
        counting.fail_at = 0;
        ck_assert_str_eq(ids_of(tokenizer, "hello <s> w", NULL), "0 9 5 6 0 13");
    }
    pp_encoding_destroy(encoding);
    pp_tokenizer_destroy(tokenizer);
    ck_assert_int_eq(counting.held, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-failing");
    TCase *tcase = tcase_create("failing");
    tcase_set_timeout(tcase, 0);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, threads_share_a_tokenizer);
    tcase_add_loop_test(tcase, every_allocation_may_fail, 0, 4);
    tcase_add_test(tcase, a_failed_call_changes_nothing);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
