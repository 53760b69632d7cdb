/*
 * test_tokenizer_sources.c: tokenizers from GGUF files, tekken.json and SentencePiece models that
 * are put together here: the tokens of texts and back, the files that must be refused, and
 * exhausted memory at every allocation.
 */
#include "support/tap.h"
#include "token_checks.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

/* ---- GGUF ---- */

static const char *const BPE_TOKENS[] = {"<|end|>", "a", "b", "c", "Ġ", "ab", "Ġab", "Ċ", "<tool>"};
static const int32_t BPE_TYPES[] = {3, 1, 1, 1, 1, 1, 1, 1, 4};
static const char *const BPE_MERGES[] = {"a b", "Ġ ab", "b a"};
#define N_BPE 9

/* Byte pair encoding of bytes; without the keys of the list, which ends with NULL. */
static bool is_left_out(const char *const *without, const char *key)
{
    for (; without && *without; without++)
        if (strcmp(*without, key) == 0)
            return true;
    return false;
}

static struct blob bpe_file(const char *const *without)
{
    struct blob blob = {0};
    gguf_begin(&blob);
    if (!is_left_out(without, "model"))
        gguf_put_text(&blob, KEY("model"), "gpt2");
    if (!is_left_out(without, "pre"))
        gguf_put_text(&blob, KEY("pre"), "gpt-2");
    if (!is_left_out(without, "tokens"))
        gguf_put_texts(&blob, KEY("tokens"), BPE_TOKENS, N_BPE);
    if (!is_left_out(without, "types"))
        gguf_put_ints(&blob, KEY("token_type"), BPE_TYPES, N_BPE);
    if (!is_left_out(without, "merges"))
        gguf_put_texts(&blob, KEY("merges"), BPE_MERGES, 2);
    if (!is_left_out(without, "bos"))
        gguf_put_u32(&blob, KEY("bos_token_id"), 0);
    return blob;
}

START_TEST(gguf_bpe)
{
    struct blob blob = bpe_file(NULL);
    gguf_put_flag(&blob, KEY("add_bos_token"), 1);
    gguf_end(&blob);
    pp_tokenizer *tokenizer = token_open_good(blob);
    CHECK_IDS(tokenizer, "ab abc<|end|>\n<tool>a", 0, 5, 6, 3, 0, 7, 8, 1);
    CHECK_LITERAL(tokenizer, "a<|end|><tool>", 0, 1, 8); /* no token has < | e n d > */
    CHECK_TEXT(tokenizer, "ab abc\n<tool>a", 0, 5, 6, 3, 0, 7, 8, 1);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(gguf_marks_known_specials)
{
    static const char *const tokens[] = {"</s>", "<|im_end|>", "a", "<|message|>"};
    static const int32_t types[] = {1, 4, 1, 3};
    struct blob blob = bpe_file((const char *const[]){"tokens", "types", "merges", NULL});
    gguf_put_texts(&blob, KEY("tokens"), tokens, 4);
    gguf_put_ints(&blob, KEY("token_type"), types, 4);
    gguf_put_texts(&blob, KEY("merges"), tokens, 0);
    gguf_put_text(&blob, "general.name", "Phi-3 mini");
    gguf_end(&blob);
    pp_tokenizer *tokenizer = token_open_good(blob);
    pp_special_token special = {.struct_size = sizeof special};
    CHECK_IDS(tokenizer, "a</s>  a<|im_end|> a<|message|> a", 2, 0, 2, 1, 2, 3, 2);
    CHECK_LITERAL(tokenizer, "<|message|>a", 3, 2);
    ck_assert_int_eq(pp_tokenizer_get_special(tokenizer, 1, &special, NULL), PP_OK);
    ck_assert_int_eq(special.is_special, 1);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

/* Three special tokens, 256 bytes, and pieces from FIRST_PIECE on. */
#define FIRST_PIECE 259
static const char *const PIECES[] = {"▁", "a", "b", "ab", "▁ab", "aa"};
static const float PIECE_SCORES[] = {-4, -5, -6, -1, -0.5f, -2};
#define N_PIECES 6
#define N_LLAMA  (FIRST_PIECE + N_PIECES)

static struct blob llama_file(const char *model, const float *scores, size_t n_scores)
{
    static char bytes[256][7];
    const char *tokens[N_LLAMA] = {"<unk>", "<s>", "</s>"};
    int32_t types[N_LLAMA] = {2, 3, 3};
    struct blob blob = {0};
    for (int i = 0; i < 256; i++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", (unsigned)i);
        tokens[3 + i] = bytes[i];
        types[3 + i] = 6;
    }
    for (int i = 0; i < N_PIECES; i++) {
        tokens[FIRST_PIECE + i] = PIECES[i];
        types[FIRST_PIECE + i] = 1;
    }
    gguf_begin(&blob);
    gguf_put_text(&blob, KEY("model"), model);
    gguf_put_texts(&blob, KEY("tokens"), tokens, N_LLAMA);
    gguf_put_ints(&blob, KEY("token_type"), types, N_LLAMA);
    gguf_put_floats(&blob, KEY("scores"), scores, n_scores);
    return blob;
}

static struct blob good_llama_file(const char *model)
{
    float scores[N_LLAMA] = {0};
    memcpy(scores + FIRST_PIECE, PIECE_SCORES, sizeof PIECE_SCORES);
    return llama_file(model, scores, N_LLAMA);
}

START_TEST(gguf_llama)
{
    struct blob blob = good_llama_file("llama");
    gguf_end(&blob);
    pp_tokenizer *tokenizer = token_open_good(blob);
    const int32_t p = FIRST_PIECE;
    CHECK_IDS(tokenizer, "ab ab</s>ab", 1, p + 4, p + 4, 2, p + 4);
    CHECK_IDS(tokenizer, "aaa", 1, p, p + 5, p + 1); /* of equal pairs the left one */
    CHECK_IDS(tokenizer, "€", 1, p, 3 + 0xe2, 3 + 0x82, 3 + 0xac);
    CHECK_TEXT(tokenizer, "ab ab€", 1, p + 4, p + 4, 2, 3 + 0xe2, 3 + 0x82, 3 + 0xac);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(gguf_t5)
{
    struct blob blob = good_llama_file("t5");
    gguf_put_u32(&blob, KEY("unknown_token_id"), 0);
    gguf_put_u32(&blob, KEY("eos_token_id"), 2);
    gguf_put_flag(&blob, KEY("add_space_prefix"), 1);
    gguf_put_flag(&blob, KEY("remove_extra_whitespaces"), 1);
    gguf_end(&blob);
    pp_tokenizer *tokenizer = token_open_good(blob);
    const int32_t p = FIRST_PIECE;
    CHECK_IDS(tokenizer, "  ab   b ", p + 4, p, p + 2, 2);
    CHECK_IDS(tokenizer, "xyz</s>", p, 0, 2, 2);
    CHECK_LITERAL(tokenizer, "</s>", p, 0, 2); /* not by way of the pieces either */
    CHECK_TEXT(tokenizer, "ab b", p + 4, p, p + 2, 2);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

/* A table that makes b of a: 512 units of a trie, and the text. */
START_TEST(gguf_charsmap)
{
    char table[4 + 2048 + 2] = {0};
    const uint32_t size = 2048, place = 256 ^ 'a';
    uint32_t units[512];
    for (int i = 0; i < 512; i++)
        units[i] = 0x80000000u;
    units[0] = 256u << 10;
    units[place] = 'a' | 256u | (place ^ 128) << 10;
    memcpy(table, &size, sizeof size);
    memcpy(table + 4, units, sizeof units);
    table[4 + 2048] = 'b';
    struct blob blob = good_llama_file("t5");
    gguf_put_u32(&blob, KEY("unknown_token_id"), 0);
    gguf_put_flag(&blob, KEY("add_eos_token"), 0);
    gguf_put_bytes(&blob, KEY("precompiled_charsmap"), table, sizeof table);
    gguf_end(&blob);
    pp_tokenizer *tokenizer = token_open_good(blob);
    CHECK_IDS(tokenizer, "a a", FIRST_PIECE + 2, FIRST_PIECE, FIRST_PIECE + 2);
    CHECK_IDS(tokenizer, "a\u0301", FIRST_PIECE + 2, 0); /* not a cluster as a whole */
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

static struct blob bert_file(void)
{
    static const char *const tokens[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁ab", "c"};
    static const int32_t types[] = {3, 3, 3, 3, 1, 1};
    struct blob blob = {0};
    gguf_begin(&blob);
    gguf_put_text(&blob, KEY("model"), "bert");
    gguf_put_texts(&blob, KEY("tokens"), tokens, 6);
    gguf_put_ints(&blob, KEY("token_type"), types, 6);
    gguf_put_u32(&blob, KEY("cls_token_id"), 2);
    gguf_put_u32(&blob, KEY("seperator_token_id"), 3);
    gguf_put_u32(&blob, KEY("unknown_token_id"), 1);
    gguf_end(&blob);
    return blob;
}

START_TEST(gguf_bert)
{
    pp_tokenizer *tokenizer = token_open_good(bert_file());
    CHECK_IDS(tokenizer, "ABC ab x", 2, 4, 5, 4, 1, 3);
    CHECK_TEXT(tokenizer, "abc ab", 2, 4, 5, 4, 3);
    ck_assert_int_eq(pp_tokenizer_id(tokenizer, "##c", 3), 5); /* as it was before the converter */
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

/* A good file in which one key is another. */
#define REPLACED(key, put, status, part)                                                           \
    do {                                                                                           \
        struct blob blob = bpe_file((const char *const[]){key, NULL});                             \
        put;                                                                                       \
        gguf_end(&blob);                                                                           \
        token_check_refused(blob, status, part);                                                   \
    } while (0)
#define TEXTS(...)                                                                                 \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define INTS(...)                                                                                  \
    (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

START_TEST(gguf_refused)
{
    REPLACED("tokens", (void)0, PP_ERR_FORMAT, "an array of tokens is needed");
    REPLACED("tokens", gguf_put_u32(&blob, KEY("tokens"), 7), PP_ERR_FORMAT, "an array of tokens");
    REPLACED("tokens", gguf_put_texts(&blob, KEY("tokens"), BPE_TOKENS, N_BPE - 1), PP_ERR_FORMAT,
             "for each of the 8 tokens");
    REPLACED("types", gguf_put_ints(&blob, KEY("token_type"), BPE_TYPES, 2), PP_ERR_FORMAT,
             "for each of the 9 tokens");
    REPLACED("types", gguf_put_ints(&blob, KEY("token_type"), INTS(1, 1, 1, 9, 1, 1, 1, 1, 1)),
             PP_ERR_FORMAT, "of token 3 is 9");
    REPLACED("types", gguf_put_ints(&blob, KEY("token_type"), INTS(1, -1, 1, 1, 1, 1, 1, 1, 1)),
             PP_ERR_FORMAT, "of token 1 is -1");
    REPLACED("merges", (void)0, PP_ERR_FORMAT, "an array of merges is needed");
    REPLACED("merges", gguf_put_texts(&blob, KEY("merges"), TEXTS("a b", "b z")), PP_ERR_FORMAT,
             "number 1 is \"b z\"");
    REPLACED("merges", gguf_put_texts(&blob, KEY("merges"), BPE_MERGES, 3), PP_ERR_FORMAT,
             "number 2 is \"b a\""); /* no token is ba */
    REPLACED("merges", gguf_put_texts(&blob, KEY("merges"), TEXTS("ab")), PP_ERR_FORMAT,
             "two tokens with a space");
    REPLACED("merges", gguf_put_texts(&blob, KEY("merges"), TEXTS("")), PP_ERR_FORMAT,
             "two tokens with a space");
    REPLACED("bos", gguf_put_u32(&blob, KEY("bos_token_id"), N_BPE), PP_ERR_FORMAT,
             "the id of a token is needed");
    REPLACED("", gguf_put_text(&blob, KEY("add_bos_token"), "yes"), PP_ERR_FORMAT,
             "true or false is needed");
    REPLACED("", gguf_put_flag(&blob, KEY("add_eos_token"), 1), PP_ERR_FORMAT,
             "no \"" KEY("eos_token_id") "\" says which"); /* 11, the usual one, is none here */
    REPLACED("pre", gguf_put_text(&blob, KEY("pre"), "superbpe"), PP_ERR_UNSUPPORTED, "superbpe");
    REPLACED("pre", gguf_put_u32(&blob, KEY("pre"), 1), PP_ERR_FORMAT, "a text is needed");
    REPLACED("model", gguf_put_text(&blob, KEY("model"), "rwkv"), PP_ERR_UNSUPPORTED, "rwkv");
    REPLACED("model", gguf_put_text(&blob, KEY("model"), "none"), PP_ERR_FORMAT, "no tokenizer");
    REPLACED("tokens",
             gguf_put_texts(&blob, KEY("tokens"),
                            TEXTS("<|end|>", "a", "b", "c", "Ġ", "ab", "Ġab", "a", "<tool>")),
             PP_ERR_FORMAT, "tokens 1 and 7 are both \"a\"");
    REPLACED("tokens",
             gguf_put_texts(&blob, KEY("tokens"),
                            TEXTS("<|end|>", "a", "b", "c", "\xff", "ab", "Ġab", "Ċ", "<tool>")),
             PP_ERR_FORMAT, "token 4 is not UTF-8");
}
END_TEST

START_TEST(gguf_scores_refused)
{
    float scores[N_LLAMA] = {0};
    struct blob blob = llama_file("llama", scores, N_LLAMA - 1);
    gguf_end(&blob);
    token_check_refused(blob, PP_ERR_FORMAT, "for each of the");
    scores[7] = NAN;
    blob = llama_file("llama", scores, N_LLAMA);
    gguf_end(&blob);
    token_check_refused(blob, PP_ERR_FORMAT, "of token 7 is not a finite number");
    blob = good_llama_file("t5");
    gguf_put_u32(&blob, KEY("eos_token_id"), 2);
    gguf_put_bytes(&blob, KEY("precompiled_charsmap"),
                   "\xff\xff\xff\x7f"
                   "abcd",
                   8);
    gguf_end(&blob);
    token_check_refused(blob, PP_ERR_FORMAT, "precompiled_charsmap");
}
END_TEST

/* ---- tekken.json ---- */

#define PATTERN                                                                                    \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+"
#define CONFIG(pattern, n_vocab, n_special, more)                                                  \
    "{\"config\":{\"pattern\":" pattern                                                            \
    ",\"num_vocab_tokens\":259,\"default_vocab_size\":" n_vocab                                    \
    ",\"default_num_special_tokens\":" n_special more "},"
#define GOOD_CONFIG CONFIG("\"" PATTERN "\"", "280", "22", ",\"version\":\"v3\"")

static void put_entry(struct blob *blob, int rank, const char *base64)
{
    char text[128];
    snprintf(text, sizeof text, "%s{\"rank\":%d,\"token_bytes\":\"%s\",\"token_str\":null}",
             rank ? "," : "", rank, base64);
    blob_text(blob, text);
}

/* 256 bytes, "ab", " ab", and one that default_vocab_size cuts off; last: in its place "ab". */
static struct blob tekken_file(const char *config, const char *last, const char *behind)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct blob blob = {0};
    blob_text(&blob, config);
    blob_text(&blob, "\"vocab\":[");
    for (int i = 0; i < 256; i++) {
        const char base64[] = {digits[i >> 2], digits[(i & 3) << 4], '=', '=', '\0'};
        put_entry(&blob, i, base64);
    }
    put_entry(&blob, 256, last);
    put_entry(&blob, 257, "IGFi");
    put_entry(&blob, 258, "YWJhYg==");
    blob_text(&blob, behind);
    return blob;
}

START_TEST(tekken)
{
    pp_tokenizer *tokenizer = token_open_good(tekken_file(GOOD_CONFIG, "YWI=", "]}"));
    const int32_t s = 22;
    CHECK_IDS(tokenizer, "ab ab\n[INST]abab", 1, s + 256, s + 257, s + '\n', 3, s + 256, s + 256);
    CHECK_LITERAL(tokenizer, "<s>", 1, s + '<', s + 's', s + '>');
    CHECK_IDS(tokenizer, "é<SPECIAL_21>", 1, s + 0xc3, s + 0xa9, 21);
    CHECK_TEXT(tokenizer, "ab abé\xef\xbf\xbd", 1, s + 256, s + 257, 3, s + 0xc3, s + 0xa9,
               s + 0xc3);
    pp_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(tekken_refused)
{
    static const struct {
        const char *config, *last, *behind;
        pp_status status;
        const char *part;
    } files[] = {
        {GOOD_CONFIG, "YW!=", "]}", PP_ERR_FORMAT, "entry 256 of \"vocab\": its \"token_bytes\""},
        {GOOD_CONFIG, "YWI", "]}", PP_ERR_FORMAT, "are not base64"},
        {GOOD_CONFIG, "", "]}", PP_ERR_FORMAT, "are not base64"},
        {GOOD_CONFIG, "Y===", "]}", PP_ERR_FORMAT, "are not base64"},
        {GOOD_CONFIG, "YQ==", "]}", PP_ERR_FORMAT, "an earlier token is the same"},
        {CONFIG("\"" PATTERN "\"", "281", "22", ",\"version\":\"v3\""),
         "YWI=", ",{\"rank\":258,\"token_bytes\":\"YWI=\"}]}", PP_OK, ""},
        {CONFIG("\"" PATTERN "\"", "282", "22", ",\"version\":\"v3\""),
         "YWI=", ",{\"rank\":258,\"token_bytes\":\"YWI=\"}]}", PP_ERR_FORMAT, "not its place"},
        {CONFIG("\"" PATTERN "\"", "282", "22", ",\"version\":\"v3\""), "YWI=",
         ",{\"rank\":259,\"token_bytes\":\"YWI=\",\"weight\":1}]}", PP_ERR_FORMAT, "no others"},
        {CONFIG("\"" PATTERN "\"", "300", "22", ",\"version\":\"v3\""), "YWI=", "]}", PP_ERR_FORMAT,
         "\"vocab\" must have the rest"},
        {CONFIG("\"" PATTERN "\"", "280", "100", ",\"version\":\"v3\""), "YWI=", "]}",
         PP_ERR_FORMAT, "at least 256"},
        {CONFIG("\"" PATTERN "\"", "270", "12", ",\"version\":\"v3\""), "YWI=", "]}", PP_ERR_FORMAT,
         "but there are 20"},
        {CONFIG("\"" PATTERN "\"", "280", "22", ",\"version\":\"v13\""), "YWI=", "]}",
         PP_ERR_FORMAT, "a list is needed"},
        {CONFIG("\"" PATTERN "\"", "280", "22", ",\"version\":\"x\""), "YWI=", "]}", PP_ERR_FORMAT,
         "a version such as"},
        {CONFIG("\"" PATTERN "\"", "280", "22", ",\"version\":\"v3\",\"drop\":1"), "YWI=", "]}",
         PP_ERR_UNSUPPORTED, "config.drop"},
        {CONFIG("null", "280", "22", ",\"version\":\"v3\""), "YWI=", "]}", PP_ERR_FORMAT,
         "a regular expression is needed"},
        {CONFIG("\"(\"", "280", "22", ",\"version\":\"v3\""), "YWI=", "]}", PP_ERR_FORMAT, "("},
        {GOOD_CONFIG, "YWI=", "],\"special_tokens\":[{\"rank\":1,\"token_str\":\"<s>\"}]}",
         PP_ERR_FORMAT, "entry 0 of \"special_tokens\""},
        {GOOD_CONFIG, "YWI=", "],\"special_tokens\":[{\"rank\":0,\"token_str\":\"<x>\"}]}",
         PP_ERR_FORMAT, "lacks <s>"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct blob blob = tekken_file(files[i].config, files[i].last, files[i].behind);
        if (files[i].status == PP_OK)
            pp_tokenizer_destroy(token_open_good(blob));
        else
            token_check_refused(blob, files[i].status, files[i].part);
    }
}
END_TEST

START_TEST(memory_runs_out)
{
    struct blob blob = bpe_file(NULL);
    gguf_end(&blob);
    token_exhaust(blob);
    blob = good_llama_file("llama");
    gguf_end(&blob);
    token_exhaust(blob);
    token_exhaust(bert_file());
    token_exhaust(tekken_file(GOOD_CONFIG, "YWI=", "]}"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-sources");
    TCase *tcase = tcase_create("sources");
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, gguf_bpe);
    tcase_add_test(tcase, gguf_marks_known_specials);
    tcase_add_test(tcase, gguf_llama);
    tcase_add_test(tcase, gguf_t5);
    tcase_add_test(tcase, gguf_charsmap);
    tcase_add_test(tcase, gguf_bert);
    tcase_add_test(tcase, gguf_refused);
    tcase_add_test(tcase, gguf_scores_refused);
    tcase_add_test(tcase, tekken);
    tcase_add_test(tcase, tekken_refused);
    tcase_add_test(tcase, memory_runs_out);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
