/* score_encoder.c: pairs of context and continuation, and white space as Python knows it. */
#include "score_encoder.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

/* ---- white space ---- */

/* The code point at text, whose bytes are UTF-8; *n: its bytes. */
static uint32_t code_point(const char *text, size_t *n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *n = 1;
        return s[0];
    }
    *n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t value = s[0] & (0x7fu >> *n);
    for (size_t i = 1; i < *n; i++)
        value = value << 6 | (s[i] & 0x3f);
    return value;
}

/* As Python's str.isspace. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Where the white space at the end begins. */
static size_t length_without_space(const char *text)
{
    size_t end = strlen(text);
    while (end > 0) {
        size_t start = end - 1, n;
        while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80)
            start--;
        if (!is_space(code_point(text + start, &n)))
            break;
        end = start;
    }
    return end;
}

bool ends_in_space(const char *text)
{
    return length_without_space(text) < strlen(text);
}

bool begins_with_space(const char *text)
{
    size_t n;
    return *text && is_space(code_point(text, &n));
}

int64_t count_words(const char *text)
{
    int64_t n_words = 1;
    bool in_space = false;
    for (size_t n; *text; text += n) {
        const bool space = is_space(code_point(text, &n));
        n_words += space && !in_space;
        in_space = space;
    }
    return n_words;
}

/* ---- tokens ---- */

int encoder_open_tokenizer(struct encoder *encoder)
{
    if (encoder->tokenizer)
        return STATUS_OK;
    if (!encoder->engine->dir)
        return fail("%s is a shape without tokenizer; text needs a model directory or a GGUF file, "
                    "but lists of token ids need none",
                    encoder->engine->name);
    int status = model_tokenizer_open(encoder->engine, encoder->options, &encoder->tokenizer);
    if (!status)
        status = model_tokenizer_join(encoder->tokenizer, encoder->engine);
    if (!status)
        status = tokenizer_edges(encoder->tokenizer, &encoder->edges);
    return status;
}

void encoder_close(struct encoder *encoder)
{
    tokenizer_close(encoder->tokenizer);
    free(encoder->edges.ids);
    *encoder = (struct encoder){0};
}

int tokens_append(struct token_list *list, const int32_t *tokens, size_t n)
{
    if (list->n + n > list->room) {
        const size_t room = 2 * (list->n + n);
        int32_t *larger = realloc(list->items, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        list->items = larger;
        list->room = room;
    }
    if (n > 0)
        memcpy(list->items + list->n, tokens, n * sizeof *tokens);
    list->n += n;
    return STATUS_OK;
}

int encoder_add_start(const struct encoder *encoder, bool is_text, struct token_list *list)
{
    const pp_model_config *config = &encoder->engine->config;
    int32_t token = is_text ? tokenizer_bos(encoder->tokenizer) : -1;
    if (is_text && encoder->edges.n_before > 0)
        return tokens_append(list, encoder->edges.ids, encoder->edges.n_before);
    if (token < 0)
        token = config->bos_token;
    if (token < 0 && is_text)
        token = tokenizer_eos(encoder->tokenizer);
    if (token < 0 && config->n_eos_tokens > 0)
        token = config->eos_tokens[0];
    return token < 0 ? STATUS_OK : tokens_append(list, &token, 1);
}

static int add_alone(const struct encoder *encoder, const char *text, struct token_list *list)
{
    int32_t *tokens;
    size_t n;
    int status = tokenizer_encode_alone(encoder->tokenizer, text, &tokens, &n);
    if (status)
        return status;
    status = tokens_append(list, tokens, n);
    free(tokens);
    return status;
}

int encoder_add_text(const struct encoder *encoder, const char *text, struct token_list *list)
{
    const int status = tokens_append(list, encoder->edges.ids, encoder->edges.n_before);
    return status ? status : add_alone(encoder, text, list);
}

int encoder_context(const struct encoder *encoder, const char *text, struct context *context)
{
    const size_t n = length_without_space(text);
    *context = (struct context){.text = strndup(text, n), .space = text + n};
    if (!context->text)
        return fail_memory();
    return n > 0 ? encoder_add_text(encoder, context->text, &context->tokens)
                 : encoder_add_start(encoder, true, &context->tokens);
}

void context_free(struct context *context)
{
    free(context->text);
    free(context->tokens.items);
    *context = (struct context){0};
}

/* What stands behind the tokens of the context in those of both. */
static int add_rest(const struct context *context, const struct token_list *whole,
                    struct token_list *list, bool *crossed)
{
    const struct token_list *before = &context->tokens;
    const size_t n = before->n < whole->n ? before->n : whole->n;
    *crossed = n < before->n || memcmp(whole->items, before->items, n * sizeof *before->items) != 0;
    return tokens_append(list, whole->items + n, whole->n - n);
}

int encoder_add_continuation(const struct encoder *encoder, const struct context *context,
                             const char *delimiter, const char *text, struct token_list *list,
                             bool *crossed)
{
    const bool has_text = context->text[0] != '\0';
    const size_t n =
        strlen(context->text) + strlen(context->space) + strlen(delimiter) + strlen(text) + 1;
    struct token_list whole = {0};
    char *joined = malloc(n);
    *crossed = false;
    if (!joined)
        return fail_memory();
    snprintf(joined, n, "%s%s%s%s", context->text, context->space, delimiter, text);
    /* behind the start of a text alone there is nothing that tokens could cross */
    int status =
        has_text ? encoder_add_text(encoder, joined, &whole) : add_alone(encoder, joined, list);
    if (!status && has_text)
        status = add_rest(context, &whole, list, crossed);
    free(whole.items);
    free(joined);
    return status;
}
