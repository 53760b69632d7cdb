/*
 * token_checks.c: see token_checks.h.
 */
#include "token_checks.h"
#include "malformed/failing.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files ---- */

void token_write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

/* Opens a file of these bytes, which are freed. */
pp_status token_open(struct blob *blob, const pp_allocator *allocator, pp_tokenizer **tokenizer,
                     pp_error *err)
{
    char path[] = "/tmp/tokenizer-XXXXXX";
    pp_tokenizer_params params;
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    token_write_file(path, blob->bytes, blob->n);
    free(blob->bytes);
    pp_tokenizer_params_init(&params, sizeof params);
    params.allocator = allocator;
    *tokenizer = NULL;
    *err = (pp_error){.struct_size = sizeof *err};
    const pp_status status = pp_tokenizer_open(path, &params, tokenizer, err);
    unlink(path);
    return status;
}

pp_tokenizer *token_open_good(struct blob blob)
{
    pp_tokenizer *tokenizer;
    pp_error err;
    const pp_status status = token_open(&blob, NULL, &tokenizer, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    return tokenizer;
}

void token_check_refused(struct blob blob, pp_status wanted, const char *part)
{
    pp_tokenizer *tokenizer;
    pp_error err;
    const pp_status status = token_open(&blob, NULL, &tokenizer, &err);
    ck_assert_msg(status == wanted, "\"%s\" wanted: status %d: %s", part, status, err.message);
    ck_assert_msg(strstr(err.message, part), "\"%s\" is not in: %s", part, err.message);
    ck_assert_ptr_null(tokenizer);
}

/* ---- tokens ---- */

void token_check_ids(pp_tokenizer *tokenizer, const char *text, int32_t special, const int32_t *ids)
{
    const pp_text texts = {text, strlen(text)};
    pp_encode_params params;
    pp_encoding *encoding, *traced;
    pp_encoded encoded = {.struct_size = sizeof encoded}, other = {.struct_size = sizeof other};
    pp_encode_params_init(&params, sizeof params);
    params.special = special;
    ck_assert_int_eq(pp_tokenizer_encode(tokenizer, &texts, 1, &params, &encoding, NULL), PP_OK);
    params.offsets = 1;
    ck_assert_int_eq(pp_tokenizer_encode(tokenizer, &texts, 1, &params, &traced, NULL), PP_OK);
    ck_assert_int_eq(pp_encoding_get(encoding, 0, &encoded, NULL), PP_OK);
    ck_assert_int_eq(pp_encoding_get(traced, 0, &other, NULL), PP_OK);
    ck_assert_int_eq(encoded.n, other.n);
    for (int64_t i = 0; i < encoded.n || ids[i] != TOKENS_END; i++) {
        ck_assert_msg(i < encoded.n && encoded.ids[i] == ids[i], "%s: token %d is %d, not %d", text,
                      (int)i, i < encoded.n ? encoded.ids[i] : TOKENS_END, ids[i]);
        ck_assert_int_eq(other.ids[i], ids[i]);
        ck_assert_int_le(other.offsets[i].begin, other.offsets[i].end);
        ck_assert_int_le(other.offsets[i].end, (int64_t)texts.n_bytes);
    }
    pp_encoding_destroy(encoding);
    pp_encoding_destroy(traced);
}

void token_check_text(const pp_tokenizer *tokenizer, const int32_t *ids, const char *wanted)
{
    char text[256];
    size_t n_bytes;
    int64_t n = 0;
    while (ids[n] != TOKENS_END)
        n++;
    ck_assert_int_eq(
        pp_tokenizer_decode(tokenizer, ids, n, NULL, text, sizeof text, &n_bytes, NULL), PP_OK);
    ck_assert_str_eq(text, wanted);
}

/* ---- exhausted memory ---- */

void token_exhaust(struct blob file)
{
    for (int n = 1;; n++) {
        struct failing failing = {.n_left = n};
        const pp_allocator allocator = {.struct_size = sizeof allocator,
                                        .allocate = failing_allocate,
                                        .release = failing_release,
                                        .user = &failing};
        struct blob copy = {0};
        pp_tokenizer *tokenizer;
        pp_error err;
        blob_put(&copy, file.bytes, file.n);
        const pp_status status = token_open(&copy, &allocator, &tokenizer, &err);
        ck_assert_msg(status == PP_OK || status == PP_ERR_NOMEM, "%d: %s", n, err.message);
        if (status == PP_OK)
            pp_tokenizer_destroy(tokenizer);
        ck_assert_int_eq(failing.n_blocks, 0);
        if (failing.n_left > 0) /* it never came to that */
            break;
    }
    free(file.bytes);
}
