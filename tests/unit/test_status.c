/*
 * test_status.c: status texts, error details, structs of other versions and the 16-bit float
 * formats.
 */
#include "test_plan_support.h"

#include "dtype.h"
#include "internal.h"

#include <errno.h>
#include <math.h>

/* ---- statuses ---- */

START_TEST(every_status_has_a_text)
{
    static const pp_status statuses[] = {PP_OK,
                                         PP_ERR_ARG,
                                         PP_ERR_NOMEM,
                                         PP_ERR_DEVICE_NOMEM,
                                         PP_ERR_DEVICE,
                                         PP_ERR_UNSUPPORTED,
                                         PP_ERR_FORMAT,
                                         PP_ERR_IO,
                                         PP_ERR_LIMIT,
                                         PP_ERR_PATH,
                                         PP_ERR_TOO_LONG,
                                         PP_ERR_CANCELLED,
                                         PP_ERR_NO_BACKEND,
                                         PP_ERR_STRUCT_SIZE,
                                         PP_ERR_INTERNAL,
                                         PP_ERR_NOT_FINITE};
    size_t n = sizeof statuses / sizeof *statuses;
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(statuses[i], -(int)i); /* frozen values */
        ck_assert_uint_gt(strlen(pp_strerror(statuses[i])), 1);
        ck_assert_str_ne(pp_strerror(statuses[i]), "unknown status");
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(pp_strerror(statuses[i]), pp_strerror(statuses[j]));
    }
    ck_assert_int_eq(PP_AGAIN, 1);
    ck_assert_int_eq(PP_GONE, 2);
    ck_assert_int_eq(PP_SHORTER, 3);
    ck_assert_str_eq(pp_strerror(PP_AGAIN), "nothing done yet, call again later");
    ck_assert_str_eq(pp_strerror(PP_GONE), "not there any more");
    ck_assert_str_eq(pp_strerror(PP_SHORTER), "done, but the cache is shorter than asked for");
    ck_assert_str_eq(pp_strerror(4), "unknown status");
    ck_assert_str_eq(pp_strerror(-(int)n), "unknown status");
    ck_assert_str_eq(pp_strerror(INT32_MIN), "unknown status");
    ck_assert_str_eq(pp_strerror(INT32_MAX), "unknown status");
}
END_TEST

/* ---- error details ---- */

static pp_error new_error(void)
{
    pp_error err;
    memset(&err, 0x77, sizeof err);
    err.struct_size = sizeof err;
    return err;
}

START_TEST(errors_are_filled)
{
    pp_error err = new_error();
    ck_assert_int_eq(ppi_error(&err, PP_ERR_FORMAT, "row %d of %s", 7, "x"), PP_ERR_FORMAT);
    ck_assert_int_eq(err.code, PP_ERR_FORMAT);
    ck_assert_int_eq(err.native_code, 0);
    ck_assert_int_eq(err.index, -1);
    ck_assert_str_eq(err.message, "row 7 of x");

    ck_assert_int_eq(ppi_error_at(&err, PP_ERR_ARG, 12, "prompt"), PP_ERR_ARG);
    ck_assert_int_eq(err.index, 12);
    ck_assert_int_eq(ppi_error_errno(&err, PP_ERR_IO, ENOENT, "cannot open %s", "f"), PP_ERR_IO);
    ck_assert_int_eq(err.native_code, ENOENT);
    ck_assert_int_eq(err.index, -1);
    ck_assert_str_eq(err.message, "cannot open f: No such file or directory");
    ck_assert_int_eq(ppi_error_nomem(&err, "a thing", 123), PP_ERR_NOMEM);
    ck_assert_int_eq(err.native_code, 0);
    ck_assert_str_eq(err.message, "no memory for a thing (123 bytes)");
    ck_assert_int_eq(ppi_error(NULL, PP_ERR_ARG, "nobody listens"), PP_ERR_ARG);
}
END_TEST

START_TEST(what_breaks_lines_is_escaped)
{
    pp_error err = new_error();
    ppi_error(&err, PP_ERR_ARG, "%s", "a\nb\x1b[1m\x7f\tc\x01");
    ck_assert_str_eq(err.message, "a\\x0ab\\x1b[1m\\x7f\\x09c\\x01");
    ppi_error(&err, PP_ERR_ARG, "%s", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac"); /* UTF-8 stays */
    ck_assert_str_eq(err.message, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac");
    ppi_error(&err, PP_ERR_ARG, "%s", "granit\xe5hybrid \xe2\x82 \xed\xa0\x80 \xff"); /* no UTF-8 */
    ck_assert_str_eq(err.message, "granit\\xe5hybrid \\xe2\\x82 \\xed\\xa0\\x80 \\xff");
    ppi_error(&err, PP_ERR_ARG, "%s", "");
    ck_assert_str_eq(err.message, "");
}
END_TEST

/* Length of the longest prefix of `text` that is at most `most` bytes and ends between characters.
 */
static size_t whole_characters(const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length <= most)
        return length;
    length = most;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

/* A message of any room ends after a whole character and says as much as fits. */
START_TEST(messages_are_cut_between_characters)
{
    static const char *const characters[] = {"x", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x8d\x8b"};
    const char *character = characters[_i];
    for (size_t n_before = 0; n_before < 5; n_before++) {
        char text[2000] = "";
        size_t used = n_before;
        memset(text, '.', n_before);
        for (; used + strlen(character) < sizeof text; used += strlen(character))
            memcpy(text + used, character, strlen(character) + 1);
        for (size_t room = 1; room <= sizeof((pp_error *)0)->message; room++) {
            pp_error err = new_error();
            err.struct_size = (uint32_t)(offsetof(pp_error, message) + room);
            ppi_error(&err, PP_ERR_ARG, "%s", text);
            size_t length = whole_characters(text, room - 1);
            assert_that(strlen(err.message) == length);
            assert_that(memcmp(err.message, text, length) == 0);
            for (size_t i = room; i < sizeof err.message; i++)
                assert_that(err.message[i] == 0x77); /* not the caller's to give */
        }
        pp_error newer = new_error();
        newer.struct_size = sizeof newer + 100;
        ppi_error(&newer, PP_ERR_ARG, "%s", text);
        assert_that(strlen(newer.message) == whole_characters(text, sizeof newer.message - 1));
    }
    pp_error err = new_error(); /* an escape is whole or not there */
    err.struct_size = offsetof(pp_error, message) + 7;
    ppi_error(&err, PP_ERR_ARG, "%s", "ab\n\n");
    ck_assert_str_eq(err.message, "ab\\x0a");
}
END_TEST

START_TEST(an_error_too_small_is_ignored)
{
    for (uint32_t size = 0; size <= offsetof(pp_error, message); size++) {
        pp_error err = new_error();
        err.struct_size = size;
        pp_error before = err;
        ck_assert_int_eq(ppi_error(&err, PP_ERR_ARG, "unheard"), PP_ERR_ARG);
        ck_assert_mem_eq(&err, &before, sizeof err);
    }
}
END_TEST

/* ---- structs of other versions ---- */

struct thing {
    uint32_t struct_size;
    int32_t a;
    int64_t b;
    int64_t c;
};

static const struct thing defaults = {sizeof(struct thing), 1, 2, 3};

START_TEST(structs_are_read)
{
    pp_error err = new_error();
    struct thing thing = defaults;
    ck_assert_int_eq(ppi_struct_read(&thing, sizeof thing, NULL, "thing", &err), PP_OK);
    ck_assert_mem_eq(&thing, &defaults, sizeof thing);

    struct {
        struct thing thing;
        unsigned char later[16];
    } newer = {.thing = {sizeof newer, 11, 12, 13}};
    ck_assert_int_eq(ppi_struct_read(&thing, sizeof thing, &newer, "thing", &err), PP_OK);
    ck_assert_uint_eq(thing.struct_size, sizeof thing);
    ck_assert_int_eq(thing.c, 13);
    newer.later[15] = 1;
    thing = defaults;
    assert_error(ppi_struct_read(&thing, sizeof thing, &newer, "thing", &err), &err,
                 PP_ERR_STRUCT_SIZE, -1, "thing has 40 bytes and sets byte 39");
    ck_assert_mem_eq(&thing, &defaults, sizeof thing);

    struct thing older = {offsetof(struct thing, c), 21, 22, 23};
    ck_assert_int_eq(ppi_struct_read(&thing, sizeof thing, &older, "thing", &err), PP_OK);
    ck_assert_int_eq(thing.b, 22);
    ck_assert_int_eq(thing.c, 3); /* its default */
    ck_assert_uint_eq(thing.struct_size, sizeof thing);

    static const uint32_t bad_sizes[] = {0, 3, 65537, UINT32_MAX};
    for (size_t i = 0; i < PPI_COUNT(bad_sizes); i++) {
        older.struct_size = bad_sizes[i];
        assert_error(ppi_struct_read(&thing, sizeof thing, &older, "thing", &err), &err,
                     PP_ERR_STRUCT_SIZE, -1, "set it to sizeof(thing)");
    }
}
END_TEST

START_TEST(structs_are_written)
{
    pp_error err = new_error();
    struct {
        struct thing thing;
        unsigned char later[16];
    } newer;
    memset(&newer, 0x77, sizeof newer);
    newer.thing.struct_size = sizeof newer;
    ck_assert_int_eq(ppi_struct_write(&newer, &defaults, sizeof defaults, "thing", &err), PP_OK);
    ck_assert_uint_eq(newer.thing.struct_size, sizeof newer);
    ck_assert_int_eq(newer.thing.c, 3);
    for (size_t i = 0; i < sizeof newer.later; i++)
        ck_assert_uint_eq(newer.later[i], 0);

    struct thing older = {offsetof(struct thing, b), -1, -2, -3};
    ck_assert_int_eq(ppi_struct_write(&older, &defaults, sizeof defaults, "thing", &err), PP_OK);
    ck_assert_int_eq(older.a, 1);
    ck_assert_int_eq(older.b, -2);
    older.struct_size = 2;
    assert_error(ppi_struct_write(&older, &defaults, sizeof defaults, "thing", &err), &err,
                 PP_ERR_STRUCT_SIZE, -1, "thing.struct_size is 2");
    assert_error(ppi_struct_write(NULL, &defaults, sizeof defaults, "thing", &err), &err,
                 PP_ERR_ARG, -1, "thing is NULL");
}
END_TEST

START_TEST(structs_are_initialised)
{
    unsigned char bytes[48];
    for (size_t size = sizeof(uint32_t); size <= sizeof bytes; size++) {
        memset(bytes, 0x77, sizeof bytes);
        ppi_struct_init(bytes, size, &defaults, sizeof defaults);
        uint32_t written;
        memcpy(&written, bytes, sizeof written);
        ck_assert_uint_eq(written, size);
        for (size_t i = sizeof written; i < sizeof bytes; i++) {
            unsigned char known = i < sizeof defaults ? ((const unsigned char *)&defaults)[i] : 0;
            assert_that(bytes[i] == (i < size ? known : 0x77));
        }
    }
    memset(bytes, 0x77, sizeof bytes);
    ppi_struct_init(bytes, 3, &defaults, sizeof defaults);
    ck_assert_uint_eq(bytes[0], 0x77);
    ppi_struct_init(NULL, sizeof defaults, &defaults, sizeof defaults);
}
END_TEST

/* ---- float formats ---- */

/* The value of a 16-bit float of so many exponent and mantissa bits, by its definition. */
static float value_of(uint16_t bits, int exponent_bits, int mantissa_bits)
{
    int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    int mantissa = bits & ((1 << mantissa_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double value;
    if (exponent == (1 << exponent_bits) - 1)
        value = mantissa ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, 1 - bias - mantissa_bits);
    else
        value = ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
    return (float)(bits & 0x8000 ? -value : value);
}

struct format {
    int exponent_bits;
    int mantissa_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
};

static float widen_bf16(uint16_t value)
{
    return ppi_bf16_to_f32(value);
}

static uint16_t narrow_bf16(float value)
{
    return ppi_f32_to_bf16(value);
}

static const struct format formats[] = {{5, 10, ppi_f16_to_f32, ppi_f32_to_f16},
                                        {8, 7, widen_bf16, narrow_bf16}};

START_TEST(widening_is_exact)
{
    struct format format = formats[_i];
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        float expected = value_of((uint16_t)bits, format.exponent_bits, format.mantissa_bits);
        float widened = format.widen((uint16_t)bits);
        assert_that(isnan(expected) ? isnan(widened) : expected == widened);
        assert_that((signbit(widened) != 0) == (bits >> 15 != 0));
        uint16_t back = format.narrow(widened);
        uint32_t quiet = 1u << (format.mantissa_bits - 1);
        if (isnan(expected)) /* stays NaN, quiet, of the same sign */
            assert_that(isnan(format.widen(back)) && (back & quiet) && back >> 15 == bits >> 15);
        else
            assert_that(back == bits);
    }
}
END_TEST

/* Between two neighbours a value goes to the nearer one, from the middle to the even one. With the
 * values themselves exact and order kept, that is every float there is. */
START_TEST(narrowing_rounds_to_nearest_even)
{
    struct format format = formats[_i];
    uint16_t infinity = (uint16_t)(((1 << format.exponent_bits) - 1) << format.mantissa_bits);
    for (uint16_t below = 0; below < infinity; below++) {
        uint16_t above = below + 1;
        /* the neighbour of the largest value would be the next power of two */
        double next = above < infinity
                          ? (double)value_of(above, format.exponent_bits, format.mantissa_bits)
                          : ldexp(1.0, 1 << (format.exponent_bits - 1));
        double here = (double)value_of(below, format.exponent_bits, format.mantissa_bits);
        float middle = (float)((here + next) / 2); /* exact: f32 has room for it */
        assert_that((double)middle == (here + next) / 2);
        uint16_t even = below % 2 == 0 ? below : above;
        assert_that(format.narrow(middle) == even);
        assert_that(format.narrow(nextafterf(middle, 0.0f)) == below);
        assert_that(format.narrow(nextafterf(middle, INFINITY)) == above);
        assert_that(format.narrow(-middle) == (even | 0x8000));
        assert_that(format.narrow(nextafterf(-middle, 0.0f)) == (below | 0x8000));
        assert_that(format.narrow(nextafterf(-middle, -INFINITY)) == (above | 0x8000));
    }
    ck_assert_uint_eq(format.narrow(INFINITY), infinity);
    ck_assert_uint_eq(format.narrow(-INFINITY), infinity | 0x8000);
    ck_assert_uint_eq(format.narrow(3.4028234664e38f), infinity);
    ck_assert_uint_eq(format.narrow(0x1p-149f), 0);
    ck_assert_uint_eq(format.narrow(-0.0f), 0x8000);
}
END_TEST

START_TEST(arrays_are_widened)
{
    const uint16_t f16[] = {0x3c00, 0xc000, 0x0001};
    const uint16_t bf16[] = {0x3f80, 0xc000, 0x0001};
    const float f32[] = {1.0f, -2.0f, 0x1p-149f};
    float out[4] = {0, 0, 0, 77.0f};
    ppi_to_f32(out, f16, PP_DTYPE_F16, 3);
    ck_assert(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-24f && out[3] == 77.0f);
    ppi_to_f32(out, bf16, PP_DTYPE_BF16, 3);
    ck_assert(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-133f && out[3] == 77.0f);
    ppi_to_f32(out, f32, PP_DTYPE_F32, 3);
    ck_assert(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-149f && out[3] == 77.0f);
    ppi_to_f32(out, f32, PP_DTYPE_F32, 0);
}
END_TEST

START_TEST(dtypes_have_sizes_and_names)
{
    static const struct {
        int32_t dtype;
        size_t size;
        const char *name;
    } dtypes[] = {{PP_DTYPE_AUTO, 0, "auto"}, {PP_DTYPE_F32, 4, "f32"},   {PP_DTYPE_F16, 2, "f16"},
                  {PP_DTYPE_BF16, 2, "bf16"}, {PP_DTYPE_BOOL, 1, "bool"}, {5, 0, "unknown"},
                  {-1, 0, "unknown"}};
    for (size_t i = 0; i < PPI_COUNT(dtypes); i++) {
        ck_assert_uint_eq(pp_dtype_size(dtypes[i].dtype), dtypes[i].size);
        ck_assert_str_eq(pp_dtype_name(dtypes[i].dtype), dtypes[i].name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tcase = tcase_create("status");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_status_has_a_text);
    tcase_add_test(tcase, errors_are_filled);
    tcase_add_test(tcase, what_breaks_lines_is_escaped);
    tcase_add_loop_test(tcase, messages_are_cut_between_characters, 0, 4);
    tcase_add_test(tcase, an_error_too_small_is_ignored);
    tcase_add_test(tcase, structs_are_read);
    tcase_add_test(tcase, structs_are_written);
    tcase_add_test(tcase, structs_are_initialised);
    tcase_add_loop_test(tcase, widening_is_exact, 0, 2);
    tcase_add_loop_test(tcase, narrowing_rounds_to_nearest_even, 0, 2);
    tcase_add_test(tcase, arrays_are_widened);
    tcase_add_test(tcase, dtypes_have_sizes_and_names);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
