/*
 * test_tokenizer_splitter.c: texts fall into the words that `tokenizers` makes of them, from the
 * same places; what is refused; exhausted memory.
 */
#include "malformed/failing.h"
#include "support/tap.h"
#include "tokenizer/split/splitter.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct ppi_mem mem;
    struct ppi_splitter *splitter;
    struct ppi_pattern_work *work;
    struct ppi_text text, spare;
    struct ppi_spans words, spare_words;
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
    char text[4096];
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    fixture->text = ppi_text_start(&fixture->mem, true);
    fixture->spare = ppi_text_start(&fixture->mem, true);
    fixture->words.mem = fixture->spare_words.mem = &fixture->mem;
    int n = snprintf(text, sizeof text, "{\"pre_tokenizer\":%s}", json);
    ck_assert_int_lt(n, sizeof text);
    unquote(text);
    struct ppi_json parsed;
    const struct ppi_json_limits limits = {.allow_nul = true};
    PP_TRY(ppi_json_parse(text, (size_t)n, "file", &limits, &fixture->mem, &parsed, &fixture->err));
    const struct ppi_reading reading = {
        .label = "file", .mem = &fixture->mem, .err = &fixture->err, .log = &(struct ppi_log){0}};
    pp_status status =
        ppi_splitter_read(&reading, ppi_json_get(parsed.root, "pre_tokenizer"), &fixture->splitter);
    ppi_json_free(&parsed, &fixture->mem);
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
    ppi_splitter_destroy(fixture->splitter);
    ppi_pattern_work_destroy(fixture->work);
    ppi_text_free(&fixture->text);
    ppi_text_free(&fixture->spare);
    ppi_spans_free(&fixture->words);
    ppi_spans_free(&fixture->spare_words);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

static pp_status split(struct fixture *fixture, const char *text, bool first)
{
    ppi_text_clear(&fixture->text, true);
    put_traced(&fixture->text, text, strlen(text));
    if (fixture->text.failed)
        return PP_ERR_NOMEM;
    return ppi_split(fixture->splitter, &fixture->text, first, &fixture->words, &fixture->spare,
                     &fixture->spare_words, fixture->work, &fixture->err);
}

/* Words with '|' between them, and their origins. */
static void join_words(const struct fixture *fixture, char *joined, char *origins)
{
    *joined = *origins = '\0';
    for (size_t i = 0; i < fixture->words.n; i++) {
        const struct ppi_span word = fixture->words.items[i];
        ck_assert_uint_lt(word.begin, word.end);
        ck_assert_uint_le(word.end, fixture->text.n);
        strcat(joined, i ? "|" : "");
        strncat(joined, fixture->text.bytes + word.begin, word.end - word.begin);
        put_origin(&fixture->text, word.begin, word.end, origins);
    }
}

static const char sample[] = " Hello,  I'll pay $12.50!\n\n中文 naïve e\314\201\t(x)  ";

/* What it is, and the words and origins of the sample. */
static const struct {
    const char *json, *words, *origins;
} splitters[] = {
    {"{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':true}",
     " Hello|,| | I|'ll| pay| $|12|.|50|!|\n|\n|中文| naïve| e|\314\201|\t|(|x|)|  ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-21 21-22 22-24 24-25 25-26 26-27 27-33 33-40 40-42 "
     "42-44 44-45 45-46 46-47 47-48 48-50"},
    {"{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true}",
     " Hello|,| | I|'ll| pay| $|12|.|50|!|\n|\n|中文| naïve| e|\314\201|\t|(|x|)|  ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-21 21-22 22-24 24-25 25-26 26-27 27-33 33-40 40-42 "
     "42-44 44-45 45-46 46-47 47-48 48-50"},
    {"{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':'(?i:\\u0027s|"
     "\\u0027t|\\u0027re|\\u0027ve|\\u0027m|\\u0027ll|\\u0027d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
     "\\\\p{L}+|\\\\p{N}{1,3}| "
     "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+'},'"
     "behavior':'Isolated','invert':false},{'type':'ByteLevel','add_prefix_space':false,'trim_"
     "offsets':true,'use_regex':false}]}",
     " Hello|,| | I|'ll| pay| $|12|.|50|!\n\n|中文| naïve| e|\314\201|\t|(x|)|  ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-21 21-22 22-24 24-27 27-33 33-40 40-42 42-44 44-45 "
     "45-47 47-48 48-50"},
    {"{'type':'Sequence','pretokenizers':[{'type':'Digits','individual_digits':true},{'type':'"
     "ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':true}]}",
     " Hello|,| | I|'ll| pay| $|1|2|.|5|0|!|\n|\n|中文| naïve| e|\314\201|\t|(|x|)|  ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-20 20-21 21-22 22-23 23-24 24-25 25-26 26-27 27-33 "
     "33-40 40-42 42-44 44-45 45-46 46-47 47-48 48-50"},
    {"{'type':'Split','pattern':{'String':' '},'behavior':'MergedWithPrevious','invert':false}",
     " |Hello, | |I'll |pay |$12.50!\n\n中文 |naïve |e\314\201\t(x) | ",
     "0-1 1-8 8-9 9-14 14-18 18-34 34-41 41-49 49-50"},
    {"{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':'\\\\p{N}{1,3}'},'"
     "behavior':'Isolated','invert':false},{'type':'Split','pattern':{'Regex':'[一-龥\343\201\200-"
     "ゟ゠-ヿ]+'},'behavior':'Isolated','invert':false},{'type':'Split','pattern':{'Regex':'[!"
     "\\\\\\'#$%&\\u0027()*+,\\\\-./"
     ":;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\\\r\\\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}"
     "\\\\p{M}]+| "
     "?[\\\\p{P}\\\\p{S}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+'},'behavior':'"
     "Isolated','invert':false},{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'"
     "use_regex':false}]}",
     " Hello|,| | I|'ll| pay| $|12|.|50|!\n\n|中文| naïve| e\314\201|\t|(x|)|  ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-21 21-22 22-24 24-27 27-33 33-40 40-44 44-45 45-47 "
     "47-48 48-50"},
    {"{'type':'BertPreTokenizer'}", "Hello|,|I|'|ll|pay|$|12|.|50|!|中文|naïve|e\314\201|(|x|)",
     "1-6 6-7 9-10 10-11 11-13 14-17 18-19 19-21 21-22 22-24 24-25 27-33 34-40 41-44 45-46 46-47 "
     "47-48"},
    {"{'type':'Whitespace'}", "Hello|,|I|'|ll|pay|$|12|.|50|!|中文|naïve|e\314\201|(|x|)",
     "1-6 6-7 9-10 10-11 11-13 14-17 18-19 19-21 21-22 22-24 24-25 27-33 34-40 41-44 45-46 46-47 "
     "47-48"},
    {"{'type':'WhitespaceSplit'}", "Hello,|I'll|pay|$12.50!|中文|naïve|e\314\201|(x)",
     "1-7 9-13 14-17 18-25 27-33 34-40 41-44 45-48"},
    {"{'type':'Digits','individual_digits':false}",
     " Hello,  I'll pay $|12|.|50|!\n\n中文 naïve e\314\201\t(x)  ",
     "0-19 19-21 21-22 22-24 24-50"},
    {"{'type':'CharDelimiterSplit','delimiter':'é'}",
     " Hello,  I'll pay $12.50!\n\n中文 naïve e\314\201\t(x)  ", "0-50"},
    {"{'type':'FixedLength','length':3}",
     " He|llo|,  |I'l|l p|ay |$12|.50|!\n\n|中文 |naï|ve |e\314\201\t|(x)|  ",
     "0-3 3-6 6-9 9-12 12-15 15-18 18-21 21-24 24-27 27-34 34-38 38-41 41-45 45-48 48-50"},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'always','split':true}",
     "▁Hello,|▁|▁I'll|▁pay|▁$12.50!\n\n中文|▁naïve|▁e\314\201\t(x)|▁|▁",
     "0-7 7-8 8-13 13-17 17-33 33-40 40-48 48-49 49-50"},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'first','split':true}",
     "▁Hello,|▁|▁I'll|▁pay|▁$12.50!\n\n中文|▁naïve|▁e\314\201\t(x)|▁|▁",
     "0-7 7-8 8-13 13-17 17-33 33-40 40-48 48-49 49-50"},
    {"{'type':'Metaspace','replacement':'▁','prepend_scheme':'never','split':false}",
     "▁Hello,▁▁I'll▁pay▁$12.50!\n\n中文▁naïve▁e\314\201\t(x)▁▁", "0-50"},
    {"{'type':'Metaspace','replacement':'▁','add_prefix_space':true,'str_rep':'▁'}",
     "▁Hello,|▁|▁I'll|▁pay|▁$12.50!\n\n中文|▁naïve|▁e\314\201\t(x)|▁|▁",
     "0-7 7-8 8-13 13-17 17-33 33-40 40-48 48-49 49-50"},
    {"{'type':'Sequence','pretokenizers':[{'type':'WhitespaceSplit'},{'type':'Metaspace','"
     "replacement':'▁','prepend_scheme':'always','split':true}]}",
     "▁Hello,|▁I'll|▁pay|▁$12.50!|▁中文|▁naïve|▁e\314\201|▁(x)",
     "1-7 9-13 14-17 18-25 27-33 34-40 41-44 45-48"},
    {"{'type':'Sequence','pretokenizers':[{'type':'ByteLevel','add_prefix_space':true,'trim_"
     "offsets':true,'use_regex':true},{'type':'Digits','individual_digits':true}]}",
     "ĠHello|,|Ġ|ĠI|'ll|Ġpay|Ġ$|1|2|.|5|0|!|Ċ|Ċ|ä¸Ńæĸĩ|ĠnaÃ¯ve|Ġe|Ìģ|ĉ|(|x|)|ĠĠ",
     "0-6 6-7 7-8 8-10 10-13 13-17 17-19 19-20 20-21 21-22 22-23 23-24 24-25 25-26 26-27 27-33 "
     "33-40 40-42 42-44 44-45 45-46 46-47 47-48 48-50"},
    {"{'type':'Sequence','pretokenizers':[{'type':'Whitespace'},{'type':'ByteLevel','add_prefix_"
     "space':true,'trim_offsets':true,'use_regex':true}]}",
     " Hello| ,| I| '| ll| pay| $| 12| .| 50| !| 中文| naïve| e|\314\201| (| x| )",
     "1-6 6-7 9-10 10-11 11-13 14-17 18-19 19-21 21-22 22-24 24-25 27-33 34-40 41-42 42-44 45-46 "
     "46-47 47-48"},
    {"{'type':'Sequence','pretokenizers':[]}",
     " Hello,  I'll pay $12.50!\n\n中文 naïve e\314\201\t(x)  ", "0-50"},
    {"{'type':'Punctuation','behavior':'Removed'}",
     " Hello|  I|ll pay |12|50|\n\n中文 naïve e\314\201\t|x|  ",
     "0-6 7-10 11-18 19-21 22-24 25-45 46-47 48-50"},
    {"{'type':'Punctuation','behavior':'Isolated'}",
     " Hello|,|  I|'|ll pay |$|12|.|50|!|\n\n中文 naïve e\314\201\t|(|x|)|  ",
     "0-6 6-7 7-10 10-11 11-18 18-19 19-21 21-22 22-24 24-25 25-45 45-46 46-47 47-48 48-50"},
    {"{'type':'Punctuation','behavior':'MergedWithPrevious'}",
     " Hello,|  I'|ll pay $|12.|50!|\n\n中文 naïve e\314\201\t(|x)|  ",
     "0-7 7-11 11-19 19-22 22-25 25-46 46-48 48-50"},
    {"{'type':'Punctuation','behavior':'MergedWithNext'}",
     " Hello|,  I|'ll pay |$12|.50|!\n\n中文 naïve e\314\201\t|(x|)  ",
     "0-6 6-10 10-18 18-21 21-24 24-45 45-47 47-50"},
    {"{'type':'Punctuation','behavior':'Contiguous'}",
     " Hello|,|  I|'|ll pay |$|12|.|50|!|\n\n中文 naïve e\314\201\t|(|x|)|  ",
     "0-6 6-7 7-10 10-11 11-18 18-19 19-21 21-22 22-24 24-25 25-45 45-46 46-47 47-48 48-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'Removed','invert':false}",
     "Hello,|I'll|pay|$|.|!|中文|naïve|e\314\201|(x)",
     "1-7 9-13 14-17 18-19 21-22 24-25 27-33 34-40 41-44 45-48"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'Removed','invert':true}",
     " |  | | |1|2|5|0|\n\n| | |\t|  ",
     "0-1 7-9 13-14 17-18 19-20 20-21 22-23 23-24 25-27 33-34 40-41 44-45 48-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'Isolated','invert':false}",
     " |Hello,|  |I'll| |pay| |$|1|2|.|5|0|!|\n\n|中文| |naïve| |e\314\201|\t|(x)|  ",
     "0-1 1-7 7-9 9-13 13-14 14-17 17-18 18-19 19-20 20-21 21-22 22-23 23-24 24-25 25-27 27-33 "
     "33-34 34-40 40-41 41-44 44-45 45-48 48-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'MergedWithPrevious','invert':"
     "false}",
     " |Hello,  |I'll |pay |$1|2|.5|0|!\n\n|中文 |naïve |e\314\201\t|(x)  ",
     "0-1 1-9 9-14 14-18 18-20 20-21 21-23 23-24 24-27 27-34 34-41 41-45 45-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'MergedWithNext','invert':"
     "false}",
     " Hello,|  I'll| pay| $|1|2.|5|0!|\n\n中文| naïve| e\314\201|\t(x)|  ",
     "0-7 7-13 13-17 17-19 19-20 20-22 22-23 23-25 25-33 33-40 40-44 44-48 48-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'Contiguous','invert':false}",
     " |Hello,|  |I'll| |pay| |$|12|.|50|!|\n\n|中文| |naïve| |e\314\201|\t|(x)|  ",
     "0-1 1-7 7-9 9-13 13-14 14-17 17-18 18-19 19-21 21-22 22-24 24-25 25-27 27-33 33-34 34-40 "
     "40-41 41-44 44-45 45-48 48-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'MergedWithNext','invert':"
     "true}",
     " |Hello,  |I'll |pay |$1|2|.5|0|!\n\n|中文 |naïve |e\314\201\t|(x)  ",
     "0-1 1-9 9-14 14-18 18-20 20-21 21-23 23-24 24-27 27-34 34-41 41-45 45-50"},
    {"{'type':'Split','pattern':{'Regex':'\\\\s+|\\\\d'},'behavior':'MergedWithPrevious','invert':"
     "true}",
     " Hello,|  I'll| pay| $|1|2.|5|0!|\n\n中文| naïve| e\314\201|\t(x)|  ",
     "0-7 7-13 13-17 17-19 19-20 20-22 22-23 23-25 25-33 33-40 40-44 44-48 48-50"},
    {"{'type':'Split','pattern':{'String':''},'behavior':'Isolated','invert':false}",
     " |H|e|l|l|o|,| | |I|'|l|l| |p|a|y| |$|1|2|.|5|0|!|\n|\n|中|文| |n|a|ï|v|e| "
     "|e|\314\201|\t|(|x|)| | ",
     "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11 11-12 12-13 13-14 14-15 15-16 16-17 17-18 "
     "18-19 19-20 20-21 21-22 22-23 23-24 24-25 25-26 26-27 27-30 30-33 33-34 34-35 35-36 36-38 "
     "38-39 39-40 40-41 41-42 42-44 44-45 45-46 46-47 47-48 48-49 49-50"},
    {"{'type':'Split','pattern':{'Regex':'a*|(?=\\\\d)'},'behavior':'MergedWithNext','invert':"
     "false}",
     " |H|e|l|l|o|,| | |I|'|l|l| |p|ay| |$|1|2|.|5|0|!|\n|\n|中|文| |n|aï|v|e| "
     "|e|\314\201|\t|(|x|)| | ",
     "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11 11-12 12-13 13-14 14-15 15-17 17-18 18-19 "
     "19-20 20-21 21-22 22-23 23-24 24-25 25-26 26-27 27-30 30-33 33-34 34-35 35-38 38-39 39-40 "
     "40-41 41-42 42-44 44-45 45-46 46-47 47-48 48-49 49-50"},
    {"{'type':'Split','pattern':{'Regex':'a*|(?=\\\\d)'},'behavior':'Contiguous','invert':false}",
     " |H|e|l|l|o|,| | |I|'|l|l| |p|a|y| |$|1|2|.|5|0|!|\n|\n|中|文| |n|a|ï|v|e| "
     "|e|\314\201|\t|(|x|)| | ",
     "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11 11-12 12-13 13-14 14-15 15-16 16-17 17-18 "
     "18-19 19-20 20-21 21-22 22-23 23-24 24-25 25-26 26-27 27-30 30-33 33-34 34-35 35-36 36-38 "
     "38-39 39-40 40-41 41-42 42-44 44-45 45-46 46-47 47-48 48-49 49-50"},
};

START_TEST(words_are_those_of_tokenizers)
{
    for (size_t i = 0; i < PPI_COUNT(splitters); i++) {
        struct fixture fixture;
        char joined[512], origins[1024];
        start(&fixture, splitters[i].json);
        ck_assert_int_eq(split(&fixture, sample, true), PP_OK);
        join_words(&fixture, joined, origins);
        ck_assert_msg(strcmp(joined, splitters[i].words) == 0, "%s: %s, wanted %s",
                      splitters[i].json, joined, splitters[i].words);
        ck_assert_msg(strcmp(origins, splitters[i].origins) == 0, "%s: %s, wanted %s",
                      splitters[i].json, origins, splitters[i].origins);
        /* a text that is not traced falls into the same */
        ppi_text_clear(&fixture.text, false);
        ppi_text_put(&fixture.text, sample, strlen(sample), (struct ppi_span){0, 0});
        ck_assert_int_eq(ppi_split(fixture.splitter, &fixture.text, true, &fixture.words,
                                   &fixture.spare, &fixture.spare_words, fixture.work, NULL),
                         PP_OK);
        join_words(&fixture, joined, origins);
        ck_assert_str_eq(joined, splitters[i].words);
        ck_assert_int_eq(split(&fixture, "", true), PP_OK);
        ck_assert_uint_eq(fixture.words.n, 0);
        stop(&fixture);
    }
}
END_TEST

START_TEST(no_splitter_leaves_one_word)
{
    struct fixture fixture;
    start(&fixture, "null");
    ck_assert_ptr_null(fixture.splitter);
    ck_assert(!ppi_splitter_is_byte_level(NULL));
    ck_assert_int_eq(split(&fixture, "a b", true), PP_OK);
    ck_assert_uint_eq(fixture.words.n, 1);
    ck_assert_uint_eq(fixture.words.items[0].end, 3);
    stop(&fixture);
}
END_TEST

START_TEST(only_the_first_text_gets_a_first_mark)
{
    struct fixture fixture;
    char joined[64], origins[64];
    start(&fixture, "{'type':'Metaspace','replacement':'_','prepend_scheme':'first'}");
    ck_assert_int_eq(split(&fixture, "a b", true), PP_OK);
    join_words(&fixture, joined, origins);
    ck_assert_str_eq(joined, "_a|_b");
    ck_assert_int_eq(split(&fixture, "a b", false), PP_OK);
    join_words(&fixture, joined, origins);
    ck_assert_str_eq(joined, "a|_b");
    stop(&fixture);
}
END_TEST

START_TEST(byte_level_is_known_where_it_is_last)
{
    static const char bytes[] = "{'type':'ByteLevel'}";
    static const char last[] = "{'type':'Sequence','pretokenizers':[{'type':'Whitespace'},"
                               "{'type':'ByteLevel'}]}";
    static const char before[] = "{'type':'Sequence','pretokenizers':[{'type':'ByteLevel'},"
                                 "{'type':'Whitespace'}]}";
    struct fixture fixture;
    start(&fixture, bytes);
    ck_assert(ppi_splitter_is_byte_level(fixture.splitter));
    stop(&fixture);
    start(&fixture, last);
    ck_assert(ppi_splitter_is_byte_level(fixture.splitter));
    stop(&fixture);
    start(&fixture, before);
    ck_assert(!ppi_splitter_is_byte_level(fixture.splitter));
    stop(&fixture);
}
END_TEST

static const struct {
    const char *json;
    pp_status status;
    const char *says;
} refused[] = {
    {"{'type':'UnicodeScripts'}", PP_ERR_UNSUPPORTED, "\"UnicodeScripts\" is not implemented"},
    {"{'type':'Foo'}", PP_ERR_UNSUPPORTED, "\"Foo\" is not implemented"},
    {"{}", PP_ERR_FORMAT, "without a \"type\""},
    {"[]", PP_ERR_FORMAT, "pre_tokenizer"},
    {"{'type':'Split','behavior':'Isolated'}", PP_ERR_FORMAT, "pre_tokenizer.pattern"},
    {"{'type':'Split','pattern':{'Regex':1},'behavior':'Isolated'}", PP_ERR_FORMAT, "is 1;"},
    {"{'type':'Split','pattern':{'Regex':'a('},'behavior':'Isolated'}", PP_ERR_FORMAT, "'('"},
    {"{'type':'Split','pattern':{'String':'a'}}", PP_ERR_FORMAT, "pre_tokenizer.behavior"},
    {"{'type':'Split','pattern':{'String':'a'},'behavior':'Gone'}", PP_ERR_FORMAT,
     "allowed is Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous"},
    {"{'type':'Metaspace'}", PP_ERR_FORMAT, "pre_tokenizer.replacement"},
    {"{'type':'Metaspace','replacement':'ab'}", PP_ERR_FORMAT, "one character is needed"},
    {"{'type':'Metaspace','replacement':'_','prepend_scheme':'last'}", PP_ERR_FORMAT, "\"last\""},
    {"{'type':'Metaspace','replacement':'_','prepend_scheme':'first','add_prefix_space':false}",
     PP_ERR_FORMAT, "\"never\""},
    {"{'type':'CharDelimiterSplit','delimiter':''}", PP_ERR_FORMAT, "one character is needed"},
    {"{'type':'FixedLength','length':0}", PP_ERR_FORMAT, "pre_tokenizer.length"},
    {"{'type':'ByteLevel','use_regex':1}", PP_ERR_FORMAT, "true or false"},
    {"{'type':'Sequence'}", PP_ERR_FORMAT, "pretokenizers"},
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

/* Every allocation of reading and splitting may fail. */
START_TEST(exhausted_memory)
{
    static const char json[] =
        "{'type':'Sequence','pretokenizers':[{'type':'Digits','individual_digits':true},"
        "{'type':'Metaspace','replacement':'_'},{'type':'Split','pattern':{'Regex':'[^a-c]'},"
        "'behavior':'Contiguous','invert':false},{'type':'ByteLevel'},{'type':'FixedLength'}]}";
    for (int n = 1;; n++) {
        struct failing failing = {.n_left = n};
        struct fixture fixture;
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .allocate = failing_allocate,
                                        .release = failing_release,
                                        .user = &failing};
        pp_status status = open_with(&fixture, &allocator, json);
        if (status == PP_OK)
            status = split(&fixture, "one 23 four\303\251 five six", true);
        stop(&fixture);
        ck_assert_int_eq(failing.n_blocks, 0);
        if (status == PP_OK && failing.n_left > 0) {
            ck_assert_int_gt(n, 20);
            break;
        }
        ck_assert(status == PP_ERR_NOMEM || status == PP_OK);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-splitter");
    TCase *tcase = tcase_create("splitter");
    tcase_add_test(tcase, words_are_those_of_tokenizers);
    tcase_add_test(tcase, no_splitter_leaves_one_word);
    tcase_add_test(tcase, only_the_first_text_gets_a_first_mark);
    tcase_add_test(tcase, byte_level_is_known_where_it_is_last);
    tcase_add_test(tcase, what_is_not_known_is_refused);
    tcase_add_test(tcase, exhausted_memory);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
