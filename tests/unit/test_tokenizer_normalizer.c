/*
 * test_tokenizer_normalizer.c: texts become what `tokenizers` makes of them, from the same places;
 * maps of SentencePiece, also broken ones; what is refused; exhausted memory.
 */
#include "malformed/failing.h"
#include "support/tap.h"
#include "tokenizer/normalize/normalizer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct ppi_mem mem;
    struct ppi_normalizer *normalizer;
    struct ppi_pattern_work *work;
    struct ppi_text text, spare;
    pp_error err;
};

/* JSON with ' for ". */
static void unquote(char *text)
{
    for (char *at = text; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
}

/* Where bytes [begin, end) of a text came from, appended. */
static void put_origin(const struct ppi_text *text, size_t begin, size_t end, char *joined)
{
    const struct ppi_span origin = ppi_text_origin(text, begin, end);
    sprintf(joined + strlen(joined), "%s%u-%u", *joined ? " " : "", origin.begin, origin.end);
}

/* A text whose characters come from themselves. */
static void put_traced(struct ppi_text *text, const char *bytes, size_t n)
{
    for (size_t i = 0, step; i < n; i += step) {
        ppi_utf8_get(bytes + i, &step);
        ppi_text_put(text, bytes + i, step, (struct ppi_span){(uint32_t)i, (uint32_t)(i + step)});
    }
}

static pp_status open_with(struct fixture *fixture, const pp_allocator *allocator, const char *json)
{
    const size_t room = strlen(json) + 64;
    char *text = malloc(room);
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    fixture->text = ppi_text_start(&fixture->mem, true);
    fixture->spare = ppi_text_start(&fixture->mem, true);
    int n = snprintf(text, room, "{\"normalizer\":%s}", json);
    unquote(text);
    struct ppi_json parsed;
    const struct ppi_json_limits limits = {.allow_nul = true};
    pp_status status =
        ppi_json_parse(text, (size_t)n, "file", &limits, &fixture->mem, &parsed, &fixture->err);
    if (status == PP_OK) {
        const struct ppi_reading reading = {.label = "file",
                                            .mem = &fixture->mem,
                                            .err = &fixture->err,
                                            .log = &(struct ppi_log){0}};
        status = ppi_normalizer_read(&reading, ppi_json_get(parsed.root, "normalizer"),
                                     &fixture->normalizer);
        ppi_json_free(&parsed, &fixture->mem);
    }
    free(text);
    PP_TRY(status);
    return ppi_pattern_work_create(&fixture->mem, &fixture->work, &fixture->err);
}

static void start(struct fixture *fixture, const char *json)
{
    pp_status status = open_with(fixture, NULL, json);
    ck_assert_msg(status == PP_OK, "%s: %s", json, fixture->err.message);
}

static void stop(struct fixture *fixture)
{
    ppi_normalizer_destroy(fixture->normalizer);
    ppi_pattern_work_destroy(fixture->work);
    ppi_text_free(&fixture->text);
    ppi_text_free(&fixture->spare);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

static pp_status normalize(struct fixture *fixture, const char *text, size_t n)
{
    ppi_text_clear(&fixture->text, true);
    put_traced(&fixture->text, text, n);
    if (fixture->text.failed)
        return PP_ERR_NOMEM;
    return ppi_normalize(fixture->normalizer, &fixture->text, &fixture->spare, fixture->work,
                         &fixture->err);
}

/* The origins of the text's characters. */
static void join_origins(const struct ppi_text *text, char *origins)
{
    *origins = '\0';
    for (size_t i = 0, step; i < text->n; i += step) {
        ppi_utf8_get(text->bytes + i, &step);
        put_origin(text, i, i + step, origins);
    }
}

#define TEXT(text) text, sizeof text - 1

/* What it is, a text, what becomes of it, and where that comes from. */
static const struct {
    const char *json, *text;
    size_t n;
    const char *wanted;
    size_t n_wanted;
    const char *origins;
} normalizers[] = {
    {"{'type':'NFC'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éạ\314\201 ﬁ ½ 각 각 İSTANBUL ΣΑΣ 中文\tx\302\255\000~ Åक\340\244\274 "),
     "0-1 1-3 3-4 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 29-30 30-32 32-33 33-34 34-35 "
     "35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 54-55 55-57 57-58 "
     "58-59 59-60 60-63 63-66 63-66 66-67"},
    {"{'type':'NFD'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" E\314\201a\314\243\314\201 ﬁ ½ \341\204\200\341\205\241\341\206\250 "
          "\341\204\200\341\205\241\341\206\250 I\314\207STANBUL ΣΑΣ 中文\tx\302\255\000~ "
          "A\314\212क\340\244\274 "),
     "0-1 1-3 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 16-19 16-19 19-20 20-23 23-26 26-29 "
     "29-30 30-32 30-32 32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 "
     "47-50 50-53 53-54 54-55 55-57 57-58 58-59 59-60 60-63 60-63 63-66 63-66 66-67"},
    {"{'type':'NFKC'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éạ\314\201 fi 1\342\201\2042 각 각 İSTANBUL ΣΑΣ 中文\tx\302\255\000~ Åक\340\244\274 "),
     "0-1 1-3 3-4 6-8 8-9 9-12 9-12 12-13 13-15 13-15 13-15 15-16 16-19 19-20 20-23 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 "
     "54-55 55-57 57-58 58-59 59-60 60-63 63-66 63-66 66-67"},
    {"{'type':'NFKD'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" E\314\201a\314\243\314\201 fi 1\342\201\2042 \341\204\200\341\205\241\341\206\250 "
          "\341\204\200\341\205\241\341\206\250 I\314\207STANBUL ΣΑΣ 中文\tx\302\255\000~ "
          "A\314\212क\340\244\274 "),
     "0-1 1-3 1-3 3-4 4-6 6-8 8-9 9-12 9-12 12-13 13-15 13-15 13-15 15-16 16-19 16-19 16-19 19-20 "
     "20-23 23-26 26-29 29-30 30-32 30-32 32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 "
     "42-44 44-46 46-47 47-50 50-53 53-54 54-55 55-57 57-58 58-59 59-60 60-63 60-63 63-66 63-66 "
     "66-67"},
    {"{'type':'Lowercase'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 i\314\207stanbul σασ "
          "中文\tx\302\255\000~ å\340\245\230 "),
     "0-1 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "30-32 32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 "
     "53-54 54-55 55-57 57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'StripAccents'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éa ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ 中文\tx\302\255\000~ "
          "\342\204\253\340\245\230 "),
     "0-1 1-3 3-4 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 32-33 33-34 "
     "34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 54-55 55-57 "
     "57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'Nmt'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ 中文 "
          "x\302\255\000~ \342\204\253\340\245\230 "),
     "0-1 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 "
     "54-55 55-57 57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'ByteLevel'}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT("ĠÃīaÌģÌ£Ġï¬ģĠÂ½Ġê°ģĠáĦĢáħ¡áĨ¨ĠÄ°STANBULĠÎ£ÎĳÎ£Ġä¸ŃæĸĩĉxÂŃĀ~ĠâĦ«à¥ĺĠ"),
     "0-1 1-3 1-3 3-4 4-6 4-6 6-8 6-8 8-9 9-12 9-12 9-12 12-13 13-15 13-15 15-16 16-19 16-19 16-19 "
     "19-20 20-23 20-23 20-23 23-26 23-26 23-26 26-29 26-29 26-29 29-30 30-32 30-32 32-33 33-34 "
     "34-35 35-36 36-37 37-38 38-39 39-40 40-42 40-42 42-44 42-44 44-46 44-46 46-47 47-50 47-50 "
     "47-50 50-53 50-53 50-53 53-54 54-55 55-57 55-57 57-58 58-59 59-60 60-63 60-63 60-63 63-66 "
     "63-66 63-66 66-67"},
    {"{'type':'Strip','strip_left':true,'strip_right':true}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT("Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230"),
     "1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 32-33 "
     "33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 54-55 "
     "55-57 57-58 58-59 59-60 60-63 63-66"},
    {"{'type':'Strip','strip_left':false,'strip_right':true}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230"),
     "0-1 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 "
     "54-55 55-57 57-58 58-59 59-60 60-63 63-66"},
    {"{'type':'Strip','strip_left':true,'strip_right':true}", TEXT(" \342\200\203 "), TEXT(""), ""},
    {"{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,'strip_accents':null,'"
     "lowercase':true}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" ea ﬁ ½ \341\204\200\341\205\241\341\206\250 \341\204\200\341\205\241\341\206\250 "
          "istanbul σασ  中  文  x~ aक "),
     "0-1 1-3 3-4 8-9 9-12 12-13 13-15 15-16 16-19 16-19 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 47-50 47-50 "
     "50-53 50-53 50-53 53-54 54-55 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':false,'strip_accents':null,"
     "'lowercase':false}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ 中文 x~ "
          "\342\204\253\340\245\230 "),
     "0-1 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 "
     "54-55 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'BertNormalizer','clean_text':false,'handle_chinese_chars':true,'strip_accents':"
     "false,'lowercase':true}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 i\314\207stanbul σασ  "
          "中  文 \tx\302\255\000~ å\340\245\230 "),
     "0-1 1-3 3-4 4-6 6-8 8-9 9-12 12-13 13-15 15-16 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "30-32 32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 47-50 "
     "47-50 50-53 50-53 50-53 53-54 54-55 55-57 57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'BertNormalizer','clean_text':false,'handle_chinese_chars':false,'strip_accents':"
     "true,'lowercase':false}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" Ea ﬁ ½ \341\204\200\341\205\241\341\206\250 \341\204\200\341\205\241\341\206\250 "
          "ISTANBUL ΣΑΣ 中文\tx\302\255\000~ Aक "),
     "0-1 1-3 3-4 8-9 9-12 12-13 13-15 15-16 16-19 16-19 16-19 19-20 20-23 23-26 26-29 29-30 30-32 "
     "32-33 33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 "
     "54-55 55-57 57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'▁'},{'type':'Replace','"
     "pattern':{'String':' '},'content':'▁'}]}",
     TEXT("a b"), TEXT("▁a▁b"), "0-1 0-1 1-2 2-3"},
    {"{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'▁'},{'type':'Replace','"
     "pattern':{'String':' '},'content':'▁'}]}",
     TEXT(""), TEXT(""), ""},
    {"{'type':'Replace','pattern':{'Regex':'\\\\s+'},'content':' '}", TEXT("a \n b\tc"),
     TEXT("a b c"), "0-1 3-4 4-5 5-6 6-7"},
    {"{'type':'Replace','pattern':{'Regex':'a*'},'content':'-'}", TEXT("baac"), TEXT("-b-c-"),
     "0-0 0-1 2-3 3-4 3-4"},
    {"{'type':'Replace','pattern':{'String':'``'},'content':'\\''}", TEXT("``x`"), TEXT("\"x`"),
     "1-2 2-3 3-4"},
    {"{'type':'Replace','pattern':{'String':''},'content':'.'}", TEXT("aé"), TEXT(".a.é."),
     "0-0 0-1 0-1 1-3 1-3"},
    {"{'type':'Sequence','normalizers':[{'type':'NFKC'},{'type':'Lowercase'},{'type':'NFD'},{'type'"
     ":'StripAccents'},{'type':'NFC'}]}",
     TEXT(" Éa\314\201\314\243 ﬁ ½ 각 \341\204\200\341\205\241\341\206\250 İSTANBUL ΣΑΣ "
          "中文\tx\302\255\000~ \342\204\253\340\245\230 "),
     TEXT(" ea fi 1\342\201\2042 각 각 istanbul σασ 中文\tx\302\255\000~ aक "),
     "0-1 1-3 3-4 8-9 9-12 9-12 12-13 13-15 13-15 13-15 15-16 16-19 19-20 20-23 29-30 30-32 32-33 "
     "33-34 34-35 35-36 36-37 37-38 38-39 39-40 40-42 42-44 44-46 46-47 47-50 50-53 53-54 54-55 "
     "55-57 57-58 58-59 59-60 60-63 63-66 66-67"},
    {"{'type':'Lowercase'}", TEXT("Plain ASCII"), TEXT("plain ascii"),
     "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11"},
    {"{'type':'NFC'}", TEXT("Plain ASCII"), TEXT("Plain ASCII"),
     "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11"},
    {"{'type':'Nmt'}", TEXT("a\001b\tc\342\200\213d\357\273\277"), TEXT("ab c d "),
     "0-1 2-3 3-4 4-5 5-8 8-9 9-12"},
    {"{'type':'NFC'}",
     TEXT("\314\201\314\243a\314\243\314\201\314\201 ে\340\246\276 가\341\206\250 \315\204 "
          "\340\243\223\314\243"),
     TEXT("\314\243\314\201ạ\314\201\314\201 ো 각 \314\210\314\201 \340\243\223\314\243"),
     "0-2 2-4 4-5 7-9 9-11 11-12 12-15 18-19 19-22 25-26 26-28 26-28 28-29 29-32 32-34"},
    {"{'type':'NFKD'}", TEXT("ﷺ㋿Ａ"), TEXT("صلى الله عليه وسلم㋿A"),
     "0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 0-3 3-6 6-9"},
};

START_TEST(texts_are_those_of_tokenizers)
{
    for (size_t i = 0; i < PPI_COUNT(normalizers); i++) {
        struct fixture fixture;
        char origins[2048];
        start(&fixture, normalizers[i].json);
        ck_assert_int_eq(normalize(&fixture, normalizers[i].text, normalizers[i].n), PP_OK);
        join_origins(&fixture.text, origins);
        ck_assert_msg(fixture.text.n == normalizers[i].n_wanted &&
                          (fixture.text.n == 0 ||
                           memcmp(fixture.text.bytes, normalizers[i].wanted, fixture.text.n) == 0),
                      "%s: %.*s, wanted %s", normalizers[i].json, (int)fixture.text.n,
                      fixture.text.bytes, normalizers[i].wanted);
        ck_assert_msg(strcmp(origins, normalizers[i].origins) == 0, "%s: %s, wanted %s",
                      normalizers[i].json, origins, normalizers[i].origins);
        stop(&fixture);
    }
}
END_TEST

START_TEST(it_is_known_what_ascii_is_kept)
{
    static const struct {
        const char *json;
        bool keeps;
    } cases[] = {{"null", true},
                 {"{'type':'NFC'}", true},
                 {"{'type':'Lowercase'}", false},
                 {"{'type':'BertNormalizer','lowercase':false}", true},
                 {"{'type':'BertNormalizer'}", false},
                 {"{'type':'Strip'}", false},
                 {"{'type':'Replace','pattern':{'String':' '},'content':'_'}", false},
                 {"{'type':'Replace','pattern':{'String':'\302\240'},'content':'_'}", true}};
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct fixture fixture;
        start(&fixture, cases[i].json);
        ck_assert_msg(ppi_normalizer_keeps_ascii(fixture.normalizer) == cases[i].keeps, "%s",
                      cases[i].json);
        stop(&fixture);
    }
}
END_TEST

/* Thousands of marks on one letter: sorted, stable, and quick. */
START_TEST(marks_without_end)
{
    enum { N = 100000 };
    struct fixture fixture;
    char *text = malloc(1 + 2 * N);
    size_t n = 0;
    text[n++] = 'a';
    for (int i = 0; i < N; i++) {
        memcpy(text + n, i % 2 ? "\314\243" : "\314\201", 2); /* below, above */
        n += 2;
    }
    start(&fixture, "{'type':'NFD'}");
    ck_assert_int_eq(normalize(&fixture, text, n), PP_OK);
    ck_assert_uint_eq(fixture.text.n, n);
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(
            memcmp(fixture.text.bytes + 1 + 2 * i, i < N / 2 ? "\314\243" : "\314\201", 2), 0);
    free(text);
    stop(&fixture);
}
END_TEST

/* ---- maps of characters ---- */

#define N_BLOCKS 24

/* A trie in which every node has 256 units for its children, and the replacements behind it. */
struct map {
    unsigned char bytes[4 + 4 * 256 * N_BLOCKS + 256];
    size_t n_blocks, n_texts;
};

static void put_unit(struct map *map, size_t i, uint32_t unit)
{
    for (int k = 0; k < 4; k++)
        map->bytes[4 + 4 * i + (size_t)k] = (unsigned char)(unit >> 8 * k);
}

static uint32_t get_unit(const struct map *map, size_t i)
{
    uint32_t unit = 0;
    for (int k = 0; k < 4; k++)
        unit |= (uint32_t)map->bytes[4 + 4 * i + (size_t)k] << 8 * k;
    return unit;
}

/* Where the children of unit i lie; made when there are none. The label 0 is the value's. */
static size_t children(struct map *map, size_t i, unsigned label)
{
    const uint32_t unit = get_unit(map, i);
    if (unit >> 10)
        return i ^ (size_t)(unit >> 10);
    ck_assert_uint_lt(map->n_blocks, N_BLOCKS);
    const size_t at = 256 * map->n_blocks++;
    put_unit(map, i, (uint32_t)(at ^ i) << 10 | (unit & 256) | label);
    return at;
}

static void put_rule(struct map *map, const char *from, const char *to)
{
    size_t i = 0, at = children(map, 0, 0);
    unsigned label = 0;
    for (; *from; from++) {
        label = (unsigned char)*from;
        i = at ^ label;
        if (!get_unit(map, i))
            put_unit(map, i, label);
        at = children(map, i, label);
    }
    put_unit(map, i, get_unit(map, i) | 256);
    put_unit(map, at, 0x80000000u | (uint32_t)map->n_texts);
    memcpy(map->bytes + 4 + 4 * 256 * N_BLOCKS + map->n_texts, to, strlen(to) + 1);
    map->n_texts += strlen(to) + 1;
}

static void start_map(struct map *map)
{
    memset(map, 0, sizeof *map);
    map->n_blocks = 1;
    put_rule(map, "\357\274\241", "A");     /* a wide A */
    put_rule(map, "\302\275", "1/2");       /* a half */
    put_rule(map, "\302\255", "");          /* a soft hyphen */
    put_rule(map, "e\314\201", "\303\251"); /* e and an acute */
    put_rule(map, "\r", " ");
    const uint32_t n = 4 * 256 * N_BLOCKS;
    for (int k = 0; k < 4; k++)
        map->bytes[k] = (unsigned char)(n >> 8 * k);
}

/* The normalizer of a map, as JSON. The caller frees it. */
static char *map_json(const struct map *map)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t n = 4 + 4 * 256 * N_BLOCKS + map->n_texts;
    char *json = malloc(n * 4 / 3 + 128);
    size_t used = (size_t)sprintf(json, "{'type':'Precompiled','precompiled_charsmap':'");
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t bits = (uint32_t)map->bytes[i] << 16 |
                              (i + 1 < n ? (uint32_t)map->bytes[i + 1] << 8 : 0) |
                              (i + 2 < n ? map->bytes[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            json[used++] = i + (size_t)k > n ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    strcpy(json + used, "'}");
    return json;
}

static void check_map(struct fixture *fixture, const char *text, const char *wanted,
                      const char *wanted_origins)
{
    char origins[256];
    ck_assert_int_eq(normalize(fixture, text, strlen(text)), PP_OK);
    ck_assert_msg(fixture->text.n == strlen(wanted) &&
                      memcmp(fixture->text.bytes, wanted, fixture->text.n) == 0,
                  "%s: %.*s", text, (int)fixture->text.n, fixture->text.bytes);
    join_origins(&fixture->text, origins);
    ck_assert_str_eq(origins, wanted_origins);
}

START_TEST(maps_of_characters)
{
    struct fixture fixture;
    struct map map;
    start_map(&map);
    char *json = map_json(&map);
    start(&fixture, json);
    ck_assert(ppi_normalizer_keeps_ascii(fixture.normalizer));
    check_map(&fixture, "plain", "plain", "0-1 1-2 2-3 3-4 4-5");
    check_map(&fixture, "x\357\274\241", "xA", "0-1 1-4");
    check_map(&fixture, "\302\275.", "1/2.", "0-2 0-2 0-2 2-3");
    check_map(&fixture, "e\314\201x", "\303\251x", "0-1 3-4");
    /* a cluster of 5 bytes: what its beginning becomes stands for all of it */
    check_map(&fixture, "\357\274\241\314\201x", "Ax", "0-3 5-6");
    /* one of 7 does not */
    check_map(&fixture, "\357\274\241\314\201\314\201", "A\314\201\314\201", "0-3 3-5 5-7");
    check_map(&fixture, "a\r\nb", "a b", "0-1 1-2 3-4");
    check_map(&fixture, "a\302\255b", "ab", "0-1 3-4");
    /* nothing stands before what goes: the rest comes from one character too early */
    check_map(&fixture, "\302\255bc", "bc", "0-2 2-3");
    stop(&fixture);
    free(json);
}
END_TEST

START_TEST(broken_maps_do_no_harm)
{
    unsigned seed = 5;
    int n_refused = 0, n_used = 0;
    for (int round = 0; round < 300; round++) {
        struct fixture fixture;
        struct map map;
        start_map(&map);
        for (int k = 0; k < 1 + round % 40; k++) {
            seed = seed * 1103515245u + 12345u;
            /* half of the time among the units that are in use */
            size_t at = seed >> 8;
            at = k % 2 ? at % (4 + 4 * 256 * N_BLOCKS + map.n_texts) : 0;
            for (int tries = 0; k % 2 == 0 && tries < 64; tries++) {
                at = (seed >> 8) % (4 + 4 * 256 * N_BLOCKS + map.n_texts);
                seed = seed * 1103515245u + 12345u;
                if (map.bytes[at])
                    break;
            }
            map.bytes[at] ^= (unsigned char)(1u << (seed >> 20) % 8);
        }
        char *json = map_json(&map);
        static const char text[] = "e\314\201 \357\274\241\302\275\302\255\r\n x\357\274";
        pp_status status = open_with(&fixture, NULL, json);
        if (status == PP_OK) {
            n_used++;
            ck_assert_int_eq(normalize(&fixture, text, sizeof text - 3), PP_OK);
            ck_assert_uint_eq(ppi_utf8_check(fixture.text.bytes, fixture.text.n), fixture.text.n);
        } else {
            n_refused++;
            ck_assert_int_eq(status, PP_ERR_FORMAT);
        }
        stop(&fixture);
        free(json);
    }
    ck_assert_int_gt(n_refused, 0);
    ck_assert_int_gt(n_used, 0);
}
END_TEST

static const struct {
    const char *json;
    pp_status status;
    const char *says;
} refused[] = {
    {"{'type':'Foo'}", PP_ERR_UNSUPPORTED, "\"Foo\" is not implemented"},
    {"'NFC'", PP_ERR_FORMAT, "normalizer"},
    {"{'type':'Sequence','normalizers':1}", PP_ERR_FORMAT, "normalizers"},
    {"{'type':'Strip','strip_left':1}", PP_ERR_FORMAT, "normalizer.strip_left"},
    {"{'type':'Replace','content':'a'}", PP_ERR_FORMAT, "normalizer.pattern"},
    {"{'type':'Replace','pattern':{'Regex':'[a'},'content':'a'}", PP_ERR_FORMAT, "']'"},
    {"{'type':'Prepend','prepend':1}", PP_ERR_FORMAT, "normalizer.prepend"},
    {"{'type':'Precompiled'}", PP_ERR_FORMAT, "precompiled_charsmap"},
    {"{'type':'Precompiled','precompiled_charsmap':''}", PP_ERR_FORMAT, "shorter than 8"},
    {"{'type':'Precompiled','precompiled_charsmap':'abc'}", PP_ERR_FORMAT, "base64"},
    {"{'type':'Precompiled','precompiled_charsmap':'ab?='}", PP_ERR_FORMAT, "base64"},
    {"{'type':'Precompiled','precompiled_charsmap':'/wAAAAAAAAAAAAAA'}", PP_ERR_FORMAT, "size"},
};

START_TEST(what_is_not_known_is_refused)
{
    for (size_t i = 0; i < PPI_COUNT(refused); i++) {
        struct fixture fixture;
        pp_status status = open_with(&fixture, NULL, refused[i].json);
        ck_assert_msg(status == refused[i].status, "%s: %d %s", refused[i].json, status,
                      fixture.err.message);
        ck_assert_msg(strstr(fixture.err.message, refused[i].says) != NULL, "%s: %s",
                      refused[i].json, fixture.err.message);
        stop(&fixture);
    }
}
END_TEST

static void check_exhausted(const char *json, const char *text)
{
    for (int n = 1;; n++) {
        struct failing failing = {.n_left = n};
        struct fixture fixture;
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .allocate = failing_allocate,
                                        .release = failing_release,
                                        .user = &failing};
        pp_status status = open_with(&fixture, &allocator, json);
        if (status == PP_OK)
            status = normalize(&fixture, text, strlen(text));
        stop(&fixture);
        ck_assert_int_eq(failing.n_blocks, 0);
        if (status == PP_OK && failing.n_left > 0)
            break;
        ck_assert(status == PP_ERR_NOMEM || status == PP_OK);
    }
}

START_TEST(exhausted_memory)
{
    char marks[512] = "a";
    struct map map;
    for (int i = 0; i < 200; i++)
        strcat(marks, i % 2 ? "\314\243" : "\314\201");
    check_exhausted("{'type':'Sequence','normalizers':[{'type':'NFKC'},{'type':'Lowercase'},"
                    "{'type':'Prepend','prepend':'__'},{'type':'Strip'},{'type':'Replace',"
                    "'pattern':{'Regex':'a+'},'content':'bb'},{'type':'ByteLevel'}]}",
                    marks);
    start_map(&map);
    char *json = map_json(&map);
    check_exhausted(json, "e\314\201");
    free(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-normalizer");
    TCase *tcase = tcase_create("normalizer");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, texts_are_those_of_tokenizers);
    tcase_add_test(tcase, it_is_known_what_ascii_is_kept);
    tcase_add_test(tcase, marks_without_end);
    tcase_add_test(tcase, maps_of_characters);
    tcase_add_test(tcase, broken_maps_do_no_harm);
    tcase_add_test(tcase, what_is_not_known_is_refused);
    tcase_add_test(tcase, exhausted_memory);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
