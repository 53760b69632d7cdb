/*
 * test_tokenizer_sentencepiece.c: tokenizer.model files that are put together here: tokens and
 * text, what the files beside them change, models that must be refused, and exhausted memory.
 */
#include "support/tap.h"
#include "token_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRAINER = 2, NORMALIZER = 3, DENORMALIZER = 5 };
enum { MODEL_TYPE = 3, SPACE_BEHIND = 24, BYTE_FALLBACK = 35, UNK_ID = 40 };
enum { CHARSMAP = 2, DUMMY_PREFIX = 3, DROPS_SPACES = 4 };

/* ---- models ---- */

static void put_piece(struct blob *model, const char *text, float score, int type)
{
    spm_piece(model, text, strlen(text), score, type);
}

static void put_number(struct blob *model, int message, int64_t field, int64_t value)
{
    const int64_t numbers[][2] = {{field, value}};
    spm_numbers(model, message, numbers, 1);
}

/* <unk> <s> </s> ▁ a b ab ▁ab <u>, by BPE; spaces are kept. */
static struct blob good_model(void)
{
    struct blob model = {0};
    put_piece(&model, "<unk>", 0, SPM_UNKNOWN);
    put_piece(&model, "<s>", 0, SPM_CONTROL);
    put_piece(&model, "</s>", 0, SPM_CONTROL);
    put_piece(&model, "▁", -4, SPM_NORMAL);
    put_piece(&model, "a", -5, SPM_NORMAL);
    put_piece(&model, "b", -6, SPM_NORMAL);
    put_piece(&model, "ab", -1, SPM_NORMAL);
    put_piece(&model, "▁ab", -2, SPM_NORMAL);
    put_piece(&model, "<u>", 0, SPM_USER);
    put_number(&model, TRAINER, MODEL_TYPE, 2);
    put_number(&model, NORMALIZER, DROPS_SPACES, 0);
    return model;
}

static void put_bytes(struct blob *model, int n)
{
    char text[7];
    for (int byte = 0; byte < n; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        put_piece(model, text, 0, SPM_BYTE);
    }
}

START_TEST(tokens_and_text)
{
    pp_tokenizer *tokenizer = token_open_good(good_model());
    CHECK_IDS(tokenizer, "ab ab", 1, 7, 7);
    CHECK_IDS(tokenizer, "ab<s>ab</s> ab", 1, 7, 1, 6, 2, 7);
    CHECK_IDS(tokenizer, "", 1);
    CHECK_IDS(tokenizer, "a<u>xyb", 1, 3, 4, 8, 0, 5);
    CHECK_LITERAL(tokenizer, "ab<s>", 1, 7, 0);
    CHECK_TEXT(tokenizer, "ab ab", 1, 7, 7, 2);
    CHECK_TEXT(tokenizer, " \u2047 b<u>", 0, 5, 8);
    CHECK_TEXT(tokenizer, " ab", 3, 7); /* only one space was put there */
    CHECK_TEXT(tokenizer, "a ab", 1, 4, 7);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(spaces_are_dropped)
{
    struct blob model = good_model();
    put_number(&model, NORMALIZER, DROPS_SPACES, 1);
    pp_tokenizer *tokenizer = token_open_good(model);
    CHECK_IDS(tokenizer, "  ab   ab ", 1, 7, 7);
    CHECK_TEXT(tokenizer, "ab ab", 3, 3, 7, 7);
    pp_tokenizer_destroy(tokenizer);
    model = good_model();
    put_number(&model, NORMALIZER, DUMMY_PREFIX, 0);
    tokenizer = token_open_good(model);
    CHECK_IDS(tokenizer, "ab ab", 1, 6, 7);
    CHECK_TEXT(tokenizer, " ab", 7);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(bytes)
{
    struct blob model = good_model();
    put_bytes(&model, 256);
    put_number(&model, TRAINER, BYTE_FALLBACK, 1);
    pp_tokenizer *tokenizer = token_open_good(model);
    const int32_t b = 9;
    CHECK_IDS(tokenizer, "ab€", 1, 7, b + 0xe2, b + 0x82, b + 0xac);
    CHECK_TEXT(tokenizer, "€ ab", b + 0xe2, b + 0x82, b + 0xac, 7);
    CHECK_TEXT(tokenizer, "\ufffd\ufffdab", b + 0xe2, b + 0x82, 6); /* one for each byte */
    CHECK_TEXT(tokenizer, "\ufffd\ufffdA", b + 0xe2, 1, b + 0x82, b + 'A');
    CHECK_TEXT(tokenizer, "\u2581", b + 0xe2, b + 0x96, b + 0x81); /* no space */
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- files beside a model ---- */

static void check_settings(const char *config, const char *text, const int32_t *ids)
{
    char folder[] = "/tmp/tokenizer-XXXXXX", path[64];
    struct blob model = good_model();
    pp_tokenizer *tokenizer;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tokenizer.model", folder);
    token_write_file(path, model.bytes, model.n);
    free(model.bytes);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    token_write_file(path, config, strlen(config));
    const pp_status status = pp_tokenizer_open(folder, NULL, &tokenizer, &err);
    ck_assert_msg(status == PP_OK, "%s: %s", config, err.message);
    token_check_ids(tokenizer, text, PP_SPECIAL_PARSE, ids);
    pp_tokenizer_destroy(tokenizer);
    unlink(path);
    snprintf(path, sizeof path, "%s/tokenizer.model", folder);
    unlink(path);
    rmdir(folder);
}
#define CHECK_SETTINGS(config, text, ...)                                                          \
    check_settings(config, text, (const int32_t[]){__VA_ARGS__, TOKENS_END})

START_TEST(settings)
{
    CHECK_SETTINGS("{}", "ab<s>ab", 1, 7, 1, 6);
    CHECK_SETTINGS("{\"legacy\": true}", "ab<s>ab</s> ab", 1, 7, 1, 7, 2, 7);
    CHECK_SETTINGS("{\"add_prefix_space\": false}", "ab<s>ab", 1, 6, 1, 6);
    CHECK_SETTINGS("{\"add_bos_token\": false}", "ab", 7);
    CHECK_SETTINGS("{\"add_eos_token\": true}", "ab", 1, 7, 2);
    CHECK_SETTINGS("{\"bos_token\": \"</s>\"}", "ab", 2, 7);
    CHECK_SETTINGS("{\"bos_token\": null}", "ab", 7);
    CHECK_SETTINGS("{\"split_special_tokens\": true}", "ab<s>", 1, 7, 0);
    CHECK_SETTINGS("{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"rstrip\": true},"
                   "\"20\": {\"content\": \"[x]\", \"lstrip\": true}}}",
                   "ab<s>  ab [x]", 1, 7, 1, 6, 20);
}
END_TEST

/* ---- models that are refused ---- */

/* A good model and more. */
#define REFUSED(more, status, part)                                                                \
    do {                                                                                           \
        struct blob model = good_model();                                                          \
        more;                                                                                      \
        token_check_refused(model, status, part);                                                  \
    } while (0)

START_TEST(refused_pieces)
{
    REFUSED(put_piece(&model, "", 0, SPM_NORMAL), PP_ERR_FORMAT, "empty piece");
    REFUSED(put_piece(&model, "a", 0, SPM_NORMAL), PP_ERR_FORMAT, "a piece twice");
    REFUSED(put_piece(&model, "x", NAN, SPM_NORMAL), PP_ERR_FORMAT, "finite");
    REFUSED(put_piece(&model, "x", 0, 7), PP_ERR_FORMAT, "unknown type");
    REFUSED(put_piece(&model, "\xff", 0, SPM_NORMAL), PP_ERR_FORMAT, "not UTF-8");
    REFUSED(spm_piece(&model, "a\0b", 3, 0, SPM_NORMAL), PP_ERR_FORMAT, "not UTF-8");
    REFUSED(put_piece(&model, "<v>", 0, SPM_UNKNOWN), PP_ERR_FORMAT, "exactly one piece");
    REFUSED(put_piece(&model, "<0x0>", 0, SPM_BYTE), PP_ERR_FORMAT, "<0x00> to <0xFF>");
    REFUSED(put_bytes(&model, 1), PP_ERR_FORMAT, "does not fall back");
    REFUSED(put_number(&model, TRAINER, BYTE_FALLBACK, 1), PP_ERR_FORMAT, "256 byte pieces");
}
END_TEST

START_TEST(refused_messages)
{
    static const char cut[] = {0x0a, 0x7f, 'x'}, group[] = {0x4b};
    REFUSED(blob_put(&model, cut, sizeof cut), PP_ERR_FORMAT, "runs past the end");
    REFUSED(blob_put(&model, group, sizeof group), PP_ERR_FORMAT, "no such model has");
    REFUSED(put_number(&model, TRAINER, MODEL_TYPE, 5), PP_ERR_FORMAT, "none of unigram");
    REFUSED(put_number(&model, TRAINER, UNK_ID, 99), PP_ERR_FORMAT, "outside the vocabulary");
    REFUSED(spm_bytes(&model, NORMALIZER, CHARSMAP, "abc", 3), PP_ERR_FORMAT, "5 bytes");
    REFUSED(spm_bytes(&model, NORMALIZER, CHARSMAP,
                      "\xff\xff\xff\x7f"
                      "abcd",
                      8),
            PP_ERR_FORMAT, "impossible size");
    REFUSED(put_number(&model, TRAINER, SPACE_BEHIND, 1), PP_ERR_UNSUPPORTED, "behind them");
}
END_TEST

/* 512 units of a trie that matches nothing, and a string. */
START_TEST(refused_denormalizer)
{
    static char table[4 + 2048 + 2];
    struct blob model = good_model();
    const uint32_t root = 256u << 10, free_unit = 0x80000000u;
    table[1] = 8;
    memcpy(table + 4, &root, sizeof root);
    for (size_t i = 1; i < 512; i++)
        memcpy(table + 4 + 4 * i, &free_unit, sizeof free_unit);
    table[4 + 2048] = 'x';
    spm_bytes(&model, DENORMALIZER, CHARSMAP, table, sizeof table);
    token_check_refused(model, PP_ERR_UNSUPPORTED, "a table for text");
}
END_TEST

START_TEST(memory_runs_out)
{
    token_exhaust(good_model());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-sentencepiece");
    TCase *tcase = tcase_create("models");
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, tokens_and_text);
    tcase_add_test(tcase, spaces_are_dropped);
    tcase_add_test(tcase, bytes);
    tcase_add_test(tcase, settings);
    tcase_add_test(tcase, refused_pieces);
    tcase_add_test(tcase, refused_messages);
    tcase_add_test(tcase, refused_denormalizer);
    tcase_add_test(tcase, memory_runs_out);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
