/*
 * decode_text.c: tokens to text, all at once or one by one.
 */
#include "tokenizer/tokenizer_impl.h"

struct pp_text_stream {
    struct ppi_mem mem;
    const pp_tokenizer *tokenizer;
    struct ppi_decoding *decoding;
    struct ppi_text text; /* what the last call gave */
    bool keep_special;
};

static const pp_decode_params DEFAULTS = {.struct_size = sizeof DEFAULTS};

void pp_decode_params_init(pp_decode_params *params, size_t struct_size)
{
    ppi_struct_init(params, struct_size, &DEFAULTS, sizeof DEFAULTS);
}

void pp_text_stream_destroy(pp_text_stream *stream)
{
    if (!stream)
        return;
    struct ppi_mem mem = stream->mem;
    ppi_decoding_destroy(stream->decoding);
    stream->text.mem = &mem;
    ppi_text_free(&stream->text);
    ppi_free(&mem, stream);
}

pp_status pp_text_stream_create(const pp_tokenizer *tokenizer, const pp_decode_params *params,
                                pp_text_stream **stream, pp_error *err)
{
    pp_decode_params read = DEFAULTS;
    struct ppi_mem mem;
    PP_TRY(ppi_struct_read(&read, sizeof read, params, "pp_decode_params", err));
    if (!tokenizer || !stream)
        return ppi_error(err, PP_ERR_ARG, "pp_text_stream_create: an argument is NULL");
    PP_TRY(ppi_mem_init(&mem, &tokenizer->mem.allocator, 0, err));
    pp_text_stream *made = ppi_zalloc(&mem, 1, sizeof *made);
    if (!made)
        return ppi_error_nomem(err, "a text stream", sizeof *made);
    made->mem = mem;
    made->tokenizer = tokenizer;
    made->keep_special = read.keep_special != 0;
    made->text = ppi_text_start(&made->mem, false);
    const pp_status status =
        ppi_decoding_create(tokenizer->decoder, &made->mem, &made->decoding, err);
    if (status < 0)
        pp_text_stream_destroy(made);
    else
        *stream = made;
    return status;
}

/* Appends what an id completes. */
static pp_status push(pp_text_stream *stream, int32_t id, pp_error *err)
{
    const pp_tokenizer *tokenizer = stream->tokenizer;
    const struct ppi_token token = ppi_tokenizer_token(tokenizer, id);
    const struct ppi_added_token *added = ppi_added_find_id(&tokenizer->added, id);
    const bool silent = added && added->special && !stream->keep_special;
    if (!token.text || (silent && tokenizer->unk_piece < 0))
        return PP_OK;
    return ppi_decoding_push(stream->decoding, token.text,
                             silent && id != tokenizer->unk_piece ? 0 : token.n, &stream->text,
                             err);
}

static pp_status give(pp_text_stream *stream, pp_status status, pp_text *piece, pp_error *err)
{
    if (status >= 0 && stream->text.failed)
        status = ppi_error_nomem(err, "a text", stream->text.n);
    if (status >= 0)
        *piece = (pp_text){stream->text.bytes, stream->text.n};
    return status;
}

pp_status pp_text_stream_push(pp_text_stream *stream, int32_t id, pp_text *piece, pp_error *err)
{
    if (!stream || !piece)
        return ppi_error(err, PP_ERR_ARG, "pp_text_stream_push: an argument is NULL");
    ppi_text_clear(&stream->text, false);
    return give(stream, push(stream, id, err), piece, err);
}

pp_status pp_text_stream_finish(pp_text_stream *stream, pp_text *piece, pp_error *err)
{
    if (!stream || !piece)
        return ppi_error(err, PP_ERR_ARG, "pp_text_stream_finish: an argument is NULL");
    ppi_text_clear(&stream->text, false);
    return give(stream, ppi_decoding_finish(stream->decoding, &stream->text, err), piece, err);
}

static pp_status decode(pp_text_stream *stream, const int32_t *ids, int64_t n, pp_text *text,
                        pp_error *err)
{
    pp_status status = PP_OK;
    for (int64_t i = 0; i < n && status >= 0; i++)
        status = push(stream, ids[i], err);
    if (status >= 0)
        status = ppi_decoding_finish(stream->decoding, &stream->text, err);
    return give(stream, status, text, err);
}

static pp_status copy_out(const pp_text *whole, char *text, size_t room, size_t *n_bytes,
                          pp_error *err)
{
    *n_bytes = whole->n_bytes;
    if (!text)
        return PP_OK;
    if (room < whole->n_bytes + 1)
        return ppi_error(err, PP_ERR_ARG, "a text of %zu bytes needs room for %zu; there is %zu",
                         whole->n_bytes, whole->n_bytes + 1, room);
    if (whole->n_bytes)
        memcpy(text, whole->bytes, whole->n_bytes);
    text[whole->n_bytes] = '\0';
    return PP_OK;
}

pp_status pp_tokenizer_decode(const pp_tokenizer *tokenizer, const int32_t *ids, int64_t n,
                              const pp_decode_params *params, char *text, size_t room,
                              size_t *n_bytes, pp_error *err)
{
    pp_text_stream *stream;
    pp_text whole;
    if (!tokenizer || !n_bytes || (!ids && n > 0))
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_decode: an argument is NULL");
    if (n < 0)
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_decode: %lld ids", (long long)n);
    PP_TRY(pp_text_stream_create(tokenizer, params, &stream, err));
    pp_status status = decode(stream, ids, n, &whole, err);
    if (status >= 0)
        status = copy_out(&whole, text, room, n_bytes, err);
    pp_text_stream_destroy(stream);
    return status;
}
