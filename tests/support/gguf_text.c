/*
 * gguf_text.c: see gguf_text.h.
 */
#define _GNU_SOURCE
#include "support/gguf_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct assembly {
    char *bytes;
    size_t len, room;
    size_t at_tensors, at_keys; /* where the counts stand; 0: nowhere */
    uint64_t n_tensors, n_keys;
};

static void put(struct assembly *a, const void *bytes, size_t n)
{
    if (a->len + n > a->room) {
        a->room = 2 * (a->len + n);
        a->bytes = realloc(a->bytes, a->room);
    }
    if (n > 0)
        memcpy(a->bytes + a->len, bytes, n);
    a->len += n;
}

static void put_zeroes(struct assembly *a, size_t n)
{
    char *zeroes = calloc(n + 1, 1);
    put(a, zeroes, n);
    free(zeroes);
}

static void put_number(struct assembly *a, const char *word)
{
    static const char letters[] = "bwdq";
    uint64_t value = strtoull(word + 2, NULL, 0);
    float real = strtof(word + 2, NULL);
    if (word[0] == 'f')
        put(a, &real, sizeof real);
    else
        put(a, &value, (size_t)1 << (strchr(letters, word[0]) - letters));
}

static void put_word(struct assembly *a, const char *word)
{
    size_t len = strlen(word);
    uint64_t inner = len - 2;
    if (word[0] == '\'') {
        put(a, word + 1, (size_t)inner);
    } else if (word[0] == '"') {
        put(a, &inner, sizeof inner);
        put(a, word + 1, (size_t)inner);
    } else if (word[0] == '*') {
        put_zeroes(a, strtoul(word + 1, NULL, 0));
    } else if (word[0] == '@') {
        size_t multiple = strtoul(word + 1, NULL, 0);
        put_zeroes(a, (multiple - a->len % multiple) % multiple);
    } else if (strcmp(word, "nt") == 0 || strcmp(word, "nk") == 0) {
        *(word[1] == 't' ? &a->at_tensors : &a->at_keys) = a->len;
        put_zeroes(a, 8);
    } else if (strcmp(word, "tensor") == 0) {
        a->n_tensors++;
    } else if (strcmp(word, "key") == 0) {
        a->n_keys++;
    } else if (len > 2 && word[1] == ':' && strchr("bwdqf", word[0])) {
        put_number(a, word);
    } else {
        fprintf(stderr, "gguf_assemble: what is %s?\n", word);
        exit(EXIT_FAILURE);
    }
}

char *gguf_assemble(const char *text, size_t *len)
{
    struct assembly a = {0};
    char *copy = strdup(text), *rest = copy, *word;
    while ((word = strsep(&rest, " \n")))
        if (*word)
            put_word(&a, word);
    free(copy);
    if (a.at_tensors)
        memcpy(a.bytes + a.at_tensors, &a.n_tensors, sizeof a.n_tensors);
    if (a.at_keys)
        memcpy(a.bytes + a.at_keys, &a.n_keys, sizeof a.n_keys);
    *len = a.len;
    return realloc(a.bytes, a.len ? a.len : 1);
}

const char gguf_tiny[] = "'GGUF' d:3 nt nk\n"
                         "key \"general.architecture\" d:8 \"llama\"\n"
                         "key \"llama.context_length\" d:4 d:64\n"
                         "key \"llama.embedding_length\" d:4 d:4\n"
                         "key \"llama.feed_forward_length\" d:4 d:4\n"
                         "key \"llama.block_count\" d:4 d:1\n"
                         "key \"llama.attention.head_count\" d:4 d:1\n"
                         "key \"llama.attention.layer_norm_rms_epsilon\" d:6 f:1e-5\n"
                         "key \"tokenizer.ggml.eos_token_id\" d:4 d:2\n"
                         "tensor \"token_embd.weight\" d:2 q:4 q:8 d:0 q:0\n"
                         "tensor \"output_norm.weight\" d:1 q:4 d:0 q:128\n"
                         "tensor \"blk.0.attn_norm.weight\" d:1 q:4 d:0 q:160\n"
                         "tensor \"blk.0.attn_q.weight\" d:2 q:4 q:4 d:0 q:192\n"
                         "tensor \"blk.0.attn_k.weight\" d:2 q:4 q:4 d:0 q:256\n"
                         "tensor \"blk.0.attn_v.weight\" d:2 q:4 q:4 d:0 q:320\n"
                         "tensor \"blk.0.attn_output.weight\" d:2 q:4 q:4 d:0 q:384\n"
                         "tensor \"blk.0.ffn_norm.weight\" d:1 q:4 d:0 q:448\n"
                         "tensor \"blk.0.ffn_gate.weight\" d:2 q:4 q:4 d:0 q:480\n"
                         "tensor \"blk.0.ffn_up.weight\" d:2 q:4 q:4 d:0 q:544\n"
                         "tensor \"blk.0.ffn_down.weight\" d:2 q:4 q:4 d:0 q:608\n"
                         "@32 *672\n";
