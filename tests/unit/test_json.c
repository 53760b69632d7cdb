/*
 * test_json.c: the JSON reader: what it accepts and what that means, what it refuses and where,
 * limits, and exhausted memory at every allocation. The writer: its numbers and strings read back.
 */
#include "malformed/failing.h"
#include "json/json_text.h"
#include "json/json_write.h"
#include "support/tap.h"

#include <check.h>
#include <float.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text with its values; the text lies in its own block, so that reading past it is noticed. */
struct parsed {
    struct ppi_mem mem;
    struct ppi_json json;
    char *text;
    pp_error err;
    pp_status status;
};

static void parse_bytes(struct parsed *parsed, const char *text, size_t len,
                        const struct ppi_json_limits *limits)
{
    *parsed = (struct parsed){.err = {.struct_size = sizeof parsed->err}};
    ck_assert_int_eq(ppi_mem_init(&parsed->mem, NULL, 0, NULL), PP_OK);
    parsed->text = malloc(len ? len : 1);
    memcpy(parsed->text, text, len);
    parsed->status = ppi_json_parse(parsed->text, len, "text", limits, &parsed->mem, &parsed->json,
                                    &parsed->err);
}

static const struct ppi_json_value *parse(struct parsed *parsed, const char *text)
{
    parse_bytes(parsed, text, strlen(text), NULL);
    ck_assert_msg(parsed->status == PP_OK, "%s: %s", text, parsed->err.message);
    return parsed->json.root;
}

static void release(struct parsed *parsed)
{
    if (parsed->status == PP_OK)
        ppi_json_free(&parsed->json, &parsed->mem);
    ck_assert_int_eq(parsed->mem.bytes, 0);
    free(parsed->text);
}

START_TEST(reads_values)
{
    struct parsed parsed;
    const struct ppi_json_value *root =
        parse(&parsed, " {\"i\":-12,\t\"r\" : 2.5e1,\r\n\"s\":\"x\",\"t\":true,\"f\":false,"
                       "\"n\":null,\"a\":[1,[],{}],\"o\":{\"i\":7},\"e\":[]} \n");
    ck_assert_int_eq(root->type, PPI_JSON_OBJECT);
    ck_assert_uint_eq(root->len, 9);
    ck_assert_int_eq(ppi_json_get(root, "i")->integer, -12);
    ck_assert(ppi_json_get(root, "r")->real == 25.0);
    ck_assert_str_eq(ppi_json_string(ppi_json_get(root, "s")), "x");
    ck_assert(ppi_json_is(ppi_json_get(root, "t"), PPI_JSON_TRUE));
    ck_assert(ppi_json_is(ppi_json_get(root, "f"), PPI_JSON_FALSE));
    ck_assert(ppi_json_is(ppi_json_get(root, "n"), PPI_JSON_NULL));
    const struct ppi_json_value *array = ppi_json_get(root, "a");
    ck_assert_uint_eq(array->len, 3);
    const struct ppi_json_value *item = ppi_json_first(array);
    ck_assert_int_eq(item->integer, 1);
    item = ppi_json_next(array, item);
    ck_assert(ppi_json_is(item, PPI_JSON_ARRAY) && item->len == 0 && !ppi_json_first(item));
    item = ppi_json_next(array, item);
    ck_assert(ppi_json_is(item, PPI_JSON_OBJECT) && item->len == 0 && !ppi_json_first(item));
    ck_assert_ptr_null(ppi_json_next(array, item));
    ck_assert_int_eq(ppi_json_get(ppi_json_get(root, "o"), "i")->integer, 7);
    ck_assert_ptr_null(ppi_json_get(root, "x"));
    ck_assert_ptr_null(ppi_json_get(NULL, "x"));
    ck_assert_ptr_null(ppi_json_get(array, "x"));
    ck_assert_ptr_null(ppi_json_string(array));
    release(&parsed);
}
END_TEST

static const struct {
    const char *json, *text;
} strings[] = {
    {"", ""},
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
    {"\\u0041\\u00e4\\u20AC", "A\xc3\xa4\xe2\x82\xac"},
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
    {"\\uD800\\uDC00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
    {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", NULL},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x7f", NULL},
};

START_TEST(decodes_strings)
{
    struct parsed parsed;
    char text[256];
    const char *wanted = strings[_i].text ? strings[_i].text : strings[_i].json;
    snprintf(text, sizeof text, "{\"%s\":\"%s\"}", strings[_i].json, strings[_i].json);
    const struct ppi_json_value *value = ppi_json_first(parse(&parsed, text));
    ck_assert_str_eq(value->name, wanted);
    ck_assert_str_eq(value->string, wanted);
    ck_assert_uint_eq(value->len, strlen(wanted));
    release(&parsed);
}
END_TEST

START_TEST(reads_exact_integers)
{
    static const int64_t integers[] = {0,         1,         -1,           9007199254740993,
                                       INT64_MAX, INT64_MIN, INT64_MAX - 1};
    for (size_t i = 0; i < PPI_COUNT(integers); i++) {
        struct parsed parsed;
        char text[64];
        snprintf(text, sizeof text, "{\"n\":%lld}", (long long)integers[i]);
        const struct ppi_json_value *value = ppi_json_first(parse(&parsed, text));
        ck_assert_int_eq(value->type, PPI_JSON_INTEGER);
        ck_assert_int_eq(value->integer, integers[i]);
        release(&parsed);
    }
}
END_TEST

START_TEST(reads_reals)
{
    static const struct {
        const char *text;
        double value;
    } reals[] = {
        {"1e-05", 1e-05},
        {"0.1", 0.1},
        {"-0.0", 0.0},
        {"1E+2", 100.0},
        {"1.5e3", 1500},
        {"4.0", 4.0},
        {"1e-400", 0.0},
        {"5e-324", 5e-324},
        {"1e308", 1e308},
        {"0e10", 0.0},
        {"123456789012345678901234567890.0", 1.2345678901234568e29},
    };
    for (size_t i = 0; i < PPI_COUNT(reals); i++) {
        struct parsed parsed;
        char text[64];
        snprintf(text, sizeof text, "{\"n\":%s}", reals[i].text);
        const struct ppi_json_value *value = ppi_json_first(parse(&parsed, text));
        ck_assert_int_eq(value->type, PPI_JSON_REAL);
        ck_assert_msg(value->real == reals[i].value, "%s", reals[i].text);
        release(&parsed);
    }
}
END_TEST

static const struct {
    const char *text, *message;
} malformed[] = {
    {"", "line 1, column 1, at the end: an object is needed"},
    {" ", "an object is needed"},
    {"[]", "an object is needed"},
    {"\"x\"", "an object is needed"},
    {"{", "at the end: a name"},
    {"{\n\n  x}", "line 3, column 3, at byte 0x78: a name"},
    {"{\"a\"}", "':' is needed"},
    {"{\"a\":}", "a value is needed"},
    {"{\"a\":1", "',' or '}'"},
    {"{\"a\":1]", "',' or '}'"},
    {"{\"a\":[1}", "',' or ']'"},
    {"{\"a\":[1,]}", "a value is needed"},
    {"{\"a\":[,1]}", "a value is needed"},
    {"{\"a\":[1 2]}", "',' or ']'"},
    {"{\"a\":1,}", "a name"},
    {"{,}", "a name"},
    {"{\"a\":1}}", "nothing may follow"},
    {"{\"a\":1}x", "nothing may follow"},
    {"{\"a\":tru}", "misspelt"},
    {"{\"a\":nul", "misspelt"},
    {"{\"a\":TRUE}", "a value is needed"},
    {"{\"a\":truex}", "',' or '}'"},
    {"{\"a\":\"x}", "does not end"},
    {"{\"a\":\"x\\", "unknown escape"},
    {"{\"a\":\"\\x\"}", "unknown escape"},
    {"{\"a\":\"\\u12\"}", "four hexadecimal digits"},
    {"{\"a\":\"\\u12g4\"}", "four hexadecimal digits"},
    {"{\"a\":\"\\ud800\"}", "half of a surrogate pair"},
    {"{\"a\":\"\\udc00\"}", "half of a surrogate pair"},
    {"{\"a\":\"\\ud800\\ud800\"}", "half of a surrogate pair"},
    {"{\"a\":\"\\ud800\\u12\"}", "half of a surrogate pair"},
    {"{\"a\":\"\\ud800\\n\"}", "half of a surrogate pair"},
    {"{\"a\":\"\\u0000\"}", "\\u0000"},
    {"{\"a\":\"\x1f\"}", "control character"},
    {"{\"a\":\"\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xc1\xbf\"}", "not UTF-8"},
    {"{\"a\":\"\xc2\"}", "not UTF-8"},
    {"{\"a\":\"\xe0\x9f\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xf0\x8f\xbf\xbf\"}", "not UTF-8"},
    {"{\"a\":\"\xf4\x90\x80\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xf5\x80\x80\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xe2\x82\"}", "not UTF-8"},
    {"{\"a\":\"\xe2\x82", "not UTF-8"},
    {"{\"a\":-}", "a value is needed"},
    {"{\"a\":00}", "a value is needed"},
    {"{\"a\":-01}", "a value is needed"},
    {"{\"a\":1.}", "a value is needed"},
    {"{\"a\":.5}", "a value is needed"},
    {"{\"a\":1e}", "a value is needed"},
    {"{\"a\":1e+}", "a value is needed"},
    {"{\"a\":1.5.5}", "',' or '}'"},
    {"{\"a\":9223372036854775808}", "more than 64 bits"},
    {"{\"a\":-9223372036854775809}", "more than 64 bits"},
    {"{\"a\":1e309}", "beyond the range of double"},
    {"{\"a\":-1e309}", "beyond the range of double"},
    {"{\"a\":1,\"a\":1}", "\"a\" occurs twice"},
    {"{\"a\":1,\"\\u0061\":1}", "\"a\" occurs twice"},
    {"{\"b\":{\"a\":1,\"c\":2,\"a\":1}}", "\"a\" occurs twice"},
};

/* What Python's json writes beyond JSON is read where it is asked for, and nowhere else. */
START_TEST(reads_any_number_where_allowed)
{
    static const struct ppi_json_limits any = {.what = "value", .any_number = true};
    static const struct {
        const char *text, *described;
    } values[] = {
        {"{\"a\":NaN}", "NaN"},
        {"{\"a\":Infinity}", "Infinity"},
        {"{\"a\":-Infinity}", "-Infinity"},
        {"{\"a\":1e999}", "Infinity"},
        {"{\"a\":-1e999}", "-Infinity"},
        {"{\"a\":18446744073709551615}", "1.84467440737096e+19"},
        {"{\"a\":-5}", "-5"},
        {"{\"a\":2.5}", "2.5"},
    };
    static const char *const never[] = {"{\"a\":nan}",  "{\"a\":-NaN}",       "{\"a\":Inf}",
                                        "{\"a\":+1}",   "{\"a\":Infinit}",    "{\"a\":-}",
                                        "{\"a\":NaNs}", "{\"a\":-Infinityx}", "{\"a\":.5}"};
    struct parsed parsed;
    for (size_t i = 0; i < PPI_COUNT(values); i++) {
        parse_bytes(&parsed, values[i].text, strlen(values[i].text), &any);
        ck_assert_msg(parsed.status == PP_OK, "%s: %s", values[i].text, parsed.err.message);
        ck_assert_str_eq(ppi_json_describe(ppi_json_get(parsed.json.root, "a")).text,
                         values[i].described);
        release(&parsed);
        parse_bytes(&parsed, values[i].text, strlen(values[i].text), NULL);
        ck_assert_int_eq(parsed.status, i < PPI_COUNT(values) - 2 ? PP_ERR_FORMAT : PP_OK);
        release(&parsed);
    }
    for (size_t i = 0; i < PPI_COUNT(never); i++) {
        parse_bytes(&parsed, never[i], strlen(never[i]), &any);
        ck_assert_int_eq(parsed.status, PP_ERR_FORMAT);
        release(&parsed);
    }
}
END_TEST

START_TEST(refuses)
{
    struct parsed parsed;
    parse_bytes(&parsed, malformed[_i].text, strlen(malformed[_i].text), NULL);
    ck_assert_msg(parsed.status == PP_ERR_FORMAT, "%s: %d", malformed[_i].text, parsed.status);
    ck_assert_msg(strstr(parsed.err.message, malformed[_i].message) != NULL, "%s: %s",
                  malformed[_i].text, parsed.err.message);
    ck_assert_ptr_eq(parsed.err.message, strstr(parsed.err.message, "text: "));
    release(&parsed);
}
END_TEST

/* A NUL byte is no white space, in whatever place. */
START_TEST(refuses_nul_bytes)
{
    static const char text[] = "{\"a\":[1]}";
    for (size_t i = 0; i <= sizeof text - 1; i++) {
        struct parsed parsed;
        char bytes[sizeof text];
        memcpy(bytes, text, i);
        bytes[i] = '\0';
        memcpy(bytes + i + 1, text + i, sizeof text - 1 - i);
        parse_bytes(&parsed, bytes, sizeof text, NULL);
        ck_assert_int_eq(parsed.status, PP_ERR_FORMAT);
        release(&parsed);
    }
}
END_TEST

START_TEST(bounds_nesting_and_numbers)
{
    for (int depth = 31; depth <= 32; depth++) { /* the root is one more */
        struct parsed parsed;
        char text[128] = "{\"a\":";
        memset(text + 5, '[', (size_t)depth);
        memset(text + 5 + depth, ']', (size_t)depth);
        strcpy(text + 5 + 2 * depth, "}");
        parse_bytes(&parsed, text, strlen(text), NULL);
        ck_assert_int_eq(parsed.status, depth == 31 ? PP_OK : PP_ERR_FORMAT);
        release(&parsed);
    }
    for (int len = 127; len <= 128; len++) {
        struct parsed parsed;
        char text[256];
        snprintf(text, sizeof text, "{\"a\":0.%0*d}", len - 2, 1);
        parse_bytes(&parsed, text, strlen(text), NULL);
        ck_assert_int_eq(parsed.status, len == 127 ? PP_OK : PP_ERR_FORMAT);
        release(&parsed);
    }
}
END_TEST

START_TEST(keeps_limits)
{
    static const struct ppi_json_limits limits = {
        .what = "thing", .depth = 1, .max_members = 2, .max_name = 3, .allow_nul = true};
    static const struct {
        const char *text;
        pp_status status;
    } texts[] = {
        {"{\"abc\":1,\"b\":2}", PP_OK},
        {"{\"abcd\":1}", PP_ERR_LIMIT},
        {"{\"a\":\"abcd\"}", PP_ERR_LIMIT},
        {"{\"a\":1,\"b\":2,\"c\":3}", PP_ERR_LIMIT},
        {"{\"a\":[1,2,3],\"b\":[\"abcd\"]}", PP_OK}, /* deeper than the limits reach */
        {"{\"a\":\"\\u0000b\"}", PP_OK},
        {"{\"\\u0000\":1}", PP_ERR_FORMAT},
    };
    for (size_t i = 0; i < PPI_COUNT(texts); i++) {
        struct parsed parsed;
        parse_bytes(&parsed, texts[i].text, strlen(texts[i].text), &limits);
        ck_assert_msg(parsed.status == texts[i].status, "%s: %d", texts[i].text, parsed.status);
        if (i == 5)
            ck_assert_uint_eq(ppi_json_first(parsed.json.root)->len, 2);
        release(&parsed);
    }
}
END_TEST

/* Many members: distinct ones are accepted, one repeated among them is found. */
START_TEST(finds_one_repeated_name_among_many)
{
    for (int repeated = 0; repeated < 2; repeated++) {
        struct parsed parsed;
        char *text = malloc(200000);
        size_t len = 1;
        text[0] = '{';
        for (int i = 0; i < 10000; i++)
            len += (size_t)sprintf(text + len, "\"k%d\":%d,", i * 7919 % 10007, i);
        len += (size_t)sprintf(text + len, "\"k%d\":0}", repeated ? 7919 : 10007);
        parse_bytes(&parsed, text, len, NULL);
        ck_assert_int_eq(parsed.status, repeated ? PP_ERR_FORMAT : PP_OK);
        free(text);
        release(&parsed);
    }
}
END_TEST

/* ---- exhausted memory ---- */

START_TEST(survives_failing_allocations)
{
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status == PP_ERR_NOMEM) {
        struct failing failing = {.n_left = ++n, .persistent = _i};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        struct ppi_mem mem;
        struct ppi_json json;
        char text[16384] = "{";
        size_t len = 1;
        for (int i = 0; i < 500; i++)
            len += (size_t)sprintf(text + len, "\"name-%d\":[%d],", i, i);
        len += (size_t)sprintf(text + len, "\"last\":0}");
        ck_assert_int_eq(ppi_mem_init(&mem, &allocator, 0, NULL), PP_OK);
        status = ppi_json_parse(text, len, "text", NULL, &mem, &json, NULL);
        if (status == PP_OK)
            ppi_json_free(&json, &mem);
        ck_assert_int_eq(failing.n_blocks, 0);
    }
    ck_assert_int_eq(status, PP_OK);
    ck_assert_int_gt(n, 5);
}
END_TEST

/* ---- writing ---- */

static double written_real(double value, char *text, size_t room)
{
    struct parsed parsed;
    double number = -1;
    struct ppi_json_out out = {.text = text, .room = room};
    ppi_json_put(&out, "{\"n\":");
    ppi_json_put_real(&out, value);
    ppi_json_put(&out, "}");
    ck_assert(ppi_json_number(ppi_json_first(parse(&parsed, text)), &number));
    release(&parsed);
    return number;
}

START_TEST(written_reals_read_back)
{
    static const double values[] = {0,       1,       0.1,    1.0 / 3, 1e17, 12345678901234567.0,
                                    DBL_MIN, DBL_MAX, 5e-324, -2.5e-7, 1e23, 123456789};
    char text[64];
    for (size_t i = 0; i < PPI_COUNT(values); i++)
        ck_assert_msg(written_real(values[i], text, sizeof text) == values[i], "%s", text);
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        double value;
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = (state >> 1) ^ (state << 40);
        memcpy(&value, &bits, sizeof value);
        if (value - value != 0)
            continue;
        ck_assert_msg(written_real(value, text, sizeof text) == value, "%s", text);
    }
    written_real(0.1, text, sizeof text);
    ck_assert_str_eq(text, "{\"n\":0.1}");
}
END_TEST

/* With a decimal comma, where the machine has such a locale. */
START_TEST(numbers_do_not_depend_on_the_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C"};
    char text[64];
    for (size_t i = 0; i < PPI_COUNT(names) && !setlocale(LC_NUMERIC, names[i]); i++)
        ;
    ck_assert(written_real(0.25, text, sizeof text) == 0.25);
    ck_assert_str_eq(text, "{\"n\":0.25}");
    setlocale(LC_NUMERIC, "C");
}
END_TEST

START_TEST(written_strings_read_back)
{
    static const struct {
        const char *string, *wanted;
    } strings_of[] = {
        {"", NULL},    {"\"\\/\b\f\n\r\t\x01\x1f\x7f", NULL}, {"\xc3\xa4\xf0\x9f\x98\x80", NULL},
        {"\xc3", "?"}, {"a\xe2\x82z\xff", "a??z?"},
    };
    for (size_t i = 0; i < PPI_COUNT(strings_of); i++) {
        struct parsed parsed;
        char text[128];
        struct ppi_json_out out = {.text = text, .room = sizeof text};
        ppi_json_put(&out, "{\"s\":");
        ppi_json_put_string(&out, strings_of[i].string);
        ppi_json_put(&out, "}");
        const char *wanted = strings_of[i].wanted ? strings_of[i].wanted : strings_of[i].string;
        ck_assert_str_eq(ppi_json_string(ppi_json_first(parse(&parsed, text))), wanted);
        release(&parsed);
    }
}
END_TEST

/* Every room: what fits is there, NUL-terminated, nothing is written behind it, all is counted. */
START_TEST(writes_no_further_than_the_room)
{
    static const char whole[] = "[-9223372036854775808,\"\\n\"]";
    for (size_t room = 0; room <= sizeof whole + 1; room++) {
        char *text = malloc(room ? room : 1);
        struct ppi_json_out out = {.text = text, .room = room};
        ppi_json_put(&out, "[");
        ppi_json_put_integer(&out, INT64_MIN);
        ppi_json_put(&out, ",");
        ppi_json_put_string(&out, "\n");
        ppi_json_put(&out, "]");
        ck_assert_uint_eq(out.bytes, sizeof whole - 1);
        if (room > 0) {
            size_t kept = room <= sizeof whole ? room - 1 : sizeof whole - 1;
            ck_assert_uint_eq(strlen(text), kept);
            ck_assert_int_eq(memcmp(text, whole, kept), 0);
        }
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tests = tcase_create("json");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, reads_values);
    tcase_add_loop_test(tests, decodes_strings, 0, (int)PPI_COUNT(strings));
    tcase_add_test(tests, reads_exact_integers);
    tcase_add_test(tests, reads_reals);
    tcase_add_test(tests, reads_any_number_where_allowed);
    tcase_add_loop_test(tests, refuses, 0, (int)PPI_COUNT(malformed));
    tcase_add_test(tests, refuses_nul_bytes);
    tcase_add_test(tests, bounds_nesting_and_numbers);
    tcase_add_test(tests, keeps_limits);
    tcase_add_test(tests, finds_one_repeated_name_among_many);
    tcase_add_loop_test(tests, survives_failing_allocations, 0, 2);
    tcase_add_test(tests, written_reals_read_back);
    tcase_add_test(tests, numbers_do_not_depend_on_the_locale);
    tcase_add_test(tests, written_strings_read_back);
    tcase_add_test(tests, writes_no_further_than_the_room);
    suite_add_tcase(suite, tests);
    return tap_run(suite, CK_FORK);
}
