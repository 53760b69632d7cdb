/*
 * test_tokenizer_open.c: which file of a directory is the tokenizer, what the settings beside it
 * change, and what is refused.
 */
#include "support/tap.h"
#include "support/tokenizer_files.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pp_error err;
static struct tokenizer_dir dir;
static char log_text[4096];

static void take_log(void *user, int32_t level, const char *message)
{
    const size_t n = strlen(log_text);
    (void)user;
    ck_assert_int_eq(level, PP_LOG_WARNING);
    snprintf(log_text + n, sizeof log_text - n, "%s\n", message);
}

static void set_up(void)
{
    err = (pp_error){.struct_size = sizeof err};
    log_text[0] = '\0';
    dir = tokenizer_dir_make();
}

static void tear_down(void)
{
    tokenizer_dir_remove(&dir);
}

static void put(const char *name, const char *text)
{
    tokenizer_dir_put(&dir, name, text);
}

static pp_tokenizer *open_dir(void)
{
    pp_tokenizer_params params;
    pp_tokenizer *tokenizer = NULL;
    pp_tokenizer_params_init(&params, sizeof params);
    params.log = take_log;
    log_text[0] = '\0';
    const pp_status status = pp_tokenizer_open(dir.path, &params, &tokenizer, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    return tokenizer;
}

/* The ids of a text in the directory as it is, as "1 2 3". */
static const char *ids_of(const char *text)
{
    static char ids[1024];
    pp_tokenizer *tokenizer = open_dir();
    const pp_text one = {text, strlen(text)};
    pp_encoding *encoding;
    pp_encoded encoded = {.struct_size = sizeof encoded};
    ck_assert_int_eq(pp_tokenizer_encode(tokenizer, &one, 1, NULL, &encoding, &err), PP_OK);
    ck_assert_int_eq(pp_encoding_get(encoding, 0, &encoded, &err), PP_OK);
    ids[0] = '\0';
    for (int64_t i = 0; i < encoded.n; i++)
        sprintf(ids + strlen(ids), i ? " %d" : "%d", encoded.ids[i]);
    pp_encoding_destroy(encoding);
    pp_tokenizer_destroy(tokenizer);
    return ids;
}

static pp_tokenizer_info info_of_dir(void)
{
    pp_tokenizer *tokenizer = open_dir();
    pp_tokenizer_info info = {.struct_size = sizeof info};
    ck_assert_int_eq(pp_tokenizer_get_info(tokenizer, &info, &err), PP_OK);
    pp_tokenizer_destroy(tokenizer);
    return info;
}

/* Opening the path is refused; every such sentence names a file or the directory. */
static void refused(const char *path, pp_status code, const char *words)
{
    pp_tokenizer *tokenizer = NULL;
    err = (pp_error){.struct_size = sizeof err};
    const pp_status status = pp_tokenizer_open(path, NULL, &tokenizer, &err);
    ck_assert_msg(status == code, "status %d (%s), expected %d", status, err.message, code);
    ck_assert_msg(strstr(err.message, words) != NULL, "\"%s\" does not say \"%s\"", err.message,
                  words);
    ck_assert_ptr_null(tokenizer);
}

static const char *path_in_dir(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir.path, name);
    return path;
}

/* ---- which file ---- */

START_TEST(nothing_to_open)
{
    refused(path_in_dir("missing"), PP_ERR_IO, "has no 'missing'");
    refused("an-owner/a-model", PP_ERR_IO, "nothing is downloaded");
    refused("", PP_ERR_ARG, "path is empty");
    refused(dir.path, PP_ERR_IO, "has no tokenizer: tokenizer.json, tekken.json");
    put("config.json", "{}");
    refused(dir.path, PP_ERR_IO, "has no tokenizer");
    put("vocab.json", "{}");
    put("merges.txt", "");
    refused(dir.path, PP_ERR_UNSUPPORTED, "has vocab.json and no tokenizer.json");
    ck_assert_ptr_nonnull(strstr(err.message, "save_pretrained"));
}
END_TEST

START_TEST(old_files_alone)
{
    static const char *const names[] = {"vocab.json", "vocab.txt", "spiece.model",
                                        "sentencepiece.bpe.model", "merges.txt"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put(names[i], "x");
        refused(dir.path, PP_ERR_UNSUPPORTED, names[i]);
        unlink(path_in_dir(names[i]));
    }
}
END_TEST

START_TEST(files_are_known_by_their_content)
{
    pp_tokenizer *tokenizer;
    put("anything.txt", TINY_TOKENIZER);
    ck_assert_int_eq(pp_tokenizer_open(path_in_dir("anything.txt"), NULL, &tokenizer, &err), PP_OK);
    pp_tokenizer_destroy(tokenizer);
    char *with_mark = tokenizer_text_with(TINY_TOKENIZER, "{", "\xef\xbb\xbf \n\t{");
    put("marked.json", with_mark);
    refused(path_in_dir("marked.json"), PP_ERR_FORMAT, "byte 0xef");
    put("spaced.json", with_mark + 3);
    ck_assert_int_eq(pp_tokenizer_open(path_in_dir("spaced.json"), NULL, &tokenizer, &err), PP_OK);
    pp_tokenizer_destroy(tokenizer);
    free(with_mark);
    put("empty.json", "");
    refused(path_in_dir("empty.json"), PP_ERR_FORMAT, "is empty");
    put("words.txt", "the\nof\n");
    refused(path_in_dir("words.txt"), PP_ERR_FORMAT, "is neither a tokenizer.json");
    put("blank.json", " \n ");
    refused(path_in_dir("blank.json"), PP_ERR_FORMAT, "is neither a tokenizer.json");
    put("list.json", "[]");
    refused(path_in_dir("list.json"), PP_ERR_FORMAT, "is neither a tokenizer.json");
    tokenizer_dir_write(&dir, "nul.json", "\0\0\0", 3, 0);
    refused(path_in_dir("nul.json"), PP_ERR_FORMAT, "is neither a tokenizer.json");
}
END_TEST

START_TEST(tokenizer_json_comes_first)
{
    put("tokenizer.json", TINY_TOKENIZER);
    put("tekken.json", "{}");
    put("tokenizer.model", "no model");
    put("vocab.json", "{}");
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
    unlink(path_in_dir("tokenizer.json"));
    refused(dir.path, PP_ERR_FORMAT, "tekken.json");
    unlink(path_in_dir("tekken.json"));
    refused(dir.path, PP_ERR_FORMAT, "tokenizer.model");
}
END_TEST

START_TEST(a_pointer_in_place_of_the_file)
{
    put("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
    refused(dir.path, PP_ERR_FORMAT, "is a Git LFS pointer");
    refused(path_in_dir("tokenizer.json"), PP_ERR_FORMAT, "is a Git LFS pointer");
}
END_TEST

START_TEST(links_stay_inside)
{
    struct tokenizer_dir other = tokenizer_dir_make();
    char target[600];
    tokenizer_dir_put(&other, "tokenizer.json", TINY_TOKENIZER);
    snprintf(target, sizeof target, "%s/tokenizer.json", other.path);
    ck_assert_int_eq(symlink(target, path_in_dir("tokenizer.json")), 0);
    refused(dir.path, PP_ERR_PATH, "tokenizer.json");
    unlink(path_in_dir("tokenizer.json"));
    put("kept.json", TINY_TOKENIZER);
    ck_assert_int_eq(symlink("kept.json", path_in_dir("tokenizer.json")), 0);
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
    tokenizer_dir_remove(&other);
}
END_TEST

/* ---- settings ---- */

START_TEST(edges_that_the_settings_state)
{
    pp_tokenizer_info info;
    put("tokenizer.json", TINY_TOKENIZER);
    info = info_of_dir();
    ck_assert_int_eq(info.bos_token, -1); /* the file puts <s>, but nobody names it */
    ck_assert_int_eq(info.adds_bos, 0);
    put("tokenizer_config.json", "{'bos_token':'<s>','eos_token':{'content':'</s>'}}");
    info = info_of_dir();
    ck_assert_int_eq(info.bos_token, 0);
    ck_assert_int_eq(info.eos_token, 1);
    ck_assert_int_eq(info.adds_bos, 1);
    ck_assert_int_eq(info.adds_eos, 0);
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
    put("tokenizer_config.json",
        "{'add_bos_token':true,'add_eos_token':true,'bos_token':'<s>','eos_token':'</s>'}");
    ck_assert_str_eq(ids_of("hello"), "0 9 5 1");
    ck_assert_int_eq(info_of_dir().adds_eos, 1);
    put("tokenizer_config.json", "{'add_bos_token':false,'bos_token':'<s>'}");
    ck_assert_str_eq(ids_of("hello"), "9 5");
    put("tokenizer_config.json",
        "{'add_bos_token':false,'add_eos_token':true,'bos_token':'<s>','eos_token':'hell'}");
    ck_assert_str_eq(ids_of("hello"), "9 5 9");
    put("tokenizer_config.json", "{'add_bos_token':null,'add_eos_token':null,'bos_token':null}");
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
}
END_TEST

START_TEST(special_tokens_map_names_what_is_not_named)
{
    pp_tokenizer_info info;
    put("tokenizer.json", TINY_TOKENIZER);
    put("special_tokens_map.json",
        "{'bos_token':'<s>','eos_token':{'content':'</s>'},'unk_token':'o','pad_token':'l'}");
    info = info_of_dir();
    ck_assert_int_eq(info.bos_token, 0);
    ck_assert_int_eq(info.eos_token, 1);
    ck_assert_int_eq(info.unk_token, 5);
    ck_assert_int_eq(info.pad_token, 4);
    put("tokenizer_config.json", "{'bos_token':'</s>','pad_token':null}");
    info = info_of_dir();
    ck_assert_int_eq(info.bos_token, 1);
    ck_assert_int_eq(info.pad_token, -1);
    ck_assert_int_eq(info.unk_token, 5);
}
END_TEST

START_TEST(tokens_that_the_file_lacks)
{
    put("tokenizer.json", TINY_TOKENIZER);
    put("tokenizer_config.json", "{'added_tokens_decoder':{'0':{'content':'<s>','special':true},"
                                 "'20':{'content':'<more>','special':true,'lstrip':true}}}");
    put("added_tokens.json", "{'<even>':21,'<more>':20}");
    ck_assert_str_eq(ids_of("hello <more>o<even>"), "0 9 5 20 5 21");
    ck_assert_int_eq(info_of_dir().vocab_size, 22);
    ck_assert_int_eq(info_of_dir().n_special_tokens, 5);
    put("tokenizer_config.json", "{'split_special_tokens':true}");
    put("added_tokens.json", "{}");
    ck_assert_str_eq(ids_of("<s>o"), "0 5");
}
END_TEST

START_TEST(what_is_passed_over_is_told)
{
    char *text = tokenizer_text_with(
        TINY_TOKENIZER, "'normalizer':null",
        "'truncation':{'max_length':2},'padding':{'strategy':'BatchLongest'},'normalizer':null");
    put("tokenizer.json", text);
    put("tokenizer_config.json", "{'some_new_key':1,'an_old_key':false,'model_max_length':3}");
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
    ck_assert_ptr_nonnull(strstr(log_text, "\"truncation\" is set, and not applied"));
    ck_assert_ptr_nonnull(strstr(log_text, "\"padding\" is set"));
    ck_assert_ptr_nonnull(strstr(log_text, "\"some_new_key\" is not known"));
    ck_assert_ptr_null(strstr(log_text, "an_old_key"));
    ck_assert_ptr_null(strstr(log_text, "model_max_length"));
    free(text);
}
END_TEST

START_TEST(settings_that_are_refused)
{
    static const struct {
        const char *name, *text;
        pp_status status;
        const char *words;
    } refusals[] = {
        {"tokenizer_config.json", "{", PP_ERR_FORMAT, "malformed JSON"},
        {"tokenizer_config.json", "", PP_ERR_FORMAT, "is empty"},
        {"tokenizer_config.json", "[]", PP_ERR_FORMAT, "tokenizer_config.json"},
        {"tokenizer_config.json", "{'bos_token':7}", PP_ERR_FORMAT, "\"bos_token\" is 7"},
        {"tokenizer_config.json", "{'eos_token':{}}", PP_ERR_FORMAT, "\"eos_token\""},
        {"tokenizer_config.json", "{'add_bos_token':'yes'}", PP_ERR_FORMAT, "\"add_bos_token\""},
        {"tokenizer_config.json", "{'add_bos_token':true,'bos_token':'<none>'}", PP_ERR_FORMAT,
         "bos_token is \"<none>\", which is neither"},
        {"tokenizer_config.json", "{'add_eos_token':true,'eos_token':'<none>'}", PP_ERR_FORMAT,
         "eos_token is \"<none>\""},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'x':{'content':'a'}}}", PP_ERR_FORMAT,
         "without an id"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'-1':{'content':'a'}}}", PP_ERR_FORMAT,
         "without an id"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'99999999999':{'content':'a'}}}",
         PP_ERR_FORMAT, "without an id from 0"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'5':{}}}", PP_ERR_FORMAT, "a text"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'5':{'content':'a','lstrip':1}}}",
         PP_ERR_FORMAT, "added_tokens_decoder.lstrip"},
        {"tokenizer_config.json", "{'split_special_tokens':3}", PP_ERR_FORMAT,
         "split_special_tokens"},
        {"added_tokens.json", "{'<x>':'1'}", PP_ERR_FORMAT, "without an id"},
        {"added_tokens.json", "{'<x>':1.5}", PP_ERR_FORMAT, "without an id"},
        {"added_tokens.json", "{'<x>':1,'<x>':2}", PP_ERR_FORMAT, "occurs twice"},
        {"special_tokens_map.json", "{'pad_token':[]}", PP_ERR_FORMAT, "\"pad_token\""},
        {"special_tokens_map.json", "nothing", PP_ERR_FORMAT, "special_tokens_map.json"},
    };
    put("tokenizer.json", TINY_TOKENIZER);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        put(refusals[i].name, refusals[i].text);
        refused(dir.path, refusals[i].status, refusals[i].words);
        unlink(path_in_dir(refusals[i].name));
    }
    ck_assert_str_eq(ids_of("hello"), "0 9 5");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tokenizer-open");
    TCase *tcase = tcase_create("open");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, nothing_to_open);
    tcase_add_test(tcase, old_files_alone);
    tcase_add_test(tcase, files_are_known_by_their_content);
    tcase_add_test(tcase, tokenizer_json_comes_first);
    tcase_add_test(tcase, a_pointer_in_place_of_the_file);
    tcase_add_test(tcase, links_stay_inside);
    tcase_add_test(tcase, edges_that_the_settings_state);
    tcase_add_test(tcase, special_tokens_map_names_what_is_not_named);
    tcase_add_test(tcase, tokens_that_the_file_lacks);
    tcase_add_test(tcase, what_is_passed_over_is_told);
    tcase_add_test(tcase, settings_that_are_refused);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_NOFORK);
}
