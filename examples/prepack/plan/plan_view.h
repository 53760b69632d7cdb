/* plan_view.h: what a picture of a plan shows, before and after: padded rows and packed bins. */
#ifndef PREPACK_PLAN_VIEW_H
#define PREPACK_PLAN_VIEW_H

#include <prepack/prepack.h>
#include <stdbool.h>
#include <stddef.h>

/* The tokens of one prompt, or of a part of it. */
struct view_place {
    int64_t start, n_tokens;
    bool is_part; /* a chunk, a shared prefix, or what follows one */
};

/* A padded row or a bin. */
struct view_row {
    int64_t number;
    int64_t capacity, tokens, n_prompts;
    struct view_place *places; /* [n_places] from left to right; owned */
    size_t n_places;
};

struct view {
    const char *name; /* "full batching", "packed" */
    struct view_row *rows;
    size_t n_rows;   /* those that are drawn */
    int64_t n_all;   /* all there are */
    int64_t widest;  /* capacity */
    double unused;   /* share of the capacity of all rows */
    bool has_parts;  /* somewhere in the rows drawn */
    bool same_width; /* all rows have the same capacity */
};

/* Full batching: a row for each prompt, padded to the longest. Of a plan the bins. At most max_rows
 * rows are kept. The caller frees with view_free, also after a failure. */
int view_padded(const int64_t *lengths, size_t n, size_t max_rows, struct view *view);
int view_packed(const pp_plan *plan, const int64_t *lengths, size_t max_rows, struct view *view);
void view_free(struct view *view);

#endif
