/*
 * text_stream.c: decodes the last ids again with each that comes, and gives what is new. A
 * character of which bytes are missing decodes to up to three U+FFFD, so as many at the end are
 * held back.
 */
#include "text_stream.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_CONTEXT = 64, MAX_PENDING = 64 };

static int append(struct text_stream *stream, const int32_t *ids, size_t n)
{
    if (stream->n_ids + n > stream->room) {
        const size_t room = 2 * (stream->n_ids + n);
        int32_t *larger = realloc(stream->ids, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        stream->ids = larger;
        stream->room = room;
    }
    if (n > 0)
        memcpy(stream->ids + stream->n_ids, ids, n * sizeof *ids);
    stream->n_ids += n;
    return STATUS_OK;
}

int text_stream_open(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                     struct text_stream *stream)
{
    const size_t n = n_before < N_CONTEXT ? n_before : N_CONTEXT;
    *stream = (struct text_stream){.tokenizer = tokenizer, .n_before = n};
    return append(stream, before + n_before - n, n);
}

void text_stream_close(struct text_stream *stream)
{
    free(stream->ids);
    free(stream->text);
    *stream = (struct text_stream){0};
}

/* Bytes of the text without the U+FFFD at its end that another id may complete. */
static size_t whole_length(const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < 3 && n >= 3 && memcmp(text + n - 3, "\xef\xbf\xbd", 3) == 0; i++)
        n -= 3;
    return n;
}

/* Ids whose text was given whole become what the next ones follow. */
static void forget(struct text_stream *stream)
{
    const size_t n = stream->n_ids < N_CONTEXT ? stream->n_ids : N_CONTEXT;
    memmove(stream->ids, stream->ids + stream->n_ids - n, n * sizeof *stream->ids);
    stream->n_before = stream->n_ids = n;
    stream->n_given = 0;
}

static int give(struct text_stream *stream, bool all, const char **text)
{
    int32_t unknown;
    free(stream->text);
    stream->text = NULL;
    const int status = tokenizer_decode_after(
        stream->tokenizer, stream->ids, stream->n_before, stream->ids + stream->n_before,
        stream->n_ids - stream->n_before, &stream->text, &unknown);
    if (status)
        return status;
    const size_t n = strlen(stream->text), whole = all ? n : whole_length(stream->text);
    const size_t from = stream->n_given < whole ? stream->n_given : whole;
    stream->text[whole] = '\0';
    stream->n_given = whole;
    *text = stream->text + from;
    if (whole == n && stream->n_ids - stream->n_before >= MAX_PENDING)
        forget(stream);
    return STATUS_OK;
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
    if (!stream->tokenizer)
        return give_ids(stream, ids, n, text);
    const int status = append(stream, ids, n);
    return status ? status : give(stream, false, text);
}

int text_stream_end(struct text_stream *stream, const char **text)
{
    if (stream->tokenizer)
        return give(stream, true, text);
    *text = stream->any ? "]" : "[]";
    return STATUS_OK;
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
