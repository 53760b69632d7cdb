/* missing_path.c: a model path that leads nowhere: a hub id, a misspelled name, something that a
 * shell would have replaced. */
#define _GNU_SOURCE
#include "checkpoint/model_path.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_NAME = 255, MAX_ENTRIES = 10000 };

/* Copies the path without spaces and quotes around it; false where there are none. */
static bool strip(const char *path, char out[PATH_MAX])
{
    static const char around[] = " \t\r\n\"'`";
    const size_t start = strspn(path, around);
    size_t n = strnlen(path + start, PATH_MAX - 1);
    const size_t whole = n;
    while (n > 0 && strchr(around, path[start + n - 1]))
        n--;
    memcpy(out, path + start, n);
    out[n] = '\0';
    return start > 0 || n < whole;
}

static pp_status refuse_wrapped(const char *path, const char *stripped, pp_error *err)
{
    return ppi_error(err, PP_ERR_IO,
                     "the model path '%s' has spaces or quotes around it that count as part "
                     "of the name%s%s",
                     ppi_label(path).text,
                     ppi_path_is_directory(stripped) ? "; pass " : "; leave them out: ",
                     ppi_label_path(stripped, NULL).text);
}

static bool is_url(const char *path)
{
    const char *colon = strstr(path, "://");
    return colon && colon > path && strcspn(path, "/") > (size_t)(colon - path);
}

/* "org/name": two words of the characters that hub ids have. */
static bool looks_like_hub_id(const char *path)
{
    size_t n_slashes = 0, n_word = 0;
    if (*path == '.')
        return false;
    for (const char *c = path; *c; c++) {
        if (*c == '/' && (n_word == 0 || n_slashes++ > 0))
            return false;
        if (*c != '/' && !isalnum((unsigned char)*c) && !strchr("-_.", *c))
            return false;
        n_word = *c == '/' ? 0 : n_word + 1;
    }
    return n_slashes == 1 && n_word > 0;
}

static pp_status refuse_hub_id(const char *path, pp_error *err)
{
    const struct ppi_label id = ppi_label(path);
    return ppi_error(err, PP_ERR_IO,
                     "there is no directory %s; if that is the id of a model on a hub: nothing "
                     "is downloaded here, so download its files first (for example with `hf "
                     "download %s --local-dir DIR`) and pass that directory",
                     id.text, id.text);
}

/* Insertions, deletions and replacements between two names, upper and lower case alike. */
static size_t edits_between(const char *a, const char *b)
{
    size_t row[MAX_NAME + 1];
    const size_t n = strlen(b);
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= n; k++) {
            const bool same = tolower((unsigned char)*a) == tolower((unsigned char)b[k - 1]);
            size_t least = diagonal + !same;
            diagonal = row[k];
            if (least > row[k] + 1)
                least = row[k] + 1;
            if (least > row[k - 1] + 1)
                least = row[k - 1] + 1;
            row[k] = least;
        }
    }
    return row[n];
}

/* The entry of a directory most like `name`; false where none is near. */
static bool find_near(const char *dir, const char *name, char near[MAX_NAME + 1])
{
    const size_t n = strlen(name);
    size_t best = n / 4 + 1; /* more edits than this make another word */
    bool found = false;
    DIR *entries = n <= MAX_NAME ? opendir(dir) : NULL;
    const struct dirent *entry;
    for (int i = 0; entries && i < MAX_ENTRIES && (entry = readdir(entries)); i++) {
        if (entry->d_name[0] == '.' && name[0] != '.')
            continue;
        const size_t edits = edits_between(name, entry->d_name);
        const bool earlier = found && edits == best && strcmp(entry->d_name, near) < 0;
        if (edits > best || edits >= n || (found && edits == best && !earlier))
            continue;
        best = edits;
        found = true;
        strcpy(near, entry->d_name);
    }
    if (entries)
        closedir(entries);
    return found;
}

/* Cuts parts off `path` until what is left exists; missing: the last part that was cut. */
static void find_existing(const char *path, char existing[PATH_MAX], char missing[PATH_MAX])
{
    char current[PATH_MAX];
    strcpy(current, path);
    do {
        ppi_path_last(current, missing);
        ppi_path_parent(current, existing);
        strcpy(current, existing);
    } while (access(existing, F_OK) != 0 && strcmp(existing, ".") != 0 &&
             strcmp(existing, "/") != 0);
}

static pp_status refuse_misspelled(const char *path, const char *existing, const char *missing,
                                   const char *near, pp_error *err)
{
    const struct ppi_label label = ppi_label_path(path, NULL);
    char whole[PATH_MAX];
    if (!ppi_path_is_directory(existing))
        return ppi_error(err, PP_ERR_IO, "there is no %s: %s is no directory", label.text,
                         ppi_label_path(existing, NULL).text);
    const bool here = strcmp(existing, ".") == 0;
    const char *home = here ? "the current directory" : existing;
    if (near && (here || ppi_path_join(existing, near, whole)))
        return ppi_error(err, PP_ERR_IO, "there is no %s: %s has no '%s'; is %s meant?", label.text,
                         ppi_label_path(home, NULL).text, ppi_label(missing).text,
                         ppi_label_path(here ? near : whole, NULL).text);
    return ppi_error(err, PP_ERR_IO, "there is no %s: %s has no '%s'", label.text,
                     ppi_label_path(home, NULL).text, ppi_label(missing).text);
}

/* A link whose target is gone. */
static bool is_broken_link(const char *path, char target[PATH_MAX])
{
    const ssize_t n = readlink(path, target, PATH_MAX - 1);
    if (n >= 0)
        target[n] = '\0';
    return n >= 0;
}

static pp_status refuse_not_there(const char *path, pp_error *err)
{
    char other[PATH_MAX], existing[PATH_MAX], missing[PATH_MAX], near[MAX_NAME + 1];
    if (is_broken_link(path, other))
        return ppi_error(err, PP_ERR_IO, "%s is a link to %s, which is not there",
                         ppi_label_path(path, NULL).text, ppi_label_path(other, NULL).text);
    if (strip(path, other))
        return refuse_wrapped(path, other, err);
    if (*path == '~')
        return ppi_error(err, PP_ERR_IO,
                         "there is no %s: a shell replaces ~ only where it stands unquoted "
                         "at the beginning of a word; write the home directory out",
                         ppi_label_path(path, NULL).text);
    if (is_url(path))
        return ppi_error(err, PP_ERR_IO,
                         "%s is a URL; nothing is downloaded here, so download the model's "
                         "files first and pass the directory that holds them",
                         ppi_label(path).text);
    find_existing(path, existing, missing);
    const bool is_near = find_near(existing, missing, near);
    if (!is_near && strcmp(existing, ".") == 0 && looks_like_hub_id(path))
        return refuse_hub_id(path, err);
    return refuse_misspelled(path, existing, missing, is_near ? near : NULL, err);
}

pp_status ppi_refuse_missing(const char *path, int errno_value, pp_error *err)
{
    if (*path == '\0')
        return ppi_error(err, PP_ERR_ARG,
                         "the model path is empty; pass a directory with config.json and "
                         "safetensors files");
    if ((errno_value == ENOENT || errno_value == ENOTDIR) && strlen(path) < PATH_MAX)
        return refuse_not_there(path, err);
    return ppi_error_errno(err, PP_ERR_IO, errno_value, "cannot open the model directory %s",
                           ppi_label_path(path, NULL).text);
}
