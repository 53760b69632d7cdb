/*
 * fuzz_tokens.c: see fuzz_tokens.h.
 */
#include "fuzz_tokens.h"

#include "tokenizer/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fuzz_check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void *allocate(void *user, size_t bytes, size_t alignment)
{
    struct fuzz_memory *memory = user;
    void *block = NULL;
    if ((memory->limit && memory->held + (int64_t)bytes > memory->limit) ||
        posix_memalign(&block, alignment, bytes) != 0)
        return NULL;
    memory->held += (int64_t)bytes;
    return block;
}

static void release(void *user, void *block, size_t bytes)
{
    ((struct fuzz_memory *)user)->held -= (int64_t)bytes;
    free(block);
}

pp_allocator fuzz_allocator(struct fuzz_memory *memory)
{
    return (pp_allocator){.struct_size = sizeof(pp_allocator),
                          .user = memory,
                          .allocate = allocate,
                          .release = release};
}

/* ---- a file ---- */

static char file_path[512];

static void remove_file(void)
{
    unlink(file_path);
}

/* One file for all inputs. */
static int make_file(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(file_path, sizeof file_path, "%s/prepack-fuzz-XXXXXX", base ? base : "/tmp");
    const int file = mkstemp(file_path);
    fuzz_check(file >= 0, "no file can be made");
    atexit(remove_file);
    return file;
}

pp_status fuzz_open(const void *bytes, size_t n, const pp_tokenizer_params *params,
                    pp_tokenizer **tokenizer, pp_error *err)
{
    static int file = -1;
    if (file < 0)
        file = make_file();
    fuzz_check(ftruncate(file, 0) == 0 && pwrite(file, bytes, n, 0) == (ssize_t)n,
               "the file cannot be written");
    return pp_tokenizer_open(file_path, params, tokenizer, err);
}

/* ---- a text ---- */

/* The encoding of a text, or NULL. */
static pp_encoding *encode(pp_tokenizer *tokenizer, pp_text text, int32_t special, int32_t offsets,
                           pp_status *status)
{
    const pp_encode_params params = {
        .struct_size = sizeof params, .special = special, .offsets = offsets};
    pp_error err = {.struct_size = sizeof err};
    pp_encoding *encoding = NULL;
    *status = pp_tokenizer_encode(tokenizer, &text, 1, &params, &encoding, &err);
    fuzz_check(*status == PP_OK || *status == PP_ERR_LIMIT || *status == PP_ERR_NOMEM ||
                   *status == PP_ERR_UNSUPPORTED,
               err.message);
    fuzz_check(*status == PP_OK || err.message[0], "no sentence");
    return encoding;
}

static void check_offsets(const pp_encoded *encoded, pp_text text)
{
    for (int64_t i = 0; i < encoded->n; i++) {
        const pp_text_range range = encoded->offsets[i];
        fuzz_check(range.begin >= 0 && range.begin <= range.end &&
                       range.end <= (int64_t)text.n_bytes,
                   "an offset outside of the text");
    }
}

static void check_decoded(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n,
                          int32_t keep_special)
{
    const pp_decode_params params = {.struct_size = sizeof params, .keep_special = keep_special};
    pp_text_stream *stream;
    pp_text piece;
    size_t n_bytes = 0, at = 0;
    if (pp_tokenizer_decode(tokenizer, ids, n, &params, NULL, 0, &n_bytes, NULL) < 0 ||
        pp_text_stream_create(tokenizer, &params, &stream, NULL) < 0)
        return;
    char *whole = malloc(n_bytes + 1);
    pp_status status =
        pp_tokenizer_decode(tokenizer, ids, n, &params, whole, n_bytes + 1, &n_bytes, NULL);
    fuzz_check(status < 0 || ppi_utf8_check(whole, n_bytes) == n_bytes, "decoded to no UTF-8");
    for (int64_t i = 0; status >= 0 && i <= n; i++) {
        status = i < n ? pp_text_stream_push(stream, ids[i], &piece, NULL)
                       : pp_text_stream_finish(stream, &piece, NULL);
        if (status < 0)
            break;
        fuzz_check(at + piece.n_bytes <= n_bytes &&
                       (!piece.n_bytes || memcmp(whole + at, piece.bytes, piece.n_bytes) == 0),
                   "a stream gives another text");
        fuzz_check(!piece.n_bytes || ppi_utf8_check(piece.bytes, piece.n_bytes) == piece.n_bytes,
                   "a piece is no UTF-8");
        at += piece.n_bytes;
    }
    fuzz_check(status < 0 || at == n_bytes, "a stream gives less text");
    pp_text_stream_destroy(stream);
    free(whole);
}

void fuzz_use_ids(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n)
{
    check_decoded(tokenizer, ids, n, 0);
    check_decoded(tokenizer, ids, n, 1);
}

static void check_encoding(const pp_tokenizer *tokenizer, const pp_encoding *plain,
                           const pp_encoding *traced, pp_text text)
{
    pp_tokenizer_info info = {.struct_size = sizeof info};
    pp_encoded encoded = {.struct_size = sizeof encoded}, again = encoded;
    pp_tokenizer_get_info(tokenizer, &info, NULL);
    pp_encoding_get(plain, 0, &encoded, NULL);
    pp_encoding_get(traced, 0, &again, NULL);
    fuzz_check(encoded.n == again.n &&
                   (encoded.n == 0 ||
                    memcmp(encoded.ids, again.ids, (size_t)encoded.n * sizeof(int32_t)) == 0),
               "other tokens with offsets");
    for (int64_t i = 0; i < encoded.n; i++)
        fuzz_check(encoded.ids[i] >= 0, "a negative id");
    check_offsets(&again, text);
    fuzz_use_ids(tokenizer, encoded.ids, encoded.n);
}

void fuzz_use_text(pp_tokenizer *tokenizer, pp_text text, int32_t special)
{
    pp_status status, again;
    pp_encoding *plain = encode(tokenizer, text, special, 0, &status);
    pp_encoding *traced = encode(tokenizer, text, special, 1, &again);
    if (plain && traced)
        check_encoding(tokenizer, plain, traced, text);
    fuzz_check(status == again || status == PP_ERR_NOMEM || again == PP_ERR_NOMEM,
               "offsets change the status");
    pp_encoding_destroy(plain);
    pp_encoding_destroy(traced);
}
