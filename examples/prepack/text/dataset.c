/* dataset.c: data sets by name, and their prompts as token ids. */
#include "dataset.h"
#include "files.h"
#include "random.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const length_lists[] = {"mmlu", "wikitext256", "wikitext512",
                                           "rlhf", "alpaca",      "samsum"};

/* Makes room for one more entry in every array the set uses. */
static int grow(struct dataset *set, bool texts)
{
    if (set->n < set->room)
        return STATUS_OK;
    const size_t room = set->room ? set->room * 2 : 256;
    if (texts) {
        char **larger = realloc(set->texts, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        set->texts = larger;
        larger = realloc(set->answers, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        set->answers = larger;
    } else {
        int64_t *larger = realloc(set->lengths, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        set->lengths = larger;
    }
    set->room = room;
    return STATUS_OK;
}

int dataset_add_text(struct dataset *set, const char *text, const char *answer)
{
    const int status = grow(set, true);
    if (status)
        return status;
    char *text_copy = strdup(text);
    char *answer_copy = answer ? strdup(answer) : NULL;
    if (!text_copy || (answer && !answer_copy)) {
        free(text_copy);
        free(answer_copy);
        return fail_memory();
    }
    set->texts[set->n] = text_copy;
    set->answers[set->n++] = answer_copy;
    return STATUS_OK;
}

int dataset_add_length(struct dataset *set, int64_t length)
{
    const int status = grow(set, false);
    if (status)
        return status;
    set->lengths[set->n++] = length;
    return STATUS_OK;
}

void dataset_free(struct dataset *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->texts)
            free(set->texts[i]);
        if (set->answers)
            free(set->answers[i]);
    }
    free(set->texts);
    free(set->answers);
    free(set->lengths);
    *set = (struct dataset){0};
}

static bool ends_in(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

static int load_built_in(const char *file, struct dataset *set)
{
    char *path;
    int status = find_data(file, &path);
    if (status)
        return status;
    set->built_in = true;
    if (ends_in(file, ".jsonl"))
        status = dataset_read_jsonl(path, "prompt", set);
    else
        status = dataset_read_lengths(path, set);
    free(path);
    return status;
}

static int load_by_name(const char *name, const char *field, struct dataset *set)
{
    if (strcmp(name, "demo") == 0) {
        set->is_demo = true;
        return load_built_in("demo-model/prompts.jsonl", set);
    }
    for (size_t i = 0; i < sizeof length_lists / sizeof *length_lists; i++) {
        if (strcmp(name, length_lists[i]) != 0)
            continue;
        char file[64] = "lengths/";
        strcat(strcat(file, name), ".txt");
        return load_built_in(file, set);
    }
    const bool has_fields = ends_in(name, ".jsonl") || ends_in(name, ".csv");
    if (field && !has_fields)
        return fail_usage("--field is for files that end in .jsonl or .csv, not for %s", name);
    if (strcmp(name, "-") != 0 && !strchr(name, '/') && !strchr(name, '.') && !file_exists(name))
        return fail("there is no data set and no file '%s'; the data sets are demo, mmlu, "
                    "wikitext256, wikitext512, rlhf, alpaca and samsum",
                    name);
    if (ends_in(name, ".lengths"))
        return dataset_read_lengths(name, set);
    if (ends_in(name, ".jsonl"))
        return dataset_read_jsonl(name, field ? field : "prompt", set);
    if (ends_in(name, ".csv"))
        return dataset_read_csv(name, field ? field : "prompt", set);
    return dataset_read_lines(name, set);
}

int dataset_load(const char *name, const char *field, struct dataset *set)
{
    *set = (struct dataset){0};
    const int status = load_by_name(name, field, set);
    if (status)
        return status;
    return set->n > 0 ? STATUS_OK : fail("%s holds no prompts", name);
}

int dataset_from_texts(const char *const *texts, size_t n, struct dataset *set)
{
    *set = (struct dataset){0};
    for (size_t i = 0; i < n; i++) {
        if (!is_text(texts[i], strlen(texts[i])))
            return fail_usage("prompt %zu of the command line is not UTF-8", i + 1);
        const int status = dataset_add_text(set, texts[i], NULL);
        if (status)
            return status;
    }
    return STATUS_OK;
}

int dataset_count_tokens(struct dataset *set, struct tokenizer *tokenizer, int64_t max_length,
                         size_t *n_cut)
{
    *n_cut = 0;
    if (!set->lengths) {
        int64_t *lengths = calloc(set->n, sizeof *lengths);
        if (!lengths)
            return fail_memory();
        set->lengths = lengths;
        for (size_t i = 0; i < set->n; i++) {
            int32_t *tokens;
            size_t n;
            const int status = tokenizer_encode(tokenizer, set->texts[i], &tokens, &n);
            if (status)
                return status;
            free(tokens);
            if (n == 0)
                return fail("prompt %zu has no tokens", i + 1);
            lengths[i] = (int64_t)n;
        }
    }
    for (size_t i = 0; i < set->n; i++) {
        if (max_length == 0 || set->lengths[i] <= max_length)
            continue;
        set->lengths[i] = max_length;
        ++*n_cut;
    }
    return STATUS_OK;
}

/* Copies n token ids to the end of the set, or draws them where `tokens` is NULL. */
static int append(struct promptset *prompts, size_t *room, const int32_t *tokens, int64_t n,
                  int32_t vocab_size, struct rng *rng)
{
    const size_t have = (size_t)prompts->n_tokens, more = (size_t)n;
    if (more > SIZE_MAX / 8 - have)
        return fail_memory();
    if (have + more > *room) {
        const size_t larger_room = 2 * (have + more);
        int32_t *larger = realloc(prompts->tokens, larger_room * sizeof *larger);
        if (!larger)
            return fail_memory();
        prompts->tokens = larger;
        *room = larger_room;
    }
    if (tokens)
        memcpy(prompts->tokens + have, tokens, more * sizeof *tokens);
    else
        for (size_t i = 0; i < more; i++)
            prompts->tokens[have + i] = (int32_t)rng_below(rng, (uint64_t)vocab_size);
    prompts->prompts[prompts->n++].n_tokens = n;
    prompts->n_tokens += n;
    return STATUS_OK;
}

static int add_prompt(const struct dataset *set, size_t i, struct tokenizer *tokenizer,
                      int32_t vocab_size, int64_t max_length, int64_t max_position, uint64_t seed,
                      struct promptset *prompts, size_t *room)
{
    int32_t *tokens = NULL;
    int64_t n;
    struct rng rng;
    rng_start(&rng, seed, i);
    if (set->texts) {
        size_t count;
        const int status = tokenizer_encode(tokenizer, set->texts[i], &tokens, &count);
        if (status)
            return status;
        n = (int64_t)count;
    } else {
        n = set->lengths[i];
    }
    if (max_length > 0 && n > max_length) {
        n = max_length;
        prompts->n_cut++;
    }
    int status;
    if (n == 0)
        status = fail("prompt %zu has no tokens", i + 1);
    else if (n > max_position)
        status =
            fail("prompt %zu has %" PRId64 " tokens, but the model takes at most %" PRId64 "%s",
                 i + 1, n, max_position, max_length < 0 ? "" : "; --max-length cuts prompts");
    else
        status = append(prompts, room, tokens, n, vocab_size, &rng);
    free(tokens);
    return status;
}

int promptset_build(const struct dataset *set, struct tokenizer *tokenizer, int32_t vocab_size,
                    int64_t max_length, int64_t max_position, uint64_t seed,
                    struct promptset *prompts)
{
    *prompts = (struct promptset){0};
    prompts->prompts = calloc(set->n, sizeof *prompts->prompts);
    if (!prompts->prompts)
        return fail_memory();
    size_t room = 0;
    for (size_t i = 0; i < set->n; i++) {
        const int status = add_prompt(set, i, tokenizer, vocab_size, max_length, max_position, seed,
                                      prompts, &room);
        if (status)
            return status;
    }
    const int32_t *next = prompts->tokens;
    for (size_t i = 0; i < prompts->n; i++) {
        prompts->prompts[i].tokens = next;
        next += prompts->prompts[i].n_tokens;
    }
    return STATUS_OK;
}

void promptset_free(struct promptset *prompts)
{
    free(prompts->tokens);
    free(prompts->prompts);
    *prompts = (struct promptset){0};
}
