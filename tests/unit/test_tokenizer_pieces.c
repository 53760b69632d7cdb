/*
 * test_tokenizer_pieces.c: WordPiece, WordLevel and Unigram: the tokens of words that `tokenizers`
 * gives, and those that a plain search gives for random vocabularies and long words; what is
 * refused; exhausted memory.
 */
#include "malformed/failing.h"
#include "support/tap.h"
#include "tokenizer/pieces.h"
#include "tokenizer/trie.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- models from JSON ---- */

struct fixture {
    struct ppi_mem mem;
    struct ppi_vocab vocab;
    struct ppi_pieces *pieces;
    void *work;
    struct ppi_tokens tokens;
    pp_error err;
};

static pp_status read_model(const struct ppi_reading *reading, const struct ppi_json_value *model,
                            struct fixture *fixture)
{
    const char *type = ppi_reading_type(model);
    PP_TRY(ppi_vocab_read(reading, model, &fixture->vocab));
    if (strcmp(type, "Unigram") == 0)
        return ppi_unigram_read(reading, model, &fixture->vocab, &fixture->pieces);
    if (strcmp(type, "WordPiece") == 0)
        return ppi_wordpiece_read(reading, model, &fixture->vocab, &fixture->pieces);
    return ppi_wordlevel_read(reading, model, &fixture->vocab, &fixture->pieces);
}

static pp_status start_work(struct fixture *fixture)
{
    fixture->work = fixture->pieces->kind->start_work(fixture->pieces, &fixture->mem);
    return fixture->work ? PP_OK : PP_ERR_NOMEM;
}

static void init(struct fixture *fixture, const pp_allocator *allocator)
{
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    fixture->tokens.mem = fixture->vocab.mem = &fixture->mem;
}

/* The model that a JSON text, with ' for ", says. */
static pp_status open_with(struct fixture *fixture, const pp_allocator *allocator, const char *json)
{
    char text[1024];
    init(fixture, allocator);
    int n = snprintf(text, sizeof text, "%s", json);
    ck_assert_int_lt(n, sizeof text);
    for (char *at = text; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
    struct ppi_json parsed;
    struct ppi_json_limits limits = {.allow_nul = true, .nul_in_names = true, .any_number = true};
    PP_TRY(ppi_json_parse(text, (size_t)n, "file", &limits, &fixture->mem, &parsed, &fixture->err));
    struct ppi_reading reading = {
        .label = "file", .mem = &fixture->mem, .err = &fixture->err, .log = &(struct ppi_log){0}};
    pp_status status = read_model(&reading, parsed.root, fixture);
    ppi_json_free(&parsed, &fixture->mem);
    memset(text, 'x', sizeof text); /* nothing may still look at it */
    PP_TRY(status);
    return start_work(fixture);
}

static void stop(struct fixture *fixture)
{
    if (fixture->work)
        fixture->pieces->kind->free_work(fixture->work);
    if (fixture->pieces)
        fixture->pieces->kind->destroy(fixture->pieces);
    ppi_vocab_free(&fixture->vocab);
    ppi_tokens_free(&fixture->tokens);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

/* The word lies in a block of its own, so that reading past it is noticed. */
static pp_status encode(struct fixture *fixture, const char *word, size_t n, bool traced)
{
    if (fixture->tokens.traced != traced || fixture->tokens.failed)
        ppi_tokens_free(&fixture->tokens);
    fixture->tokens.traced = traced;
    fixture->tokens.n = 0;
    char *copy = malloc(n ? n : 1);
    memcpy(copy, word, n);
    pp_status status = fixture->pieces->kind->encode(fixture->pieces, fixture->work, copy, n, 0,
                                                     &fixture->tokens, &fixture->err);
    free(copy);
    if (status >= 0 && fixture->tokens.failed)
        return PP_ERR_NOMEM;
    return status;
}

/* ---- the original's tokens ---- */

/* Words with spaces between them, and for each its tokens: id:begin-end, or none where that is an
 * error. */
static const struct {
    const char *json, *words, *tokens;
} cases[] = {
    {"{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##','max_input_chars_"
     "per_word':100,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':"
     "9}}",
     "abab a ab é x aéé ## ##a a##",
     "3:0-2,5:2-3,2:3-4 1:0-1 3:0-2 6:0-2 0:0-1 9:0-3,7:3-5 4:0-2 5:0-3 0:0-3"},
    {"{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##','max_input_chars_"
     "per_word':2,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':9}"
     "}",
     "ab aba éé ééé", "3:0-2 0:0-3 6:0-2,7:2-4 0:0-6"},
    {"{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##','max_input_chars_"
     "per_word':0,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':9}"
     "}",
     "a", "0:0-1"},
    {"{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'','max_input_chars_per_"
     "word':100,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':9}}",
     "aab éa ab##", "1:0-1,3:1-3 6:0-2,1:2-3 3:0-2,4:2-4"},
    {"{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'zz','max_input_chars_"
     "per_word':100,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':"
     "9}}",
     "a aab", "1:0-1 0:0-3"},
    {"{'type':'WordPiece','unk_token':'zz','continuing_subword_prefix':'##','max_input_chars_per_"
     "word':100,'vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'é':6,'##é':7,'':8,'aé':9}}",
     "a x ax", "1:0-1 none none"},
    {"{'type':'WordLevel','unk_token':'[UNK]','vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':"
     "5,'é':6,'##é':7,'':8,'aé':9}}",
     "a x abab", "1:0-1 0:0-1 0:0-4"},
    {"{'type':'WordLevel','unk_token':'zz','vocab':{'[UNK]':0,'a':1,'##b':2,'ab':3,'##':4,'##a':5,'"
     "é':6,'##é':7,'':8,'aé':9}}",
     "a x", "1:0-1 none"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0.0],['a',-1],['b',-2],['ab',-3.0],['xx',-100]"
     ",['<0x78>',-3],['a',-5],['',5.0],['<0x79>',-3]]}",
     "ab aab x xx xxx axxb <unk> a<unk>b <unk>x yab yx ayz é😀",
     "3:0-2 6:0-1,3:1-3 0:0-1 4:0-2 0:0-1,4:1-3 6:0-1,4:1-3,2:3-4 0:0-5 6:0-1,0:1-6,2:6-7 0:0-6 "
     "0:0-1,3:1-3 0:0-2 6:0-1,0:1-3 0:0-6"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0.0],['a',-1],['b',-2],['ab',-3.0],['xx',-100]"
     ",['<0x78>',-3],['a',-5],['',5.0],['<0x79>',-3]],'byte_fallback':true}",
     "x xx xxx yx ayzb y z <unk>y é",
     "5:0-1 4:0-2 5:0-1,4:1-3 8:0-2,5:0-2 6:0-1,0:1-3,2:3-4 8:0-1 0:0-1 0:0-6 0:0-2"},
    {"{'type':'Unigram','unk_id':null,'vocab':[['<unk>',0.0],['a',-1],['b',-2],['ab',-3.0],['xx',-"
     "100],['<0x78>',-3],['a',-5],['',5.0],['<0x79>',-3]]}",
     "ab x axb", "3:0-2 none none"},
    {"{'type':'Unigram','unk_id':6,'vocab':[['<unk>',0.0],['a',-1],['b',-2],['ab',-3.0],['xx',-100]"
     ",['<0x78>',-3],['a',-5],['',5.0],['<0x79>',-3]]}",
     "xxx ax aax", "6:0-1,4:1-3 6:0-2 6:0-3"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['a',-1.0],['b',-1],['ab',-2],['ba',-2]]}",
     "ab ba aba bab abab", "3:0-2 4:0-2 1:0-1,4:1-3 2:0-1,3:1-3 3:0-2,3:2-4"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['a',-1e+308],['b',-1e+308],['ab',-3]]}",
     "ab aa aaa x xxx", "3:0-2 1:0-1,1:1-2 1:0-1,1:1-2,1:2-3 0:0-1 0:0-3"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',0],['a',1e+308],['b',1e+308],['ab',3],['ba',0]"
     "]}",
     "ab aab aba", "1:0-1,2:1-2 1:0-1,1:1-2,2:2-3 1:0-1,2:1-2,1:2-3"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',-20.0],['a',-4.001589504456845],['b',-8."
     "42028049534069],['ab',-12.421869999797535]]}",
     "ab", "1:0-1,2:1-2"},
    {"{'type':'Unigram','unk_id':0,'vocab':[['<unk>',-20.0],['a',-5.494204106706073],['b',-1."
     "4057909191220825],['ab',-6.899995025828156]]}",
     "ab", "1:0-1,2:1-2"},
};

static pp_status describe(struct fixture *fixture, const char *word, size_t n, char *out,
                          size_t room)
{
    pp_status status = encode(fixture, word, n, true);
    *out = '\0';
    if (status == PP_ERR_UNSUPPORTED)
        snprintf(out, room, "none");
    for (size_t i = 0; status >= 0 && i < fixture->tokens.n; i++)
        snprintf(out + strlen(out), room - strlen(out), "%s%d:%u-%u", i ? "," : "",
                 fixture->tokens.ids[i], fixture->tokens.spans[i].begin,
                 fixture->tokens.spans[i].end);
    return status;
}

static pp_status describe_all(struct fixture *fixture, const char *words, char *out, size_t room)
{
    char one[256];
    *out = '\0';
    for (const char *end; *words; words = end + (*end == ' ')) {
        end = words + strcspn(words, " ");
        pp_status status = describe(fixture, words, (size_t)(end - words), one, sizeof one);
        if (status < 0 && status != PP_ERR_UNSUPPORTED)
            return status;
        snprintf(out + strlen(out), room - strlen(out), "%s%s", *out ? " " : "", one);
    }
    return PP_OK;
}

START_TEST(encodes_as_the_original)
{
    struct fixture fixture;
    char text[1024];
    pp_status status = open_with(&fixture, NULL, cases[_i].json);
    ck_assert_msg(status == PP_OK, "%s: %s", cases[_i].json, fixture.err.message);
    ck_assert_int_eq(describe_all(&fixture, cases[_i].words, text, sizeof text), PP_OK);
    ck_assert_str_eq(text, cases[_i].tokens);
    ck_assert_int_eq(encode(&fixture, "", 0, true), PP_OK);
    /* the same ids without spans, from a cache at the second time */
    for (const char *word = cases[_i].words, *end; *word; word = end + (*end == ' ')) {
        int32_t ids[64];
        size_t n = (size_t)((end = word + strcspn(word, " ")) - word);
        pp_status traced = encode(&fixture, word, n, true);
        size_t n_ids = traced < 0 ? 0 : fixture.tokens.n;
        if (n_ids > 0)
            memcpy(ids, fixture.tokens.ids, n_ids * sizeof *ids);
        for (int round = 0; round < 2; round++) {
            ck_assert_int_eq(encode(&fixture, word, n, false), traced);
            if (traced < 0)
                continue;
            ck_assert_uint_eq(fixture.tokens.n, n_ids);
            for (size_t i = 0; i < n_ids; i++)
                ck_assert_int_eq(fixture.tokens.ids[i], ids[i]);
        }
    }
    stop(&fixture);
}
END_TEST

START_TEST(copes_without_memory)
{
    bool failed = true;
    char text[1024];
    for (int n = 1; failed; n++) {
        struct failing failing = {.n_left = n};
        pp_allocator allocator = {.struct_size = sizeof allocator,
                                  .allocate = failing_allocate,
                                  .release = failing_release,
                                  .user = &failing};
        struct fixture fixture;
        pp_status status = open_with(&fixture, &allocator, cases[_i].json);
        if (status == PP_OK)
            status = describe_all(&fixture, cases[_i].words, text, sizeof text);
        failed = failing.n_left <= 0;
        ck_assert_int_eq(status, failed ? PP_ERR_NOMEM : PP_OK);
        if (fixture.work) {
            ck_assert_int_eq(describe_all(&fixture, cases[_i].words, text, sizeof text), PP_OK);
            ck_assert_str_eq(text, cases[_i].tokens);
        }
        stop(&fixture);
        ck_assert_int_eq(failing.n_blocks, 0);
    }
}
END_TEST

/* ---- random vocabularies ---- */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

/* Letters few enough to meet pieces often, some of two bytes; with two of them pieces reach over
 * every place of a word. */
static uint32_t n_letters;

static size_t draw_text(char *text, size_t n_chars)
{
    static const char *const letters[] = {"a", "b", "a", "c", "é", "ö"};
    size_t n = 0;
    for (; n_chars > 0; n_chars--) {
        const char *letter = letters[draw(n_letters)];
        memcpy(text + n, letter, strlen(letter));
        n += strlen(letter);
    }
    return n;
}

#define N_RANDOM   60
#define MAX_PIECE  64
#define LONG_CHARS 20000

struct random_vocab {
    char texts[N_RANDOM][MAX_PIECE];
    float scores[N_RANDOM];
};

/* Token 0 is unknown and no word has it. */
static void draw_vocab(struct fixture *fixture, struct random_vocab *random)
{
    struct ppi_token *tokens = ppi_zalloc(&fixture->mem, N_RANDOM, sizeof *tokens);
    uint32_t longest = draw(2) ? 4 : 12;
    n_letters = draw(2) ? 2 : 6;
    *random = (struct random_vocab){0};
    for (int i = 0; i < N_RANDOM; i++) {
        size_t n = i == 0 ? 0 : draw_text(random->texts[i], 1 + draw(longest));
        memcpy(random->texts[i] + n, "?", i == 0);
        tokens[i] = (struct ppi_token){random->texts[i], i == 0 ? 1 : (uint32_t)n};
        random->scores[i] = -(float)draw(8) / 2 - (draw(2) ? 0.1f : 0.0f);
    }
    ck_assert_int_eq(ppi_vocab_build(&fixture->vocab, &fixture->mem, tokens, N_RANDOM, NULL, NULL),
                     PP_OK);
}

/* Viterbi's algorithm with a table for the whole word; unknown characters beside one another are
 * one. Of equal pieces the last counts. */
static size_t search_plainly(const struct random_vocab *random, const char *word, size_t n,
                             int32_t *ids)
{
    double *best = calloc(n + 1, sizeof *best), lowest = 0;
    int32_t *from = malloc((n + 1) * sizeof *from), *piece = malloc((n + 1) * sizeof *piece);
    for (int i = 0; i < N_RANDOM; i++)
        lowest = random->scores[i] < lowest ? random->scores[i] : lowest;
    memset(from, 0xff, (n + 1) * sizeof *from);
    for (size_t at = 0, n_char; at < n; at += n_char) {
        bool single = false;
        ppi_utf8_get(word + at, &n_char);
        for (int i = 0; i <= N_RANDOM; i++) {
            bool unknown = i == N_RANDOM;
            size_t n_piece = unknown ? n_char : strlen(random->texts[i]);
            if (unknown ? single
                        : n_piece > n - at || memcmp(word + at, random->texts[i], n_piece) != 0)
                continue;
            bool last = true;
            for (int j = i + 1; j < N_RANDOM; j++)
                last = last && strcmp(random->texts[i], random->texts[j]) != 0;
            if (!last && !unknown)
                continue;
            single = single || n_piece == n_char;
            double score = (unknown ? lowest - 10.0 : random->scores[i]) + best[at];
            if (from[at + n_piece] < 0 || score > best[at + n_piece]) {
                best[at + n_piece] = score;
                from[at + n_piece] = (int32_t)at;
                piece[at + n_piece] = unknown ? 0 : i;
            }
        }
    }
    size_t n_ids = 0;
    for (size_t at = n; at > 0; at = (size_t)from[at])
        if (piece[at] != 0 || n_ids == 0 || ids[n_ids - 1] != 0)
            ids[n_ids++] = piece[at];
    for (size_t i = 0; i < n_ids / 2; i++) {
        int32_t id = ids[i];
        ids[i] = ids[n_ids - 1 - i];
        ids[n_ids - 1 - i] = id;
    }
    free(best);
    free(from);
    free(piece);
    return n_ids;
}

START_TEST(unigram_finds_what_a_plain_search_finds)
{
    static char word[2 * LONG_CHARS];
    static int32_t ids[2 * LONG_CHARS];
    random_state = (uint64_t)_i;
    struct fixture fixture;
    struct random_vocab random;
    init(&fixture, NULL);
    draw_vocab(&fixture, &random);
    struct ppi_unigram_spec spec = {.scores = random.scores, .unk = 0};
    ck_assert_int_eq(ppi_unigram_create(&spec, &fixture.vocab, "file", &fixture.mem,
                                        &fixture.pieces, &fixture.err),
                     PP_OK);
    ck_assert_int_eq(start_work(&fixture), PP_OK);
    for (int round = 0; round < 40; round++) {
        size_t n = draw_text(word, round ? draw(40) : LONG_CHARS);
        size_t n_ids = search_plainly(&random, word, n, ids);
        ck_assert_int_eq(encode(&fixture, word, n, round % 2), PP_OK);
        ck_assert_msg(fixture.tokens.n == n_ids &&
                          (n_ids == 0 || memcmp(fixture.tokens.ids, ids, n_ids * sizeof *ids) == 0),
                      "seed %d, word %d", _i, round);
    }
    stop(&fixture);
}
END_TEST

START_TEST(word_piece_finds_what_a_plain_search_finds)
{
    char word[128];
    random_state = (uint64_t)_i;
    struct fixture fixture;
    struct random_vocab random;
    init(&fixture, NULL);
    draw_vocab(&fixture, &random);
    struct ppi_wordpiece_spec spec = {.prefix = "a", .max_chars = 30};
    ck_assert_int_eq(
        ppi_wordpiece_create(&spec, &fixture.vocab, &fixture.mem, &fixture.pieces, &fixture.err),
        PP_OK);
    ck_assert_int_eq(start_work(&fixture), PP_OK);
    for (int round = 0; round < 200; round++) {
        int32_t ids[128];
        size_t n_chars = draw(36), n = draw_text(word, n_chars), n_ids = 0;
        for (size_t at = 0, end; at < n && n_chars <= 30; at = end) {
            char piece[160];
            int32_t id = -1;
            for (end = n + 1; id < 0 && --end > at;) {
                int n_piece = snprintf(piece, sizeof piece, "%s%.*s", at ? "a" : "",
                                       (int)(end - at), word + at);
                id = ppi_vocab_find(&fixture.vocab, piece, (size_t)n_piece);
            }
            ids[n_ids++] = id;
            if (id < 0) {
                n_chars = 31;
                break;
            }
        }
        if (n_chars > 30)
            ids[0] = 0, n_ids = 1;
        ck_assert_int_eq(encode(&fixture, word, n, false), PP_OK);
        ck_assert_msg(fixture.tokens.n == n_ids &&
                          (n_ids == 0 || memcmp(fixture.tokens.ids, ids, n_ids * sizeof *ids) == 0),
                      "seed %d, word %d", _i, round);
    }
    stop(&fixture);
}
END_TEST

/* A word of a million bytes that no place divides needs no more memory than a short one. */
START_TEST(long_words_need_little_memory)
{
    struct fixture fixture;
    ck_assert_int_eq(open_with(&fixture, NULL,
                               "{'type':'Unigram','unk_id':0,'vocab':[['?',-9],['a',-2],['aa',-3],"
                               "['aaa',-4.6]]}"),
                     PP_OK);
    size_t n = 1 << 20;
    char *word = malloc(n);
    memset(word, 'a', n);
    ck_assert(ppi_tokens_reserve(&fixture.tokens, n));
    int64_t before = fixture.mem.bytes;
    ck_assert_int_eq(encode(&fixture, word, n, false), PP_OK);
    ck_assert_int_lt(fixture.mem.bytes - before, 1 << 19);
    ck_assert_uint_eq(fixture.tokens.n, n / 2);
    free(word);
    stop(&fixture);
}
END_TEST

/* ---- tries ---- */

START_TEST(tries_find_every_key)
{
    enum { N = 3000 };
    static char texts[N][24];
    static struct ppi_trie_key keys[N];
    struct ppi_mem mem;
    struct ppi_trie trie;
    random_state = 7;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    for (int i = 0; i < N; i++) {
        uint32_t n = draw(20), kinds = i % 2 ? 3 : 256;
        for (uint32_t j = 0; j < n; j++)
            texts[i][j] = (char)draw(kinds);
        keys[i] = (struct ppi_trie_key){texts[i], n, i % 3 ? i : 2 * N - i};
    }
    ck_assert_int_eq(ppi_trie_build(&trie, &mem, keys, N, NULL), PP_OK);
    for (int i = 0; i < N; i++) {
        struct ppi_trie_walk walk = ppi_trie_start();
        const struct ppi_trie_key *key = &keys[i];
        for (uint32_t n = 1; n <= key->n; n++) {
            int32_t expected = -1;
            for (int j = 0; j < N; j++)
                if (keys[j].n == n && memcmp(keys[j].bytes, key->bytes, n) == 0 &&
                    keys[j].id > expected)
                    expected = keys[j].id;
            if (expected < 0)
                continue;
            ck_assert_int_eq(ppi_trie_next(&trie, &walk, key->bytes, key->n), expected);
            ck_assert_uint_eq(walk.n, n);
        }
        ck_assert_int_eq(ppi_trie_next(&trie, &walk, key->bytes, key->n), -1);
    }
    ppi_trie_free(&trie);
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

/* ---- refusals ---- */

START_TEST(says_what_it_refuses)
{
    static const char *const bad[][2] = {
        {"{'type':'Unigram','unk_id':2,'vocab':[['a',1],['b',2]]}",
         "file: \"model.unk_id\" is 2, but ids end at 1"},
        {"{'type':'Unigram','unk_id':0,'vocab':[['a',1],['b','x']]}",
         "file: the score of token 1 is \"x\"; a number is needed"},
        {"{'type':'Unigram','unk_id':0,'vocab':[['a',NaN]]}",
         "file: the score of token 0 is NaN; a number is needed"},
        {"{'type':'Unigram','unk_id':0,'vocab':{'a':0}}",
         "file: \"model.vocab\" is an object; Unigram needs a list of pieces with scores"},
        {"{'type':'Unigram','unk_id':-1,'vocab':[['a',1]]}",
         "file: \"model.unk_id\" is -1; a whole number from 0 to 9223372036854775807 is needed"},
        {"{'type':'WordPiece','unk_token':'a','vocab':{'a':0}}",
         "file: a WordPiece \"model\" needs \"unk_token\", \"continuing_subword_prefix\" and "
         "\"max_input_chars_per_word\""},
        {"{'type':'WordLevel','vocab':{'a':0}}",
         "file: \"model.unk_token\" is missing; WordLevel needs a string"},
    };
    for (size_t i = 0; i < PPI_COUNT(bad); i++) {
        struct fixture fixture;
        ck_assert_int_eq(open_with(&fixture, NULL, bad[i][0]), PP_ERR_FORMAT);
        ck_assert_str_eq(fixture.err.message, bad[i][1]);
        stop(&fixture);
    }
}
END_TEST

START_TEST(says_what_no_token_has)
{
    struct fixture fixture;
    ck_assert_int_eq(open_with(&fixture, NULL, "{'type':'Unigram','vocab':[['a',1]]}"), PP_OK);
    ck_assert_int_eq(encode(&fixture, "a日a", 5, false), PP_ERR_UNSUPPORTED);
    ck_assert_str_eq(fixture.err.message,
                     "no token has \"日\", and the vocabulary has no unknown token");
    ck_assert_int_eq(encode(&fixture, "aa", 2, false), PP_OK);
    stop(&fixture);
}
END_TEST

START_TEST(refuses_arrays)
{
    struct fixture fixture;
    struct random_vocab random;
    random_state = 1;
    init(&fixture, NULL);
    draw_vocab(&fixture, &random);
    struct ppi_unigram_spec spec = {.scores = random.scores, .unk = N_RANDOM};
    ck_assert_int_eq(ppi_unigram_create(&spec, &fixture.vocab, "file", &fixture.mem,
                                        &fixture.pieces, &fixture.err),
                     PP_ERR_FORMAT);
    spec.unk = -1;
    random.scores[3] = HUGE_VALF;
    ck_assert_int_eq(ppi_unigram_create(&spec, &fixture.vocab, "file", &fixture.mem,
                                        &fixture.pieces, &fixture.err),
                     PP_ERR_FORMAT);
    ck_assert_str_eq(fixture.err.message,
                     "file: the score of token 3 is infinite or none; a number is needed");
    stop(&fixture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-pieces");
    TCase *tcase = tcase_create("pieces");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, encodes_as_the_original, 0, (int)PPI_COUNT(cases));
    tcase_add_loop_test(tcase, copes_without_memory, 0, (int)PPI_COUNT(cases));
    tcase_add_loop_test(tcase, unigram_finds_what_a_plain_search_finds, 0, 12);
    tcase_add_loop_test(tcase, word_piece_finds_what_a_plain_search_finds, 0, 12);
    tcase_add_test(tcase, long_words_need_little_memory);
    tcase_add_test(tcase, tries_find_every_key);
    tcase_add_test(tcase, says_what_it_refuses);
    tcase_add_test(tcase, says_what_no_token_has);
    tcase_add_test(tcase, refuses_arrays);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
