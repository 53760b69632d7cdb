/*
 * unigram.c: the pieces whose scores have the largest sum (Kudo, ACL 2018, arXiv 1804.10959), by
 * Viterbi's algorithm over the bytes of a word. Sums are those of the whole word and rounded in the
 * order of its pieces, since ties are decided by their last bits; but of the lattice only what is
 * still open is kept: where all paths meet, their common beginning is settled.
 */
#include "tokenizer/pieces/unigram.h"

#include "tokenizer/pieces/trie.h"
#include "tokenizer/pieces/word_cache.h"

#include <prepack/tokenizer.h>

#include <math.h>
#include <stdio.h>

#define UNKNOWN_PENALTY 10.0
#define SETTLE_BYTES    4096 /* open bytes from which on a place is sought where paths meet */

struct unigram {
    struct ppi_pieces pieces;
    struct ppi_mem *mem;
    struct ppi_trie trie;
    double *scores; /* [n_ids] */
    double unknown_score;
    int32_t unk;        /* -1 */
    bool byte_fallback; /* fallback[] is complete where it is used */
    int32_t fallback[256];
};

/* The best way to a place in the word. */
struct cell {
    double score;
    int32_t id;     /* of the last piece; -1: no way leads here */
    uint32_t start; /* where that piece begins */
    uint32_t next;  /* where the following one ends, when settled; before, a mark */
};

struct work {
    struct ppi_mem *mem;
    struct cell *cells; /* [room] */
    size_t room;
    struct ppi_word_cache cache;
};

/* A word on its way. Places in cells count from `base`. */
struct path {
    const struct unigram *model;
    struct work *work;
    const char *bytes;
    size_t base;
    size_t reach; /* the last place to which a way leads */
    uint32_t mark;
    size_t unknown_begin, unknown_end; /* unknown pieces beside one another; empty: none */
    uint32_t at;
    struct ppi_tokens *tokens;
};

static void *start_work(const struct ppi_pieces *pieces, struct ppi_mem *mem)
{
    struct work *work = ppi_zalloc(mem, 1, sizeof *work);
    (void)pieces;
    if (!work)
        return NULL;
    work->mem = mem;
    return work;
}

static void free_work(void *memory)
{
    struct work *work = memory;
    if (!work)
        return;
    ppi_free(work->mem, work->cells);
    ppi_free(work->mem, work);
}

/* ---- tokens ---- */

/* The id of the piece that is exactly bytes[0, n), or -1. */
static int32_t find_piece(const struct ppi_trie *trie, const char *bytes, size_t n)
{
    size_t n_key = 0;
    int32_t id = ppi_trie_longest(trie, bytes, n, &n_key);
    return n_key == n ? id : -1;
}

static bool has_fallback(const struct unigram *model, const char *bytes, size_t n)
{
    if (!model->byte_fallback)
        return false;
    for (size_t i = 0; i < n; i++)
        if (model->fallback[(unsigned char)bytes[i]] < 0)
            return false;
    return true;
}

/* Ends a run of unknown pieces: it may be a piece as a whole, else its bytes may be pieces. */
static void put_unknown(struct path *path)
{
    const struct unigram *model = path->model;
    const char *bytes = path->bytes + path->unknown_begin;
    size_t n = path->unknown_end - path->unknown_begin;
    if (n == 0)
        return;
    uint32_t begin = path->at + (uint32_t)path->unknown_begin, end = begin + (uint32_t)n;
    int32_t id = find_piece(&model->trie, bytes, n);
    if (id < 0 && has_fallback(model, bytes, n))
        for (size_t i = 0; i < n; i++)
            ppi_tokens_put(path->tokens, model->fallback[(unsigned char)bytes[i]], begin, end);
    else
        ppi_tokens_put(path->tokens, id < 0 ? model->unk : id, begin, end);
    path->unknown_begin = path->unknown_end = 0;
}

static void put_piece(struct path *path, int32_t id, size_t begin, size_t end)
{
    if (id == path->model->unk) {
        if (path->unknown_begin == path->unknown_end)
            path->unknown_begin = begin;
        path->unknown_end = end;
        return;
    }
    put_unknown(path);
    ppi_tokens_put(path->tokens, id, path->at + (uint32_t)begin, path->at + (uint32_t)end);
}

/* ---- settling ---- */

/* The pieces of the best way to a place are tokens. */
static void settle(struct path *path, size_t end)
{
    struct cell *cells = path->work->cells;
    size_t next = end;
    for (size_t i = end; i > 0;) {
        size_t start = cells[i].start;
        cells[start].next = (uint32_t)i;
        i = start;
    }
    for (size_t i = 0; i < end; i = next) {
        next = cells[i].next;
        put_piece(path, cells[next].id, path->base + i, path->base + next);
    }
}

/* Forgets the cells before a place, which all ways lead through. */
static void rebase(struct path *path, size_t place)
{
    struct cell *cells = path->work->cells;
    memmove(cells, cells + place, (path->reach - place + 1) * sizeof *cells);
    path->base += place;
    path->reach -= place;
    for (size_t i = 1; i <= path->reach; i++)
        cells[i].start -= cells[i].id >= 0 ? (uint32_t)place : 0;
}

/* The last place that all open ways, those to `place` and behind it, lead through. */
static size_t find_meeting(struct path *path, size_t place)
{
    struct cell *cells = path->work->cells;
    uint32_t mark = ++path->mark;
    for (size_t i = place; i > 0; i = cells[i].start)
        cells[i].next = mark;
    cells[0].next = mark;
    size_t meeting = place;
    for (size_t end = place + 1; end <= path->reach; end++) {
        if (cells[end].id < 0)
            continue;
        size_t i = end;
        for (; cells[i].next != mark; i = cells[i].start)
            cells[i].next = mark;
        meeting = i < meeting ? i : meeting;
    }
    return meeting;
}

/* ---- the lattice ---- */

static bool grow(struct work *work, size_t needed)
{
    size_t room = work->room ? work->room : 256;
    while (room < needed)
        room *= 2;
    struct cell *cells = ppi_alloc(work->mem, room, sizeof *cells);
    if (!cells)
        return false;
    if (work->room)
        memcpy(cells, work->cells, work->room * sizeof *cells);
    ppi_free(work->mem, work->cells);
    work->cells = cells;
    work->room = room;
    return true;
}

/* Cells up to a place exist. */
static bool extend(struct path *path, size_t place)
{
    if (place >= path->work->room && !grow(path->work, place + 1))
        return false;
    for (; path->reach < place; path->reach++)
        path->work->cells[path->reach + 1] = (struct cell){.id = -1};
    return true;
}

/* A way to `end` by way of a piece; kept where it is better than what is there. */
static inline void offer(struct cell *cells, size_t start, size_t end, int32_t id, double score)
{
    struct cell *cell = &cells[end];
    if (cell->id < 0 || score > cell->score) {
        cell->score = score;
        cell->id = id;
        cell->start = (uint32_t)start;
    }
}

/* Offers all pieces that begin at a place. Returns the length of the character there, or 0. */
static size_t offer_pieces(struct path *path, size_t place, size_t n, pp_error *err,
                           pp_status *status)
{
    const struct unigram *model = path->model;
    const char *bytes = path->bytes + path->base + place;
    const double before = path->work->cells[place].score;
    struct ppi_trie_walk walk = ppi_trie_start();
    bool has_char = false;
    size_t n_char;
    ppi_utf8_get(bytes, &n_char);
    for (int32_t id; (id = ppi_trie_next(&model->trie, &walk, bytes, n)) >= 0;) {
        if (place + walk.n > path->reach && !extend(path, place + walk.n))
            goto no_memory;
        offer(path->work->cells, place, place + walk.n, id, model->scores[id] + before);
        has_char = has_char || walk.n == n_char;
    }
    if (has_char)
        return n_char;
    if (place + n_char > path->reach && !extend(path, place + n_char))
        goto no_memory;
    const struct cell *cell = &path->work->cells[place + n_char];
    const double score = model->unknown_score + before;
    if (model->unk < 0 && (cell->id < 0 || score > cell->score)) {
        *status = ppi_error_no_token(bytes, n_char, err);
        return 0;
    }
    offer(path->work->cells, place, place + n_char, model->unk, score);
    return n_char;
no_memory:
    *status = ppi_error_nomem(err, "the ways through a word", path->work->room * sizeof *cell);
    return 0;
}

static pp_status find_path(struct path *path, size_t n, pp_error *err)
{
    pp_status status = PP_OK;
    size_t place = 0, settle_at = SETTLE_BYTES;
    if (path->work->room == 0 && !grow(path->work, 1))
        return ppi_error_nomem(err, "the ways through a word", sizeof(struct cell));
    path->work->cells[0] = (struct cell){.id = -1};
    while (path->base + place < n) {
        size_t meeting = place == path->reach ? place : 0;
        if (place >= settle_at) {
            meeting = find_meeting(path, place);
            settle_at = SETTLE_BYTES + 2 * (place - meeting);
        }
        if (meeting > 0) {
            settle(path, meeting);
            rebase(path, meeting);
            place -= meeting;
        }
        size_t n_char = offer_pieces(path, place, n - path->base - place, err, &status);
        if (n_char == 0)
            return status;
        place += n_char;
    }
    settle(path, place);
    put_unknown(path);
    return PP_OK;
}

static pp_status encode(const struct ppi_pieces *pieces, void *memory, const char *bytes, size_t n,
                        uint32_t at, struct ppi_tokens *tokens, pp_error *err)
{
    struct work *work = memory;
    struct ppi_cached_word *place = ppi_word_cache_place(&work->cache, bytes, n, tokens);
    size_t begin = tokens->n;
    if (n == 0 || (place && ppi_word_cache_get(place, bytes, n, tokens)))
        return PP_OK;
    struct path path = {.model = (const struct unigram *)pieces,
                        .work = work,
                        .bytes = bytes,
                        .at = at,
                        .tokens = tokens};
    PP_TRY(find_path(&path, n, err));
    if (place)
        ppi_word_cache_put(place, bytes, n, tokens, begin);
    return PP_OK;
}

/* ---- making one ---- */

static void destroy(struct ppi_pieces *pieces)
{
    struct unigram *model = (struct unigram *)pieces;
    if (!model)
        return;
    ppi_trie_free(&model->trie);
    ppi_free(model->mem, model->scores);
    ppi_free(model->mem, model);
}

static pp_status build(struct unigram *model, pp_error *err)
{
    const struct ppi_vocab *vocab = model->pieces.vocab;
    struct ppi_trie_key *keys = ppi_alloc(model->mem, (size_t)vocab->n_ids, sizeof *keys);
    double lowest = HUGE_VAL;
    size_t n = 0;
    if (!keys)
        return ppi_error_nomem(err, "a vocabulary", (size_t)vocab->n_ids * sizeof *keys);
    for (int32_t id = 0; id < vocab->n_ids; id++) {
        const struct ppi_token *token = &vocab->tokens[id];
        if (!token->text)
            continue;
        lowest = model->scores[id] < lowest ? model->scores[id] : lowest;
        keys[n++] = (struct ppi_trie_key){token->text, token->n, id};
    }
    model->unknown_score = lowest - UNKNOWN_PENALTY;
    pp_status status = ppi_trie_build(&model->trie, model->mem, keys, n, err);
    ppi_free(model->mem, keys);
    PP_TRY(status);
    for (int byte = 0; byte < 256; byte++) {
        char piece[8];
        int n_piece = snprintf(piece, sizeof piece, "<0x%02X>", byte);
        model->fallback[byte] = find_piece(&model->trie, piece, (size_t)n_piece);
    }
    return PP_OK;
}

pp_status ppi_unigram_make(double *scores, int32_t unk, bool byte_fallback,
                           const struct ppi_vocab *vocab, struct ppi_mem *mem,
                           struct ppi_pieces **pieces, pp_error *err)
{
    static const struct ppi_pieces_kind kind = {
        PP_TOKENIZER_UNIGRAM, "Unigram", start_work, free_work, encode, destroy};
    struct unigram *model = ppi_zalloc(mem, 1, sizeof *model);
    if (!model) {
        ppi_free(mem, scores);
        return ppi_error_nomem(err, "a vocabulary", sizeof *model);
    }
    *model = (struct unigram){.pieces = {&kind, vocab},
                              .mem = mem,
                              .trie = {.mem = mem},
                              .scores = scores,
                              .unk = unk,
                              .byte_fallback = byte_fallback};
    pp_status status = build(model, err);
    if (status < 0)
        destroy(&model->pieces);
    else
        *pieces = &model->pieces;
    return status;
}
