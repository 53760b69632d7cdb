/*
 * step.h: which of the prompts that wait make the next step. Pure: it looks at the prompts and the
 * time it is told, and changes neither.
 */
#ifndef PPI_STEP_H
#define PPI_STEP_H

#include "waiting.h"

struct step_limits {
    int64_t capacity;    /* tokens of a step, alignment included */
    int64_t max_prompts; /* of a step */
    bool keep_order;
};

/* A prompt of the window as the packing sees it. */
struct window_item {
    int64_t size;
    int32_t index; /* into waiting->prompts */
    int32_t place; /* by rank, from 0 */
};

/* Room to choose in; every array has as many elements as prompts may wait. */
struct step_scratch {
    int32_t *frontier;          /* places in the heap that may follow next by rank */
    struct window_item *window; /* by size, the largest first */
    struct window_item *other;
    int32_t *ranked; /* the window's prompts by rank */
    int32_t *trial;  /* a selection under way */
    int32_t *best;   /* the best so far */
};

struct step_choice {
    int32_t *prompts; /* [n] indices into waiting->prompts; in the scratch */
    int32_t n;
    int64_t size; /* sum; above the capacity only for one prompt alone */
};

pp_status ppi_step_scratch_create(struct step_scratch *scratch, int64_t max, struct ppi_mem *mem,
                                  pp_error *err);
void ppi_step_scratch_destroy(struct step_scratch *scratch, struct ppi_mem *mem);

/*
 * true: *choice is the step to take now. false: it is better to wait, until *due at the latest
 * (INT64_MAX: nobody waits). urgent: no more company is to be expected. Takes O(w log w) for a
 * window of w prompts: as many as several steps hold.
 */
bool ppi_step_choose(const struct waiting *waiting, const struct step_limits *limits, int64_t now,
                     bool urgent, struct step_scratch *scratch, struct step_choice *choice,
                     int64_t *due);

/* What counts as a step filled well: a sixteenth of the capacity may stay empty. */
static inline bool ppi_step_is_good(const struct step_limits *limits, int64_t n, int64_t size)
{
    return size >= limits->capacity - limits->capacity / 16 || n >= limits->max_prompts;
}

/* What ends the window, and with it the hope of better company. */
static inline bool ppi_step_is_window(const struct step_limits *limits, int64_t n, int64_t size)
{
    return n >= 128 && (size / 4 >= limits->capacity || n / 4 >= limits->max_prompts);
}

#endif
