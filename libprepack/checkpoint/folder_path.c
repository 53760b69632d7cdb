/*
 * folder_path.c: a directory that is not a model's: what it holds instead, and what to pass. The
 * cache of Hugging Face tools is .../models--owner--name/{blobs, refs, snapshots/revision/files}.
 */
#define _GNU_SOURCE
#include "checkpoint/model_path.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ENTRIES = 10000 };

enum kind {
    UNFINISHED,
    GGUF,
    SAFETENSORS,
    PICKLES,
    ONNX,
    MODEL_FOLDER, /* with a config.json in it */
    REPO_FOLDER,  /* models--owner--name of the cache */
    FOLDER,
    ANYTHING, /* any entry at all */
    N_KINDS,
};

static const struct {
    const char *ending;
    enum kind kind;
} endings[] = {
    {".incomplete", UNFINISHED},   {".part", UNFINISHED}, {".gguf", GGUF},   {".pt", PICKLES},
    {".safetensors", SAFETENSORS}, {".bin", PICKLES},     {".pth", PICKLES}, {".onnx", ONNX},
};

/* What lies in a directory. */
struct survey {
    int32_t n[N_KINDS];
    char first[N_KINDS][256]; /* of each kind, by name */
};

static bool is_repo_name(const char *name)
{
    return strncmp(name, "models--", 8) == 0;
}

static void count(struct survey *survey, enum kind kind, const char *name)
{
    char *first = survey->first[kind];
    if (survey->n[kind]++ == 0 || strcmp(name, first) < 0)
        strcpy(first, name);
}

static void count_folder(struct survey *survey, const char *path, const char *name)
{
    count(survey, FOLDER, name);
    if (ppi_path_has(path, "config.json"))
        count(survey, MODEL_FOLDER, name);
    else if (is_repo_name(name) && ppi_path_has(path, "snapshots"))
        count(survey, REPO_FOLDER, name);
}

static void look(const char *dir, struct survey *survey)
{
    char path[PATH_MAX];
    DIR *entries = opendir(dir);
    const struct dirent *entry;
    *survey = (struct survey){0};
    for (int i = 0; entries && i < MAX_ENTRIES && (entry = readdir(entries)); i++) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !ppi_path_join(dir, name, path))
            continue;
        if (name[0] != '.')
            count(survey, ANYTHING, name);
        if (ppi_path_is_directory(path)) {
            count_folder(survey, path, name);
            continue;
        }
        for (size_t k = 0; k < PPI_COUNT(endings); k++)
            if (ppi_path_ends(name, endings[k].ending))
                count(survey, endings[k].kind, name);
    }
    if (entries)
        closedir(entries);
}

/* ---- the cache ---- */

static pp_status refuse_snapshots(const char *path, const char *what, const char *snapshots,
                                  pp_error *err)
{
    struct survey survey;
    char whole[PATH_MAX];
    const struct ppi_label label = ppi_label_path(path, NULL);
    look(snapshots, &survey);
    const char *first = survey.first[FOLDER];
    if (survey.n[FOLDER] == 0 || !ppi_path_join(snapshots, first, whole))
        return ppi_error(err, PP_ERR_IO,
                         "%s is %s of a Hugging Face cache that has no snapshot: the download was "
                         "not finished; start it again",
                         label.text, what);
    if (survey.n[FOLDER] == 1)
        return ppi_error(err, PP_ERR_IO, "%s is %s of a Hugging Face cache; pass %s", label.text,
                         what, ppi_label_path(whole, NULL).text);
    return ppi_error(err, PP_ERR_IO,
                     "%s is %s of a Hugging Face cache with %d snapshots; pass one of them, such "
                     "as %s",
                     label.text, what, survey.n[FOLDER], ppi_label_path(whole, NULL).text);
}

/* Whether the path is a folder of the cache; then *status is the error. */
static bool is_of_cache(const char *path, pp_status *status, pp_error *err)
{
    static const char *const inside[] = {"snapshots", "blobs", "refs"};
    char real[PATH_MAX], name[PATH_MAX], parent[PATH_MAX], owner[PATH_MAX], snapshots[PATH_MAX];
    char what[64];
    struct ppi_dir dir;
    if (ppi_dir_open(path, &dir, NULL) < 0) /* "." has a name, too */
        return false;
    strcpy(real, dir.real);
    ppi_path_last(real, name);
    ppi_path_parent(real, parent);
    ppi_path_last(parent, owner);
    if (is_repo_name(name) && ppi_path_join(path, "snapshots", snapshots)) {
        *status = refuse_snapshots(path, "the folder of a model", snapshots, err);
        return true;
    }
    for (size_t i = 0; i < PPI_COUNT(inside); i++) {
        if (!is_repo_name(owner) || strcmp(name, inside[i]) != 0)
            continue;
        const bool is_there = i == 0;
        if (!ppi_path_join(is_there ? path : parent, is_there ? "" : "snapshots", snapshots))
            return false;
        strcat(strcat(strcpy(what, "the "), name), " folder");
        *status = refuse_snapshots(path, what, snapshots, err);
        return true;
    }
    return false;
}

static pp_status refuse_cache(const char *path, const struct survey *survey, pp_error *err)
{
    char repo[PATH_MAX], snapshots[PATH_MAX];
    if (survey->n[REPO_FOLDER] > 1)
        return ppi_error(err, PP_ERR_IO,
                         "%s is a Hugging Face cache of %d models; pass a folder in snapshots of "
                         "one of them, such as %s",
                         ppi_label_path(path, NULL).text, survey->n[REPO_FOLDER],
                         ppi_label(survey->first[REPO_FOLDER]).text);
    if (!ppi_path_join(path, survey->first[REPO_FOLDER], repo) ||
        !ppi_path_join(repo, "snapshots", snapshots))
        snapshots[0] = '\0';
    return refuse_snapshots(path, "the root", snapshots, err);
}

/* ---- other directories ---- */

static bool is_unfinished(const char *path, struct survey *survey)
{
    char downloads[PATH_MAX];
    struct survey hidden;
    if (survey->n[UNFINISHED] > 0)
        return true;
    if (!ppi_path_join(path, ".cache/huggingface/download", downloads))
        return false;
    look(downloads, &hidden);
    strcpy(survey->first[UNFINISHED], hidden.first[UNFINISHED]);
    return hidden.n[UNFINISHED] > 0;
}

static pp_status refuse_unfinished(const char *path, const struct survey *survey, pp_error *err)
{
    return ppi_error(
        err, PP_ERR_IO,
        "%s holds an unfinished download (%s); start the download again, which goes on "
        "where it stopped",
        ppi_label_path(path, NULL).text, ppi_label(survey->first[UNFINISHED]).text);
}

/* Files that show what a directory is. */
static const struct {
    const char *name;
    const char *sentence; /* what follows the path */
} signs[] = {
    {"adapter_config.json",
     "is a LoRA adapter and no model: merge it into its base model first, and "
     "pass the directory of the merged model"},
    {"model_index.json",
     "is a pipeline of several models (model_index.json); pass the folder of its "
     "language model"},
    {"params.json", "has params.json in place of config.json, a layout that is not read; pass the "
                    "directory of the same model as transformers has it"},
};

static pp_status refuse_contents(const char *path, const struct survey *survey, pp_error *err)
{
    const struct ppi_label label = ppi_label_path(path, NULL);
    char inner[PATH_MAX];
    if (survey->n[SAFETENSORS] > 0)
        return ppi_error(err, PP_ERR_IO,
                         "%s has weights (%s) but no config.json; fetch the other files of the "
                         "model as well, and keep them together",
                         label.text, ppi_label(survey->first[SAFETENSORS]).text);
    if (survey->n[PICKLES] > 0)
        return ppi_error(
            err, PP_ERR_UNSUPPORTED,
            "%s has PyTorch pickles (%s), which are not read, and no config.json; save "
            "the model as safetensors",
            label.text, ppi_label(survey->first[PICKLES]).text);
    if (survey->n[ONNX] > 0)
        return ppi_error(
            err, PP_ERR_UNSUPPORTED,
            "%s has an ONNX model (%s), which is not read; a model is a directory with "
            "config.json and safetensors files",
            label.text, ppi_label(survey->first[ONNX]).text);
    const char *first = survey->first[MODEL_FOLDER];
    if (survey->n[MODEL_FOLDER] > 0 && ppi_path_join(path, first, inner))
        return ppi_error(err, PP_ERR_IO, "%s has no config.json, but %s; pass %s%s", label.text,
                         survey->n[MODEL_FOLDER] > 1 ? "holds several model directories"
                                                     : "a folder in it has",
                         survey->n[MODEL_FOLDER] > 1 ? "one of them, such as " : "",
                         ppi_label_path(inner, NULL).text);
    return ppi_error(err, PP_ERR_IO,
                     "%s %s no config.json; a model is a directory with config.json and "
                     "safetensors files",
                     label.text, survey->n[ANYTHING] == 0 ? "is empty and has" : "has");
}

pp_status ppi_refuse_folder(const char *path, pp_error *err)
{
    struct survey survey;
    pp_status status = PP_OK;
    if (is_of_cache(path, &status, err))
        return status;
    if (access(path, R_OK) != 0)
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot look into the directory %s",
                               ppi_label_path(path, NULL).text);
    look(path, &survey);
    if (survey.n[REPO_FOLDER] > 0)
        return refuse_cache(path, &survey, err);
    for (size_t i = 0; i < PPI_COUNT(signs); i++)
        if (ppi_path_has(path, signs[i].name))
            return ppi_error(err, PP_ERR_UNSUPPORTED, "%s %s", ppi_label_path(path, NULL).text,
                             signs[i].sentence);
    if (is_unfinished(path, &survey))
        return refuse_unfinished(path, &survey, err);
    return refuse_contents(path, &survey, err);
}

pp_status ppi_model_path_weightless(const struct ppi_dir *dir, pp_error *err)
{
    static const char missing[] = "has neither model.safetensors nor model.safetensors.index.json";
    const char *path = dir->real[0] ? dir->real : "/", *label = dir->label.text;
    struct survey survey;
    look(path, &survey);
    if (is_unfinished(path, &survey))
        return refuse_unfinished(label, &survey, err);
    if (ppi_path_has(path, "adapter_config.json"))
        return ppi_error(err, PP_ERR_UNSUPPORTED, "%s %s", label, signs[0].sentence);
    if (survey.n[PICKLES] > 0)
        return ppi_error(err, PP_ERR_UNSUPPORTED,
                         "%s %s but PyTorch pickles (%s), which are not read; save the model as "
                         "safetensors",
                         label, missing, ppi_label(survey.first[PICKLES]).text);
    if (survey.n[GGUF] > 0)
        return ppi_error(err, PP_ERR_IO, "%s %s, but %s; pass that file", label, missing,
                         ppi_label_path(label, survey.first[GGUF]).text);
    if (survey.n[SAFETENSORS] > 0)
        return ppi_error(err, PP_ERR_IO,
                         "%s %s, but %s; weights in one file are called model.safetensors, and "
                         "those in several have an index",
                         label, missing, ppi_label(survey.first[SAFETENSORS]).text);
    return ppi_error(err, PP_ERR_IO, "%s %s; fetch the model's weights as well", label, missing);
}
