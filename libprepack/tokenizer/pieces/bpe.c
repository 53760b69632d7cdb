/*
 * bpe.c: words to tokens by byte pair encoding: the first symbols of a word, pieces of it that
 * cannot have anything to do with one another, and a cache of words.
 */
#include "tokenizer/pieces/bpe.h"
#include "tokenizer/pieces/word_cache.h"
#include "tokenizer/split/byte_level.h"

#include <prepack/tokenizer.h>
#include <stdio.h>

#define N_CHARS     0x10000 /* the characters whose ids stand in a table */
#define JOINED_BITS (1u << 20)

struct bpe {
    struct ppi_pieces pieces;
    struct ppi_mem *mem;
    struct ppi_bpe_spec spec; /* without merges */
    struct ppi_merge_table merges;
    struct ppi_vocab
        by_bytes;          /* of byte level: tokens as the bytes they spell, for ignore_merges */
    int32_t bytes[4][256]; /* [FIRST | LAST][byte] of byte level: the first symbol; -1 */
    int32_t fallback[256]; /* <0xNN>; -1 */
    int32_t *chars;        /* [N_CHARS] ids of characters; NULL in byte level */
    uint8_t *joined; /* [JOINED_BITS / 8] hashes of neighbours in some token; NULL: not used */
};

/* Where a byte stands in its word. */
enum { FIRST = 1, LAST = 2 };

/* ---- one thread's ---- */

struct work {
    struct ppi_mem *mem;
    struct ppi_merge_work merging;
    struct ppi_word_cache cache;
};

static void *start_work(const struct ppi_pieces *pieces, struct ppi_mem *mem)
{
    struct work *work = ppi_zalloc(mem, 1, sizeof *work);
    (void)pieces;
    if (!work)
        return NULL;
    work->mem = mem;
    work->merging.mem = mem;
    return work;
}

static void free_work(void *memory)
{
    struct work *work = memory;
    if (!work)
        return;
    ppi_merge_work_free(&work->merging);
    ppi_free(work->mem, work);
}

/* ---- the first symbols ---- */

/* Symbols on their way; a run of unknown characters waits, since the next may join it. */
struct start {
    const struct bpe *bpe;
    struct ppi_symbol *symbols;
    size_t n;
    struct ppi_symbol unknown; /* id -1: none waits */
};

static void put(struct start *start, int32_t id, uint32_t begin, uint32_t end)
{
    start->symbols[start->n++] = (struct ppi_symbol){id, begin, end};
}

static void put_unknown(struct start *start)
{
    if (start->unknown.id >= 0)
        start->symbols[start->n++] = start->unknown;
    start->unknown.id = -1;
}

/* A character that no token has, with its affixes. As in `tokenizers`, an unknown token that waits
 * comes behind the bytes of the next character. */
static void put_missing(struct start *start, const char *chars, size_t n, uint32_t begin,
                        uint32_t end)
{
    const struct bpe *bpe = start->bpe;
    bool all = bpe->spec.byte_fallback;
    for (size_t i = 0; all && i < n; i++)
        all = bpe->fallback[(unsigned char)chars[i]] >= 0;
    if (all) {
        for (size_t i = 0; i < n; i++) {
            uint32_t at = begin + (uint32_t)i < end ? begin + (uint32_t)i : end - 1;
            put(start, bpe->fallback[(unsigned char)chars[i]], at, at + 1);
        }
        return;
    }
    if (bpe->spec.unk < 0)
        return;
    if (start->unknown.id >= 0 && bpe->spec.fuse_unk) {
        start->unknown.end = end;
        return;
    }
    put_unknown(start);
    start->unknown = (struct ppi_symbol){bpe->spec.unk, begin, end};
}

/* A character with what is added to it where it stands: its bytes in out. */
static size_t with_affixes(const struct ppi_bpe_spec *spec, const char *bytes, size_t n, int place,
                           char out[136])
{
    size_t n_out = 0;
    if (!(place & FIRST)) {
        memcpy(out, spec->prefix.bytes, spec->prefix.n);
        n_out += spec->prefix.n;
    }
    memcpy(out + n_out, bytes, n);
    n_out += n;
    if (place & LAST) {
        memcpy(out + n_out, spec->suffix.bytes, spec->suffix.n);
        n_out += spec->suffix.n;
    }
    return n_out;
}

/* What a byte is looked up as. */
static size_t byte_text(const struct bpe *bpe, unsigned char byte, int place, char out[136])
{
    char bytes[4] = {(char)byte};
    size_t n = bpe->spec.raw_bytes ? 1 : ppi_utf8_put(ppi_byte_level_char(byte), bytes);
    return with_affixes(&bpe->spec, bytes, n, place, out);
}

static void start_bytes(struct start *start, const char *bytes, size_t n)
{
    const struct bpe *bpe = start->bpe;
    for (uint32_t i = 0; i < n; i++) {
        const int place = (i == 0 ? FIRST : 0) | (i + 1 == n ? LAST : 0);
        const unsigned char byte = (unsigned char)bytes[i];
        const int32_t id = bpe->bytes[place][byte];
        if (id >= 0) {
            put_unknown(start);
            put(start, id, i, i + 1);
            continue;
        }
        char text[136];
        put_missing(start, text, byte_text(bpe, byte, place, text), i, i + 1);
    }
}

static int32_t char_id(const struct bpe *bpe, uint32_t code, const char *bytes, size_t n)
{
    return code < N_CHARS ? bpe->chars[code] : ppi_vocab_find(bpe->pieces.vocab, bytes, n);
}

static void start_chars(struct start *start, const char *bytes, size_t n)
{
    const struct bpe *bpe = start->bpe;
    const bool plain = bpe->spec.prefix.n == 0 && bpe->spec.suffix.n == 0;
    size_t char_bytes;
    for (size_t i = 0; i < n; i += char_bytes) {
        const uint32_t code = ppi_utf8_get(bytes + i, &char_bytes);
        char text[136];
        const char *whole = bytes + i;
        size_t n_whole = char_bytes;
        int32_t id;
        if (plain) {
            id = char_id(bpe, code, whole, n_whole);
        } else {
            const int place = (i == 0 ? FIRST : 0) | (i + char_bytes == n ? LAST : 0);
            n_whole = with_affixes(&bpe->spec, whole, char_bytes, place, text);
            whole = text;
            id = ppi_vocab_find(bpe->pieces.vocab, whole, n_whole);
        }
        const uint32_t begin = (uint32_t)i, end = (uint32_t)(i + char_bytes);
        if (id >= 0) {
            put_unknown(start);
            put(start, id, begin, end);
        } else {
            put_missing(start, whole, n_whole, begin, end);
        }
    }
}

/* ---- words ---- */

static bool is_bytes(const struct bpe *bpe)
{
    return bpe->spec.byte_level || bpe->spec.raw_bytes;
}

/* The tokens of bytes[0, n), which is a word or a part that nothing joins to the rest. */
static bool encode_part(const struct bpe *bpe, struct work *work, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens)
{
    /* a character makes at most as many symbols as it has bytes with its affixes, and one waits */
    const size_t affixes = bpe->spec.prefix.n + bpe->spec.suffix.n;
    const size_t per_byte = bpe->spec.byte_fallback ? 2 + affixes : 1;
    if (!ppi_merge_reserve(&work->merging, n * per_byte + 1))
        return false;
    struct start start = {bpe, work->merging.symbols, 0, {-1, 0, 0}};
    if (is_bytes(bpe))
        start_bytes(&start, bytes, n);
    else
        start_chars(&start, bytes, n);
    put_unknown(&start);
    const size_t n_left = ppi_merge_all(&bpe->merges, &work->merging, start.n);
    const struct ppi_symbol *symbols = work->merging.symbols;
    for (size_t i = 0; i < n_left; i++)
        ppi_tokens_put(tokens, symbols[i].id, at + symbols[i].begin, at + symbols[i].end);
    return true;
}

/* The same, by way of the cache. */
static bool encode_cached(const struct bpe *bpe, struct work *work, const char *bytes, size_t n,
                          uint32_t at, struct ppi_tokens *tokens)
{
    struct ppi_cached_word *place = ppi_word_cache_place(&work->cache, bytes, n, tokens);
    const size_t first = tokens->n;
    if (place && ppi_word_cache_get(place, bytes, n, tokens))
        return true;
    if (!encode_part(bpe, work, bytes, n, at, tokens))
        return false;
    if (place)
        ppi_word_cache_put(place, bytes, n, tokens, first);
    return true;
}

static uint32_t joined_hash(uint32_t a, uint32_t b)
{
    return (a * 0x9e3779b1u ^ b * 0x85ebca77u) * 0xc2b2ae3du >> 12;
}

static bool are_joined(const struct bpe *bpe, uint32_t a, uint32_t b)
{
    const uint32_t hash = joined_hash(a, b);
    return bpe->joined[hash / 8] >> hash % 8 & 1;
}

/*
 * Takes a word apart where its parts cannot meet: between two characters that are tokens, and that
 * stand beside one another in no token. No merge can cross such a place, so that each part has the
 * tokens that it has in the whole. Where words are whole texts (Gemma), this makes them words
 * again.
 */
static bool encode_parts(const struct bpe *bpe, struct work *work, const char *bytes, size_t n,
                         uint32_t at, struct ppi_tokens *tokens)
{
    size_t first = 0, n_char;
    uint32_t previous = 0;
    bool known = false; /* the previous character is */
    for (size_t i = 0; i < n; i += n_char) {
        const uint32_t code = ppi_utf8_get(bytes + i, &n_char);
        const bool is_known = char_id(bpe, code, bytes + i, n_char) >= 0;
        if (i > first && known && is_known && !are_joined(bpe, previous, code)) {
            if (!encode_cached(bpe, work, bytes + first, i - first, at + (uint32_t)first, tokens))
                return false;
            first = i;
        }
        previous = code;
        known = is_known;
    }
    return encode_cached(bpe, work, bytes + first, n - first, at + (uint32_t)first, tokens);
}

/* The token that is the whole word, or -1. */
static int32_t whole_id(const struct bpe *bpe, const char *bytes, size_t n)
{
    const struct ppi_vocab *vocab = bpe->by_bytes.table ? &bpe->by_bytes : bpe->pieces.vocab;
    return ppi_vocab_find(vocab, bytes, n);
}

static pp_status encode(const struct ppi_pieces *pieces, void *memory, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err)
{
    const struct bpe *bpe = (const struct bpe *)pieces;
    bool done;
    int32_t id = bpe->spec.ignore_merges ? whole_id(bpe, bytes, n) : -1;
    if (id >= 0) {
        ppi_tokens_put(tokens, id, at, at + (uint32_t)n);
        return PP_OK;
    }
    if (bpe->joined)
        done = encode_parts(bpe, memory, bytes, n, at, tokens);
    else
        done = encode_cached(bpe, memory, bytes, n, at, tokens);
    return done ? PP_OK : ppi_error_nomem(err, "the symbols of a word", n);
}

/* ---- making one ---- */

static void destroy(struct ppi_pieces *pieces)
{
    struct bpe *bpe = (struct bpe *)pieces;
    if (!bpe)
        return;
    ppi_free(bpe->mem, bpe->merges.slots);
    ppi_free(bpe->mem, bpe->chars);
    ppi_free(bpe->mem, bpe->joined);
    if (bpe->by_bytes.mem)
        ppi_vocab_free(&bpe->by_bytes);
    ppi_free(bpe->mem, bpe);
}

static const struct ppi_pieces_kind KIND = {
    .id = PP_TOKENIZER_BPE,
    .type = "BPE",
    .start_work = start_work,
    .free_work = free_work,
    .encode = encode,
    .destroy = destroy,
};

static bool fill_merges(struct bpe *bpe, const struct ppi_bpe_spec *spec)
{
    struct ppi_merge_table *table = &bpe->merges;
    uint32_t size = 16;
    while (size < spec->n_merges + spec->n_merges / 2)
        size *= 2;
    table->slots = ppi_alloc(bpe->mem, size, sizeof *table->slots);
    if (!table->slots)
        return false;
    table->mask = size - 1;
    for (uint32_t i = 0; i < size; i++)
        table->slots[i].left = -1;
    for (size_t i = 0; i < spec->n_merges; i++) {
        const struct ppi_merge *merge = &spec->merges[i];
        table->slots[ppi_merge_slot(table, merge->left, merge->right)] = *merge;
    }
    return true;
}

static void fill_bytes(struct bpe *bpe)
{
    char text[136];
    for (int byte = 0; byte < 256; byte++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        bpe->fallback[byte] = ppi_vocab_find(bpe->pieces.vocab, text, 6);
        for (int place = 0; place < 4; place++) {
            size_t n = byte_text(bpe, (unsigned char)byte, place, text);
            bpe->bytes[place][byte] = ppi_vocab_find(bpe->pieces.vocab, text, n);
        }
    }
}

static void mark_joined(struct bpe *bpe, const struct ppi_token *token)
{
    size_t n;
    uint32_t previous = ppi_utf8_get(token->text, &n);
    for (size_t i = n; i < token->n; i += n) {
        const uint32_t code = ppi_utf8_get(token->text + i, &n);
        const uint32_t hash = joined_hash(previous, code);
        bpe->joined[hash / 8] |= (uint8_t)(1u << hash % 8);
        previous = code;
    }
}

/* Vocabularies of characters come from JSON or were checked: their texts are UTF-8. */
static bool fill_chars(struct bpe *bpe)
{
    const struct ppi_vocab *vocab = bpe->pieces.vocab;
    bpe->chars = ppi_alloc(bpe->mem, N_CHARS, sizeof *bpe->chars);
    if (!bpe->chars)
        return false;
    memset(bpe->chars, 0xff, N_CHARS * sizeof *bpe->chars);
    if (bpe->spec.prefix.n == 0 && bpe->spec.suffix.n == 0) {
        bpe->joined = ppi_zalloc(bpe->mem, JOINED_BITS / 8, 1);
        if (!bpe->joined)
            return false;
    }
    for (int32_t id = vocab->n_ids - 1; id >= 0; id--) {
        const struct ppi_token *token = &vocab->tokens[id];
        size_t n;
        if (!token->text || token->n == 0)
            continue;
        const uint32_t code = ppi_utf8_get(token->text, &n);
        if (n == token->n && code < N_CHARS)
            bpe->chars[code] = id;
        else if (bpe->joined)
            mark_joined(bpe, token);
    }
    return true;
}

/* The vocabulary once more, by the bytes that its tokens spell. */
static pp_status fill_by_bytes(struct bpe *bpe, pp_error *err)
{
    const struct ppi_vocab *vocab = bpe->pieces.vocab;
    size_t n_bytes = 0;
    for (int32_t id = 0; id < vocab->n_ids; id++)
        n_bytes += vocab->tokens[id].n;
    struct ppi_token *tokens = ppi_zalloc(bpe->mem, (size_t)vocab->n_ids, sizeof *tokens);
    char *texts = ppi_alloc(bpe->mem, n_bytes, 1), *to = texts;
    if (!tokens || !texts) {
        ppi_free(bpe->mem, tokens);
        ppi_free(bpe->mem, texts);
        return ppi_error_nomem(err, "the bytes of a vocabulary", n_bytes);
    }
    for (int32_t id = 0; id < vocab->n_ids; id++) {
        const struct ppi_token *token = &vocab->tokens[id];
        size_t n = token->text ? ppi_byte_level_decode(token->text, token->n, to) : SIZE_MAX;
        if (n == SIZE_MAX)
            continue;
        tokens[id] = (struct ppi_token){to, (uint32_t)n};
        to += n;
    }
    return ppi_vocab_build(&bpe->by_bytes, bpe->mem, tokens, vocab->n_ids, texts, err);
}

static pp_status fill(struct bpe *bpe, const struct ppi_bpe_spec *spec, pp_error *err)
{
    if (!fill_merges(bpe, spec) || (!is_bytes(bpe) && !fill_chars(bpe)))
        return ppi_error_nomem(err, "the merges of a vocabulary",
                               spec->n_merges * sizeof *spec->merges);
    fill_bytes(bpe);
    return spec->byte_level && spec->ignore_merges ? fill_by_bytes(bpe, err) : PP_OK;
}

pp_status ppi_bpe_create(const struct ppi_bpe_spec *spec, const struct ppi_vocab *vocab,
                         struct ppi_mem *mem, struct ppi_pieces **pieces, pp_error *err)
{
    struct bpe *bpe = ppi_zalloc(mem, 1, sizeof *bpe);
    if (!bpe)
        return ppi_error_nomem(err, "a vocabulary", sizeof *bpe);
    bpe->pieces = (struct ppi_pieces){&KIND, vocab};
    bpe->mem = mem;
    bpe->spec = *spec;
    bpe->spec.merges = NULL;
    pp_status status = fill(bpe, spec, err);
    if (status < 0)
        destroy(&bpe->pieces);
    else
        *pieces = &bpe->pieces;
    return status;
}
