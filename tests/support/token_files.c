/*
 * token_files.c: see token_files.h.
 */
#include "support/token_files.h"

#include <stdlib.h>
#include <string.h>

void blob_put(struct blob *blob, const void *bytes, size_t n)
{
    char *larger = realloc(blob->bytes, blob->n + n + 1);
    if (!larger)
        abort();
    if (n)
        memcpy(larger + blob->n, bytes, n);
    blob->bytes = larger;
    blob->n += n;
}

void blob_text(struct blob *blob, const char *text)
{
    blob_put(blob, text, strlen(text));
}

/* ---- GGUF ---- */

enum {
    GGUF_U8 = 0,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9
};

static void put_u32(struct blob *blob, uint32_t value)
{
    blob_put(blob, &value, sizeof value);
}

static void put_u64(struct blob *blob, uint64_t value)
{
    blob_put(blob, &value, sizeof value);
}

static void put_string(struct blob *blob, const char *text)
{
    put_u64(blob, strlen(text));
    blob_text(blob, text);
}

/* A key; its number in the header grows. */
static void put_key(struct blob *blob, const char *key, uint32_t type)
{
    uint64_t n;
    memcpy(&n, blob->bytes + 16, sizeof n);
    n++;
    memcpy(blob->bytes + 16, &n, sizeof n);
    put_string(blob, key);
    put_u32(blob, type);
}

static void put_array(struct blob *blob, const char *key, uint32_t type, size_t n)
{
    put_key(blob, key, GGUF_ARRAY);
    put_u32(blob, type);
    put_u64(blob, n);
}

void gguf_begin(struct blob *blob)
{
    blob_text(blob, "GGUF");
    put_u32(blob, 3);
    put_u64(blob, 0);
    put_u64(blob, 0);
}

void gguf_put_text(struct blob *blob, const char *key, const char *text)
{
    put_key(blob, key, GGUF_STRING);
    put_string(blob, text);
}

void gguf_put_texts(struct blob *blob, const char *key, const char *const *texts, size_t n)
{
    put_array(blob, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_string(blob, texts[i]);
}

void gguf_put_u32(struct blob *blob, const char *key, uint32_t value)
{
    put_key(blob, key, GGUF_U32);
    put_u32(blob, value);
}

void gguf_put_flag(struct blob *blob, const char *key, int value)
{
    const char byte = (char)value;
    put_key(blob, key, GGUF_BOOL);
    blob_put(blob, &byte, 1);
}

void gguf_put_ints(struct blob *blob, const char *key, const int32_t *values, size_t n)
{
    put_array(blob, key, GGUF_I32, n);
    blob_put(blob, values, n * sizeof *values);
}

void gguf_put_floats(struct blob *blob, const char *key, const float *values, size_t n)
{
    put_array(blob, key, GGUF_F32, n);
    blob_put(blob, values, n * sizeof *values);
}

void gguf_put_bytes(struct blob *blob, const char *key, const void *bytes, size_t n)
{
    put_array(blob, key, GGUF_U8, n);
    blob_put(blob, bytes, n);
}

void gguf_end(struct blob *blob)
{
    static const char zeroes[32];
    blob_put(blob, zeroes, (32 - blob->n % 32) % 32);
}

/* ---- SentencePiece: protobuf's wire format ---- */

static void put_varint(struct blob *blob, uint64_t value)
{
    char byte;
    for (; value > 0x7f; value >>= 7) {
        byte = (char)((value & 0x7f) | 0x80);
        blob_put(blob, &byte, 1);
    }
    byte = (char)value;
    blob_put(blob, &byte, 1);
}

static void put_bytes(struct blob *blob, int field, const void *bytes, size_t n)
{
    put_varint(blob, (uint64_t)field << 3 | 2);
    put_varint(blob, n);
    blob_put(blob, bytes, n);
}

static void put_number(struct blob *blob, int field, int64_t value)
{
    put_varint(blob, (uint64_t)field << 3);
    put_varint(blob, (uint64_t)value);
}

void spm_piece(struct blob *model, const char *text, size_t n, float score, int type)
{
    struct blob piece = {0};
    put_bytes(&piece, 1, text, n);
    put_varint(&piece, 2 << 3 | 5);
    blob_put(&piece, &score, sizeof score);
    put_number(&piece, 3, type);
    put_bytes(model, 1, piece.bytes, piece.n);
    free(piece.bytes);
}

void spm_numbers(struct blob *model, int number, const int64_t (*fields)[2], size_t n)
{
    struct blob message = {0};
    for (size_t i = 0; i < n; i++)
        put_number(&message, (int)fields[i][0], fields[i][1]);
    put_bytes(model, number, message.bytes, message.n);
    free(message.bytes);
}

void spm_bytes(struct blob *model, int number, int field, const void *bytes, size_t n)
{
    struct blob message = {0};
    put_bytes(&message, field, bytes, n);
    put_bytes(model, number, message.bytes, message.n);
    free(message.bytes);
}
