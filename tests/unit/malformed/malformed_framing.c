/*
 * malformed_framing.c: safetensors files that are broken before the first tensor: length, JSON,
 * padding, and things that are no regular file.
 */
#define _GNU_SOURCE
#include "malformed/malformed.h"

#include <check.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The valid file with another announced length. */
static void announce(const char *dir, uint64_t announced)
{
    size_t len;
    char *bytes = read_file(dir, SINGLE_FILE, &len);
    memcpy(bytes, &announced, sizeof announced);
    write_file(dir, SINGLE_FILE, bytes, len);
    free(bytes);
}

static void make_empty(const char *dir)
{
    write_file(dir, SINGLE_FILE, "", 0);
}

static void make_7_bytes(const char *dir)
{
    write_file(dir, SINGLE_FILE, "\0\0\0\0\0\0", 7);
}

static void make_8_bytes(const char *dir)
{
    write_file(dir, SINGLE_FILE, "\2\0\0\0\0\0\0", 8);
}

static void announce_0(const char *dir)
{
    announce(dir, 0);
}

static void announce_file_size(const char *dir)
{
    struct stat info;
    ck_assert_int_eq(stat(path_in(dir, SINGLE_FILE).text, &info), 0);
    announce(dir, (uint64_t)info.st_size);
}

static void announce_2_63(const char *dir)
{
    announce(dir, (uint64_t)1 << 63);
}

static void announce_max(const char *dir)
{
    announce(dir, UINT64_MAX);
}

static void announce_wrapping(const char *dir)
{
    announce(dir, UINT64_MAX - 7);
}

static void announce_over_limit(const char *dir)
{
    announce(dir, 100000001);
    ck_assert_int_eq(truncate(path_in(dir, SINGLE_FILE).text, 100000001 + 8), 0); /* sparse */
}

/* Ends the header in the middle of the last tensor's name. */
static void announce_cut(const char *dir)
{
    char *header = make_header(0, TINY_N_TENSORS, 0);
    announce(dir, (uint64_t)(strstr(header, "norm.weight\":{\"dtype\":\"BF16\",\"shape\":[4]") -
                             header));
    free(header);
}

/* The valid header between two texts. */
static void write_framed(const char *dir, const char *before, size_t before_len, const char *after,
                         size_t after_len)
{
    char *header = make_header(0, TINY_N_TENSORS, 0);
    size_t len = strlen(header);
    char *framed = malloc(before_len + len + after_len);
    memcpy(framed, before, before_len);
    memcpy(framed + before_len, header, len);
    memcpy(framed + before_len + len, after, after_len);
    write_safetensors(dir, SINGLE_FILE, framed, before_len + len + after_len, TINY_DATA_BYTES);
    free(framed);
    free(header);
}

static void space_before(const char *dir)
{
    write_framed(dir, " ", 1, "", 0);
}

static void bom_before(const char *dir)
{
    write_framed(dir, "\xef\xbb\xbf", 3, "", 0);
}

static void bracket_before(const char *dir)
{
    write_framed(dir, "[", 1, "]", 1);
}

static void newline_after(const char *dir)
{
    write_framed(dir, "", 0, "\n", 1);
}

static void object_after(const char *dir)
{
    write_framed(dir, "", 0, " {}", 3);
}

static void text_after(const char *dir)
{
    write_framed(dir, "", 0, "  x", 3);
}

static void nul_after(const char *dir)
{
    write_framed(dir, "", 0, "\0\0\0\0", 4);
}

static void nul_and_spaces_after(const char *dir)
{
    write_framed(dir, "", 0, "\0    ", 5);
}

/* `count` times `text`, as a header that begins with `begin` and ends with `end`. */
static void write_repeated(const char *dir, const char *begin, const char *text, size_t count,
                           const char *end)
{
    size_t begin_len = strlen(begin), text_len = strlen(text), end_len = strlen(end);
    size_t len = begin_len + count * text_len + end_len;
    char *header = malloc(len);
    memcpy(header, begin, begin_len);
    for (size_t i = 0; i < count; i++)
        memcpy(header + begin_len + i * text_len, text, text_len);
    memcpy(header + begin_len + count * text_len, end, end_len);
    write_safetensors(dir, SINGLE_FILE, header, len, 0);
    free(header);
}

static void deep_arrays(const char *dir)
{
    write_repeated(dir, "{\"a\":", "[", 1000000, "}");
}

static void deep_objects(const char *dir)
{
    write_repeated(dir, "", "{\"a\":", 1000000, "}");
}

static void long_key(const char *dir)
{
    write_repeated(dir, "{\"", "0123456789", 5000000, "\":0}");
}

static void many_tensors(const char *dir)
{
    write_repeated(dir, "{\"a\":0", ",\"b\":0", 1000000, "}");
}

static void become_directory(const char *dir)
{
    struct path path = path_in(dir, SINGLE_FILE);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(mkdir(path.text, 0700), 0);
}

static void become_fifo(const char *dir)
{
    struct path path = path_in(dir, SINGLE_FILE);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(mkfifo(path.text, 0600), 0);
}

static void become_socket(const char *dir)
{
    struct path path = path_in(dir, SINGLE_FILE);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_uint_lt(strlen(path.text), sizeof address.sun_path);
    strcpy(address.sun_path, path.text);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void become_device_link(const char *dir)
{
    struct path path = path_in(dir, SINGLE_FILE);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(symlink("/dev/zero", path.text), 0);
}

static void become_dangling(const char *dir)
{
    struct path path = path_in(dir, SINGLE_FILE);
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(symlink("nowhere", path.text), 0);
}

static void config_becomes_fifo(const char *dir)
{
    struct path path = path_in(dir, "config.json");
    ck_assert_int_eq(unlink(path.text), 0);
    ck_assert_int_eq(mkfifo(path.text, 0600), 0);
}

#define F      PP_ERR_FORMAT
#define NORM   "\"model.norm.weight\""
#define JSON   HEADER, "\"format\":\"pt\""
#define FRAMED MAKE, NULL, NULL, 0

const struct malformed malformed_framing[] = {
    {"1 empty file", F, "has 0 bytes", FRAMED, make_empty},
    {"2 file of 7 bytes", F, "has 7 bytes", FRAMED, make_7_bytes},
    {"2 file of 8 bytes", F, "has 8 bytes", FRAMED, make_8_bytes},
    {"3 header length 0", F, "header of 0 bytes", FRAMED, announce_0},
    {"4 length is the file's size", F, "is announced; the file has", FRAMED, announce_file_size},
    {"5 length 2^63", F, "header of 9223372036854775808 bytes", FRAMED, announce_2_63},
    {"5 length 2^64-1", F, "header of 18446744073709551615 bytes", FRAMED, announce_max},
    {"5 length 2^64-8", F, "header of 18446744073709551608 bytes", FRAMED, announce_wrapping},
    {"6 length above the limit", PP_ERR_LIMIT, "at most 100000000", FRAMED, announce_over_limit},
    {"7 space before", F, "begins with byte 0x20", FRAMED, space_before},
    {"7 BOM before", F, "begins with byte 0xef", FRAMED, bom_before},
    {"7 array", F, "begins with byte 0x5b", FRAMED, bracket_before},
    {"8 length cuts a string", F, "does not end with }", FRAMED, announce_cut},
    {"9 newline after", F, "does not end with } and spaces", FRAMED, newline_after},
    {"9 object after", F, "nothing may follow the object", FRAMED, object_after},
    {"9 text after", F, "its byte", FRAMED, text_after},
    {"10 NUL padding", F, "is 0x00", FRAMED, nul_after},
    {"10 NUL and spaces", F, "is 0x00", FRAMED, nul_and_spaces_after},
    {"11 invalid UTF-8", F, "byte 0xff: not UTF-8", JSON, "\"format\":\"\xff\"", 0, NULL},
    {"11 overlong UTF-8", F, "byte 0xc0: not UTF-8", JSON, "\"format\":\"\xc0\xaf\"", 0, NULL},
    {"11 encoded surrogate", F, "byte 0xed: not UTF-8", JSON, "\"format\":\"\xed\xa0\x80\"", 0,
     NULL},
    {"11 lone surrogate", F, "half of a surrogate pair", JSON, "\"format\":\"\\ud800\"", 0, NULL},
    {"11 lone low surrogate", F, "half of a surrogate pair", JSON, "\"format\":\"\\udc00\"", 0,
     NULL},
    {"12 control character", F, "byte 0x01: a control character", HEADER, NORM,
     "\"model.norm\1.weight\"", 0, NULL},
    {"12 newline in a key", F, "byte 0x0a: a control character", HEADER, NORM,
     "\"model.norm\n.weight\"", 0, NULL},
    {"13 NUL in a name", F, "\\u0000 is not accepted", HEADER, NORM, "\"model.norm\\u0000.weight\"",
     0, NULL},
    {"13 NUL in a value", F, "\\u0000", JSON, "\"format\":\"\\u0000\"", 0, NULL},
    {"14 arrays 1,000,000 deep", F, "nested deeper than 32", FRAMED, deep_arrays},
    {"14 objects 1,000,000 deep", F, "nested deeper than 32", FRAMED, deep_objects},
    {"15 trailing comma", F, "malformed JSON", JSON, "\"format\":\"pt\",", 0, NULL},
    {"15 comment", F, "malformed JSON", JSON, "\"format\":\"pt\"/**/", 0, NULL},
    {"15 single quotes", F, "malformed JSON", JSON, "'format':\"pt\"", 0, NULL},
    {"15 NaN", F, "malformed JSON", JSON, "\"format\":NaN", 0, NULL},
    {"15 plus sign", F, "malformed JSON", JSON, "\"format\":+1", 0, NULL},
    {"15 leading zero", F, "malformed JSON", JSON, "\"format\":01", 0, NULL},
    {"15 hexadecimal", F, "malformed JSON", JSON, "\"format\":0x10", 0, NULL},
    {"15 unclosed string", F, "malformed JSON", JSON, "\"format\":\"pt", 0, NULL},
    {"15 unclosed object", F, "malformed JSON", JSON, "\"format\":{\"pt\":\"pt\"", 0, NULL},
    {"16 key of 50 MB", PP_ERR_LIMIT, "name of 50000000 bytes", FRAMED, long_key},
    {"17 1,000,001 tensors", PP_ERR_LIMIT, "more than 1000000 tensors", FRAMED, many_tensors},
    {"18 directory", PP_ERR_IO, "is a directory", FRAMED, become_directory},
    {"18 FIFO", PP_ERR_IO, "is a FIFO", FRAMED, become_fifo},
    {"18 socket", PP_ERR_IO, "is a socket", FRAMED, become_socket},
    {"18 link to a device", PP_ERR_PATH, "/dev/zero", FRAMED, become_device_link},
    {"18 link to nothing", PP_ERR_IO, "No such file", FRAMED, become_dangling},
    {"18 config.json is a FIFO", PP_ERR_IO, "is a FIFO", FRAMED, config_becomes_fifo},
};
const size_t n_malformed_framing = sizeof malformed_framing / sizeof malformed_framing[0];
