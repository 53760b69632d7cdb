/* embed_texts.c: prefix, edges, the end token and the cut. */
#include "embed_texts.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int embed_texts_open(struct embed_texts *texts)
{
    return texts->tokenizer ? tokenizer_edges(texts->tokenizer, &texts->edges) : STATUS_OK;
}

void embed_texts_close(struct embed_texts *texts)
{
    free(texts->edges.ids);
    free(texts->tokens);
    free(texts->prompts);
    *texts = (struct embed_texts){0};
}

static int append(struct embed_texts *texts, const int32_t *tokens, size_t n)
{
    if (texts->n_tokens + n > texts->room) {
        const size_t room = 2 * (texts->n_tokens + n);
        int32_t *larger = realloc(texts->tokens, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        texts->tokens = larger;
        texts->room = room;
    }
    if (n > 0)
        memcpy(texts->tokens + texts->n_tokens, tokens, n * sizeof *tokens);
    texts->n_tokens += n;
    return STATUS_OK;
}

/* The text's own tokens, prefix included. The caller frees *tokens. */
static int own_tokens(const struct embed_texts *texts, size_t i, int32_t **tokens, size_t *n)
{
    const char *text = texts->set->texts[i];
    if (!texts->prefix)
        return tokenizer_encode_alone(texts->tokenizer, text, tokens, n);
    const size_t bytes = strlen(texts->prefix) + strlen(text) + 1;
    char *joined = malloc(bytes);
    if (!joined)
        return fail_memory();
    snprintf(joined, bytes, "%s%s", texts->prefix, text);
    const int status = tokenizer_encode_alone(texts->tokenizer, joined, tokens, n);
    free(joined);
    return status;
}

static int fail_length(const struct embed_texts *texts, size_t i, int64_t n)
{
    char name[512];
    dataset_name_prompt(texts->set, i, name, sizeof name);
    if (n == 0)
        return fail("%s has no tokens; at least 1 is needed", name);
    return fail("%s has %" PRId64 " tokens, but the model takes at most %" PRId64
                "; --max-length cuts texts",
                name, n, texts->max_position);
}

/* Appends one text: what begins it, as much of it as fits, and what ends it. */
static int add_tokens(struct embed_texts *texts, size_t i, const int32_t *tokens, size_t n)
{
    const struct text_edges *edges = &texts->edges;
    const int32_t *after = edges->ids ? edges->ids + edges->n_before : NULL;
    const size_t first = texts->n_tokens;
    const int32_t last = edges->n_after > 0 ? after[edges->n_after - 1]
                         : n > 0            ? tokens[n - 1]
                                            : -1;
    const bool ends = texts->end_token >= 0 && last != texts->end_token;
    const int64_t more = (int64_t)(edges->n_before + edges->n_after + ends);
    if (texts->max_length > 0 && (int64_t)n + more > texts->max_length) {
        texts->n_cut++;
        n = texts->max_length > more ? (size_t)(texts->max_length - more) : 0;
    }
    int status = append(texts, edges->ids, edges->n_before);
    if (!status)
        status = append(texts, tokens, n);
    if (!status)
        status = append(texts, after, edges->n_after);
    if (!status && ends)
        status = append(texts, &texts->end_token, 1);
    if (status)
        return status;
    const int64_t n_all = (int64_t)(texts->n_tokens - first);
    return n_all > 0 && n_all <= texts->max_position ? STATUS_OK : fail_length(texts, i, n_all);
}

static int add_text(struct embed_texts *texts, size_t i)
{
    int32_t *tokens;
    size_t n;
    if (texts->set->ids)
        return add_tokens(texts, i, texts->set->ids[i], (size_t)texts->set->lengths[i]);
    int status = own_tokens(texts, i, &tokens, &n);
    if (status)
        return status;
    status = add_tokens(texts, i, tokens, n);
    free(tokens);
    return status;
}

int embed_texts_take(struct embed_texts *texts, size_t first, size_t n)
{
    int status = STATUS_OK;
    if (n > texts->prompts_room) {
        free(texts->prompts);
        texts->prompts = calloc(n, sizeof *texts->prompts);
        texts->prompts_room = texts->prompts ? n : 0;
        if (!texts->prompts)
            return fail_memory();
    }
    texts->n_tokens = 0;
    for (size_t i = 0; i < n && !status; i++) {
        const size_t before = texts->n_tokens;
        status = add_text(texts, first + i);
        texts->prompts[i].n_tokens = (int64_t)(texts->n_tokens - before);
    }
    const int32_t *next = texts->tokens;
    for (size_t i = 0; i < n && !status; i++) {
        texts->prompts[i].tokens = next;
        next += texts->prompts[i].n_tokens;
    }
    return status;
}
