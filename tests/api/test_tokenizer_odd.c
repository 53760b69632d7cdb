/*
 * test_tokenizer_odd.c: tokenizer.json files that are odd and right: tokens and offsets are those
 * that `tokenizers` gives.
 */
#include "support/tap.h"
#include "support/tokenizer_files.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static pp_error err;
static struct tokenizer_dir dir;

static void set_up(void)
{
    err = (pp_error){.struct_size = sizeof err};
    dir = tokenizer_dir_make();
}

static void tear_down(void)
{
    tokenizer_dir_remove(&dir);
}

/* json has single quotes for double ones. */
static pp_status open_json(const char *json, pp_tokenizer **tokenizer)
{
    static char text[16384];
    const size_t n = strlen(json);
    ck_assert_uint_lt(n, sizeof text);
    for (size_t i = 0; i <= n; i++)
        text[i] = json[i] == '\'' ? '"' : json[i];
    tokenizer_dir_put(&dir, "tokenizer.json", text);
    *tokenizer = NULL;
    return pp_tokenizer_open(dir.path, NULL, tokenizer, &err);
}

/* The tokens of a text: "id:begin-end id:begin-end", or "id id" without offsets. */
static const char *tokens_of(pp_tokenizer *tokenizer, const char *text, int32_t offsets)
{
    static char out[1024];
    const pp_text one = {text, strlen(text)};
    const pp_encode_params params = {.struct_size = sizeof params, .offsets = offsets};
    pp_encoded encoded = {.struct_size = sizeof encoded};
    pp_encoding *encoding = NULL;
    size_t n = 0;
    ck_assert_msg(pp_tokenizer_encode(tokenizer, &one, 1, &params, &encoding, &err) == PP_OK, "%s",
                  err.message);
    ck_assert_int_eq(pp_encoding_get(encoding, 0, &encoded, &err), PP_OK);
    out[0] = '\0';
    for (int64_t i = 0; i < encoded.n; i++) {
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%d", i ? " " : "", encoded.ids[i]);
        if (offsets)
            n += (size_t)snprintf(out + n, sizeof out - n, ":%d-%d", (int)encoded.offsets[i].begin,
                                  (int)encoded.offsets[i].end);
    }
    pp_encoding_destroy(encoding);
    return out;
}

START_TEST(tokens_are_those_of_tokenizers)
{
    static const struct {
        const char *json, *text, *ids, *tokens;
    } cases[] = {
        {"{'model':{'type':'BPE','unk_token':'?','vocab':{'?':0,'_':1,'a':2,'b':3,'ab':4,'_a':5,'"
         "\\n':6,' ':7,'c':8,'bc':9,'\342\200\250':10},'merges':['#version: 0.2','a b','b c']}}",
         "abc", "4 8", "4:0-2 8:2-3"},
        {"{'post_processor':{'type':'ByteLevel','trim_offsets':true,'add_prefix_space':true,'use_"
         "regex':true},'model':{'type':'BPE','unk_token':'?','vocab':{'?':0,'_':1,'a':2,'b':3,'ab':"
         "4,'_a':5,'\\n':6,' ':7,'c':8,'bc':9,'\342\200\250':10},'merges':['a b']}}",
         "\na \342\200\250b\n ", "6 2 7 10 3 6 7", "6:0-0 2:1-2 7:3-3 10:6-6 3:6-7 6:8-8 7:9-9"},
        {"{'post_processor':{'type':'ByteLevel','trim_offsets':true,'add_prefix_space':false,'use_"
         "regex':true},'model':{'type':'BPE','unk_token':'?','vocab':{'?':0,'_':1,'a':2,'b':3,'ab':"
         "4,'_a':5,'\\n':6,' ':7,'c':8,'bc':9,'\342\200\250':10},'merges':['a b']}}",
         "\na \342\200\250b\n ", "6 2 7 10 3 6 7", "6:1-1 2:1-2 7:3-3 10:6-6 3:6-7 6:8-8 7:9-9"},
        {"{'normalizer':{'type':'Prepend','prepend':'_'},'pre_tokenizer':{'type':'Sequence','"
         "pretokenizers':[{'type':'Split','pattern':{'Regex':'_|a'},'behavior':'Isolated','invert':"
         "false},{'type':'Metaspace','replacement':'_','prepend_scheme':'first','split':false}]},'"
         "model':{'type':'BPE','unk_token':'?','vocab':{'?':0,'_':1,'a':2,'b':3,'ab':4,'_a':5,'\\n'"
         ":6,' ':7,'c':8,'bc':9,'\342\200\250':10},'merges':[['_','a']]}}",
         "aba", "1 5 3 2", "1:0-1 5:0-1 3:1-2 2:2-3"},
        {"{'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'ByteLevel','add_prefix_"
         "space':true,'trim_offsets':true,'use_regex':false},{'type':'Digits','individual_digits':"
         "false},{'type':'Metaspace','replacement':'_','prepend_scheme':'first','split':false}]},'"
         "model':{'type':'BPE','unk_token':'?','vocab':{'?':0,'_':1,'a':2,'b':3,'ab':4,'_a':5,'\\n'"
         ":6,' ':7,'c':8,'bc':9,'\342\200\250':10},'merges':[['_','a']]}}",
         "\302\262a", "1 0 0 1 0 2", "1:0-2 0:0-2 0:0-2 1:0-2 0:0-2 2:2-3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pp_tokenizer *tokenizer;
        ck_assert_msg(open_json(cases[i].json, &tokenizer) == PP_OK, "%s", err.message);
        const char *found = tokens_of(tokenizer, cases[i].text, 0);
        ck_assert_msg(strcmp(found, cases[i].ids) == 0, "%s: %s", cases[i].json, found);
        found = tokens_of(tokenizer, cases[i].text, 1);
        ck_assert_msg(strcmp(found, cases[i].tokens) == 0, "%s: %s", cases[i].json, found);
        pp_tokenizer_destroy(tokenizer);
    }
}
END_TEST

/* A vocabulary of the bytes from `first` on, as byte level or byte_fallback spells them, and xx;
 * its unknown token is none of it. */
static const char *all_bytes(bool by_level, int first)
{
    static char json[16384];
    int next = 256;
    size_t n = (size_t)snprintf(json, sizeof json,
                                "{'pre_tokenizer':%s,'model':{'type':'BPE','unk_token':'<unk>',"
                                "'byte_fallback':%s,'merges':[],'vocab':{'xx':256",
                                by_level ? "{'type':'ByteLevel','add_prefix_space':false}" : "null",
                                by_level ? "false" : "true");
    for (int byte = 0; byte < 256; byte++) {
        const bool plain = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        const int code = plain ? byte : next++;
        if (byte >= first)
            n += (size_t)snprintf(json + n, sizeof json - n,
                                  by_level ? ",'\\u%04x':%d" : ",'<0x%02X>':%d",
                                  by_level ? (unsigned)code : (unsigned)byte, byte);
    }
    snprintf(json + n, sizeof json - n, "}}}");
    return json;
}

/* The unknown token need not be there where nothing can be unknown. */
START_TEST(an_unknown_token_that_is_never_needed)
{
    for (int by_level = 0; by_level < 2; by_level++) {
        pp_tokenizer *tokenizer;
        ck_assert_msg(open_json(all_bytes(by_level, 0), &tokenizer) == PP_OK, "%s", err.message);
        ck_assert_str_eq(tokens_of(tokenizer, "a \xc3\xa9", 0), "97 32 195 169");
        pp_tokenizer_destroy(tokenizer);
        ck_assert_int_eq(open_json(all_bytes(by_level, 1), &tokenizer), PP_ERR_FORMAT);
        ck_assert_ptr_nonnull(strstr(err.message, "a token of the vocabulary is needed"));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-odd");
    TCase *tcase = tcase_create("odd");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, tokens_are_those_of_tokenizers);
    tcase_add_test(tcase, an_unknown_token_that_is_never_needed);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
