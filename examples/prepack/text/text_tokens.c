/* text_tokens.c: texts to tokens and back by libprepack-tokenizer. */
#include "text_tokens.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer {
    pp_tokenizer *handle;
    pp_tokenizer_info info;
    bool literal;
};

static pp_status open_quietly(const char *path, bool literal, struct tokenizer **tokenizer,
                              pp_error *err)
{
    pp_tokenizer_params params;
    struct tokenizer *made = calloc(1, sizeof *made);
    if (!made)
        return err->code = PP_ERR_NOMEM;
    made->literal = literal;
    made->info.struct_size = sizeof made->info;
    pp_tokenizer_params_init(&params, sizeof params);
    params.log = say_log;
    pp_status done = pp_tokenizer_open(path, &params, &made->handle, err);
    if (done >= 0)
        done = pp_tokenizer_get_info(made->handle, &made->info, err);
    if (done < 0)
        tokenizer_close(made);
    else
        *tokenizer = made;
    return done;
}

int tokenizer_open(const char *path, bool literal, struct tokenizer **tokenizer)
{
    pp_error err = {.struct_size = sizeof err, .message = "out of memory"};
    return open_quietly(path, literal, tokenizer, &err) < 0 ? fail_library(&err) : STATUS_OK;
}

int tokenizer_try(const char *path, struct tokenizer **tokenizer)
{
    pp_error err = {.struct_size = sizeof err, .message = "out of memory"};
    const pp_status done = open_quietly(path, false, tokenizer, &err);
    if (done < 0 && done != PP_ERR_IO) /* which says that there is none */
        note("%s; ids are written in place of text", err.message);
    return STATUS_OK;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer)
        pp_tokenizer_destroy(tokenizer->handle);
    free(tokenizer);
}

int32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->info.vocab_size;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->info.eos_token;
}

const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    return pp_tokenizer_token(tokenizer->handle, id, NULL);
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->info.bos_token;
}

static int encode(struct tokenizer *tokenizer, const char *text, bool edges, int32_t **tokens,
                  size_t *n)
{
    pp_error err = {.struct_size = sizeof err};
    const pp_text whole = {text, strlen(text)};
    pp_encoded encoded = {.struct_size = sizeof encoded};
    pp_encoding *encoding = NULL;
    pp_encode_params params;
    pp_encode_params_init(&params, sizeof params);
    params.special = tokenizer->literal ? PP_SPECIAL_TEXT : PP_SPECIAL_PARSE;
    params.no_edges = !edges;
    if (pp_tokenizer_encode(tokenizer->handle, &whole, 1, &params, &encoding, &err) < 0 ||
        pp_encoding_get(encoding, 0, &encoded, &err) < 0) {
        pp_encoding_destroy(encoding);
        return fail_library(&err);
    }
    *n = (size_t)encoded.n;
    *tokens = malloc((*n + 1) * sizeof **tokens);
    if (*tokens && *n > 0)
        memcpy(*tokens, encoded.ids, *n * sizeof **tokens);
    pp_encoding_destroy(encoding);
    return *tokens ? STATUS_OK : fail_memory();
}

int tokenizer_encode(struct tokenizer *tokenizer, const char *text, int32_t **tokens, size_t *n)
{
    return encode(tokenizer, text, true, tokens, n);
}

int tokenizer_encode_alone(struct tokenizer *tokenizer, const char *text, int32_t **tokens,
                           size_t *n)
{
    return encode(tokenizer, text, false, tokens, n);
}

int tokenizer_edges(struct tokenizer *tokenizer, struct text_edges *edges)
{
    static const char text[] = "a";
    int32_t *alone = NULL, *whole = NULL;
    size_t n_alone, n_whole, k = 0;
    int status = tokenizer_encode_alone(tokenizer, text, &alone, &n_alone);
    if (!status)
        status = tokenizer_encode(tokenizer, text, &whole, &n_whole);
    if (!status && n_whole >= n_alone) {
        while (k < n_whole - n_alone && memcmp(whole + k, alone, n_alone * sizeof *alone) != 0)
            k++;
        edges->n_before = k;
        edges->n_after = n_whole - n_alone - k;
        memmove(whole + k, whole + k + n_alone, edges->n_after * sizeof *whole);
    }
    free(alone);
    edges->ids = whole;
    return status;
}

/* ---- tokens to text ---- */

int tokenizer_stream(const struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                     pp_text_stream **stream)
{
    pp_error err = {.struct_size = sizeof err};
    pp_text_stream *made = NULL;
    pp_text piece;
    pp_status done = pp_text_stream_create(tokenizer->handle, NULL, &made, &err);
    for (size_t i = 0; i < n_before && done >= 0; i++)
        done = pp_text_stream_push(made, before[i], &piece, &err);
    if (done < 0) {
        pp_text_stream_destroy(made);
        return fail_library(&err);
    }
    *stream = made;
    return STATUS_OK;
}

/* Text that grows; NUL bytes, which a hostile vocabulary may have, are left out. */
struct growing {
    char *bytes;
    size_t n, room;
};

static int append(struct growing *text, const pp_text *piece)
{
    if (text->n + piece->n_bytes + 1 > text->room) {
        const size_t room = 2 * (text->n + piece->n_bytes + 1);
        char *larger = realloc(text->bytes, room);
        if (!larger)
            return fail_memory();
        text->bytes = larger;
        text->room = room;
    }
    for (size_t i = 0; i < piece->n_bytes; i++)
        if (piece->bytes[i])
            text->bytes[text->n++] = piece->bytes[i];
    text->bytes[text->n] = '\0';
    return STATUS_OK;
}

/* Appends what a token completes; token NULL: what is left. */
static int append_next(pp_text_stream *stream, const int32_t *token, struct growing *whole)
{
    pp_error err = {.struct_size = sizeof err};
    pp_text piece;
    const pp_status done = token ? pp_text_stream_push(stream, *token, &piece, &err)
                                 : pp_text_stream_finish(stream, &piece, &err);
    return done < 0 ? fail_library(&err) : append(whole, &piece);
}

int tokenizer_decode_after(struct tokenizer *tokenizer, const int32_t *before, size_t n_before,
                           const int32_t *tokens, size_t n, char **text, int32_t *unknown)
{
    struct growing whole = {0};
    pp_text_stream *stream = NULL;
    *unknown = -1;
    int status = tokenizer_stream(tokenizer, before, n_before, &stream);
    for (size_t i = 0; i < n && !status; i++) {
        if (*unknown < 0 && !tokenizer_token(tokenizer, tokens[i]))
            *unknown = tokens[i];
        status = append_next(stream, &tokens[i], &whole);
    }
    if (!status)
        status = append_next(stream, NULL, &whole);
    pp_text_stream_destroy(stream);
    if (status)
        free(whole.bytes);
    else
        *text = whole.bytes;
    return status;
}
