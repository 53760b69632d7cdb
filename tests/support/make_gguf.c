/*
 * make_gguf.c: GGUF files of a Llama, with blocks whose numbers are about as large as a model's.
 */
#include "support/make_gguf.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   32
#define MAX_TENSORS 128

struct tensor {
    char name[64];
    int type, n_dims;
    uint64_t n_rows, n_cols, offset, bytes;
};

struct writer {
    FILE *file;
    struct rng *rng;
    struct tensor tensors[MAX_TENSORS];
    int n;
    uint64_t at; /* in the data */
};

/* Uniform in [0, 1]. */
static double unit(struct rng *rng)
{
    return (double)rng_between(rng, 0, 1 << 20) / (1 << 20);
}

static void put(struct writer *w, const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, w->file) != n) {
        printf("Bail out! a GGUF file could not be written\n");
        exit(EXIT_FAILURE);
    }
}

static void put_u32(struct writer *w, uint32_t value)
{
    put(w, &value, sizeof value);
}

static void put_u64(struct writer *w, uint64_t value)
{
    put(w, &value, sizeof value);
}

static void put_text(struct writer *w, const char *text)
{
    put_u64(w, strlen(text));
    put(w, text, strlen(text));
}

static void put_number(struct writer *w, const char *key, int value)
{
    put_text(w, key);
    put_u32(w, 4);
    put_u32(w, (uint32_t)value);
}

/* Elements and bytes of a block. */
static void block_of(int type, uint64_t *elements, uint64_t *bytes)
{
    *elements = type == GGUF_F32 || type == GGUF_BF16 ? 1 : type == GGUF_Q4_K ? 256 : 32;
    *bytes = type == GGUF_F32    ? 4
             : type == GGUF_BF16 ? 2
             : type == GGUF_Q4_0 ? 18
             : type == GGUF_Q4_1 ? 20
             : type == GGUF_Q8_0 ? 34
                                 : 144;
}

static void add(struct writer *w, const char *name, int type, int n_rows, int n_cols)
{
    struct tensor *t = &w->tensors[w->n++];
    uint64_t elements, bytes;
    block_of(type, &elements, &bytes);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->type = type;
    t->n_dims = n_rows ? 2 : 1;
    t->n_rows = n_rows ? (uint64_t)n_rows : 1;
    t->n_cols = (uint64_t)n_cols;
    t->bytes = t->n_rows * (t->n_cols / elements) * bytes;
    t->offset = w->at;
    w->at = (w->at + t->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The f16 of a positive number of an ordinary size. */
static uint16_t half_of(double value)
{
    int exponent;
    double fraction = frexp(value, &exponent); /* [0.5, 1) */
    return (uint16_t)((exponent + 14) << 10 | (int)((2 * fraction - 1) * 1024));
}

static void put_half(unsigned char *to, double value, int negative)
{
    uint16_t half = (uint16_t)(half_of(value) | (negative ? 0x8000 : 0));
    memcpy(to, &half, sizeof half);
}

/* Random codes under a scale that makes numbers of about `size`. */
static void put_block(struct writer *w, int type, double size)
{
    unsigned char block[144];
    uint64_t elements, bytes;
    double vary = 0.5 + unit(w->rng);
    block_of(type, &elements, &bytes);
    for (uint64_t i = 0; i < bytes; i++)
        block[i] = (unsigned char)rng_between(w->rng, 0, 255);
    if (type == GGUF_Q8_0)
        put_half(block, size * vary / 74, 0);
    else if (type == GGUF_Q4_0)
        put_half(block, size * vary / 4.6, (int)rng_between(w->rng, 0, 1));
    else if (type == GGUF_Q4_1) {
        put_half(block, size * vary / 4.6, 0);
        put_half(block + 2, size * vary / 4.6 * 7.5, 1);
    } else if (type == GGUF_Q4_K) {
        put_half(block, size * vary / 4.6 / 32, 0);
        put_half(block + 2, size * vary / 4.6 / 32 * 7.5, 0);
    }
    put(w, block, bytes);
}

static void put_values(struct writer *w, const struct tensor *t)
{
    uint64_t elements, bytes;
    double size = t->n_dims == 1 ? 1 : 1 / sqrt((double)t->n_cols);
    block_of(t->type, &elements, &bytes);
    for (uint64_t i = 0; i < t->bytes / bytes; i++) {
        float value =
            (float)(t->n_dims == 1 ? 1 + 0.1 * unit(w->rng) : size * 3.4 * (unit(w->rng) - 0.5));
        if (t->type == GGUF_F32)
            put(w, &value, sizeof value);
        else if (t->type == GGUF_BF16)
            put(w, (char *)&value + 2, 2);
        else
            put_block(w, t->type, size);
    }
}

static void pad(struct writer *w, uint64_t bytes)
{
    static const char zeros[ALIGNMENT];
    put(w, zeros, (size_t)((ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT));
}

static void list_tensors(struct writer *w, const struct gguf_shape *s)
{
    int head_dim = s->hidden / s->n_heads, kv = s->n_kv_heads * head_dim;
    const struct {
        const char *name;
        int type, n_rows, n_cols;
    } layer[] = {
        {"attn_norm", GGUF_F32, 0, s->hidden},
        {"attn_q", s->matrices, s->hidden, s->hidden},
        {"attn_k", s->matrices, kv, s->hidden},
        {"attn_v", s->values, kv, s->hidden},
        {"attn_output", s->matrices, s->hidden, s->hidden},
        {"ffn_norm", GGUF_F32, 0, s->hidden},
        {"ffn_gate", s->matrices, s->inner, s->hidden},
        {"ffn_up", s->matrices, s->inner, s->hidden},
        {"ffn_down", s->matrices, s->hidden, s->inner},
    };
    add(w, "token_embd.weight", s->embedding, s->vocab, s->hidden);
    add(w, "output_norm.weight", GGUF_F32, 0, s->hidden);
    for (int i = 0; i < s->n_layers; i++)
        for (size_t j = 0; j < sizeof layer / sizeof *layer; j++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, layer[j].name);
            add(w, name, layer[j].type, layer[j].n_rows, layer[j].n_cols);
        }
}

static void put_keys(struct writer *w, const struct gguf_shape *s)
{
    float eps = 1e-5f;
    put_text(w, "general.architecture");
    put_u32(w, 8);
    put_text(w, "llama");
    put_number(w, "llama.context_length", 512);
    put_number(w, "llama.embedding_length", s->hidden);
    put_number(w, "llama.feed_forward_length", s->inner);
    put_number(w, "llama.block_count", s->n_layers);
    put_number(w, "llama.attention.head_count", s->n_heads);
    put_number(w, "llama.attention.head_count_kv", s->n_kv_heads);
    put_text(w, "llama.attention.layer_norm_rms_epsilon");
    put_u32(w, 6);
    put(w, &eps, sizeof eps);
}

void gguf_write(const char *path, const struct gguf_shape *shape, struct rng *rng)
{
    struct writer w = {.file = fopen(path, "wb"), .rng = rng};
    if (!w.file) {
        printf("Bail out! %s could not be made\n", path);
        exit(EXIT_FAILURE);
    }
    list_tensors(&w, shape);
    put(&w, "GGUF", 4);
    put_u32(&w, 3);
    put_u64(&w, (uint64_t)w.n);
    put_u64(&w, 8);
    put_keys(&w, shape);
    for (int i = 0; i < w.n; i++) {
        const struct tensor *t = &w.tensors[i];
        put_text(&w, t->name);
        put_u32(&w, (uint32_t)t->n_dims);
        put_u64(&w, t->n_cols);
        if (t->n_dims == 2)
            put_u64(&w, t->n_rows);
        put_u32(&w, (uint32_t)t->type);
        put_u64(&w, t->offset);
    }
    pad(&w, (uint64_t)ftell(w.file));
    for (int i = 0; i < w.n; i++) {
        put_values(&w, &w.tensors[i]);
        pad(&w, w.tensors[i].bytes);
    }
    if (fclose(w.file) != 0) {
        printf("Bail out! %s could not be written\n", path);
        exit(EXIT_FAILURE);
    }
}
