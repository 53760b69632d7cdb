/* continue_text.c: text in, text out: a prompt becomes tokens, is prefilled and continued, and the
 * text appears as it is generated. Model and tokenizer come from one directory or GGUF file. */
#include <prepack/prepack.h>
#include <prepack/tokenizer.h>
#include <stdio.h>
#include <string.h>

static int is_end(const pp_model_config *config, int32_t token)
{
    for (int i = 0; i < config->n_eos_tokens; i++)
        if (config->eos_tokens[i] == token)
            return 1;
    return 0;
}

/* Prefills the tokens of *item and generates up to n more, one run each. */
static pp_status continue_item(pp_session *session, const pp_model_config *config, pp_item *item,
                               pp_text_stream *stream, int n, pp_error *err)
{
    int32_t token;
    pp_text piece;
    pp_status status = pp_run(session, NULL, item, 1, NULL, err);
    for (; n > 0 && status >= 0 && !is_end(config, item->next); n--) {
        token = item->next;
        item->tokens = &token; /* the cache has all that came before */
        item->n_tokens = 1;
        status = pp_text_stream_push(stream, token, &piece, err);
        if (status >= 0 && piece.n_bytes > 0)
            fwrite(piece.bytes, 1, piece.n_bytes, stdout);
        if (status >= 0)
            status = pp_run(session, NULL, item, 1, NULL, err);
    }
    if (status >= 0)
        status = pp_text_stream_finish(stream, &piece, err);
    if (status >= 0)
        printf("%.*s\n", (int)piece.n_bytes, piece.n_bytes ? piece.bytes : "");
    return status;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "examples/demo-model";
    const char *prompt = argc > 2 ? argv[2] : "The capital of Germany is";
    const pp_text text = {prompt, strlen(prompt)};
    pp_error err = {.struct_size = sizeof err};
    pp_model_config config = {.struct_size = sizeof config};
    pp_encoded encoded = {.struct_size = sizeof encoded};
    pp_item item = {.struct_size = sizeof item, .output = PP_OUTPUT_TOKEN};
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_tokenizer *tokenizer = NULL;
    pp_encoding *encoding = NULL;
    pp_text_stream *stream = NULL;
    pp_status status = pp_model_open(path, NULL, &model, &err);
    if (status >= 0)
        status = pp_model_get_config(model, &config, &err);
    if (status >= 0)
        status = pp_session_create(model, NULL, &session, &err);
    if (status >= 0)
        status = pp_tokenizer_open(path, NULL, &tokenizer, &err);
    if (status >= 0)
        status = pp_tokenizer_encode(tokenizer, &text, 1, NULL, &encoding, &err);
    if (status >= 0)
        status = pp_encoding_get(encoding, 0, &encoded, &err);
    if (status >= 0)
        status = pp_text_stream_create(tokenizer, NULL, &stream, &err);
    if (status >= 0) {
        item.tokens = encoded.ids;
        item.n_tokens = encoded.n;
        status = continue_item(session, &config, &item, stream, 24, &err);
    }
    if (status < 0)
        fprintf(stderr, "%s\n", err.message);
    pp_kvcache_destroy(item.cache);
    pp_text_stream_destroy(stream);
    pp_encoding_destroy(encoding);
    pp_tokenizer_destroy(tokenizer);
    pp_session_destroy(session);
    pp_model_unref(model);
    return status < 0;
}
