/*
 * gguf_set.c: finds a GGUF file by a path, and the other parts of one that was split. A single file
 * is known by its first bytes; in a directory only names that end in .gguf are looked at.
 */
#define _GNU_SOURCE
#include "checkpoint/gguf_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define ENDING      ".gguf"
#define CONFIG_NAME "config.json"
#define MAX_PARTS   1024
#define PART_FORMAT "-%05d-of-%05d" ENDING
#define PART_LEN    (sizeof "-00001-of-00003" ENDING - 1)
#define MAX_NAMES   8 /* that are kept of a directory */

/* ---- names ---- */

static bool ends_as_gguf(const char *name)
{
    size_t len = strlen(name), ending = sizeof ENDING - 1;
    return len > ending && strcasecmp(name + len - ending, ENDING) == 0;
}

/* NAME-00002-of-00003.gguf; *i_part from 0. */
static bool is_part_name(const char *name, int32_t *i_part, int32_t *n_parts)
{
    char again[PART_LEN + 1];
    size_t len = strlen(name);
    int no, of;
    if (len <= PART_LEN || sscanf(name + len - PART_LEN, "-%5d-of-%5d", &no, &of) != 2 || no < 1 ||
        of < no)
        return false;
    snprintf(again, sizeof again, PART_FORMAT, no % 100000, of % 100000);
    *i_part = no - 1;
    *n_parts = of;
    return strcmp(again, name + len - PART_LEN) == 0;
}

/* The name of another part of the same file. */
static bool part_name(const char *name, int32_t i_part, int32_t n_parts, char out[NAME_MAX + 1])
{
    size_t stem = strlen(name) - PART_LEN;
    if (stem + PART_LEN > NAME_MAX)
        return false;
    memcpy(out, name, stem);
    snprintf(out + stem, NAME_MAX + 1 - stem, PART_FORMAT, i_part + 1, n_parts);
    return true;
}

/* ---- a directory ---- */

/* Files of a directory that a path could mean; of a split one the first part. */
struct candidates {
    int n; /* may be more than there are names */
    char names[MAX_NAMES][NAME_MAX + 1];
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static pp_status list(const struct ppi_dir *dir, struct candidates *candidates, pp_error *err)
{
    struct dirent *entry;
    int32_t i_part, n_parts;
    DIR *stream = opendir(dir->real[0] ? dir->real : "/");
    candidates->n = 0;
    if (!stream)
        return ppi_error_errno(err, PP_ERR_IO, errno, "cannot list %s", dir->label.text);
    while ((entry = readdir(stream))) {
        if (!ends_as_gguf(entry->d_name) ||
            (is_part_name(entry->d_name, &i_part, &n_parts) && i_part > 0))
            continue;
        if (candidates->n < MAX_NAMES)
            strcpy(candidates->names[candidates->n], entry->d_name);
        candidates->n++;
    }
    closedir(stream);
    int kept = candidates->n < MAX_NAMES ? candidates->n : MAX_NAMES;
    qsort(candidates->names, (size_t)kept, sizeof candidates->names[0], by_text);
    return PP_OK;
}

static pp_status refuse_several(const struct ppi_dir *dir, const struct candidates *candidates,
                                pp_error *err)
{
    char text[320] = "";
    int n = 0;
    for (; n < candidates->n && n < MAX_NAMES; n++) {
        size_t used = strlen(text);
        if (used + strlen(candidates->names[n]) + 3 > sizeof text)
            break;
        snprintf(text + used, sizeof text - used, "%s%s", n ? ", " : "", candidates->names[n]);
    }
    if (n == candidates->n)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s has no " CONFIG_NAME " and several GGUF files: %s; name one of them",
                         dir->label.text, text);
    return ppi_error(err, PP_ERR_FORMAT,
                     "%s has no " CONFIG_NAME " and %d GGUF files, among them %s; name one",
                     dir->label.text, candidates->n, text);
}

/* ---- parts ---- */

static pp_status read_count(const struct ppi_gguf_part *part, const char *key, int64_t otherwise,
                            int64_t *out, pp_error *err)
{
    const struct ppi_gguf_value *value = ppi_gguf_find(&part->gguf, key);
    *out = otherwise;
    if (!value || (ppi_gguf_integer(value, out) && *out >= 0))
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT, "%s: %s is %s; a number of at least 0 is needed",
                     part->file.label.text, key, ppi_gguf_describe(value).text);
}

/* Which part of how many; a whole file is part 0 of 1. */
static pp_status read_split(const struct ppi_gguf_part *part, int64_t *no, int64_t *count,
                            pp_error *err)
{
    PP_TRY(read_count(part, "split.count", 1, count, err));
    PP_TRY(read_count(part, "split.no", 0, no, err));
    if (*count == 0)
        *count = 1;
    if (*no < *count)
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT, "%s: split.no is %lld and split.count %lld",
                     part->file.label.text, (long long)*no, (long long)*count);
}

/* One name in two parts would be two tensors. */
static pp_status check_repeated(const struct ppi_gguf_set *set, int32_t i_part, pp_error *err)
{
    const struct ppi_gguf_part *part = &set->parts[i_part];
    for (size_t e = 0; e < part->gguf.n_entries; e++)
        for (int32_t i = 0; i < i_part; i++)
            if (ppi_gguf_find_tensor(&set->parts[i].gguf, part->gguf.entries[e].name))
                return ppi_error(err, PP_ERR_FORMAT, "%s: tensor \"%s\" is in %s too",
                                 part->file.label.text, ppi_label(part->gguf.entries[e].name).text,
                                 set->parts[i].file.label.text);
    return PP_OK;
}

static pp_status check_tensors(const struct ppi_gguf_set *set, pp_error *err)
{
    int64_t announced, n = 0;
    for (int32_t i = 0; i < set->n; i++)
        n += (int64_t)set->parts[i].gguf.n_entries;
    PP_TRY(read_count(&set->parts[0], "split.tensors.count", n, &announced, err));
    if (announced == n)
        return PP_OK;
    return ppi_error(err, PP_ERR_FORMAT,
                     "%s: split.tensors.count is %lld; the parts have %lld tensors",
                     set->parts[0].file.label.text, (long long)announced, (long long)n);
}

/* Where the parts are, and the name of the first. */
struct place {
    struct ppi_dir dir;
    char name[NAME_MAX + 1];
};

/* The directory and the name of a file that is named by its path. */
static pp_status split_path(const char *path, struct place *place, pp_error *err)
{
    char dir[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof dir || strlen(name) >= sizeof place->name)
        return ppi_error_errno(err, PP_ERR_IO, ENAMETOOLONG, "cannot open %s",
                               ppi_label_path(path, NULL).text);
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", len > 0 ? (int)len : 1, path);
    strcpy(place->name, name);
    return ppi_dir_open(dir, &place->dir, err);
}

/* The first part has been read; count is what it says. */
static pp_status check_first(const struct place *place, const char *label, int64_t no,
                             int64_t count, pp_error *err)
{
    int32_t i_part, n_parts;
    char first[NAME_MAX + 1];
    bool named = is_part_name(place->name, &i_part, &n_parts) && n_parts == count && i_part == no;
    if (count > MAX_PARTS)
        return ppi_error(err, PP_ERR_LIMIT, "%s is one of %lld parts; at most %d are accepted",
                         label, (long long)count, MAX_PARTS);
    if (!named)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s is part %lld of %lld; by that its name has to end in " PART_FORMAT,
                         label, (long long)no + 1, (long long)count, (int)no + 1, (int)count);
    if (no > 0 && part_name(place->name, 0, n_parts, first))
        return ppi_error(err, PP_ERR_FORMAT, "%s is part %lld of %lld; name the first, %s", label,
                         (long long)no + 1, (long long)count, first);
    return PP_OK;
}

static pp_status open_part(struct ppi_gguf_set *set, const struct place *place, int32_t n_parts,
                           struct ppi_mem *mem, pp_error *err)
{
    int64_t no, count;
    char name[NAME_MAX + 1];
    struct ppi_gguf_part *part = &set->parts[set->n];
    part_name(place->name, set->n, n_parts, name); /* as long as the first part's */
    PP_TRY(ppi_dir_open_file(&place->dir, name, &part->file, err));
    int32_t i_part = set->n++; /* so many to close */
    PP_TRY(ppi_gguf_read(&part->file, mem, &part->gguf, err));
    PP_TRY(read_split(part, &no, &count, err));
    ppi_gguf_drop_values(&part->gguf, mem);
    if (no != i_part || count != n_parts)
        return ppi_error(err, PP_ERR_FORMAT, "%s says that it is part %lld of %lld, not %d of %d",
                         part->file.label.text, (long long)no + 1, (long long)count, i_part + 1,
                         n_parts);
    return check_repeated(set, i_part, err);
}

static pp_status open_others(struct ppi_gguf_set *set, const struct place *place, int64_t count,
                             struct ppi_mem *mem, pp_error *err)
{
    struct ppi_gguf_part *parts = ppi_zalloc(mem, (size_t)count, sizeof *parts);
    if (!parts)
        return ppi_error_nomem(err, "the parts of a file", (size_t)count * sizeof *parts);
    parts[0] = set->parts[0];
    ppi_free(mem, set->parts);
    set->parts = parts;
    while (set->n < count)
        PP_TRY(open_part(set, place, (int32_t)count, mem, err));
    return check_tensors(set, err);
}

/* ---- by path ---- */

/* The first part, or the whole. *found: it begins as a GGUF file does. */
static pp_status open_first(const char *path, bool is_dir, struct place *place,
                            struct ppi_file *file, bool *found, pp_error *err)
{
    struct candidates candidates;
    if (!is_dir) {
        PP_TRY(ppi_file_open(path, file, err));
        pp_status status = ppi_gguf_is(file, found, err);
        if (status >= 0 && *found)
            status = split_path(path, place, err);
        return status;
    }
    PP_TRY(ppi_dir_open(path, &place->dir, err));
    if (ppi_dir_has(&place->dir, CONFIG_NAME))
        return PP_OK;
    PP_TRY(list(&place->dir, &candidates, err));
    if (candidates.n == 0)
        return PP_OK;
    if (candidates.n > 1)
        return refuse_several(&place->dir, &candidates, err);
    strcpy(place->name, candidates.names[0]);
    *found = true; /* reading says so if it is not */
    return ppi_dir_open_file(&place->dir, place->name, file, err);
}

static pp_status open_set(const struct place *place, struct ppi_mem *mem, struct ppi_gguf_set *set,
                          pp_error *err)
{
    int64_t no, count;
    struct ppi_gguf_part *first = &set->parts[0];
    PP_TRY(ppi_gguf_read(&first->file, mem, &first->gguf, err));
    PP_TRY(read_split(first, &no, &count, err));
    if (count == 1)
        return PP_OK;
    PP_TRY(check_first(place, first->file.label.text, no, count, err));
    return open_others(set, place, count, mem, err);
}

pp_status ppi_gguf_set_open(const char *path, struct ppi_mem *mem, struct ppi_gguf_set *set,
                            pp_error *err)
{
    struct stat info;
    struct place place;
    struct ppi_file file = {.fd = -1};
    struct ppi_gguf_set opened = {0};
    bool found = false;
    *set = opened;
    if (stat(path, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)))
        return PP_OK; /* whoever opens it next says why it cannot */
    pp_status status = open_first(path, S_ISDIR(info.st_mode), &place, &file, &found, err);
    if (status >= 0 && found)
        opened.parts = ppi_zalloc(mem, 1, sizeof *opened.parts);
    if (status < 0 || !opened.parts) {
        ppi_file_close(&file);
        return status < 0 || !found ? status : ppi_error_nomem(err, path, sizeof *opened.parts);
    }
    opened.parts[0].file = file;
    opened.n = 1;
    status = open_set(&place, mem, &opened, err);
    if (status < 0)
        ppi_gguf_set_close(&opened, mem);
    else
        *set = opened;
    return status;
}

void ppi_gguf_set_close(struct ppi_gguf_set *set, struct ppi_mem *mem)
{
    for (int32_t i = 0; i < set->n; i++) {
        ppi_file_close(&set->parts[i].file);
        ppi_gguf_free(&set->parts[i].gguf, mem);
    }
    ppi_free(mem, set->parts);
    *set = (struct ppi_gguf_set){0};
}
