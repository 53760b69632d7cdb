/*
 * test_tokenizer_search.c: what tries, Unigram and WordPiece find in random words with random
 * vocabularies is what a plain search finds; and a long word needs little memory.
 */
#include "pieces_fixture.h"
#include "support/tap.h"
#include "tokenizer/pieces/trie.h"

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
        if (i == 0)
            random->texts[0][0] = '?';
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

START_TEST(tries_refuse_long_keys)
{
    static char text[PPI_TRIE_MAX_KEY + 1];
    struct ppi_mem mem;
    struct ppi_trie trie;
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    struct ppi_trie_key key = {text, PPI_TRIE_MAX_KEY, 5};
    ck_assert_int_eq(ppi_trie_build(&trie, &mem, &key, 1, &err), PP_OK);
    ppi_trie_free(&trie);
    key.n++;
    ck_assert_int_eq(ppi_trie_build(&trie, &mem, &key, 1, &err), PP_ERR_LIMIT);
    ck_assert_str_eq(err.message,
                     "token 5 of a vocabulary has 4097 bytes; at most 4096 can be looked up");
    ck_assert_int_eq(mem.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-search");
    TCase *tcase = tcase_create("search");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, unigram_finds_what_a_plain_search_finds, 0, 12);
    tcase_add_loop_test(tcase, word_piece_finds_what_a_plain_search_finds, 0, 12);
    tcase_add_test(tcase, long_words_need_little_memory);
    tcase_add_test(tcase, tries_find_every_key);
    tcase_add_test(tcase, tries_refuse_long_keys);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
