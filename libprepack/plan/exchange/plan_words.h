/*
 * plan_words.h: the words of plans as JSON, for the writer and the reader: docs/plan-format.md.
 */
#ifndef PPI_PLAN_WORDS_H
#define PPI_PLAN_WORDS_H

#include "internal.h"

#define PPI_PLAN_FORMAT  "prepack-plan"
#define PPI_PLAN_VERSION 1

/* The most values of a text, of which the JSON reader takes 16,000,000; the rest is for what does
 * not grow with the plan. */
#define PPI_PLAN_MAX_VALUES 15000000

/* The word for a constant, NULL for an unknown one. */
const char *ppi_policy_word(int32_t policy);
const char *ppi_objective_word(int32_t objective);
/* The constant for a word, 0 for an unknown one. */
int32_t ppi_policy_of_word(const char *word);
int32_t ppi_objective_of_word(const char *word);

#endif
