/* promptset.c: the tokens of texts, or random ones for lengths. */
#include "promptset.h"
#include "random.h"
#include "say.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

static int fail_no_tokens(const struct dataset *set, size_t i)
{
    char name[NAME_BYTES];
    dataset_name_prompt(set, i, name, sizeof name);
    return fail("%s has no tokens; at least 1 is needed", name);
}

static int fail_too_long(const struct dataset *set, size_t i, int64_t n, int64_t most, bool may_cut)
{
    char name[NAME_BYTES];
    dataset_name_prompt(set, i, name, sizeof name);
    return fail("%s has %" PRId64 " tokens, but the model takes at most %" PRId64 "%s", name, n,
                most, may_cut ? "; --max-length cuts prompts" : "");
}

int dataset_count_tokens(struct dataset *set, struct tokenizer *tokenizer, int64_t max_length,
                         size_t *n_cut)
{
    *n_cut = 0;
    int status = dataset_check_ids(set, INT32_MAX);
    if (status)
        return status;
    if (!set->lengths) {
        int64_t *lengths = calloc(set->n, sizeof *lengths);
        if (!lengths)
            return fail_memory();
        set->lengths = lengths;
        for (size_t i = 0; i < set->n; i++) {
            int32_t *tokens;
            size_t n;
            status = tokenizer_encode(tokenizer, set->texts[i], &tokens, &n);
            if (status)
                return status;
            free(tokens);
            if (n == 0)
                return fail_no_tokens(set, i);
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
    const int32_t *ids = set->ids ? set->ids[i] : tokens;
    if (max_length > 0 && n > max_length) {
        n = max_length;
        prompts->n_cut++;
    }
    int status;
    if (n == 0)
        status = fail_no_tokens(set, i);
    else if (n > max_position)
        status = fail_too_long(set, i, n, max_position, max_length >= 0);
    else
        status = append(prompts, room, ids, n, vocab_size, &rng);
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
    int status = dataset_check_ids(set, vocab_size);
    for (size_t i = 0; i < set->n && !status; i++)
        status = add_prompt(set, i, tokenizer, vocab_size, max_length, max_position, seed, prompts,
                            &room);
    if (status)
        return status;
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
