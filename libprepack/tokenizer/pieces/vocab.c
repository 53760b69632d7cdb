/*
 * vocab.c: the table of tokens; see vocab.h.
 */
#include "tokenizer/pieces/vocab.h"

#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *bytes, size_t n)
{
    uint64_t value = 0;
    memcpy(&value, bytes, n);
    return value;
}

uint64_t ppi_hash(const char *bytes, size_t n)
{
    const uint64_t a = 0x9e3779b97f4a7c15u, b = 0xd6e8feb86659fd93u;
    uint64_t hash = n ^ b;
    for (; n > 8; bytes += 8, n -= 8)
        hash = mix(hash ^ load(bytes, 8), a);
    hash = mix(hash ^ load(bytes, n), a);
    return mix(hash ^ a, b);
}

/* The slot of the table that holds the text, or the free one where it would be. */
static uint32_t slot_of(const struct ppi_vocab *vocab, const char *text, size_t n)
{
    uint32_t slot = (uint32_t)ppi_hash(text, n) & vocab->mask;
    for (;; slot = (slot + 1) & vocab->mask) {
        int32_t id = vocab->table[slot];
        if (id < 0)
            return slot;
        const struct ppi_token *token = &vocab->tokens[id];
        if (token->n == n && memcmp(token->text, text, n) == 0)
            return slot;
    }
}

pp_status ppi_vocab_build(struct ppi_vocab *vocab, struct ppi_mem *mem, struct ppi_token *tokens,
                          int32_t n_ids, char *texts, pp_error *err)
{
    uint32_t size = 16;
    while (size < (uint32_t)n_ids * 2)
        size *= 2;
    *vocab = (struct ppi_vocab){
        .mem = mem, .tokens = tokens, .n_ids = n_ids, .texts = texts, .mask = size - 1};
    vocab->table = ppi_alloc(mem, size, sizeof *vocab->table);
    if (!vocab->table) {
        ppi_vocab_free(vocab);
        return ppi_error_nomem(err, "the table of a vocabulary", size * sizeof *vocab->table);
    }
    memset(vocab->table, 0xff, size * sizeof *vocab->table);
    for (int32_t id = 0; id < n_ids; id++) {
        if (!tokens[id].text)
            continue;
        uint32_t slot = slot_of(vocab, tokens[id].text, tokens[id].n);
        if (vocab->table[slot] < 0)
            vocab->table[slot] = id;
    }
    return PP_OK;
}

void ppi_vocab_free(struct ppi_vocab *vocab)
{
    ppi_free(vocab->mem, vocab->tokens);
    ppi_free(vocab->mem, vocab->texts);
    ppi_free(vocab->mem, vocab->table);
    *vocab = (struct ppi_vocab){.mem = vocab->mem};
}

int32_t ppi_vocab_find(const struct ppi_vocab *vocab, const char *text, size_t n)
{
    return vocab->table[slot_of(vocab, text, n)];
}
