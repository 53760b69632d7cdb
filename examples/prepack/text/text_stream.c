/*
 * text_stream.c: text by the tokenizer's stream, or ids as JSON where a model has no tokenizer.
 */
#include "text_stream.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int text_stream_open(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                     struct text_stream *stream)
{
    *stream = (struct text_stream){0};
    return tokenizer ? tokenizer_stream(tokenizer, before, n_before, &stream->stream) : STATUS_OK;
}

void text_stream_close(struct text_stream *stream)
{
    pp_text_stream_destroy(stream->stream);
    free(stream->text);
    *stream = (struct text_stream){0};
}

/* Appends a piece to the text, without NUL bytes, which a hostile vocabulary may have. */
static int add_piece(struct text_stream *stream, const pp_text *piece)
{
    const size_t have = stream->text ? strlen(stream->text) : 0;
    char *longer = realloc(stream->text, have + piece->n_bytes + 1);
    if (!longer)
        return fail_memory();
    stream->text = longer;
    char *to = longer + have;
    for (size_t i = 0; i < piece->n_bytes; i++)
        if (piece->bytes[i])
            *to++ = piece->bytes[i];
    *to = '\0';
    return STATUS_OK;
}

static void clear(struct text_stream *stream)
{
    free(stream->text);
    stream->text = NULL;
}

static int give_ids(struct text_stream *stream, const int32_t *ids, size_t n, const char **text)
{
    free(stream->text);
    stream->text = ids_text(ids, n);
    if (!stream->text)
        return fail_memory();
    stream->text[strlen(stream->text) - 1] = '\0'; /* the bracket that ends the list */
    *text = stream->text;
    if (stream->any && n > 0) { /* ", 15" in place of "[15" */
        char *joined = malloc(strlen(stream->text) + 2);
        if (!joined)
            return fail_memory();
        strcat(strcpy(joined, ", "), stream->text + 1);
        free(stream->text);
        *text = stream->text = joined;
    }
    stream->any = true;
    return STATUS_OK;
}

int text_stream_push(struct text_stream *stream, const int32_t *ids, size_t n, const char **text)
{
    pp_error err = {.struct_size = sizeof err};
    pp_text piece = {"", 0};
    if (!stream->stream)
        return give_ids(stream, ids, n, text);
    clear(stream);
    int status = add_piece(stream, &piece);
    for (size_t i = 0; i < n && !status; i++)
        status = pp_text_stream_push(stream->stream, ids[i], &piece, &err) < 0
                     ? fail_library(&err)
                     : add_piece(stream, &piece);
    *text = stream->text;
    return status;
}

int text_stream_end(struct text_stream *stream, const char **text)
{
    pp_error err = {.struct_size = sizeof err};
    pp_text piece;
    if (!stream->stream) {
        *text = stream->any ? "]" : "[]";
        return STATUS_OK;
    }
    clear(stream);
    const int status = pp_text_stream_finish(stream->stream, &piece, &err) < 0
                           ? fail_library(&err)
                           : add_piece(stream, &piece);
    *text = stream->text;
    return status;
}

char *ids_text(const int32_t *ids, size_t n)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    fputc('[', out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%" PRId32, i ? ", " : "", ids[i]);
    fputc(']', out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
