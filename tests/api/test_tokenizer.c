/*
 * test_tokenizer.c: the public interface of libprepack-tokenizer: what each call refuses and how it
 * says so, lookups, edges, special tokens, decoding and streams.
 */
#include "support/tap.h"
#include "support/tokenizer_files.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static pp_error err;
static struct tokenizer_dir dir;
static pp_tokenizer *tiny;

#define OK(call) ck_assert_msg((call) >= 0, "%s: %s", #call, err.message)
/* The call is refused with the status and a sentence that has the words in it. */
#define REFUSED(call, code_, words)                                                                \
    do {                                                                                           \
        err = (pp_error){.struct_size = sizeof err};                                               \
        const pp_status status_ = (call);                                                          \
        ck_assert_msg(status_ == (code_), "%s: status %d (%s)", #call, status_, err.message);      \
        ck_assert_int_eq(err.code, (code_));                                                       \
        ck_assert_msg(strstr(err.message, words) != NULL, "%s: \"%s\"", #call, err.message);       \
    } while (0)

static void set_up(void)
{
    err = (pp_error){.struct_size = sizeof err};
    dir = tokenizer_dir_make();
    tokenizer_dir_put(&dir, "tokenizer.json", TINY_TOKENIZER);
    OK(pp_tokenizer_open(dir.path, NULL, &tiny, &err));
}

static void tear_down(void)
{
    pp_tokenizer_destroy(tiny);
    tokenizer_dir_remove(&dir);
}

/* ---- helpers ---- */

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

static const char *text_from(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n,
                             const pp_decode_params *params)
{
    static char text[1024];
    size_t n_bytes;
    OK(pp_tokenizer_decode(tokenizer, ids, n, params, text, sizeof text, &n_bytes, &err));
    ck_assert_uint_eq(n_bytes, strlen(text));
    return text;
}

/* ---- opening ---- */

START_TEST(open_refuses_arguments)
{
    pp_tokenizer *tokenizer = NULL;
    struct {
        pp_tokenizer_params params;
        int64_t more;
    } newer = {.more = 0};
    pp_tokenizer_params_init(&newer.params, sizeof newer);
    ck_assert_uint_eq(newer.params.struct_size, sizeof newer);
    REFUSED(pp_tokenizer_open(NULL, NULL, &tokenizer, &err), PP_ERR_ARG, "is NULL");
    REFUSED(pp_tokenizer_open(dir.path, NULL, NULL, &err), PP_ERR_ARG, "is NULL");
    newer.more = 1;
    REFUSED(pp_tokenizer_open(dir.path, &newer.params, &tokenizer, &err), PP_ERR_STRUCT_SIZE,
            "pp_tokenizer_params");
    newer.more = 0;
    newer.params.struct_size = 2;
    REFUSED(pp_tokenizer_open(dir.path, &newer.params, &tokenizer, &err), PP_ERR_STRUCT_SIZE,
            "struct_size is 2");
    newer.params.struct_size = sizeof newer;
    pp_allocator half = {.struct_size = sizeof half};
    half.allocate = counting_allocator(NULL).allocate;
    newer.params.allocator = &half;
    half.release = NULL;
    REFUSED(pp_tokenizer_open(dir.path, &newer.params, &tokenizer, &err), PP_ERR_ARG,
            "both allocate and release");
    ck_assert_ptr_null(tokenizer);
    newer.params.allocator = NULL;
    OK(pp_tokenizer_open(dir.path, &newer.params, &tokenizer, &err));
    pp_tokenizer_destroy(tokenizer);
    newer.params.struct_size = sizeof(uint32_t); /* an older caller knows nothing else */
    newer.params.allocator = &half;
    OK(pp_tokenizer_open(dir.path, &newer.params, &tokenizer, NULL));
    pp_tokenizer_destroy(tokenizer);
    pp_tokenizer_destroy(NULL);
}
END_TEST

START_TEST(sizes_of_older_and_newer_structs)
{
    struct {
        pp_tokenizer_info info;
        int64_t more;
    } newer = {.info = {.struct_size = sizeof newer}, .more = 5};
    pp_tokenizer_info older = {.struct_size = offsetof(pp_tokenizer_info, vocab_size),
                               .vocab_size = 77};
    pp_special_token special = {.struct_size = offsetof(pp_special_token, is_special),
                                .is_special = 77};
    OK(pp_tokenizer_get_info(tiny, &newer.info, &err));
    ck_assert_int_eq(newer.more, 0);
    ck_assert_int_eq(newer.info.vocab_size, 15);
    OK(pp_tokenizer_get_info(tiny, &older, &err));
    ck_assert_int_eq(older.kind, PP_TOKENIZER_BPE);
    ck_assert_int_eq(older.vocab_size, 77);
    OK(pp_tokenizer_get_special(tiny, 2, &special, &err));
    ck_assert_int_eq(special.id, 14);
    ck_assert_int_eq(special.is_special, 77);
    older.struct_size = 0;
    REFUSED(pp_tokenizer_get_info(tiny, &older, &err), PP_ERR_STRUCT_SIZE, "pp_tokenizer_info");
    special.struct_size = 1 << 20;
    REFUSED(pp_tokenizer_get_special(tiny, 0, &special, &err), PP_ERR_STRUCT_SIZE,
            "pp_special_token");
}
END_TEST

/* ---- questions ---- */

START_TEST(info_and_special_tokens)
{
    pp_tokenizer_info info = {.struct_size = sizeof info};
    pp_special_token special = {.struct_size = sizeof special};
    const char *const texts[] = {"<s>", "</s>", "<tool>"};
    const int32_t ids[] = {0, 1, 14}, is_special[] = {1, 1, 0};
    OK(pp_tokenizer_get_info(tiny, &info, &err));
    ck_assert_int_eq(info.kind, PP_TOKENIZER_BPE);
    ck_assert_int_eq(info.n_special_tokens, 3);
    ck_assert_int_eq(info.unk_token, -1);
    ck_assert_int_eq(info.pad_token, -1);
    for (int32_t i = 0; i < 3; i++) {
        OK(pp_tokenizer_get_special(tiny, i, &special, &err));
        ck_assert_str_eq(special.text, texts[i]);
        ck_assert_int_eq(special.id, ids[i]);
        ck_assert_int_eq(special.is_special, is_special[i]);
    }
    REFUSED(pp_tokenizer_get_special(tiny, 3, &special, &err), PP_ERR_ARG, "special token 3 of 3");
    ck_assert_int_eq(err.index, 3);
    REFUSED(pp_tokenizer_get_special(tiny, -1, &special, &err), PP_ERR_ARG, "special token -1");
    REFUSED(pp_tokenizer_get_special(NULL, 0, &special, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_get_special(tiny, 0, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_get_info(NULL, &info, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_get_info(tiny, NULL, &err), PP_ERR_ARG, "NULL");
}
END_TEST

START_TEST(tokens_and_ids)
{
    size_t n_bytes = 99;
    ck_assert_str_eq(pp_tokenizer_token(tiny, 13, &n_bytes), "\xc4\xa0w");
    ck_assert_uint_eq(n_bytes, 3);
    ck_assert_str_eq(pp_tokenizer_token(tiny, 14, NULL), "<tool>");
    n_bytes = 99;
    ck_assert_ptr_null(pp_tokenizer_token(tiny, 15, &n_bytes));
    ck_assert_ptr_null(pp_tokenizer_token(tiny, -1, &n_bytes));
    ck_assert_ptr_null(pp_tokenizer_token(tiny, INT32_MAX, NULL));
    ck_assert_ptr_null(pp_tokenizer_token(NULL, 0, NULL));
    ck_assert_int_eq(pp_tokenizer_id(tiny, "hell", 4), 9);
    ck_assert_int_eq(pp_tokenizer_id(tiny, "hello", 4), 9);
    ck_assert_int_eq(pp_tokenizer_id(tiny, "hello", 5), -1);
    ck_assert_int_eq(pp_tokenizer_id(tiny, "<tool>", 6), 14);
    ck_assert_int_eq(pp_tokenizer_id(tiny, "", 0), -1);
    ck_assert_int_eq(pp_tokenizer_id(tiny, NULL, 0), -1);
    ck_assert_int_eq(pp_tokenizer_id(NULL, "h", 1), -1);
}
END_TEST

/* ---- encoding ---- */

START_TEST(encode_refuses_arguments)
{
    pp_encoding *encoding = NULL;
    const pp_text text = text_of("hello"), missing = {NULL, 3};
    pp_encode_params params;
    struct {
        pp_encode_params params;
        int32_t more;
    } newer = {.more = 1};
    pp_encode_params_init(&params, sizeof params);
    pp_encode_params_init(&newer.params, sizeof newer.params);
    newer.params.struct_size = sizeof newer;
    REFUSED(pp_tokenizer_encode(NULL, &text, 1, NULL, &encoding, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_encode(tiny, NULL, 1, NULL, &encoding, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, NULL, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_encode(tiny, &text, -1, NULL, &encoding, &err), PP_ERR_ARG, "-1 texts");
    REFUSED(pp_tokenizer_encode(tiny, &missing, 1, NULL, &encoding, &err), PP_ERR_ARG,
            "a text of 3 bytes is NULL");
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, &newer.params, &encoding, &err), PP_ERR_STRUCT_SIZE,
            "pp_encode_params");
    params.special = 2;
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, &params, &encoding, &err), PP_ERR_ARG,
            "special is 2");
    params.special = PP_SPECIAL_INT32;
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, &params, &encoding, &err), PP_ERR_ARG,
            "special is -1");
    params.special = PP_SPECIAL_PARSE;
    params.n_threads = -1;
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, &params, &encoding, &err), PP_ERR_ARG,
            "n_threads is -1");
    params.n_threads = 1 << 20;
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, &params, &encoding, &err), PP_ERR_ARG,
            "n_threads is 1048576");
    ck_assert_ptr_null(encoding);
}
END_TEST

/* The index is that of the first such text, whatever threads take part. */
START_TEST(text_that_is_not_utf8)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } bad[] = {
        {"he\xff", 3, "byte 2 (0xff)"},
        {"\xc3", 1, "byte 0 (0xc3)"},
        {"a\xc0\x80", 3, "byte 1 (0xc0)"},
        {"ab\xed\xa0\x80", 5, "byte 2 (0xed)"},
        {"\xf4\x90\x80\x80", 4, "byte 0 (0xf4)"},
        {"\xe4\xb8", 2, "byte 0 (0xe4)"},
        {"\x80", 1, "byte 0 (0x80)"},
        {"\xf0\x9f\x98", 3, "byte 0 (0xf0)"},
    };
    pp_text texts[40];
    pp_encoding *encoding = NULL;
    for (int32_t n_threads = 1; n_threads < 5; n_threads += 3)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            pp_encode_params params = {.struct_size = sizeof params, .n_threads = n_threads};
            for (size_t k = 0; k < 40; k++)
                texts[k] = text_of("hello");
            texts[17] = texts[18] = (pp_text){bad[i].bytes, bad[i].n};
            REFUSED(pp_tokenizer_encode(tiny, texts, 40, &params, &encoding, &err), PP_ERR_ARG,
                    bad[i].words);
            ck_assert_int_eq(err.index, 17);
        }
    ck_assert_ptr_null(encoding);
}
END_TEST

START_TEST(a_text_may_be_too_long)
{
    pp_encoding *encoding = NULL;
    const pp_text text = {"", (size_t)1 << 30}; /* refused before a byte is read */
    REFUSED(pp_tokenizer_encode(tiny, &text, 1, NULL, &encoding, &err), PP_ERR_LIMIT,
            "1073741824 bytes");
    ck_assert_int_eq(err.index, 0);
}
END_TEST

START_TEST(edges_and_special_tokens)
{
    pp_encode_params params;
    pp_encode_params_init(&params, sizeof params);
    ck_assert_str_eq(ids_of(tiny, "hello", NULL), "0 9 5");
    ck_assert_str_eq(ids_of(tiny, "", NULL), "0");
    ck_assert_str_eq(ids_of(tiny, "<s>hello<tool>\xc3\xa9 w</s>", &params),
                     "0 0 9 5 14 10 11 13 1");
    params.no_edges = 1;
    ck_assert_str_eq(ids_of(tiny, "hello", &params), "9 5");
    ck_assert_str_eq(ids_of(tiny, "", &params), "");
    ck_assert_str_eq(ids_of(tiny, "<s>", &params), "0");
    params.special = PP_SPECIAL_TEXT; /* <tool> is none */
    ck_assert_str_eq(ids_of(tiny, "<s>lo</s><tool>", &params), "4 5 14");
}
END_TEST

START_TEST(encodings)
{
    const pp_text texts[] = {text_of("hello w"), {NULL, 0}, text_of("<s>o")};
    pp_encode_params params = {.struct_size = sizeof params, .offsets = 1};
    pp_encoding *encoding;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    struct {
        pp_encoded encoded;
        int64_t more;
    } newer = {.encoded = {.struct_size = sizeof newer}, .more = 1};
    OK(pp_tokenizer_encode(tiny, texts, 3, &params, &encoding, &err));
    ck_assert_int_eq(pp_encoding_count(encoding), 3);
    ck_assert_int_eq(pp_encoding_count(NULL), 0);
    OK(pp_encoding_get(encoding, 0, &encoded, &err));
    ck_assert_int_eq(encoded.n, 4);
    const pp_text_range expected[] = {{0, 0}, {0, 4}, {4, 5}, {5, 7}};
    ck_assert_mem_eq(encoded.offsets, expected, sizeof expected);
    OK(pp_encoding_get(encoding, 1, &encoded, &err));
    ck_assert_int_eq(encoded.n, 1);
    OK(pp_encoding_get(encoding, 2, &newer.encoded, &err));
    ck_assert_int_eq(newer.encoded.n, 3);
    ck_assert_int_eq(newer.more, 0);
    REFUSED(pp_encoding_get(encoding, 3, &encoded, &err), PP_ERR_ARG, "text 3 of an encoding of 3");
    ck_assert_int_eq(err.index, 3);
    REFUSED(pp_encoding_get(encoding, -1, &encoded, &err), PP_ERR_ARG, "text -1");
    REFUSED(pp_encoding_get(NULL, 0, &encoded, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_encoding_get(encoding, 0, NULL, &err), PP_ERR_ARG, "NULL");
    encoded.struct_size = 3;
    REFUSED(pp_encoding_get(encoding, 0, &encoded, &err), PP_ERR_STRUCT_SIZE, "pp_encoded");
    pp_encoding_destroy(encoding);
    pp_encoding_destroy(NULL);
    OK(pp_tokenizer_encode(tiny, NULL, 0, NULL, &encoding, &err));
    ck_assert_int_eq(pp_encoding_count(encoding), 0);
    REFUSED(pp_encoding_get(encoding, 0, &newer.encoded, &err), PP_ERR_ARG, "of 0");
    pp_encoding_destroy(encoding);
}
END_TEST

START_TEST(encodings_outlive_their_tokenizer)
{
    struct counting counting = COUNTING_INIT;
    const pp_allocator allocator = counting_allocator(&counting);
    const pp_tokenizer_params open = {.struct_size = sizeof open, .allocator = &allocator};
    const pp_text text = text_of("hello");
    pp_tokenizer *tokenizer;
    pp_encoding *encoding;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    OK(pp_tokenizer_open(dir.path, &open, &tokenizer, &err));
    OK(pp_tokenizer_encode(tokenizer, &text, 1, NULL, &encoding, &err));
    pp_tokenizer_destroy(tokenizer);
    OK(pp_encoding_get(encoding, 0, &encoded, &err));
    ck_assert_int_eq(encoded.n, 3);
    ck_assert_int_eq(encoded.ids[1], 9);
    ck_assert_ptr_null(encoded.offsets);
    pp_encoding_destroy(encoding);
    ck_assert_int_eq(counting.held, 0);
}
END_TEST

/* ---- decoding ---- */

START_TEST(decode)
{
    const int32_t ids[] = {0, 9, 5, 14, 13, 10, 11, 1}, odd[] = {9, -1, 15, INT32_MAX, 5, 10};
    pp_decode_params params;
    char text[64] = "unchanged";
    size_t n_bytes = 0;
    pp_decode_params_init(&params, sizeof params);
    ck_assert_str_eq(text_from(tiny, ids, 8, NULL), "hello<tool> w\xc3\xa9");
    params.keep_special = 1;
    ck_assert_str_eq(text_from(tiny, ids, 8, &params), "<s>hello<tool> w\xc3\xa9</s>");
    ck_assert_str_eq(text_from(tiny, odd, 6, NULL), "hello\xef\xbf\xbd");
    ck_assert_str_eq(text_from(tiny, NULL, 0, NULL), "");
    OK(pp_tokenizer_decode(tiny, ids, 8, NULL, NULL, 0, &n_bytes, &err));
    ck_assert_uint_eq(n_bytes, 15);
    n_bytes = 0;
    REFUSED(pp_tokenizer_decode(tiny, ids, 8, NULL, text, 15, &n_bytes, &err), PP_ERR_ARG,
            "a text of 15 bytes needs room for 16; there is 15");
    ck_assert_uint_eq(n_bytes, 15);
    ck_assert_str_eq(text, "unchanged");
    OK(pp_tokenizer_decode(tiny, ids, 8, NULL, text, 16, &n_bytes, &err));
    REFUSED(pp_tokenizer_decode(NULL, ids, 1, NULL, text, 16, &n_bytes, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_decode(tiny, NULL, 1, NULL, text, 16, &n_bytes, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_decode(tiny, ids, 1, NULL, text, 16, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_tokenizer_decode(tiny, ids, -1, NULL, text, 16, &n_bytes, &err), PP_ERR_ARG, "-1");
    params.struct_size = 1;
    REFUSED(pp_tokenizer_decode(tiny, ids, 1, &params, text, 16, &n_bytes, &err),
            PP_ERR_STRUCT_SIZE, "pp_decode_params");
}
END_TEST

START_TEST(streams)
{
    pp_text_stream *stream = NULL;
    pp_text piece;
    pp_decode_params params = {.struct_size = 2};
    REFUSED(pp_text_stream_create(tiny, &params, &stream, &err), PP_ERR_STRUCT_SIZE,
            "pp_decode_params");
    REFUSED(pp_text_stream_create(NULL, NULL, &stream, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_text_stream_create(tiny, NULL, NULL, &err), PP_ERR_ARG, "NULL");
    OK(pp_text_stream_create(tiny, NULL, &stream, &err));
    REFUSED(pp_text_stream_push(NULL, 9, &piece, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_text_stream_push(stream, 9, NULL, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_text_stream_finish(NULL, &piece, &err), PP_ERR_ARG, "NULL");
    REFUSED(pp_text_stream_finish(stream, NULL, &err), PP_ERR_ARG, "NULL");
    for (int round = 0; round < 2; round++) { /* after finish it begins anew */
        OK(pp_text_stream_push(stream, 9, &piece, &err));
        ck_assert_uint_eq(piece.n_bytes, 4);
        ck_assert_mem_eq(piece.bytes, "hell", 4);
        OK(pp_text_stream_push(stream, 0, &piece, &err)); /* special */
        ck_assert_uint_eq(piece.n_bytes, 0);
        OK(pp_text_stream_push(stream, 99, &piece, &err)); /* no token */
        ck_assert_uint_eq(piece.n_bytes, 0);
        OK(pp_text_stream_push(stream, 10, &piece, &err)); /* half of a character */
        ck_assert_uint_eq(piece.n_bytes, 0);
        OK(pp_text_stream_push(stream, 11, &piece, &err));
        ck_assert_mem_eq(piece.bytes, "\xc3\xa9", 2);
        OK(pp_text_stream_push(stream, 10, &piece, &err));
        OK(pp_text_stream_finish(stream, &piece, &err));
        ck_assert_uint_eq(piece.n_bytes, 3);
        ck_assert_mem_eq(piece.bytes, "\xef\xbf\xbd", 3);
    }
    pp_text_stream_destroy(stream);
    pp_text_stream_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer");
    TCase *tcase = tcase_create("tokenizer");
    tcase_set_timeout(tcase, 0);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, open_refuses_arguments);
    tcase_add_test(tcase, sizes_of_older_and_newer_structs);
    tcase_add_test(tcase, info_and_special_tokens);
    tcase_add_test(tcase, tokens_and_ids);
    tcase_add_test(tcase, encode_refuses_arguments);
    tcase_add_test(tcase, text_that_is_not_utf8);
    tcase_add_test(tcase, a_text_may_be_too_long);
    tcase_add_test(tcase, edges_and_special_tokens);
    tcase_add_test(tcase, encodings);
    tcase_add_test(tcase, encodings_outlive_their_tokenizer);
    tcase_add_test(tcase, decode);
    tcase_add_test(tcase, streams);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
