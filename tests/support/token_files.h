/*
 * token_files.h: tokenizer files put together in memory: keys of GGUF, messages of SentencePiece.
 */
#ifndef TEST_TOKEN_FILES_H
#define TEST_TOKEN_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Growing bytes; the caller frees them. */
struct blob {
    char *bytes;
    size_t n;
};

void blob_put(struct blob *blob, const void *bytes, size_t n);
void blob_text(struct blob *blob, const char *text);

/* ---- GGUF: begin, keys in any order, end ---- */

void gguf_begin(struct blob *blob);
void gguf_put_text(struct blob *blob, const char *key, const char *text);
void gguf_put_texts(struct blob *blob, const char *key, const char *const *texts, size_t n);
void gguf_put_u32(struct blob *blob, const char *key, uint32_t value);
void gguf_put_flag(struct blob *blob, const char *key, int value);
void gguf_put_ints(struct blob *blob, const char *key, const int32_t *values, size_t n);
void gguf_put_floats(struct blob *blob, const char *key, const float *values, size_t n);
void gguf_put_bytes(struct blob *blob, const char *key, const void *bytes, size_t n);
void gguf_end(struct blob *blob);

/* ---- SentencePiece ---- */

enum { SPM_NORMAL = 1, SPM_UNKNOWN, SPM_CONTROL, SPM_USER, SPM_UNUSED, SPM_BYTE };

void spm_piece(struct blob *model, const char *text, size_t n, float score, int type);
/* A message of integers as field `number` of the model: n pairs of a field and a value. */
void spm_numbers(struct blob *model, int number, const int64_t (*fields)[2], size_t n);
/* A message with one field of bytes. */
void spm_bytes(struct blob *model, int number, int field, const void *bytes, size_t n);

#endif
