/*
 * test_tokenizer_pattern.c: patterns of Oniguruma find what `tokenizers` finds with them; what is
 * refused, and how; searches that would not end; exhausted memory.
 */
#include "malformed/failing.h"
#include "support/tap.h"
#include "tokenizer/pattern/pattern.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct ppi_mem mem;
    struct ppi_pattern *pattern;
    struct ppi_pattern_work *work;
    pp_error err;
};

static pp_status open_with(struct fixture *fixture, const pp_allocator *allocator,
                           const char *pattern, size_t n, bool regex)
{
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    PP_TRY(ppi_pattern_create(pattern, n, regex, "file", "part", &fixture->mem, &fixture->pattern,
                              &fixture->err));
    return ppi_pattern_work_create(&fixture->mem, &fixture->work, &fixture->err);
}

static void start(struct fixture *fixture, const char *pattern, bool regex)
{
    pp_status status = open_with(fixture, NULL, pattern, strlen(pattern), regex);
    ck_assert_msg(status == PP_OK, "%s: %s", pattern, fixture->err.message);
}

static void stop(struct fixture *fixture)
{
    ppi_pattern_destroy(fixture->pattern);
    ppi_pattern_work_destroy(fixture->work);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

/* The matches with '|' between them, empty ones only when asked for. */
static void join_matches(struct fixture *fixture, const char *text, bool empty, char *joined)
{
    struct ppi_matches matches = {0};
    struct ppi_span match;
    const size_t n = strlen(text);
    pp_status status;
    *joined = '\0';
    bool any = false;
    while ((status = ppi_matches_next(&matches, fixture->pattern, fixture->work, text, n, &match,
                                      &fixture->err)) > 0) {
        ck_assert_uint_le(match.begin, match.end);
        ck_assert_uint_le(match.end, n);
        if (match.begin == match.end && !empty)
            continue;
        strcat(joined, any ? "|" : "");
        strncat(joined, text + match.begin, match.end - match.begin);
        any = true;
    }
    ck_assert_int_eq(status, 0);
}

/* Pattern, text, and what `tokenizers` finds. */
static const struct {
    const char *pattern, *text, *found;
} accepted[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'|RE| foo|_|bar|42|  \n\n| x|²½| Ünïcode| 中文字| e|\314\201|a| ٣٤| "
     "\341\240\216|\302\205|ß| ſK| ---|\r\n| end"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'RE| foo|_bar|42|  \n\n| x|²½| Ünïcode| 中文字| e|\314\201a| |٣٤| "
     "\341\240\216|\302\205ß| ſK| ---\r\n| end"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'RE| foo|_bar|4|2|  \n\n| x|²|½| Ünïcode| 中文字| e\314\201a| |٣|٤| "
     "\341\240\216|\302\205ß| ſK| ---\r\n| end"},
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:"
     "'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}"
     "\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I'll| can't| THEY'RE| foo|_bar|42|  \n\n| x|²½| Ünïcode| 中文字| e\314\201a| |٣٤| "
     "\341\240\216|\302\205ß| ſ|K| ---\r\n| end"},
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^"
     "\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{"
     "N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'RE| foo|_bar|4|2|  \n\n| x|²|½| Ünïcode| 中文字| e\314\201a| |٣|٤| "
     "\341\240\216|\302\205ß| ſ|K| ---\r\n| end"},
    {"[一-龥\343\201\200-ゟ゠-ヿ]+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "中文字"},
    {"[!\\\"#$%&'()*+,\\-./"
     ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
     "?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'RE| foo|_bar|  \n\n| x| Ünïcode| 中文字| e\314\201a| | |\302\205ß| ſK| "
     "---\r\n| end"},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I|'ll| can|'t| THEY|'RE| foo|_bar|42|  \n\n| x|²½| Ünïcode| 中文字| e|\314\201a| |٣٤| "
     "\341\240\216|\302\205ß| ſK| ---\r\n| end"},
    {"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}"
     "\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{"
     "Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*(?i:'"
     "s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I'll| can't| THEY'RE| foo|_bar|42|  \n\n| x|²½| Ünïcode| |中文字| e\314\201a| |٣٤| "
     "\341\240\216|\302\205ß| ſ|K| ---\r\n| end"},
    {" ?[^(\\s|[.,!?\342\200\246。，、।۔،])]+",
     "I'll can't THEY'RE foo_bar42  \n\n x²½ Ünïcode 中文字 e\314\201a ٣٤ \341\240\216\302\205ß ſK "
     "---\r\n end",
     "I'll| can't| THEY'RE| foo_bar42| x²½| Ünïcode| 中文字| e\314\201a| ٣٤| \341\240\216|ß| ſK| "
     "---| end"},
    {"\\w+", "a² [b] ½x", "a²|b|½x"},
    {"[\\w]+", "a² [b] ½x", "a|b|x"},
    {"\\h+", "xFf09g", "Ff09"},
    {"[^\\S\\n]+", "a \n\302\240b\341\240\216c", " |\302\240"},
    {"\\s+", "a\341\240\216b\302\205c\342\200\203d", "\302\205|\342\200\203"},
    {"(?i:[sk])+", "SſKkKs", "SſKkKs"},
    {"(?i:'ll|x)", "'LL X'lL", "'LL|X|'lL"},
    {"(?i)ab|c", "ABCc", "AB|C|c"},
    {"a(?i)b|c", "aBaC c", "aB|aC"},
    {".+", "a\rb\nc", "a\rb|c"},
    {"(?m:.+)", "a\nb", "a\nb"},
    {"^a|b$", "a\na\nb\nb", "a|a|b|b"},
    {"\\Aa|b\\z", "aab\nb", "a|b"},
    {"b\\Z", "bb\n", "b"},
    {"\\bfoo\\b", "foo foo_ (foo)", "foo|foo"},
    {"\\Boo", "foo oo", "oo"},
    {"a{2}+", "aaaaa", "aaaa"},
    {"a{,2}b", "aaab b", "aab|b"},
    {"a{x}|a{", "a{x} a{ a", "a{x}|a{"},
    {"[]a]+", "x]a", "]a"},
    {"[a-c&&b-d]+", "abcd", "bc"},
    {"[^ab&&[b]]+", "abc", "a|c"},
    {"[a[b-c]]+", "abcd", "abc"},
    {"[[:alpha:]_]+", "aé_1", "aé_"},
    {"[[:^punct:]]+", "a+b.c", "a|b|c"},
    {"[\\]\\-^]+", "a]-^", "]-^"},
    {"(?<=a|bc)d", "ad bcd cd", "d|d"},
    {"(?<!a)b", "ab cb", "b"},
    {"a{0,2}(?>(?>(?:x)*)[a-z])", "  a\n b\n", "a|b"},
    {"(?>a+)b|a", "aab aac", "aab|a|a"},
    {"a++a|b", "aaab", "b"},
    {"a+?", "aaa", "a|a|a"},
    {"a??b", "ab", "ab"},
    {"\\x{61}\\u0062\\x63", "abc", "abc"},
    {"\\p{Han}+|\\p{^L}+", "中a1 々", "中|1 |々"},
    {"(?<name>a)(b)(?#note)", "ab", "ab"},
    {"a**", "aab", "aa"},
    {"[a-\\x{10ffff}]+", "Aaé", "aé"},
    {"\\p{Lu}\\P{Lu}*", "FooBarÉa", "Foo|Bar|Éa"},
    {"[^\\p{Mn}]+", "a\314\201b\360\221\234\236", "a|b\360\221\234\236"},
    {"\\d+", "12a٣\360\220\265\200", "12|٣\360\220\265\200"},
};

START_TEST(finds_what_tokenizers_finds)
{
    for (size_t i = 0; i < PPI_COUNT(accepted); i++) {
        struct fixture fixture;
        char joined[1024];
        start(&fixture, accepted[i].pattern, true);
        join_matches(&fixture, accepted[i].text, false, joined);
        ck_assert_msg(strcmp(joined, accepted[i].found) == 0, "%s: %s, wanted %s",
                      accepted[i].pattern, joined, accepted[i].found);
        stop(&fixture);
    }
}
END_TEST

START_TEST(empty_matches_do_not_touch_the_match_before)
{
    struct fixture fixture;
    char joined[64];
    start(&fixture, "a*", true);
    join_matches(&fixture, "aaxa\303\251", true, joined);
    ck_assert_str_eq(joined, "aa|a|"); /* none behind aa and a; one at the end */
    stop(&fixture);
    start(&fixture, "", true);
    join_matches(&fixture, "\303\251x", true, joined);
    ck_assert_str_eq(joined, "||");
    stop(&fixture);
}
END_TEST

START_TEST(text_is_literal)
{
    struct fixture fixture;
    char joined[64];
    start(&fixture, "a.", false);
    join_matches(&fixture, "abaa.a.", false, joined);
    ck_assert_str_eq(joined, "a.|a.");
    stop(&fixture);
}
END_TEST

START_TEST(a_search_may_begin_behind_and_look_before)
{
    struct fixture fixture;
    struct ppi_span match;
    start(&fixture, "(?<=a)b|^c", true);
    ck_assert_int_eq(ppi_pattern_find(fixture.pattern, fixture.work, "abc", 3, 1, &match, NULL), 1);
    ck_assert_uint_eq(match.begin, 1);
    ck_assert_int_eq(ppi_pattern_find(fixture.pattern, fixture.work, "abc", 3, 2, &match, NULL), 0);
    ck_assert_int_eq(ppi_pattern_find(fixture.pattern, fixture.work, "abc", 3, 3, &match, NULL), 0);
    stop(&fixture);
}
END_TEST

static const struct {
    const char *pattern;
    pp_status status;
    const char *says;
} refused[] = {
    {"a(b", PP_ERR_FORMAT, "'(' without ')'"},
    {"a)b", PP_ERR_FORMAT, "')' without '('"},
    {"[ab", PP_ERR_FORMAT, "without ']'"},
    {"[]", PP_ERR_FORMAT, "empty class"},
    {"[b-a]", PP_ERR_FORMAT, "ends before it begins"},
    {"[a-\\d]", PP_ERR_FORMAT, "ends before it begins"},
    {"*a", PP_ERR_FORMAT, "repetition of nothing"},
    {"a|+", PP_ERR_FORMAT, "repetition of nothing"},
    {"^*", PP_ERR_FORMAT, "matches no character"},
    {"(?=a)*", PP_ERR_FORMAT, "matches no character"},
    {"a\\", PP_ERR_FORMAT, "backslash and nothing"},
    {"\\x{110000}", PP_ERR_FORMAT, "no character"},
    {"\\u12", PP_ERR_FORMAT, "no character"},
    {"\\xff", PP_ERR_FORMAT, "no character"},
    {"\\p{Foo}", PP_ERR_UNSUPPORTED, "\"Foo\""},
    {"\\p{L", PP_ERR_FORMAT, "without '}'"},
    {"\\pL", PP_ERR_UNSUPPORTED, "without braces"},
    {"[[:foo:]]", PP_ERR_UNSUPPORTED, "[:class:]"},
    {"(a)\\1", PP_ERR_UNSUPPORTED, "\\1"},
    {"\\R", PP_ERR_UNSUPPORTED, "\\R"},
    {"\\X", PP_ERR_UNSUPPORTED, "\\X"},
    {"\\K", PP_ERR_UNSUPPORTED, "\\K"},
    {"\\G", PP_ERR_UNSUPPORTED, "\\G"},
    {"(?x)a b", PP_ERR_UNSUPPORTED, "option"},
    {"(?~a)", PP_ERR_UNSUPPORTED, "option"},
    {"(?<n", PP_ERR_FORMAT, "name without '>'"},
    {"(?#", PP_ERR_FORMAT, "comment"},
    {"a{2}?", PP_ERR_UNSUPPORTED, "{n}?"},
    {"a{2,1}", PP_ERR_UNSUPPORTED, "at least"},
    {"a*?+", PP_ERR_UNSUPPORTED, "not greedy"},
    {"(?i:\303\251)", PP_ERR_UNSUPPORTED, "beyond ASCII"},
    {"(?i:[\\p{L}])", PP_ERR_UNSUPPORTED, "beyond ASCII"},
    {"(?i:s(?:t))", PP_ERR_UNSUPPORTED, "one character in another case"},
    {"(?i:FI)", PP_ERR_UNSUPPORTED, "one character in another case"},
    {"(?<=a+)b", PP_ERR_UNSUPPORTED, "lookbehind"},
    {"[[[[[[[[[a]]]]]]]]]", PP_ERR_LIMIT, "nest too deep"},
};

START_TEST(what_is_not_known_is_refused)
{
    for (size_t i = 0; i < PPI_COUNT(refused); i++) {
        struct fixture fixture;
        const char *pattern = refused[i].pattern;
        pp_status status = open_with(&fixture, NULL, pattern, strlen(pattern), true);
        ck_assert_msg(status == refused[i].status, "%s: %d %s", pattern, status,
                      fixture.err.message);
        ck_assert_msg(strstr(fixture.err.message, refused[i].says) != NULL, "%s: %s", pattern,
                      fixture.err.message);
        ck_assert_ptr_nonnull(strstr(fixture.err.message, "\"part\""));
        stop(&fixture);
    }
}
END_TEST

static void check_limit(const char *pattern, size_t n)
{
    struct fixture fixture;
    ck_assert_int_eq(open_with(&fixture, NULL, pattern, n, true), PP_ERR_LIMIT);
    stop(&fixture);
}

START_TEST(large_patterns_are_refused)
{
    static char pattern[1 << 20];
    memset(pattern, 'a', sizeof pattern);
    check_limit(pattern, sizeof pattern);
    memset(pattern, '(', 8000);
    check_limit(pattern, 8000);
    for (size_t i = 0; i < 8000; i += 4)
        memcpy(pattern + i, "(?i)", 4);
    check_limit(pattern, 8000);
    /* every one of them is long when it is written out */
    for (size_t i = 0; i < 8000; i += 8)
        memcpy(pattern + i, "[\\w&&\\H]", 8);
    struct fixture fixture;
    ck_assert_int_lt(open_with(&fixture, NULL, pattern, 8000, true), 0);
    stop(&fixture);
}
END_TEST

START_TEST(a_search_that_would_not_end_is_given_up)
{
    struct fixture fixture;
    struct ppi_span match;
    char text[64];
    memset(text, 'a', sizeof text);
    start(&fixture, "(?:a|a)*[bc]", true);
    ck_assert_int_eq(
        ppi_pattern_find(fixture.pattern, fixture.work, text, sizeof text, 0, &match, &fixture.err),
        PP_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(fixture.err.message, "too often"));
    /* and what is found is found afterwards */
    ck_assert_int_eq(
        ppi_pattern_find(fixture.pattern, fixture.work, "aab", 3, 0, &match, &fixture.err), 1);
    stop(&fixture);
}
END_TEST

START_TEST(long_matches_need_more_than_the_stack)
{
    enum { N = 200000 };
    struct fixture fixture;
    struct ppi_span match;
    char *text = malloc(N);
    for (int i = 0; i < N; i++)
        text[i] = "ab"[i % 2];
    text[N - 1] = 'c';
    start(&fixture, "(?:a|b)*c", true);
    pp_status status =
        ppi_pattern_find(fixture.pattern, fixture.work, text, N, 0, &match, &fixture.err);
    ck_assert_msg(status == 1, "%s", fixture.err.message);
    ck_assert_uint_eq(match.begin, 0);
    ck_assert_uint_eq(match.end, N);
    free(text);
    stop(&fixture);
}
END_TEST

/* Everything that can be is refused or made; nothing is lost on the way. */
START_TEST(patterns_of_any_bytes)
{
    static const char *const parts[] = {
        "(",     ")",   "[", "]",        "^",   "-",      "&&",    "\\p{L}", "\\s",  "a",
        "{2,3}", "*",   "+", "?",        "|",   "(?i)",   "(?:",   "(?=",    "(?<!", ".",
        "$",     "\\b", "s", "f",        "(?>", "x",      "[^",    "[:",     ":]",   "\\W",
        "\\",    "{",   ",", "\303\251", "}",   "(?m-i:", "(?<n>", "\\x{",   "41"};
    unsigned seed = 11;
    for (int round = 0; round < 4000; round++) {
        struct fixture fixture;
        char pattern[256] = "", text[] = "as f\303\251 12\n x";
        for (int k = 0; k < 1 + round % 12; k++) {
            seed = seed * 1103515245u + 12345u;
            strcat(pattern, parts[(seed >> 16) % PPI_COUNT(parts)]);
        }
        if (open_with(&fixture, NULL, pattern, strlen(pattern), true) == PP_OK) {
            char joined[256];
            join_matches(&fixture, text, true, joined);
        } else {
            ck_assert_str_ne(fixture.err.message, "");
        }
        stop(&fixture);
    }
}
END_TEST

START_TEST(exhausted_memory)
{
    static const char pattern[] = "(?i:'s|'ll)|[^\\r\\n\\p{L}&&\\p{Lu}]?\\p{L}{2}+|\\bx";
    for (int n = 1;; n++) {
        struct failing failing = {.n_left = n};
        struct fixture fixture;
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .allocate = failing_allocate,
                                        .release = failing_release,
                                        .user = &failing};
        pp_status status = open_with(&fixture, &allocator, pattern, strlen(pattern), true);
        stop(&fixture);
        ck_assert_int_eq(failing.n_blocks, 0);
        if (status == PP_OK && failing.n_left > 0) {
            ck_assert_int_gt(n, 10);
            break;
        }
        /* without a stack of its own the machine code has what the thread has */
        ck_assert(status == PP_ERR_NOMEM || status == PP_OK);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-pattern");
    TCase *tcase = tcase_create("pattern");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, finds_what_tokenizers_finds);
    tcase_add_test(tcase, empty_matches_do_not_touch_the_match_before);
    tcase_add_test(tcase, text_is_literal);
    tcase_add_test(tcase, a_search_may_begin_behind_and_look_before);
    tcase_add_test(tcase, what_is_not_known_is_refused);
    tcase_add_test(tcase, large_patterns_are_refused);
    tcase_add_test(tcase, a_search_that_would_not_end_is_given_up);
    tcase_add_test(tcase, long_matches_need_more_than_the_stack);
    tcase_add_test(tcase, patterns_of_any_bytes);
    tcase_add_test(tcase, exhausted_memory);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
