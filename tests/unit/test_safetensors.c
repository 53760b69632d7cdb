/*
 * test_safetensors.c: the header of safetensors files: what must be refused, and what a valid
 * header tells.
 */
#include "malformed/malformed.h"
#include "checkpoint/safetensors.h"
#include "support/tap.h"

#include <check.h>

START_TEST(refuses_framing)
{
    check_refused(&malformed_framing[_i]);
}
END_TEST

START_TEST(refuses_tensors)
{
    check_refused(&malformed_tensors[_i]);
}
END_TEST

static pp_status parse(const char *header, int64_t data_bytes, struct ppi_mem *mem,
                       struct ppi_safetensors *table, pp_error *err)
{
    char *copy = strdup(header);
    ck_assert_int_eq(ppi_mem_init(mem, NULL, 0, err), PP_OK);
    pp_status status =
        ppi_safetensors_parse(copy, strlen(copy), data_bytes, "file", mem, table, err);
    free(copy);
    return status;
}

START_TEST(finds_tensors)
{
    static const char header[] =
        "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[1,25]},"
        "\"__metadata__\":{\"k\":\"v\"},"
        "\"a\":{\"data_offsets\":[0,1],\"shape\":[],\"dtype\":\"BOOL\"},"
        "\"nothing\":{\"dtype\":\"F16\",\"shape\":[7,0],\"data_offsets\":[25,25]},"
        "\"half\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[25,28]}}   ";
    struct ppi_mem mem;
    struct ppi_safetensors table;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(parse(header, 28, &mem, &table, &err), PP_OK);
    ck_assert_uint_eq(table.n_entries, 4);
    ck_assert_int_eq(table.data_start, (int64_t)(8 + strlen(header)));
    const struct ppi_stored_entry *b = ppi_safetensors_find(&table, "b");
    ck_assert_ptr_nonnull(b);
    ck_assert_int_eq(b->dtype, PP_DTYPE_F32);
    ck_assert_int_eq(b->rank, 2);
    ck_assert_int_eq(b->shape[0], 2);
    ck_assert_int_eq(b->shape[1], 3);
    ck_assert_int_eq(b->begin, 1);
    ck_assert_int_eq(b->end, 25);
    const struct ppi_stored_entry *a = ppi_safetensors_find(&table, "a");
    ck_assert_int_eq(a->rank, 0);
    ck_assert_int_eq(a->dtype, 0);
    ck_assert_str_eq(a->dtype_name, "BOOL");
    ck_assert_int_eq(ppi_safetensors_find(&table, "nothing")->end, 25);
    ck_assert_ptr_nonnull(ppi_safetensors_find(&table, "half"));
    ck_assert_ptr_null(ppi_safetensors_find(&table, "__metadata__"));
    ck_assert_ptr_null(ppi_safetensors_find(&table, "c"));
    ppi_safetensors_free(&table, &mem);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

START_TEST(accepts_an_empty_table)
{
    struct ppi_mem mem;
    struct ppi_safetensors table;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(parse("{}", 0, &mem, &table, &err), PP_OK);
    ck_assert_uint_eq(table.n_entries, 0);
    ck_assert_ptr_null(ppi_safetensors_find(&table, "a"));
    ppi_safetensors_free(&table, &mem);
    ck_assert_int_eq(parse("{}", 1, &mem, &table, &err), PP_ERR_FORMAT);
}
END_TEST

/* A name at the limit is accepted; one byte more is not. */
START_TEST(bounds_names)
{
    struct ppi_mem mem;
    struct ppi_safetensors table;
    pp_error err = {.struct_size = sizeof err};
    for (int len = 4096; len <= 4097; len++) {
        char header[5000], name[4098];
        memset(name, 'n', sizeof name);
        snprintf(header, sizeof header,
                 "{\"%.*s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", len, name);
        pp_status status = parse(header, 1, &mem, &table, &err);
        ck_assert_int_eq(status, len == 4096 ? PP_OK : PP_ERR_LIMIT);
        if (status >= 0)
            ppi_safetensors_free(&table, &mem);
    }
}
END_TEST

/* Long names and names in other scripts are cut for the message, never inside a character. */
START_TEST(messages_stay_text)
{
    struct ppi_mem mem;
    struct ppi_safetensors table;
    for (int shift = 0; shift < 4; shift++) {
        char header[5000] = "{\"";
        pp_error err = {.struct_size = sizeof err};
        memset(header + 2, 'n', (size_t)shift);
        for (int i = 0; i < 1000; i++)
            memcpy(header + 2 + shift + 4 * i, "\xf0\x9f\x98\x80", 4);
        strcpy(header + 2 + shift + 4000, "\":1}");
        ck_assert_int_eq(parse(header, 0, &mem, &table, &err), PP_ERR_FORMAT);
        const char *cut = strstr(err.message, "...");
        ck_assert_ptr_nonnull(cut);
        ck_assert_int_eq(memcmp(cut - 4, "\xf0\x9f\x98\x80", 4), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, 60);
    tcase_add_loop_test(refused, refuses_framing, 0, (int)n_malformed_framing);
    tcase_add_loop_test(refused, refuses_tensors, 0, (int)n_malformed_tensors);
    suite_add_tcase(suite, refused);
    TCase *accepted = tcase_create("accepted");
    tcase_add_test(accepted, finds_tensors);
    tcase_add_test(accepted, accepts_an_empty_table);
    tcase_add_test(accepted, bounds_names);
    tcase_add_test(accepted, messages_stay_text);
    suite_add_tcase(suite, accepted);
    return tap_run(suite, CK_FORK);
}
