/*
 * test_model_path.c: paths that are no model directory. Each entry makes some files in an empty
 * folder, opens a path in it as a model, and says which status and which words must come.
 */
#define _GNU_SOURCE
#include "checkpoint/model_path.h"
#include "malformed/model_maker.h"
#include "support/tap.h"

#include <prepack/model.h>

#include <check.h>
#include <errno.h>
#include <unistd.h>

enum { MAX_FILES = 4 };

struct mistake {
    const char *files[MAX_FILES]; /* "a/b" is a file, "a/b/" a folder, "a=text" a file's content */
    const char *path;             /* below the folder; "=x": x itself, opened in that folder */
    pp_status status;
    const char *says[3]; /* '@' stands for the folder */
};

#define CACHE "models--org--name"

static const struct mistake mistakes[] = {
    /* not there */
    {{0}, "=", PP_ERR_ARG, {"empty"}},
    {{0},
     "=org/model-135M",
     PP_ERR_IO,
     {"id of a model", "nothing is downloaded", "`hf download org/model-135M --local-dir DIR`"}},
    {{"org/"}, "=org/model-135M", PP_ERR_IO, {"org has no 'model-135M'"}},
    {{"models/llama/config.json"},
     "=modles/llama",
     PP_ERR_IO,
     {"the current directory", "is models meant?"}},
    {{"llama-1b/config.json"},
     "lama-1b",
     PP_ERR_IO,
     {"@ has no 'lama-1b'", "is @/llama-1b meant?"}},
    {{"Llama/config.json"}, "llama", PP_ERR_IO, {"is @/Llama meant?"}},
    {{"other/"}, "llama", PP_ERR_IO, {"there is no @/llama", "@ has no 'llama'"}},
    {{"a/"}, "a/b/c/d", PP_ERR_IO, {"there is no @/a/b/c/d", "@/a has no 'b'"}},
    {{"a"}, "a/b", PP_ERR_IO, {"@/a is no directory"}},
    {{"a/config.json"}, "a ", PP_ERR_IO, {"spaces or quotes", "pass @/a"}},
    {{0}, "='a/b'", PP_ERR_IO, {"spaces or quotes", "leave them out: a/b"}},
    {{0}, "=~/models/a", PP_ERR_IO, {"~/models/a", "home directory"}},
    {{0}, "=https://a.example/org/model", PP_ERR_IO, {"is a URL", "nothing is downloaded"}},
    /* files */
    {{"m/config.json={}"}, "m/config.json", PP_ERR_IO, {"pass the directory @/m"}},
    {{"m/config.json={}"}, "m/config.json/", PP_ERR_IO, {"pass the directory @/m"}},
    {{"m/model.safetensors"}, "m/model.safetensors", PP_ERR_IO, {"weights", "directory @/m"}},
    {{"m/model.safetensors.index.json"},
     "m/model.safetensors.index.json",
     PP_ERR_IO,
     {"list of a model's weight files", "pass the directory @/m"}},
    {{"tokenizer.json"}, "=tokenizer.json", PP_ERR_IO, {"pass the directory ."}},
    {{"m/pytorch_model.bin"},
     "m/pytorch_model.bin",
     PP_ERR_UNSUPPORTED,
     {"pickles are not read", "pass the directory @/m"}},
    {{"m/a.pth"}, "m/a.pth", PP_ERR_UNSUPPORTED, {"pickles are not read"}},
    {{"m/a.pt"}, "m/a.pt", PP_ERR_UNSUPPORTED, {"save the model as safetensors"}},
    {{"m/a.onnx"}, "m/a.onnx", PP_ERR_UNSUPPORTED, {"is an ONNX model"}},
    {{"m.ZIP"}, "m.ZIP", PP_ERR_UNSUPPORTED, {"unpack it"}},
    {{"m.gguf=GGUF\3"}, "m.gguf", PP_ERR_FORMAT, {"m.gguf"}},
    {{"named-otherwise=GGUF\3"}, "named-otherwise", PP_ERR_FORMAT, {"named-otherwise"}},
    {{"m/model.safetensors=version https://git-lfs.github.com/spec/v1\noid x\n"},
     "m/model.safetensors",
     PP_ERR_FORMAT,
     {"Git LFS pointer"}},
    {{"README"}, "README", PP_ERR_IO, {"is a file; a model is a directory"}},
    {{0}, "=/dev/null", PP_ERR_IO, {"neither a directory nor a file"}},
    /* the cache */
    {{CACHE "/snapshots/f00/config.json", CACHE "/blobs/"},
     CACHE,
     PP_ERR_IO,
     {"pass @/" CACHE "/snapshots/f00"}},
    {{CACHE "/snapshots/f00/config.json"},
     CACHE "/snapshots/",
     PP_ERR_IO,
     {"the snapshots folder", "snapshots/f00"}},
    {{CACHE "/snapshots/f00/config.json", CACHE "/blobs/"},
     CACHE "/blobs",
     PP_ERR_IO,
     {"the blobs folder", "/" CACHE "/snapshots/f00"}},
    {{CACHE "/snapshots/b/config.json", CACHE "/snapshots/a/config.json"},
     CACHE,
     PP_ERR_IO,
     {"2 snapshots", "such as @/" CACHE "/snapshots/a"}},
    {{CACHE "/blobs/1.incomplete"}, CACHE, PP_ERR_IO, {"no snapshot", "not finished"}},
    {{CACHE "/snapshots/f00/config.json"}, "", PP_ERR_IO, {"pass @/" CACHE "/snapshots/f00"}},
    {{CACHE "/snapshots/f/a", "models--b--c/snapshots/f/a"}, "", PP_ERR_IO, {"cache of 2 models"}},
    /* folders */
    {{0}, "", PP_ERR_IO, {"@ is empty"}},
    {{"m/notes.txt"}, "m", PP_ERR_IO, {"@/m has no config.json"}},
    {{"m/llama/config.json"}, "m", PP_ERR_IO, {"a folder in it has", "pass @/m/llama"}},
    {{"m/b/config.json", "m/a/config.json"}, "m", PP_ERR_IO, {"several", "such as @/m/a"}},
    {{"m/x.Q4_K_M.gguf"}, "m", PP_ERR_FORMAT, {"m/x.Q4_K_M.gguf"}},
    {{"m/pytorch_model.bin"},
     "m",
     PP_ERR_UNSUPPORTED,
     {"pickles", "save the model as safetensors"}},
    {{"m/model.onnx"}, "m", PP_ERR_UNSUPPORTED, {"ONNX"}},
    {{"m/adapter_config.json", "m/adapter_model.safetensors"},
     "m",
     PP_ERR_UNSUPPORTED,
     {"LoRA adapter", "merge it"}},
    {{"m/model_index.json"}, "m", PP_ERR_UNSUPPORTED, {"pipeline"}},
    {{"m/params.json", "m/consolidated.00.pth"}, "m", PP_ERR_UNSUPPORTED, {"params.json"}},
    {{"m/model.safetensors"}, "m", PP_ERR_IO, {"weights (model.safetensors) but no config.json"}},
    {{"m/x.incomplete", "m/model.safetensors"}, "m", PP_ERR_IO, {"unfinished download (x.incompl"}},
    {{"m/.cache/huggingface/download/x.incomplete"}, "m", PP_ERR_IO, {"unfinished download"}},
    /* directories with a config.json */
    {{"m/config.json"}, "m", PP_ERR_FORMAT, {"@/m/config.json is empty"}},
    {{"m/config.json=<!DOCTYPE html>\n<html>"}, "m", PP_ERR_FORMAT, {"web page", "login"}},
    {{"m/config.json=\n<html></html>"}, "m", PP_ERR_FORMAT, {"@/m/config.json is a web page"}},
    {{"m/config.json=?"}, "m", PP_ERR_IO, {"neither model.safetensors nor", "fetch the model's"}},
    {{"m/config.json=?", "m/pytorch_model.bin"},
     "m",
     PP_ERR_UNSUPPORTED,
     {"pickles (pytorch_model"}},
    {{"m/config.json=?", "m/m.gguf"}, "m", PP_ERR_IO, {"@/m/m.gguf; pass that file"}},
    {{"m/config.json=?", "m/adapter_config.json"}, "m", PP_ERR_UNSUPPORTED, {"LoRA adapter"}},
    {{"m/config.json=?", "m/consolidated.safetensors"},
     "m",
     PP_ERR_IO,
     {"consolidated.safetensors"}},
    {{"m/config.json=?", "m/x.incomplete"}, "m", PP_ERR_IO, {"unfinished download"}},
    {{"m/config.json=?", "m/model.safetensors=<html><body>log in</body></html>"},
     "m",
     PP_ERR_FORMAT,
     {"@/m/model.safetensors is a web page"}},
};

/* Makes the file or folder that an entry names, and the folders around it. */
static void make(const char *dir, const char *entry)
{
    struct path path = path_in(dir, entry);
    char *content = strchr(path.text + strlen(dir), '=');
    if (content)
        *content++ = '\0';
    for (char *slash = path.text + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        ck_assert(mkdir(path.text, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    if (path.text[strlen(path.text) - 1] == '/')
        return;
    if (content && strcmp(content, "?") == 0)
        content = (char *)tiny_config;
    write_file("", path.text + 1, content ? content : "", content ? strlen(content) : 0);
}

/* The words with the folder in the place of '@'. */
static bool is_said(const char *message, const char *words, const char *dir)
{
    char wanted[512] = "";
    for (; *words; words++)
        if (*words == '@')
            strcat(wanted, dir);
        else
            strncat(wanted, words, 1);
    return strstr(message, wanted) != NULL;
}

START_TEST(says_what_is_wrong)
{
    const struct mistake *mistake = &mistakes[_i];
    struct path dir = make_dir(), path = path_in(dir.text, mistake->path);
    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    for (int i = 0; i < MAX_FILES && mistake->files[i]; i++)
        make(dir.text, mistake->files[i]);
    ck_assert_int_eq(chdir(dir.text), 0);
    if (mistake->path[0] == '\0')
        path = dir;
    const char *name = mistake->path[0] == '=' ? mistake->path + 1 : path.text;
    const pp_status status = pp_model_open(name, NULL, &model, &err);
    ck_assert_msg(status == mistake->status && err.code == status, "%s: status %d: %s", name,
                  (int)status, err.message);
    for (int i = 0; i < 3 && mistake->says[i]; i++)
        ck_assert_msg(is_said(err.message, mistake->says[i], dir.text),
                      "%s: '%s' does not say '%s'", name, err.message, mistake->says[i]);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(chdir("/"), 0);
    remove_dir(dir.text);
}
END_TEST

START_TEST(keeps_errno)
{
    struct path dir = make_dir();
    pp_error err = {.struct_size = sizeof err};
    ck_assert_int_eq(ppi_model_path_check(path_in(dir.text, "none").text, &err), PP_ERR_IO);
    ck_assert_int_eq(err.native_code, ENOENT);
    ck_assert_int_eq(ppi_model_path_check("/dev/null", &err), PP_ERR_IO);
    ck_assert_int_eq(err.native_code, ENOTDIR);
    ck_assert_int_eq(ppi_model_path_check("/dev/null", NULL), PP_ERR_IO);
    ck_assert_int_eq(symlink("gone", path_in(dir.text, "link").text), 0);
    ck_assert_int_eq(ppi_model_path_check(path_in(dir.text, "link").text, &err), PP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "is a link to gone, which is not there"));
    remove_dir(dir.text);
}
END_TEST

/* Paths longer than any the system takes, and names longer than any a directory holds. */
START_TEST(copes_with_length)
{
    char path[3 * PATH_MAX];
    pp_error err = {.struct_size = sizeof err};
    for (size_t n = 1; n < sizeof path; n += n < 600 ? 1 : 997) {
        memset(path, 'x', n);
        path[n] = '\0';
        ck_assert_int_eq(ppi_model_path_check(path, &err), PP_ERR_IO);
        for (size_t i = 0; i < n; i += 2)
            path[i] = '/';
        ck_assert_int_eq(ppi_model_path_check(path, &err), PP_ERR_IO);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model-path");
    TCase *cases = tcase_create("paths");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, says_what_is_wrong, 0, (int)PPI_COUNT(mistakes));
    tcase_add_test(cases, keeps_errno);
    tcase_add_test(cases, copes_with_length);
    suite_add_tcase(suite, cases);
    return tap_run(suite, CK_FORK);
}
