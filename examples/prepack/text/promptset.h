/* promptset.h: a data set as token ids, ready to run. */
#ifndef PREPACK_PROMPTSET_H
#define PREPACK_PROMPTSET_H

#include "dataset.h"
#include "text_tokens.h"

/* A data set as token ids. */
struct promptset {
    size_t n;
    int32_t *tokens;    /* all of them, one prompt after another */
    pp_prompt *prompts; /* [n] slices of tokens */
    int64_t n_tokens;
    size_t n_cut; /* prompts that were longer than max_length */
};

/* Turns texts into token counts; they are cut to max_length unless that is 0. *n_cut: how many. */
int dataset_count_tokens(struct dataset *set, struct tokenizer *tokenizer, int64_t max_length,
                         size_t *n_cut);

/*
 * Tokenizes the texts of a set, takes its token ids, or draws random ones for its lengths
 * (tokenizer is for texts alone): each prompt from its own stream of the seed, below vocab_size.
 * max_length cuts longer prompts (0: there is no --max-length; -1: the command has no such option);
 * those longer than max_position are refused.
 */
int promptset_build(const struct dataset *set, struct tokenizer *tokenizer, int32_t vocab_size,
                    int64_t max_length, int64_t max_position, uint64_t seed,
                    struct promptset *prompts);
void promptset_free(struct promptset *prompts);

#endif
