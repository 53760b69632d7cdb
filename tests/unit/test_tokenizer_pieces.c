/*
 * test_tokenizer_pieces.c: WordPiece, WordLevel and Unigram: the tokens of words that `tokenizers`
 * gives; what is refused; exhausted memory.
 */
#include "malformed/failing.h"
#include "pieces_fixture.h"
#include "support/tap.h"

#include <math.h>

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
    float scores[] = {0, -1};
    ck_assert_int_eq(open_with(&fixture, NULL,
                               "{'type':'WordLevel','unk_token':'a','vocab':"
                               "{'a':0,'b':1}}"),
                     PP_OK);
    struct ppi_pieces *none = NULL;
    struct ppi_unigram_spec spec = {.scores = scores, .unk = 2};
    ck_assert_int_eq(
        ppi_unigram_create(&spec, &fixture.vocab, "file", &fixture.mem, &none, &fixture.err),
        PP_ERR_FORMAT);
    spec.unk = -1;
    scores[1] = HUGE_VALF;
    ck_assert_int_eq(
        ppi_unigram_create(&spec, &fixture.vocab, "file", &fixture.mem, &none, &fixture.err),
        PP_ERR_FORMAT);
    ck_assert_str_eq(fixture.err.message,
                     "file: the score of token 1 is infinite or none; a number is needed");
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
    tcase_add_test(tcase, says_what_it_refuses);
    tcase_add_test(tcase, says_what_no_token_has);
    tcase_add_test(tcase, refuses_arrays);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
