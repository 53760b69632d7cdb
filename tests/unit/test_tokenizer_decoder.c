/*
 * test_tokenizer_decoder.c: tokens become the text that `tokenizers` makes of them, one by one and
 * all at once; what is held back and what is not; what is refused; exhausted memory.
 */
#include "malformed/failing.h"
#include "support/tap.h"
#include "tokenizer/decode/decoder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_TOKENS 16

/* A decoder and a text on its way. */
struct fixture {
    struct ppi_mem mem;
    struct ppi_decoder *decoder;
    struct ppi_decoding *decoding;
    struct ppi_text text;
    pp_error err;
};

/* The decoder that a JSON text, with ' for ", says. */
static pp_status open_with(struct fixture *fixture, const pp_allocator *allocator, const char *json)
{
    char text[2048];
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    fixture->text = ppi_text_start(&fixture->mem, false);
    int n = snprintf(text, sizeof text, "{\"decoder\":%s}", json);
    ck_assert_int_lt(n, sizeof text);
    for (char *at = text; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
    struct ppi_json parsed;
    struct ppi_json_limits limits = {.allow_nul = true};
    PP_TRY(ppi_json_parse(text, (size_t)n, "file", &limits, &fixture->mem, &parsed, &fixture->err));
    struct ppi_reading reading = {
        .label = "file", .mem = &fixture->mem, .err = &fixture->err, .log = &(struct ppi_log){0}};
    pp_status status =
        ppi_decoder_read(&reading, ppi_json_get(parsed.root, "decoder"), &fixture->decoder);
    ppi_json_free(&parsed, &fixture->mem);
    PP_TRY(status);
    return ppi_decoding_create(fixture->decoder, &fixture->mem, &fixture->decoding, &fixture->err);
}

static void start(struct fixture *fixture, const char *json)
{
    pp_status status = open_with(fixture, NULL, json);
    ck_assert_msg(status == PP_OK, "%s: %s", json, fixture->err.message);
}

static void stop(struct fixture *fixture)
{
    ppi_decoding_destroy(fixture->decoding);
    ppi_decoder_destroy(fixture->decoder);
    ppi_text_free(&fixture->text);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

/* Appends what a token, or NULL for the end, completes. */
static pp_status push(struct fixture *fixture, const char *token)
{
    return token ? ppi_decoding_push(fixture->decoding, token, strlen(token), &fixture->text,
                                     &fixture->err)
                 : ppi_decoding_finish(fixture->decoding, &fixture->text, &fixture->err);
}

/* The whole text of tokens up to a NULL. Every piece of it is UTF-8. */
static pp_status decode(struct fixture *fixture, const char *const *tokens)
{
    fixture->text.n = 0;
    for (;; tokens++) {
        PP_TRY(push(fixture, *tokens));
        ck_assert_uint_eq(ppi_utf8_check(fixture->text.bytes, fixture->text.n), fixture->text.n);
        if (!*tokens)
            return PP_OK;
    }
}

static void expect_text(const struct fixture *fixture, const char *expected, const char *what)
{
    ck_assert_msg(
        fixture->text.n == strlen(expected) &&
            (fixture->text.n == 0 || memcmp(fixture->text.bytes, expected, fixture->text.n) == 0),
        "%s: \"%.*s\", not \"%s\"", what, (int)fixture->text.n, fixture->text.bytes, expected);
}

/* What `tokenizers` 0.23.3 gives. */
static const struct {
    const char *json;
    const char *tokens[MAX_TOKENS];
    const char *text;
} cases[] = {
    {"null", {"a", "b", "", "c", NULL}, "a b  c"},
    {"null", {NULL}, ""},
    {"{'type':'Sequence','decoders':[]}", {"a", "b", NULL}, "ab"},
    {"{'type':'ByteLevel'}",
     {"Ġa", "é", "Ã", "©", "hello world", "Ã", "Ã", "Ġ", " ", "ĠÃ x", NULL},
     " a�éhello world��  ĠÃ x"},
    {"{'type':'ByteLevel'}", {"ð", "Ł", "ĺ", "x", "é", "Ĥ", NULL}, "�x�"},
    {"{'type':'ByteLevel'}", {"ð", "Ł", "ĺ", NULL}, "�"},
    {"{'type':'ByteLevel'}", {"", "a", "", NULL}, "a"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'ByteLevel'}]}",
     {"Ã", "©", NULL},
     "é"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'ByteLevel'}]}",
     {"Ã", "©", " ", NULL},
     "Ã© "},
    {"{'type':'Sequence','decoders':[{'type':'ByteLevel'},{'type':'Replace','pattern':{'String':'é'"
     "},'content':'e'}]}",
     {"Ã", "©", "x", NULL},
     "ex"},
    {"{'type':'ByteFallback'}", {"<0xE5>", "<0x8f>", "<0xab>", "a", NULL}, "叫a"},
    {"{'type':'ByteFallback'}", {"<0xE5>", "<0x8f>", "a", NULL}, "��a"},
    {"{'type':'ByteFallback'}", {"<0x61>", "<0xFF>", "<0x62>", "<0x00>", NULL}, "����"},
    {"{'type':'ByteFallback'}",
     {"<0x+5>", "<0x-0>", "<0x61>", "<0xé>", "<0x 1>", NULL},
     "<0x-0>a<0xé><0x 1>"},
    {"{'type':'ByteFallback'}", {"<0xF0>", "<0x9F>", "<0x98>", NULL}, "���"},
    {"{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' "
     "'},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' "
     "','start':1,'stop':0}]}",
     {"▁Hello", "▁", "<0xE6>", "<0x97>", "<0xA5>", "▁▁x", NULL},
     "Hello 日  x"},
    {"{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' "
     "'},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' "
     "','start':1,'stop':0}]}",
     {"▁", "▁a", NULL},
     " a"},
    {"{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' "
     "'},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' "
     "','start':1,'stop':0}]}",
     {NULL},
     ""},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'always'}",
     {"▁a▁b", "▁", "▁c▁d", NULL},
     "ab  c d"},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'first'}", {"▁a", "▁b", NULL}, "a b"},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'never'}", {"▁a", "▁b", NULL}, " a b"},
    {"{'type':'Metaspace','replacement':'▁','add_prefix_space':true}", {"▁▁", "▁b", NULL}, " b"},
    {"{'type':'Replace','pattern':{'String':'ab'},'content':'x'}",
     {"aab", "a", "b", "abab", NULL},
     "axabxx"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Replace','pattern':{'String':'ab'},'"
     "content':'x'}]}",
     {"aab", "a", "b", "abab", "a", NULL},
     "axxxxa"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Replace','pattern':{'String':'aab'},'"
     "content':'x'}]}",
     {"a", "a", "a", "ab", "aa", "c", NULL},
     "aaxaac"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Replace','pattern':{'String':'abab'},"
     "'content':'x'}]}",
     {"ab", "a", "ab", "ab", NULL},
     "abax"},
    {"{'type':'Replace','pattern':{'String':''},'content':'x'}",
     {"lel", "é", "", NULL},
     "xlxexlxxéx"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Replace','pattern':{'String':''},'"
     "content':'-'}]}",
     {"日", "本", NULL},
     "-日-本-"},
    {"{'type':'Replace','pattern':{'String':'日'},'content':''}", {"日本日", NULL}, "本"},
    {"{'type':'Strip','content':'H','start':1,'stop':0}",
     {"HHH", "HaHHH", "", "H", "éHé", NULL},
     "HHaHHHéHé"},
    {"{'type':'Strip','content':'H','start':0,'stop':1}", {"HaHH", "aH", NULL}, "HaHa"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Strip','content':' "
     "','start':1,'stop':1}]}",
     {" ", " a", " ", " ", NULL},
     " a "},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Strip','content':'日','start':2,'"
     "stop':2}]}",
     {"日", "日", "日", "a", "日", "日", "日", NULL},
     "日a日"},
    {"{'type':'WordPiece','prefix':'##','cleanup':true}",
     {"##a", "##b", "a", "####b", ".", "?", "n't", "do not", "'s", "x . y ' z", "  .", " ' s",
      NULL},
     "##ab a##b.?n't don't's x. y'z  .'s"},
    {"{'type':'WordPiece','prefix':'##','cleanup':false}", {"a", "##b", ".", NULL}, "ab ."},
    {"{'type':'WordPiece','prefix':'','cleanup':true}", {"a", "b", NULL}, "ab"},
    {"{'type':'BPEDecoder','suffix':'</w>'}", {"a</w>", "b", "c</w>d</w>", NULL}, "a bcd"},
    {"{'type':'BPEDecoder','suffix':'</w>'}", {"a</w>", "b", NULL}, "a b"},
    {"{'type':'BPEDecoder','suffix':'</w>'}", {NULL}, ""},
    {"{'type':'BPEDecoder','suffix':''}", {"ab", "cd", NULL}, " a b cd"},
    {"{'type':'Sequence','decoders':[{'type':'BPEDecoder','suffix':'</"
     "w>'},{'type':'WordPiece','prefix':'##','cleanup':true}]}",
     {"a</w>", "##b</w>", "c</w>", NULL},
     "a b  c"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'BPEDecoder','suffix':'b'}]}",
     {"a", "b", "ab", NULL},
     "aa"},
    {"{'type':'CTC','pad_token':'<pad>','word_delimiter_token':'|','cleanup':true}",
     {"<pad>", "<pad>", "a", "a", "<pad>", "a", "|", "|", " .", "n't", " n't", "x<pad>y", NULL},
     "aa .n'tn'txy"},
    {"{'type':'CTC','pad_token':'<pad>','word_delimiter_token':'|','cleanup':false}",
     {"<pad>", "a", "a", "|", " .", NULL},
     "a| ."},
    {"{'type':'CTC','pad_token':'<pad>','word_delimiter_token':'','cleanup':true}",
     {"<pad>", "ab", "c", NULL},
     "  a b  c "},
    {"{'type':'Sequence','decoders':[{'type':'CTC','pad_token':'<pad>','word_delimiter_token':'|','"
     "cleanup':true},{'type':'WordPiece','prefix':'##','cleanup':true}]}",
     {"<pad>", "a", "|", "b", NULL},
     "a   b"},
    {"{'type':'Sequence','decoders':[{'type':'CTC','pad_token':'<pad>','word_delimiter_token':'|','"
     "cleanup':true},{'type':'Metaspace','replacement':'▁'}]}",
     {"<pad>", "▁a", "b", NULL},
     "ab"},
    {"{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'CTC','pad_token':'<pad>','word_"
     "delimiter_token':'','cleanup':true}]}",
     {NULL},
     " "},
};

/* Twice, since a text that is finished leaves nothing behind. */
START_TEST(decodes_as_the_original)
{
    struct fixture fixture;
    start(&fixture, cases[_i].json);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(decode(&fixture, cases[_i].tokens), PP_OK);
        expect_text(&fixture, cases[_i].text, cases[_i].json);
    }
    stop(&fixture);
}
END_TEST

/* What has come after each token, with '|' between. */
static void expect_stream(const char *json, const char *const *tokens, const char *expected)
{
    struct fixture fixture;
    start(&fixture, json);
    for (;; tokens++) {
        ck_assert_int_eq(push(&fixture, *tokens), PP_OK);
        if (!*tokens)
            break;
        ppi_text_put(&fixture.text, "|", 1, (struct ppi_span){0, 0});
    }
    expect_text(&fixture, expected, json);
    stop(&fixture);
}

#define TOKENS(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(holds_back_only_what_may_change)
{
    expect_stream("{'type':'ByteLevel'}", TOKENS("a", "Ã", "©", "Ã", "b", "Ã"),
                  "a||é||\ufffdb||\ufffd");
    /* a run is good or bad as a whole; when it is bad nothing can mend it */
    expect_stream("{'type':'ByteFallback'}", TOKENS("<0x41>", "<0x42>", "x", "<0xFF>", "<0x41>"),
                  "||ABx|\ufffd|\ufffd|");
    expect_stream("{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Strip','content':' ',"
                  "'start':1,'stop':1}]}",
                  TOKENS(" ", "a", " ", " ", "b"), "|a|| | b|");
    expect_stream("{'type':'Sequence','decoders':[{'type':'Fuse'},{'type':'Replace','pattern':"
                  "{'String':'aab'},'content':'x'}]}",
                  TOKENS("c", "a", "a", "a", "b", "a"), "c|||a|x||a");
    expect_stream("{'type':'BPEDecoder','suffix':'</w>'}", TOKENS("a</w>", "b", "c</w>"),
                  "a| b|c|");
    expect_stream("null", TOKENS("a", "b"), "a| b|");
}
END_TEST

START_TEST(takes_tokens_that_are_bytes)
{
    struct fixture fixture;
    ck_assert_int_eq(ppi_mem_init(&fixture.mem, NULL, 0, NULL), PP_OK);
    fixture.text = ppi_text_start(&fixture.mem, false);
    ck_assert_int_eq(ppi_decoder_create_bytes(&fixture.mem, &fixture.decoder, NULL), PP_OK);
    ck_assert_int_eq(ppi_decoding_create(fixture.decoder, &fixture.mem, &fixture.decoding, NULL),
                     PP_OK);
    ck_assert_int_eq(decode(&fixture, TOKENS("Ġa", "\xe6\x97", "\xa5", "\xf0\x9f", "b", "\xff")),
                     PP_OK);
    expect_text(&fixture, "Ġa日\ufffdb\ufffd", "bytes");
    stop(&fixture);
    /* elsewhere a token that is no UTF-8 is mended first */
    start(&fixture, "{'type':'Fuse'}");
    ck_assert_int_eq(decode(&fixture, TOKENS("\xe6\x97", "\xa5")), PP_OK);
    expect_text(&fixture, "\ufffd\ufffd", "mended");
    stop(&fixture);
}
END_TEST

START_TEST(says_what_it_refuses)
{
    static const char *const bad[][2] = {
        {"{'type':'Cyrillic'}", "file: the decoder \"Cyrillic\" is not implemented"},
        {"{'type':'WordPiece','cleanup':true}",
         "file: the decoder \"WordPiece\" needs a \"prefix\""},
        {"{'type':'CTC','pad_token':'x','word_delimiter_token':'|'}",
         "file: the decoder \"CTC\" needs a \"cleanup\""},
        {"{'type':'Strip','content':'ab','start':1,'stop':1}",
         "file: \"content\" of the decoder \"Strip\" is \"ab\"; one character is needed"},
        {"{'type':'Strip','content':'a','start':1}",
         "file: the decoder \"Strip\" needs a \"stop\""},
        {"{'type':'Metaspace','replacement':''}",
         "file: \"replacement\" of the decoder \"Metaspace\" is \"\"; one character is needed"},
        {"{'type':'Metaspace','replacement':'_','add_prefix_space':false}",
         "file: the decoder \"Metaspace\" has \"add_prefix_space\" false, but \"prepend_scheme\" "
         "\"always\""},
        {"{'type':'Metaspace','replacement':'_','prepend_scheme':'last'}",
         "file: \"decoder.prepend_scheme\" is \"last\"; \"always\", \"first\" or \"never\" is "
         "needed"},
        {"{'type':'Replace','pattern':'a','content':'b'}",
         "file: \"decoder.pattern\" is \"a\"; an object with one \"String\" or \"Regex\" is "
         "needed"},
        {"{'type':'Replace','pattern':{'String':'a'}}",
         "file: the decoder \"Replace\" needs a \"content\""},
    };
    for (size_t i = 0; i < PPI_COUNT(bad); i++) {
        struct fixture fixture;
        ck_assert_int_lt(open_with(&fixture, NULL, bad[i][0]), 0);
        ck_assert_str_eq(fixture.err.message, bad[i][1]);
        stop(&fixture);
    }
}
END_TEST

/* A file whose text grows a million times is refused where memory has a limit. */
START_TEST(refuses_text_that_grows)
{
    char json[2048] = "{'type':'Sequence','decoders':[";
    for (int i = 0; i < 20; i++)
        strcat(json, "{'type':'Replace','pattern':{'String':'a'},'content':'aa'},");
    strcpy(json + strlen(json) - 1, "]}");
    struct fixture fixture;
    start(&fixture, json);
    fixture.mem.limit = 1 << 20;
    ck_assert_int_eq(push(&fixture, "a"), PP_ERR_NOMEM);
    ck_assert_int_eq(fixture.text.n, 0);
    ck_assert_int_eq(push(&fixture, "b"), PP_OK);
    expect_text(&fixture, "b", "what follows");
    stop(&fixture);
}
END_TEST

/* Every allocation fails once: an error, no leak, and the next text is right. */
START_TEST(copes_without_memory)
{
    bool failed = true;
    for (int n = 1; failed; n++) {
        struct failing failing = {.n_left = n};
        pp_allocator allocator = {.struct_size = sizeof allocator,
                                  .allocate = failing_allocate,
                                  .release = failing_release,
                                  .user = &failing};
        struct fixture fixture;
        pp_status status = open_with(&fixture, &allocator, cases[_i].json);
        if (status == PP_OK)
            status = decode(&fixture, cases[_i].tokens);
        failed = failing.n_left <= 0;
        ck_assert_int_eq(status, failed ? PP_ERR_NOMEM : PP_OK);
        if (fixture.decoding) {
            ppi_text_clear(&fixture.text, false);
            ck_assert_int_eq(decode(&fixture, cases[_i].tokens), PP_OK);
            expect_text(&fixture, cases[_i].text, cases[_i].json);
        }
        stop(&fixture);
        ck_assert_int_eq(failing.n_blocks, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-decoder");
    TCase *tcase = tcase_create("decoder");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, decodes_as_the_original, 0, (int)PPI_COUNT(cases));
    tcase_add_test(tcase, holds_back_only_what_may_change);
    tcase_add_test(tcase, takes_tokens_that_are_bytes);
    tcase_add_test(tcase, says_what_it_refuses);
    tcase_add_test(tcase, refuses_text_that_grows);
    tcase_add_loop_test(tcase, copes_without_memory, 0, (int)PPI_COUNT(cases));
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
