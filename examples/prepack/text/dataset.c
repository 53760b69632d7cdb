/* dataset.c: data sets by name or from texts, and how sentences name their prompts. */
#include "dataset.h"
#include "datafile.h"
#include "files.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const length_lists[] = {"mmlu", "wikitext256", "wikitext512",
                                           "rlhf", "alpaca",      "samsum"};

/* A larger array, or false. */
static bool enlarge(void *array, size_t n, size_t item_bytes)
{
    void **place = array;
    void *larger = realloc(*place, n * item_bytes);
    if (larger)
        *place = larger;
    return larger != NULL;
}

enum content { TEXTS, LENGTHS, IDS };

/* Makes room for one more entry in every array the set uses. */
static int grow(struct dataset *set, enum content content)
{
    if (set->n < set->room)
        return STATUS_OK;
    const size_t room = set->room ? set->room * 2 : 256;
    bool grown = enlarge(&set->line_numbers, room, sizeof *set->line_numbers);
    if (content == TEXTS)
        grown = grown && enlarge(&set->texts, room, sizeof *set->texts);
    else
        grown = grown && enlarge(&set->lengths, room, sizeof *set->lengths);
    if (content == IDS)
        grown = grown && enlarge(&set->ids, room, sizeof *set->ids);
    if (content != LENGTHS)
        grown = grown && enlarge(&set->answers, room, sizeof *set->answers);
    if (!grown)
        return fail_memory();
    set->room = room;
    return STATUS_OK;
}

int dataset_add_text(struct dataset *set, size_t line, const char *text, const char *answer)
{
    const int status = grow(set, TEXTS);
    if (status)
        return status;
    char *text_copy = strdup(text);
    char *answer_copy = answer ? strdup(answer) : NULL;
    if (!text_copy || (answer && !answer_copy)) {
        free(text_copy);
        free(answer_copy);
        return fail_memory();
    }
    set->line_numbers[set->n] = line;
    set->texts[set->n] = text_copy;
    set->answers[set->n++] = answer_copy;
    return STATUS_OK;
}

int dataset_add_length(struct dataset *set, size_t line, int64_t length)
{
    const int status = grow(set, LENGTHS);
    if (status)
        return status;
    set->line_numbers[set->n] = line;
    set->lengths[set->n++] = length;
    return STATUS_OK;
}

int dataset_add_ids(struct dataset *set, size_t line, const int32_t *ids, size_t n,
                    const char *answer)
{
    const int status = grow(set, IDS);
    if (status)
        return status;
    int32_t *ids_copy = malloc(n * sizeof *ids);
    char *answer_copy = answer ? strdup(answer) : NULL;
    if (!ids_copy || (answer && !answer_copy)) {
        free(ids_copy);
        free(answer_copy);
        return fail_memory();
    }
    memcpy(ids_copy, ids, n * sizeof *ids);
    set->line_numbers[set->n] = line;
    set->lengths[set->n] = (int64_t)n;
    set->ids[set->n] = ids_copy;
    set->answers[set->n++] = answer_copy;
    return STATUS_OK;
}

int dataset_check_ids(const struct dataset *set, int32_t vocab_size)
{
    char name[512];
    for (size_t i = 0; set->ids && i < set->n; i++)
        for (int64_t k = 0; k < set->lengths[i]; k++) {
            const int32_t id = set->ids[i][k];
            if (id >= 0 && id < vocab_size)
                continue;
            dataset_name_prompt(set, i, name, sizeof name);
            return fail("%s: token id %" PRId32 " (number %" PRId64
                        " of the prompt) must be from 0 to %" PRId32,
                        name, id, k + 1, vocab_size - 1);
        }
    return STATUS_OK;
}

void dataset_free(struct dataset *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->ids)
            free(set->ids[i]);
        if (set->texts)
            free(set->texts[i]);
        if (set->answers)
            free(set->answers[i]);
    }
    free(set->line_numbers);
    free(set->texts);
    free(set->answers);
    free(set->lengths);
    free(set->ids);
    *set = (struct dataset){0};
}

static int load_built_in(const char *name, const char *file, const struct data_options *options,
                         struct dataset *set)
{
    struct data_options usual = {.format = options->format};
    char *path;
    if (options->field || options->format != FORMAT_AUTO)
        return fail_usage("--field and --format are for files, but %s comes with the program",
                          name);
    int status = find_data(file, &path);
    if (status)
        return status;
    set->built_in = true;
    usual.format = set->is_demo ? FORMAT_JSON : FORMAT_LENGTHS;
    status = dataset_read(path, &usual, set);
    free(path);
    return status;
}

static int load_by_name(const char *name, const struct data_options *options, struct dataset *set)
{
    if (strcmp(name, "demo") == 0) {
        set->is_demo = true;
        return load_built_in(name, "demo-model/prompts.jsonl", options, set);
    }
    for (size_t i = 0; i < sizeof length_lists / sizeof *length_lists; i++) {
        if (strcmp(name, length_lists[i]) != 0)
            continue;
        char file[64] = "lengths/";
        strcat(strcat(file, name), ".txt");
        return load_built_in(name, file, options, set);
    }
    if (strcmp(name, "-") != 0 && !strchr(name, '/') && !strchr(name, '.') && !file_exists(name))
        return fail("there is no data set and no file '%s'; the data sets are demo, mmlu, "
                    "wikitext256, wikitext512, rlhf, alpaca and samsum",
                    name);
    return dataset_read(name, options, set);
}

static int check_not_empty(const struct dataset *set)
{
    return set->n > 0 ? STATUS_OK : fail("%s holds no prompts", set->name);
}

int dataset_load_ids(const char *path, const struct data_options *options, struct dataset *set)
{
    struct textfile file;
    *set = (struct dataset){.name = strcmp(path, "-") == 0 ? "standard input" : path};
    int status = textfile_open(path, &file);
    if (!status)
        status = dataset_read_ids(&file, options->field, set);
    textfile_close(&file);
    return status ? status : check_not_empty(set);
}

int dataset_load(const char *name, const struct data_options *options, struct dataset *set)
{
    *set = (struct dataset){.name = strcmp(name, "-") == 0 ? "standard input" : name};
    const int status = load_by_name(name, options, set);
    if (status)
        return status;
    return check_not_empty(set);
}

int dataset_from_texts(const char *const *texts, size_t n, struct dataset *set)
{
    *set = (struct dataset){0};
    for (size_t i = 0; i < n; i++) {
        if (!is_text(texts[i], strlen(texts[i])))
            return fail_usage("prompt %zu of the command line is not UTF-8 text", i + 1);
        const int status = dataset_add_text(set, i + 1, texts[i], NULL);
        if (status)
            return status;
    }
    return STATUS_OK;
}

void dataset_name_prompt(const struct dataset *set, size_t i, char *out, size_t out_bytes)
{
    if (set->name)
        snprintf(out, out_bytes, "prompt %zu (line %zu of %s)", i + 1, set->line_numbers[i],
                 set->name);
    else
        snprintf(out, out_bytes, "prompt %zu", i + 1);
}

/* Where a sentence of the library speaks of "prompt 3" or "item 3"; NULL: nowhere. */
static const char *find_number(const char *sentence, const char *word, int64_t number, size_t *n)
{
    char wanted[48];
    *n = (size_t)snprintf(wanted, sizeof wanted, "%s %" PRId64, word, number);
    for (const char *s = strstr(sentence, wanted); s; s = strstr(s + 1, wanted))
        if (s[*n] < '0' || s[*n] > '9')
            return s;
    return NULL;
}

int dataset_fail_library(const struct dataset *set, size_t i, const pp_error *err)
{
    char name[512];
    size_t n;
    if (err->code == PP_ERR_CANCELLED || i >= set->n)
        return fail_library(err);
    dataset_name_prompt(set, i, name, sizeof name);
    const char *place = find_number(err->message, "prompt", err->index, &n);
    if (!place)
        place = find_number(err->message, "item", err->index, &n);
    if (!place)
        return fail("%s: %s", name, err->message);
    return fail("%.*s%s%s", (int)(place - err->message), err->message, name, place + n);
}
