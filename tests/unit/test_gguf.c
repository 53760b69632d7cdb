/*
 * test_gguf.c: the reader of GGUF files: what must be refused, what keys and tensors of a valid one
 * tell, files larger than what is read at first, files in parts, and memory that runs out.
 */
#define _GNU_SOURCE
#include "malformed/failing.h"
#include "malformed/malformed_gguf.h"
#include "malformed/model_maker.h"
#include "checkpoint/gguf_set.h"
#include "support/gguf_text.h"
#include "support/tap.h"

#include <check.h>
#include <sys/stat.h>
#include <unistd.h>

/* A parsed text; its bytes live as long. */
struct parsed {
    char *bytes;
    struct ppi_mem mem;
    struct ppi_gguf gguf;
    pp_error err;
};

static pp_status parse(struct parsed *parsed, const char *text)
{
    size_t len;
    *parsed = (struct parsed){.bytes = gguf_assemble(text, &len),
                              .err = {.struct_size = sizeof parsed->err}};
    ck_assert_int_eq(ppi_mem_init(&parsed->mem, NULL, 0, NULL), PP_OK);
    return ppi_gguf_parse(parsed->bytes, len, (int64_t)len, "file", &parsed->mem, &parsed->gguf,
                          NULL, &parsed->err);
}

static void done(struct parsed *parsed)
{
    ppi_gguf_free(&parsed->gguf, &parsed->mem);
    ck_assert_int_eq(parsed->mem.bytes, 0);
    free(parsed->bytes);
}

/* ---- refused ---- */

START_TEST(refuses_frames)
{
    const struct malformed_gguf *entry = &malformed_gguf_frames[_i];
    struct parsed parsed;
    char *text = malformed_gguf_text(entry);
    pp_status status = parse(&parsed, text);
    ck_assert_msg(status == entry->status, "%s: status %d (%s), expected %d", entry->name, status,
                  parsed.err.message, entry->status);
    ck_assert_msg(strstr(parsed.err.message, entry->message) != NULL,
                  "%s: \"%s\" does not say \"%s\"", entry->name, parsed.err.message,
                  entry->message);
    ck_assert_msg(strncmp(parsed.err.message, "file", 4) == 0, "%s", parsed.err.message);
    done(&parsed);
    free(text);
}
END_TEST

/* A beginning of a file says how much more of it is needed; a file that ends there is refused. */
START_TEST(refuses_every_truncation)
{
    size_t len;
    char *whole = gguf_assemble(gguf_tiny, &len);
    struct ppi_mem mem;
    struct ppi_gguf gguf;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    for (size_t kept = 0; kept < len; kept++)
        for (int is_beginning = 0; is_beginning < 2; is_beginning++) {
            char *part = malloc(kept ? kept : 1); /* so that a sanitizer sees what is read beyond */
            memcpy(part, whole, kept);
            pp_error err = {.struct_size = sizeof err};
            uint64_t wanted;
            int64_t size = is_beginning ? (int64_t)len : (int64_t)kept;
            pp_status status = ppi_gguf_parse(part, kept, size, "file", &mem, &gguf, &wanted, &err);
            if (status >= 0) {
                ck_assert(is_beginning && kept >= len - 672 - 31); /* the header is whole */
                ppi_gguf_free(&gguf, &mem);
            } else {
                ck_assert_int_eq(status, PP_ERR_FORMAT);
                ck_assert(is_beginning ? wanted > kept && wanted <= len : wanted == 0);
                ck_assert_int_eq(err.message[0] == '\0', is_beginning);
            }
            ck_assert_int_eq(mem.bytes, 0);
            free(part);
        }
    free(whole);
}
END_TEST

/* ---- keys ---- */

START_TEST(reads_every_type)
{
    static const struct {
        const char *key;
        int64_t integer;
    } integers[] = {{"u8", 200},        {"i8", -56},         {"u16", 65535},
                    {"i16", -1},        {"u32", 4294967295}, {"i32", INT32_MIN},
                    {"u64", INT64_MAX}, {"i64", INT64_MIN}};
    struct parsed p;
    int64_t integer;
    double number;
    bool truth = false;
    ck_assert_int_eq(parse(&p, "'GGUF' d:2 nt nk key \"u8\" d:0 b:200 key \"i8\" d:1 b:200 "
                               "key \"u16\" d:2 w:65535 key \"i16\" d:3 w:65535 "
                               "key \"u32\" d:4 d:4294967295 key \"i32\" d:5 d:0x80000000 "
                               "key \"f32\" d:6 f:0.5 key \"yes\" d:7 b:1 key \"text\" d:8 \"abc\" "
                               "key \"u64\" d:10 q:0x7fffffffffffffff "
                               "key \"large\" d:10 q:0x8000000000000000 "
                               "key \"i64\" d:11 q:0x8000000000000000 "
                               "key \"f64\" d:12 q:0x3fb999999999999a key \"empty\" d:8 \"\""),
                     PP_OK);
    ck_assert_uint_eq(p.gguf.version, 2);
    ck_assert_uint_eq(p.gguf.n_values, 14);
    for (size_t i = 0; i < PPI_COUNT(integers); i++) {
        const struct ppi_gguf_value *value = ppi_gguf_find(&p.gguf, integers[i].key);
        ck_assert(ppi_gguf_integer(value, &integer) && integer == integers[i].integer);
        ck_assert(ppi_gguf_number(value, &number) && number == (double)integer);
        ck_assert(!ppi_gguf_bool(value, &truth) && !ppi_gguf_string(value));
    }
    ck_assert(!ppi_gguf_integer(ppi_gguf_find(&p.gguf, "large"), &integer));
    ck_assert(!ppi_gguf_integer(ppi_gguf_find(&p.gguf, "f32"), &integer));
    ck_assert(ppi_gguf_number(ppi_gguf_find(&p.gguf, "f32"), &number) && number == 0.5);
    ck_assert(ppi_gguf_number(ppi_gguf_find(&p.gguf, "f64"), &number) && number == 0.1);
    ck_assert(ppi_gguf_bool(ppi_gguf_find(&p.gguf, "yes"), &truth) && truth);
    ck_assert_str_eq(ppi_gguf_string(ppi_gguf_find(&p.gguf, "text")), "abc");
    ck_assert_str_eq(ppi_gguf_string(ppi_gguf_find(&p.gguf, "empty")), "");
    ck_assert(!ppi_gguf_number(ppi_gguf_find(&p.gguf, "text"), &number));
    ck_assert_ptr_null(ppi_gguf_find(&p.gguf, "tex"));
    ck_assert(!ppi_gguf_integer(NULL, &integer) && !ppi_gguf_string(NULL));
    ck_assert_str_eq(ppi_gguf_describe(ppi_gguf_find(&p.gguf, "text")).text, "\"abc\"");
    ck_assert_str_eq(ppi_gguf_describe(NULL).text, "missing");
    done(&p);
}
END_TEST

START_TEST(walks_arrays)
{
    static const char *const expected[] = {"a", "", "bcd"};
    struct parsed p;
    struct ppi_gguf_cursor cursor = {0};
    const char *text;
    size_t len, n = 0;
    int64_t integer;
    ck_assert_int_eq(parse(&p, "'GGUF' d:3 nt nk key \"strings\" d:9 d:8 q:3 \"a\" \"\" \"bcd\" "
                               "key \"none\" d:9 d:8 q:0 key \"numbers\" d:9 d:5 q:3 d:1 d:-2 d:3 "
                               "key \"nul\" d:8 q:3 'a' b:0 'b'"),
                     PP_OK);
    const struct ppi_gguf_value *strings = ppi_gguf_find(&p.gguf, "strings");
    ck_assert(ppi_gguf_is_array(strings, PPI_GGUF_STRING));
    for (; ppi_gguf_next_string(strings, &cursor, &text, &len); n++) {
        ck_assert_uint_lt(n, 3);
        ck_assert_uint_eq(len, strlen(expected[n]));
        ck_assert_int_eq(memcmp(text, expected[n], len), 0);
    }
    ck_assert_uint_eq(n, 3);
    cursor = (struct ppi_gguf_cursor){0};
    ck_assert(!ppi_gguf_next_string(ppi_gguf_find(&p.gguf, "none"), &cursor, &text, &len));
    const struct ppi_gguf_value *numbers = ppi_gguf_find(&p.gguf, "numbers");
    ck_assert(!ppi_gguf_is_array(numbers, PPI_GGUF_U32) && !ppi_gguf_is_array(NULL, PPI_GGUF_I32));
    struct ppi_gguf_value item = ppi_gguf_item(numbers, 1);
    ck_assert(ppi_gguf_integer(&item, &integer) && integer == -2);
    ck_assert_str_eq(ppi_gguf_describe(strings).text, "an array of 3 strings");
    const struct ppi_gguf_value *nul = ppi_gguf_find(&p.gguf, "nul");
    ck_assert(!ppi_gguf_string(nul) && nul->len == 3 && memcmp(nul->data, "a\0b", 4) == 0);
    done(&p);
}
END_TEST

/* ---- tensors ---- */

START_TEST(finds_tensors)
{
    struct parsed p;
    ck_assert_int_eq(
        parse(&p, "'GGUF' d:3 nt nk key \"general.alignment\" d:4 d:64 "
                  "tensor \"b\" d:3 q:256 q:3 q:2 d:12 q:64 tensor \"a\" d:0 d:0 q:0 "
                  "tensor \"c\" d:2 q:5 q:7 d:30 q:960 tensor \"i\" d:1 q:2 d:27 q:1088 @64 *1104"),
        PP_OK);
    ck_assert_int_eq(p.gguf.data_start % 64, 0);
    const struct ppi_stored_entry *b = ppi_gguf_find_tensor(&p.gguf, "b");
    ck_assert(b && b->rank == 3 && b->shape[0] == 2 && b->shape[1] == 3 && b->shape[2] == 256);
    ck_assert(b->begin == 64 && b->end == 64 + 6 * 144);
    ck_assert(b->dtype == PP_DTYPE_F32 && b->blocks == 12);
    ck_assert_str_eq(b->dtype_name, "Q4_K");
    const struct ppi_stored_entry *c = ppi_gguf_find_tensor(&p.gguf, "c");
    ck_assert(c && c->dtype == PP_DTYPE_BF16 && c->blocks == 0 && c->end - c->begin == 70);
    const struct ppi_stored_entry *a = ppi_gguf_find_tensor(&p.gguf, "a");
    ck_assert(a && a->rank == 0 && a->end == 4);
    const struct ppi_stored_entry *i = ppi_gguf_find_tensor(&p.gguf, "i");
    ck_assert(i && i->dtype == 0 && i->blocks == 0);
    ck_assert_ptr_null(ppi_gguf_find_tensor(&p.gguf, "d"));
    ppi_gguf_drop_values(&p.gguf, &p.mem);
    ck_assert_ptr_eq(ppi_gguf_find_tensor(&p.gguf, "c"), c);
    ck_assert_str_eq(c->name, "c");
    done(&p);
}
END_TEST

/* ---- files ---- */

static void write_text(const char *dir, const char *name, const char *text)
{
    size_t len;
    char *bytes = gguf_assemble(text, &len);
    write_file(dir, name, bytes, len);
    free(bytes);
}

/* A header of several times what is read at first. */
START_TEST(reads_long_headers)
{
    enum { N = 300000 };
    struct path dir = make_dir();
    char *text = malloc(200 + 24 * N);
    size_t used = (size_t)sprintf(text, "'GGUF' d:3 nt nk key \"tokens\" d:9 d:8 q:%d", N);
    for (int i = 0; i < N; i++)
        used += (size_t)sprintf(text + used, " \"t%d\"", i);
    strcpy(text + used, " tensor \"a\" d:1 q:8 d:0 q:0 @32 *32");
    write_text(dir.text, "long.gguf", text);
    struct ppi_mem mem;
    struct ppi_gguf_set set;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_gguf_set_open(path_in(dir.text, "long.gguf").text, &mem, &set, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    const char *last = NULL;
    size_t len = 0, n = 0;
    struct ppi_gguf_cursor cursor = {0};
    const struct ppi_gguf_value *tokens = ppi_gguf_find(&set.parts[0].gguf, "tokens");
    while (ppi_gguf_next_string(tokens, &cursor, &last, &len))
        n++;
    ck_assert_uint_eq(n, N);
    ck_assert_int_eq(memcmp(last, "t299999", len), 0);
    ck_assert_ptr_nonnull(ppi_gguf_find_tensor(&set.parts[0].gguf, "a"));
    ppi_gguf_set_close(&set, &mem);
    ck_assert_int_eq(mem.bytes, 0);
    free(text);
    remove_dir(dir.text);
}
END_TEST

#define PART(no, of, tensor)                                                                       \
    "'GGUF' d:3 nt nk key \"split.no\" d:2 w:" no " key \"split.count\" d:2 w:" of                 \
    " key \"split.tensors.count\" d:5 d:3 " tensor " @32 *32"
#define TENSOR(name) "tensor \"" name "\" d:1 q:8 d:0 q:0"

/* How a set of three parts is spoilt, and what is said then; NULL: it opens. */
static const struct {
    const char *name;    /* that is opened; "": the directory */
    const char *replace; /* the file that is written instead, or removed where text is NULL */
    const char *text;
    pp_status status;
    const char *message;
} SETS[] = {
    {"m-00001-of-00003.gguf", "", NULL, PP_OK, NULL},
    {"", "", NULL, PP_OK, NULL},
    {"m-00002-of-00003.gguf", "", NULL, PP_ERR_FORMAT,
     "is part 2 of 3; name the first, m-00001-of-00003.gguf"},
    {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf", NULL, PP_ERR_IO, "No such file"},
    {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf", PART("1", "3", TENSOR("d")), PP_ERR_FORMAT,
     "says that it is part 2 of 3, not 3 of 3"},
    {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf", PART("2", "4", TENSOR("d")), PP_ERR_FORMAT,
     "says that it is part 3 of 4, not 3 of 3"},
    {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf", PART("2", "3", TENSOR("a")), PP_ERR_FORMAT,
     "tensor \"a\" is in"},
    {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", PART("1", "3", ""), PP_ERR_FORMAT,
     "split.tensors.count is 3; the parts have 2"},
    {"m-00001-of-00003.gguf", "m-00001-of-00003.gguf", PART("3", "3", TENSOR("a")), PP_ERR_FORMAT,
     "split.no is 3 and split.count 3"},
    {"m-00001-of-00003.gguf", "m-00001-of-00003.gguf", PART("0", "2", TENSOR("a")), PP_ERR_FORMAT,
     "its name has to end in -00001-of-00002.gguf"},
    {"m-00001-of-00003.gguf", "m-00001-of-00003.gguf", PART("0", "2000", TENSOR("a")), PP_ERR_LIMIT,
     "at most 1024"},
    {"other.gguf", "other.gguf", PART("0", "3", TENSOR("a")), PP_ERR_FORMAT,
     "its name has to end in -00001-of-00003.gguf"},
    {"", "b.gguf", "'GGUF' d:3 q:0 q:0", PP_ERR_FORMAT,
     "several GGUF files: b.gguf, m-00001-of-00003.gguf"},
};

START_TEST(opens_parts)
{
    struct path dir = make_dir();
    write_text(dir.text, "m-00001-of-00003.gguf", PART("0", "3", TENSOR("a")));
    write_text(dir.text, "m-00002-of-00003.gguf", PART("1", "3", TENSOR("b")));
    write_text(dir.text, "m-00003-of-00003.gguf", PART("2", "3", TENSOR("c")));
    if (SETS[_i].text)
        write_text(dir.text, SETS[_i].replace, SETS[_i].text);
    else if (SETS[_i].replace[0])
        ck_assert_int_eq(unlink(path_in(dir.text, SETS[_i].replace).text), 0);
    struct ppi_mem mem;
    struct ppi_gguf_set set;
    pp_error err = {.struct_size = sizeof err};
    int n_fds = count_fds();
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_gguf_set_open(path_in(dir.text, SETS[_i].name).text, &mem, &set, &err);
    ck_assert_msg(status == SETS[_i].status, "%d: %s", status, err.message);
    if (SETS[_i].message)
        ck_assert_msg(strstr(err.message, SETS[_i].message) != NULL, "%s", err.message);
    else
        ck_assert_int_eq(set.n, 3);
    if (status >= 0)
        ppi_gguf_set_close(&set, &mem);
    ck_assert_int_eq(mem.bytes, 0);
    ck_assert_int_eq(count_fds(), n_fds);
    remove_dir(dir.text);
}
END_TEST

/* As the Hugging Face cache keeps files: links from a snapshot to blobs with other names. */
START_TEST(opens_parts_through_a_cache)
{
    static const char *const texts[] = {PART("0", "3", TENSOR("a")), PART("1", "3", TENSOR("b")),
                                        PART("2", "3", TENSOR("c"))};
    struct path base = make_dir(), repo = path_in(base.text, "models--a--b"),
                blobs = path_in(repo.text, "blobs"), snapshots = path_in(repo.text, "snapshots"),
                dir = path_in(snapshots.text, "main");
    const struct path *made[] = {&repo, &blobs, &snapshots, &dir};
    for (size_t i = 0; i < PPI_COUNT(made); i++)
        ck_assert_int_eq(mkdir(made[i]->text, 0700), 0);
    for (int i = 0; i < 3; i++) {
        char blob[8], target[32], name[32];
        snprintf(blob, sizeof blob, "%d", i);
        snprintf(target, sizeof target, "../../blobs/%d", i);
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i + 1);
        write_text(blobs.text, blob, texts[i]);
        ck_assert_int_eq(symlink(target, path_in(dir.text, name).text), 0);
    }
    const struct path paths[] = {dir, path_in(dir.text, "m-00001-of-00003.gguf")};
    for (size_t i = 0; i < PPI_COUNT(paths); i++) {
        struct ppi_mem mem;
        struct ppi_gguf_set set;
        pp_error err = {.struct_size = sizeof err};
        ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
        pp_status status = ppi_gguf_set_open(paths[i].text, &mem, &set, &err);
        ck_assert_msg(status == PP_OK, "%s", err.message);
        ck_assert_int_eq(set.n, 3);
        ppi_gguf_set_close(&set, &mem);
    }
    remove_dir(base.text);
}
END_TEST

/* ---- exhausted memory ---- */

START_TEST(survives_failing_allocations)
{
    struct path dir = make_dir();
    write_text(dir.text, "m-00001-of-00003.gguf", PART("0", "3", TENSOR("a")));
    write_text(dir.text, "m-00002-of-00003.gguf", PART("1", "3", TENSOR("b")));
    write_text(dir.text, "m-00003-of-00003.gguf", PART("2", "3", TENSOR("c")));
    pp_status status = PP_ERR_NOMEM;
    int n = 0;
    while (status == PP_ERR_NOMEM) {
        struct failing failing = {.n_left = ++n, .persistent = _i & 1};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .user = &failing,
                                        .allocate = failing_allocate,
                                        .release = failing_release};
        struct ppi_mem mem;
        struct ppi_gguf_set set;
        pp_error err = {.struct_size = sizeof err};
        ck_assert_int_eq(ppi_mem_init(&mem, &allocator, 0, NULL), PP_OK);
        status = ppi_gguf_set_open(dir.text, &mem, &set, &err);
        if (status == PP_OK)
            ppi_gguf_set_close(&set, &mem);
        else
            ck_assert_ptr_nonnull(strstr(err.message, "no memory for"));
        ck_assert_int_eq(failing.n_blocks, 0);
    }
    ck_assert_msg(status == PP_OK, "status %d", status);
    ck_assert_int_gt(n, 10);
    remove_dir(dir.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf");
    TCase *refused = tcase_create("refused");
    tcase_set_timeout(refused, 60);
    tcase_add_loop_test(refused, refuses_frames, 0, (int)n_malformed_gguf_frames);
    tcase_add_test(refused, refuses_every_truncation);
    suite_add_tcase(suite, refused);
    TCase *reading = tcase_create("reading");
    tcase_set_timeout(reading, 60);
    tcase_add_test(reading, reads_every_type);
    tcase_add_test(reading, walks_arrays);
    tcase_add_test(reading, finds_tensors);
    tcase_add_test(reading, reads_long_headers);
    tcase_add_loop_test(reading, opens_parts, 0, (int)PPI_COUNT(SETS));
    tcase_add_test(reading, opens_parts_through_a_cache);
    tcase_add_loop_test(reading, survives_failing_allocations, 0, 2);
    suite_add_tcase(suite, reading);
    return tap_run(suite, CK_FORK);
}
