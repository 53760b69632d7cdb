/*
 * test_tokenizer_malformed.c: files that must be refused, each with its status and sentence, and
 * files that are odd but read. Nothing takes memory in proportion to a number in a file: all are
 * opened under a limit.
 */
#include "support/tap.h"
#include "support/tokenizer_files.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MEMORY_LIMIT ((int64_t)2 << 20) /* for files of a few hundred bytes */

/* A tokenizer.json in parts. */
enum part { WHOLE, ADDED, NORMALIZER, PRE, POST, DECODER, MODEL, N_PARTS };
static const char *const NAMES[N_PARTS] = {
    "", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"};
static const char *const USUAL[N_PARTS] = {
    "",
    "[]",
    "null",
    "{'type':'Whitespace'}",
    "null",
    "null",
    "{'type':'BPE','unk_token':'u','vocab':{'a':0,'b':1,'u':2,'ab':3},'merges':[['a','b']]}",
};

struct entry {
    enum part part; /* what stands for the usual one */
    const char *text;
    pp_status status;
    const char *words; /* in the message */
};

static pp_error err;
static struct tokenizer_dir dir;
static struct counting counting = COUNTING_INIT;

static void set_up(void)
{
    err = (pp_error){.struct_size = sizeof err};
    counting.limit = MEMORY_LIMIT;
    dir = tokenizer_dir_make();
}

static void tear_down(void)
{
    tokenizer_dir_remove(&dir);
}

/* ---- helpers ---- */

/* Opens dir's tokenizer.json with the counted memory. */
static pp_status open_counted(pp_tokenizer **tokenizer)
{
    const pp_allocator allocator = counting_allocator(&counting);
    const pp_tokenizer_params params = {.struct_size = sizeof params, .allocator = &allocator};
    err = (pp_error){.struct_size = sizeof err};
    counting.peak = counting.held;
    return pp_tokenizer_open(dir.path, &params, tokenizer, &err);
}

static pp_status open_text(const char *text, size_t n, pp_tokenizer **tokenizer)
{
    tokenizer_dir_write(&dir, "tokenizer.json", text, n, 1);
    return open_counted(tokenizer);
}

/* A tokenizer.json in which one part is another. */
static char *with_part(enum part part, const char *text)
{
    size_t room = strlen(text) + 1024, n = 0;
    char *whole = malloc(room);
    if (part == WHOLE) {
        strcpy(whole, text);
        return whole;
    }
    for (int i = 1; i < N_PARTS; i++)
        n += (size_t)snprintf(whole + n, room - n, "%s'%s':%s", i == 1 ? "{" : ",", NAMES[i],
                              i == (int)part ? text : USUAL[i]);
    snprintf(whole + n, room - n, "}");
    return whole;
}

static void check_refused(enum part part, const char *text, pp_status status, const char *words)
{
    pp_tokenizer *tokenizer = NULL;
    char *whole = with_part(part, text);
    const pp_status got = open_text(whole, strlen(whole), &tokenizer);
    ck_assert_msg(got == status, "%.200s: status %d (%s), expected %d", text, got,
                  got < 0 ? err.message : "accepted", status);
    ck_assert_msg(strstr(err.message, words) != NULL, "%.200s: \"%s\" does not say \"%s\"", text,
                  err.message, words);
    ck_assert_msg(counting.held == 0, "%.200s: %lld bytes leaked", text, (long long)counting.held);
    free(whole);
}

static void check_all(const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_refused(entries[i].part, entries[i].text, entries[i].status, entries[i].words);
}
#define CHECK_ALL(entries) check_all(entries, sizeof(entries) / sizeof(entries)[0])

static pp_tokenizer *accepted(enum part part, const char *text)
{
    pp_tokenizer *tokenizer = NULL;
    char *whole = with_part(part, text);
    const pp_status status = open_text(whole, strlen(whole), &tokenizer);
    ck_assert_msg(status == PP_OK, "%.200s: %s", text, err.message);
    free(whole);
    return tokenizer;
}

static pp_status encode(pp_tokenizer *tokenizer, const char *text, size_t n)
{
    const pp_text one = {text, n};
    pp_encoding *encoding = NULL;
    err = (pp_error){.struct_size = sizeof err};
    const pp_status status = pp_tokenizer_encode(tokenizer, &one, 1, NULL, &encoding, &err);
    pp_encoding_destroy(encoding);
    return status;
}

/* first, n times the middle, last; malloced. */
static char *repeated(const char *first, const char *middle, size_t n, const char *last)
{
    const size_t n_first = strlen(first), n_middle = strlen(middle);
    char *text = malloc(n_first + n * n_middle + strlen(last) + 1);
    memcpy(text, first, n_first);
    for (size_t i = 0; i < n; i++)
        memcpy(text + n_first + i * n_middle, middle, n_middle);
    strcpy(text + n_first + n * n_middle, last);
    return text;
}

static void check_repeated(enum part part, const char *first, const char *middle, size_t n,
                           const char *last, pp_status status, const char *words)
{
    char *text = repeated(first, middle, n, last);
    check_refused(part, text, status, words);
    free(text);
}

/* ---- the whole ---- */

START_TEST(wholes)
{
    static const struct entry entries[] = {
        {WHOLE, "{", PP_ERR_FORMAT, "malformed JSON"},
        {WHOLE, "{}", PP_ERR_FORMAT, "has no \"model\""},
        {WHOLE, "{'model':{}}{}", PP_ERR_FORMAT, "malformed JSON"},
        {WHOLE, "{'model':null}", PP_ERR_FORMAT, "model"},
        {WHOLE, "{'model':{},'model':{}}", PP_ERR_FORMAT, "\"model\" occurs twice"},
        {WHOLE, "{'model':{'vocab':{'a':0,'a':1}}}", PP_ERR_FORMAT, "\"a\" occurs twice"},
        {WHOLE, "{'model':'\\ud800'}", PP_ERR_FORMAT, "malformed JSON"},
        {WHOLE, "{'model':'\xff'}", PP_ERR_FORMAT, "malformed JSON"},
        {WHOLE, "{'version':'1.0','added_tokens':[]}", PP_ERR_FORMAT, "has no \"model\""},
        {WHOLE, "{'config':{},'vocab':[]}", PP_ERR_FORMAT, "tokenizer.json"},
    };
    CHECK_ALL(entries);
    counting.limit = (int64_t)16 << 20;
    check_repeated(WHOLE, "{'model':", "[", 1000000, "", PP_ERR_FORMAT, "nested deeper");
    check_repeated(WHOLE, "{'model':", "{'a':", 1000000, "", PP_ERR_FORMAT, "nested deeper");
}
END_TEST

/* ---- the model ---- */

START_TEST(models)
{
    static const struct entry entries[] = {
        {MODEL, "null", PP_ERR_FORMAT, "model"},
        {MODEL, "7", PP_ERR_FORMAT, "model"},
        {MODEL, "[]", PP_ERR_FORMAT, "model"},
        {MODEL, "{}", PP_ERR_FORMAT, "\"model.vocab\" is missing"},
        {MODEL, "{'type':'Markov','vocab':{'a':0}}", PP_ERR_UNSUPPORTED,
         "the model \"Markov\" is not implemented"},
        {MODEL, "{'type':7,'vocab':{'a':0}}", PP_ERR_FORMAT, "without a \"type\""},
        {MODEL, "{'type':'BPE','vocab':7,'merges':[]}", PP_ERR_FORMAT, "\"model.vocab\" is 7"},
        {MODEL, "{'type':'BPE','vocab':{'a':'0'},'merges':[]}", PP_ERR_FORMAT, "token \"a\""},
        {MODEL, "{'type':'BPE','vocab':{'a':-1},'merges':[]}", PP_ERR_FORMAT, "token \"a\""},
        {MODEL, "{'type':'BPE','vocab':{'a':1.5},'merges':[]}", PP_ERR_FORMAT, "token \"a\""},
        {MODEL, "{'type':'BPE','vocab':{'a':16777216},'merges':[]}", PP_ERR_FORMAT, "16777215"},
        {MODEL, "{'type':'BPE','vocab':{'a':16777215},'merges':[]}", PP_ERR_LIMIT,
         "has 1 tokens, but ids up to 16777215"},
        {MODEL, "{'type':'BPE','vocab':{'a':99999999999999999999},'merges':[]}", PP_ERR_FORMAT,
         "token \"a\""},
        {MODEL, "{'type':'BPE','vocab':{'a':0,'b':0},'merges':[]}", PP_ERR_FORMAT,
         "another token has its id"},
        {MODEL, "{'type':'BPE','vocab':{'a':0}}", PP_ERR_FORMAT, "\"model.merges\" is missing"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':{}}", PP_ERR_FORMAT, "model.merges"},
        {MODEL, "{'type':'BPE','vocab':{'a':0,'b':1},'merges':['a b']}", PP_ERR_FORMAT,
         "merge 0 of \"model.merges\": the vocabulary has no ab"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':['a b']}", PP_ERR_FORMAT, "has no b"},
        {MODEL, "{'type':'BPE','vocab':{'a':0,'aa':1},'merges':['a a','a a a']}", PP_ERR_FORMAT,
         "merge 1 of \"model.merges\": two tokens are needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[['a','a','a']]}", PP_ERR_FORMAT,
         "two tokens are needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[['a',1]]}", PP_ERR_FORMAT,
         "two tokens are needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':['a']}", PP_ERR_FORMAT,
         "two tokens are needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[7]}", PP_ERR_FORMAT,
         "two tokens are needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'unk_token':'x'}", PP_ERR_FORMAT,
         "a token of the vocabulary is needed"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'unk_token':7}", PP_ERR_FORMAT,
         "\"model.unk_token\" is 7"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'dropout':0.1}", PP_ERR_UNSUPPORTED,
         "left out at random"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'fuse_unk':1}", PP_ERR_FORMAT,
         "model.fuse_unk"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'byte_fallback':'yes'}", PP_ERR_FORMAT,
         "model.byte_fallback"},
        {MODEL,
         "{'type':'BPE','vocab':{'a':0,'b':1},'merges':['a b'],"
         "'continuing_subword_prefix':'##'}",
         PP_ERR_FORMAT, "shorter than continuing_subword_prefix"},
        {MODEL, "{'type':'WordLevel','vocab':{'a':0}}", PP_ERR_FORMAT, "model.unk_token"},
        {MODEL, "{'type':'WordPiece','vocab':{'a':0}}", PP_ERR_FORMAT, "unk_token"},
        {MODEL,
         "{'type':'WordPiece','vocab':{'a':0},'unk_token':'a','continuing_subword_prefix':'##',"
         "'max_input_chars_per_word':-1}",
         PP_ERR_FORMAT, "max_input_chars_per_word"},
        {MODEL,
         "{'type':'WordPiece','vocab':[],'unk_token':'a','continuing_subword_prefix':'##',"
         "'max_input_chars_per_word':1}",
         PP_ERR_FORMAT, "vocab"},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':{'a':0}}", PP_ERR_FORMAT, "model.vocab"},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':[]}", PP_ERR_FORMAT, "model"},
        {MODEL, "{'type':'Unigram','unk_id':2,'vocab':[['a',-1],['b',-2]]}", PP_ERR_FORMAT,
         "unk_id"},
        {MODEL, "{'type':'Unigram','unk_id':-1,'vocab':[['a',-1]]}", PP_ERR_FORMAT, "unk_id"},
        {MODEL, "{'type':'Unigram','unk_id':1.5,'vocab':[['a',-1]]}", PP_ERR_FORMAT, "unk_id"},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':[['a']]}", PP_ERR_FORMAT,
         "entry 0 of \"model.vocab\""},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':[['a',-1],[7,-1]]}", PP_ERR_FORMAT,
         "entry 1 of \"model.vocab\""},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':[['a','x']]}", PP_ERR_FORMAT, "score"},
        {MODEL, "{'type':'Unigram','unk_id':0,'vocab':[['a',NaN]]}", PP_ERR_FORMAT, "score"},
    };
    CHECK_ALL(entries);
    check_repeated(MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'end_of_word_suffix':'", "x",
                   1024, "'}", PP_ERR_LIMIT, "has 1024 bytes");
    check_repeated(MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'continuing_subword_prefix':'",
                   "x", 1024, "'}", PP_ERR_LIMIT, "has 1024 bytes");
}
END_TEST

/* ---- around the model ---- */

START_TEST(added_tokens)
{
    static const struct entry entries[] = {
        {ADDED, "{}", PP_ERR_FORMAT, "a list is needed"},
        {ADDED, "[7]", PP_ERR_FORMAT, "each needs a \"content\""},
        {ADDED, "[{'id':5}]", PP_ERR_FORMAT, "each needs a \"content\""},
        {ADDED, "[{'content':'x'}]", PP_ERR_FORMAT, "each needs a \"content\""},
        {ADDED, "[{'id':5,'content':null}]", PP_ERR_FORMAT, "each needs a \"content\""},
        {ADDED, "[{'id':5,'content':6}]", PP_ERR_FORMAT, "added_tokens.content"},
        {ADDED, "[{'id':1000000000,'content':'x'}]", PP_ERR_FORMAT, "from 0 to 16777215"},
        {ADDED, "[{'id':-1,'content':'x'}]", PP_ERR_FORMAT, "added_tokens.id"},
        {ADDED, "[{'id':4.5,'content':'x'}]", PP_ERR_FORMAT, "added_tokens.id"},
        {ADDED, "[{'id':4,'content':'x','lstrip':0}]", PP_ERR_FORMAT, "added_tokens.lstrip"},
    };
    CHECK_ALL(entries);
}
END_TEST

START_TEST(a_hundred_thousand_added_tokens)
{
    char *text = malloc(8 << 20);
    size_t n = (size_t)sprintf(text, "[");
    for (int i = 0; i < 100000; i++)
        n += (size_t)sprintf(text + n, "%s{'id':%d,'content':'<t%d>'}", i ? "," : "", i + 4, i);
    sprintf(text + n, "]");
    counting.limit = (int64_t)128 << 20;
    check_refused(ADDED, text, PP_ERR_LIMIT, "more than 65536 added tokens");
    free(text);
}
END_TEST

START_TEST(parts)
{
    static const struct entry entries[] = {
        {NORMALIZER, "7", PP_ERR_FORMAT, "normalizer"},
        {NORMALIZER, "{}", PP_ERR_FORMAT, "normalizer"},
        {NORMALIZER, "{'type':'Rot13'}", PP_ERR_UNSUPPORTED, "the normalizer \"Rot13\""},
        {NORMALIZER, "{'type':'Sequence'}", PP_ERR_FORMAT, "normalizer.normalizers"},
        {NORMALIZER, "{'type':'Prepend'}", PP_ERR_FORMAT, "prepend"},
        {NORMALIZER, "{'type':'Replace','content':'x'}", PP_ERR_FORMAT, "pattern"},
        {NORMALIZER, "{'type':'Replace','pattern':{'Regex':'('},'content':'x'}", PP_ERR_FORMAT,
         "normalizer"},
        {NORMALIZER, "{'type':'Precompiled','precompiled_charsmap':'no base64!'}", PP_ERR_FORMAT,
         "precompiled_charsmap"},
        {NORMALIZER, "{'type':'Precompiled','precompiled_charsmap':'AAAA'}", PP_ERR_FORMAT,
         "precompiled_charsmap"},
        {NORMALIZER, "{'type':'Precompiled','precompiled_charsmap':'/////w=='}", PP_ERR_FORMAT,
         "precompiled_charsmap"},
        {NORMALIZER, "{'type':'Precompiled','precompiled_charsmap':7}", PP_ERR_FORMAT,
         "precompiled_charsmap"},
        {NORMALIZER, "{'type':'Precompiled'}", PP_ERR_FORMAT, "precompiled_charsmap"},
        {PRE, "7", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "{'type':'Syllables'}", PP_ERR_UNSUPPORTED, "\"Syllables\" is not implemented"},
        {PRE, "{'type':'UnicodeScripts'}", PP_ERR_UNSUPPORTED, "\"UnicodeScripts\""},
        {PRE, "{'type':'Sequence','pretokenizers':{}}", PP_ERR_FORMAT, "pretokenizers"},
        {PRE, "{'type':'Split','pattern':{'Regex':'a'}}", PP_ERR_FORMAT, "behavior"},
        {PRE, "{'type':'Split','pattern':{'Regex':'a'},'behavior':'Never'}", PP_ERR_FORMAT,
         "behavior"},
        {PRE, "{'type':'Split','pattern':'a','behavior':'Isolated'}", PP_ERR_FORMAT, "pattern"},
        {PRE, "{'type':'Punctuation','behavior':7}", PP_ERR_FORMAT, "behavior"},
        {PRE, "{'type':'Metaspace','replacement':'ab'}", PP_ERR_FORMAT, "replacement"},
        {PRE, "{'type':'Metaspace','replacement':'_','prepend_scheme':'last'}", PP_ERR_FORMAT,
         "prepend_scheme"},
        {PRE, "{'type':'CharDelimiterSplit','delimiter':''}", PP_ERR_FORMAT, "delimiter"},
        {PRE, "{'type':'FixedLength','length':0}", PP_ERR_FORMAT, "length"},
        {POST, "{'type':'Signature'}", PP_ERR_UNSUPPORTED, "the post-processor \"Signature\""},
        {POST, "{'type':'TemplateProcessing'}", PP_ERR_FORMAT, "single"},
        {POST, "{'type':'TemplateProcessing','single':[]}", PP_ERR_FORMAT, "A is missing"},
        {POST,
         "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<s>'}},"
         "{'Sequence':{'id':'A'}}],'special_tokens':{}}",
         PP_ERR_FORMAT, "names the special token \"<s>\""},
        {POST,
         "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x'}},"
         "{'Sequence':{'id':'A'}}],'special_tokens':{'x':{'ids':[99999999999]}}}",
         PP_ERR_FORMAT, "the id of a token"},
        {POST,
         "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'A'}},{'Sequence':{'id':'B'}}]}",
         PP_ERR_UNSUPPORTED, "one sequence A"},
        {POST, "{'type':'BertProcessing','sep':['a',0]}", PP_ERR_FORMAT, "a token with its id"},
        {POST, "{'type':'BertProcessing','sep':['a',0],'cls':['a',-1]}", PP_ERR_FORMAT, "the id"},
        {DECODER, "{'type':'Reverse'}", PP_ERR_UNSUPPORTED, "the decoder \"Reverse\""},
        {DECODER, "{'type':'Sequence','decoders':7}", PP_ERR_FORMAT, "decoder.decoders"},
        {DECODER, "{'type':'WordPiece'}", PP_ERR_FORMAT, "prefix"},
        {DECODER, "{'type':'Strip','content':' '}", PP_ERR_FORMAT, "\"Strip\" needs"},
        {DECODER, "{'type':'Strip','content':' ','start':-1,'stop':0}", PP_ERR_FORMAT, "start"},
        {DECODER, "{'type':'Replace','pattern':{'Regex':'['},'content':''}", PP_ERR_FORMAT,
         "decoder"},
    };
    static const struct {
        enum part part;
        const char *list;
    } lists[] = {{NORMALIZER, "normalizers"},
                 {PRE, "pretokenizers"},
                 {POST, "processors"},
                 {DECODER, "decoders"}};
    CHECK_ALL(entries);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char open[64], many[64];
        snprintf(open, sizeof open, "{'type':'Sequence','%s':[", lists[i].list);
        check_repeated(lists[i].part, "", open, 14, "", PP_ERR_FORMAT, "malformed JSON");
        check_repeated(lists[i].part, "", open, 100, "", PP_ERR_FORMAT, "nested deeper");
        snprintf(many, sizeof many, "{'type':'Sequence','%s':[]},", lists[i].list);
        check_repeated(lists[i].part, open, many, 100, "null]}", PP_ERR_LIMIT, "more than");
    }
}
END_TEST

/* ---- maps of characters ---- */

/* A normalizer whose map has these units, then these bytes. */
static char *charsmap_part(const uint32_t *units, size_t n_units, const char *texts, size_t n_texts)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t n = 4 + 4 * n_units + n_texts;
    unsigned char *blob = calloc(n + 3, 1);
    char *text = malloc(2 * n + 128);
    const uint32_t size = (uint32_t)(4 * n_units);
    memcpy(blob, &size, 4);
    memcpy(blob + 4, units, 4 * n_units);
    if (n_texts)
        memcpy(blob + 4 + 4 * n_units, texts, n_texts);
    size_t at = (size_t)sprintf(text, "{'type':'Precompiled','precompiled_charsmap':'");
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t bits = (uint32_t)blob[i] << 16 | (uint32_t)blob[i + 1] << 8 | blob[i + 2];
        for (size_t k = 0; k < 4; k++)
            text[at++] = i + k > n ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    strcpy(text + at, "'}");
    free(blob);
    return text;
}

/* Tries that lead in a circle, out of the array, to values outside of the texts, to texts that are
 * not UTF-8: refused, or texts pass through them. */
START_TEST(maps_of_characters_that_lie)
{
    static const struct {
        uint32_t add, with;
        const char *texts;
        size_t n_texts;
    } maps[] = {
        {0, 0, "", 0},          /* every byte leads on, in a circle */
        {256, 0, "x\0", 2},     /* and is the end of something */
        {0, 0x7ffffc00, "", 0}, /* far away */
        {256, 512, "abc", 3},   /* no NUL behind the texts */
        {256, 0, "\xff\xfe\0", 3},
        {256, 0, "\xe4\xb8\0\xad\0", 5},
    };
    static const char text[] = "ab \xe4\xb8\xad\xe6\x96\x87 e\xcc\x81 \xf0\x9f\x98\x80 a";
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        uint32_t units[256];
        pp_tokenizer *tokenizer = NULL;
        for (uint32_t k = 0; k < 256; k++)
            units[k] = k | k << 10 | maps[i].add | maps[i].with;
        char *part = charsmap_part(units, 256, maps[i].texts, maps[i].n_texts);
        char *whole = with_part(NORMALIZER, part);
        const pp_status status = open_text(whole, strlen(whole), &tokenizer);
        ck_assert_msg(status == PP_OK || status == PP_ERR_FORMAT, "map %zu: %d (%s)", i, status,
                      err.message);
        if (status == PP_OK)
            ck_assert_int_eq(encode(tokenizer, text, sizeof text - 1), PP_OK);
        else
            ck_assert_ptr_nonnull(strstr(err.message, "precompiled_charsmap"));
        pp_tokenizer_destroy(tokenizer);
        ck_assert_int_eq(counting.held, 0);
        free(whole);
        free(part);
    }
}
END_TEST

/* ---- patterns ---- */

static const char *pattern_part(const char *pattern)
{
    static char text[4096];
    snprintf(text, sizeof text, "{'type':'Split','pattern':{'Regex':'%s'},'behavior':'Isolated'}",
             pattern);
    return text;
}

START_TEST(patterns)
{
    static const struct entry entries[] = {
        {PRE, "(a", PP_ERR_FORMAT, "a '(' without ')'"},
        {PRE, "a)", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "[a", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "[]", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "[b-a]", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "*a", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "a\\\\", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "\\\\p{Nonsense}", PP_ERR_UNSUPPORTED, "pre_tokenizer"},
        {PRE, "\\\\p{L", PP_ERR_FORMAT, "pre_tokenizer"},
        {PRE, "(?<n>a)\\\\k<n>", PP_ERR_UNSUPPORTED, "pre_tokenizer"},
        {PRE, "a{2,1000000000}", PP_ERR_FORMAT, "too large for a repetition"},
        {PRE, "a{100001}", PP_ERR_FORMAT, "too large for a repetition"},
        {PRE, "(?s:a)", PP_ERR_UNSUPPORTED, "pre_tokenizer"},
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        check_refused(PRE, pattern_part(entries[i].text), entries[i].status, entries[i].words);
    counting.limit = (int64_t)64 << 20;
    check_repeated(PRE, "{'type':'Split','behavior':'Isolated','pattern':{'Regex':'", "(", 5000,
                   "'}}", PP_ERR_LIMIT, "groups that nest too deep");
    check_repeated(PRE, "{'type':'Split','behavior':'Isolated','pattern':{'Regex':'", "[", 5000,
                   "'}}", PP_ERR_LIMIT, "nest too deep");
    check_repeated(PRE, "{'type':'Split','behavior':'Isolated','pattern':{'Regex':'", "a|", 1000000,
                   "a'}}", PP_ERR_LIMIT, "the pattern of");
}
END_TEST

/* A search that would run away ends with a status, others with the tokens, all of them soon. */
START_TEST(searches_that_run_away)
{
    static const struct {
        const char *pattern, *unit;
        bool may_end; /* PCRE2 may see that there can be no match */
    } searches[] = {
        {"(a+)+$", "a", false},  {"(a|a)*$", "a", false},   {"(a+)+b", "a", true},
        {"(a|aa)+c", "a", true}, {"(.*)*x", "a", true},     {"(a|b|ab)*c", "ab", true},
        {"\\\\s+$", " ", true},  {"(?:a?){30}", "a", true},
    };
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
        pp_tokenizer *tokenizer = accepted(PRE, pattern_part(searches[i].pattern));
        char *text = repeated("", searches[i].unit, 20000, "!");
        const clock_t begin = clock();
        counting.limit = (int64_t)512 << 20;
        const pp_status status = encode(tokenizer, text, strlen(text));
        const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        ck_assert_msg(status == PP_ERR_LIMIT || (searches[i].may_end && status == PP_OK),
                      "%s: status %d (%s)", searches[i].pattern, status, err.message);
        if (status < 0)
            ck_assert_ptr_nonnull(strstr(err.message, "goes back over this text too often"));
        ck_assert_msg(seconds < 20, "%s takes %.1f seconds", searches[i].pattern, seconds);
        ck_assert_int_eq(encode(tokenizer, "a b", 3), PP_OK); /* it is as it was */
        counting.limit = MEMORY_LIMIT;
        free(text);
        pp_tokenizer_destroy(tokenizer);
        ck_assert_int_eq(counting.held, 0);
    }
}
END_TEST

/* ---- odd, and read ---- */

START_TEST(odd_files_that_are_read)
{
    static const struct {
        enum part part;
        const char *text;
    } entries[] = {
        {WHOLE, "{'model':{'vocab':{'a':0},'merges':[]}}"},
        {MODEL, "{'type':'BPE','vocab':{},'merges':[]}"},
        {MODEL, "{'type':'BPE','vocab':{'a\\u0000b':0,'a':1,'\\u0000':2},'merges':[]}"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'dropout':0.0}"},
        {MODEL, "{'type':'BPE','vocab':{'a':0},'merges':[],'dropout':null,'new_key':{'x':[1]}}"},
        {MODEL, "{'type':'BPE','vocab':{'a':1000},'merges':[]}"},
        {MODEL, "{'type':'BPE','vocab':{'':0,'a':1},'merges':[]}"},
        {MODEL, "{'type':'WordLevel','vocab':{'a':0},'unk_token':'not there'}"},
        {MODEL, "{'type':'Unigram','unk_id':null,'vocab':[['a',-1e300],['b',0],['c',5]]}"},
        {ADDED, "[{'id':16777215,'content':'x'}]"},
        {ADDED, "[{'id':4,'content':''},{'id':4,'content':'x'},{'id':4,'content':'y'}]"},
        {ADDED, "[{'id':4,'content':'\\u0000'},{'id':5,'content':' ','lstrip':true}]"},
        {PRE, "{'type':'Sequence','pretokenizers':[]}"},
        {POST, "{'type':'BertProcessing','sep':['x',77],'cls':['y',78]}"},
    };
    static const char text[] = "a b x y \xc3\xa9 \0 a";
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        pp_tokenizer *tokenizer = accepted(entries[i].part, entries[i].text);
        const int32_t ids[] = {0, 1, 4, 77, 16777215, 16777216};
        char decoded[256];
        size_t n_bytes;
        const pp_status status = encode(tokenizer, text, sizeof text - 1);
        ck_assert_msg(status == PP_OK || strstr(err.message, "token") != NULL, "%s: %d (%s)",
                      entries[i].text, status, err.message);
        ck_assert_int_eq(
            pp_tokenizer_decode(tokenizer, ids, 6, NULL, decoded, sizeof decoded, &n_bytes, &err),
            PP_OK);
        pp_tokenizer_destroy(tokenizer);
        ck_assert_int_eq(counting.held, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-malformed");
    TCase *tcase = tcase_create("malformed");
    tcase_set_timeout(tcase, 0);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, wholes);
    tcase_add_test(tcase, models);
    tcase_add_test(tcase, added_tokens);
    tcase_add_test(tcase, a_hundred_thousand_added_tokens);
    tcase_add_test(tcase, parts);
    tcase_add_test(tcase, maps_of_characters_that_lie);
    tcase_add_test(tcase, patterns);
    tcase_add_test(tcase, searches_that_run_away);
    tcase_add_test(tcase, odd_files_that_are_read);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
