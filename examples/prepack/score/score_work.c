/* score_work.c: lists that grow, and a hash of them. */
#include "score_work.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more of item_bytes each; false without memory. */
static bool reserve(void *list, size_t n_have, size_t n_more, size_t *room, size_t item_bytes)
{
    void **place = list;
    if (n_have + n_more <= *room)
        return true;
    if (n_more > SIZE_MAX / 4 / item_bytes - n_have)
        return false;
    const size_t larger = 2 * (n_have + n_more);
    void *moved = realloc(*place, larger * item_bytes);
    if (!moved)
        return false;
    *place = moved;
    *room = larger;
    return true;
}

int work_add_tokens(struct score_work *work, const int32_t *tokens, size_t n, size_t *first)
{
    if (!reserve(&work->tokens, work->n_tokens, n, &work->tokens_room, sizeof *tokens))
        return fail_memory();
    *first = work->n_tokens;
    if (n > 0)
        memcpy(work->tokens + work->n_tokens, tokens, n * sizeof *tokens);
    work->n_tokens += n;
    return STATUS_OK;
}

int work_add_record(struct score_work *work, const struct record *record)
{
    if (!reserve(&work->records, work->n_records, 1, &work->records_room, sizeof *record))
        return fail_memory();
    struct record *added = &work->records[work->n_records++];
    *added = *record;
    added->first_sequence = work->n_sequences;
    added->n_sequences = 0;
    return STATUS_OK;
}

int work_add_sequence(struct score_work *work, const struct sequence *sequence)
{
    if (!reserve(&work->sequences, work->n_sequences, 1, &work->sequences_room, sizeof *sequence))
        return fail_memory();
    work->sequences[work->n_sequences++] = *sequence;
    work->records[work->n_records - 1].n_sequences++;
    work->n_targets += sequence->n_targets;
    return STATUS_OK;
}

void work_free(struct score_work *work)
{
    free(work->tokens);
    free(work->sequences);
    free(work->records);
    *work = (struct score_work){0};
}

/* FNV-1a (Fowler, Noll, Vo) over the bytes of a number. */
static uint64_t add_number(uint64_t hash, int64_t number)
{
    for (int i = 0; i < 8; i++)
        hash = (hash ^ ((uint64_t)number >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t work_hash(const struct score_work *work)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t r = 0; r < work->n_records; r++) {
        const struct record *record = &work->records[r];
        const int64_t facts[] = {(int64_t)record->line, (int64_t)record->n_sequences,
                                 record->answer, record->n_words, record->n_bytes};
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
            hash = add_number(hash, facts[i]);
    }
    for (size_t s = 0; s < work->n_sequences; s++) {
        const struct sequence *sequence = &work->sequences[s];
        hash = add_number(hash, sequence->n_tokens);
        hash = add_number(hash, sequence->n_targets);
        hash = add_number(hash, sequence->n_chars);
        hash = add_number(hash, sequence->n_bytes);
    }
    for (size_t i = 0; i < work->n_tokens; i++)
        hash = add_number(hash, work->tokens[i]);
    return hash;
}

void work_name_record(const struct score_work *work, size_t i, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "item %zu (line %zu of %s)", i + 1, work->records[i].line, work->name);
}
