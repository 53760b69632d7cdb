/*
 * bench_lengths.h: how long the prompts are that attention is measured over: what --lengths says,
 * and the lengths drawn from it. The same text and seed give the same lengths on every machine.
 */
#ifndef PREPACK_BENCH_LENGTHS_H
#define PREPACK_BENCH_LENGTHS_H

#include <stddef.h>
#include <stdint.h>

/*
 * RANGE: whole numbers from low to high, equally likely. The others have the mean `low`:
 * UNIFORM: 1 to twice the mean less 1, equally likely. LONGTAIL: mean (1 / sqrt(1 - u) - 1), u
 * uniform in [0, 1) (Lomax, 1954, of shape 2: half are below 0.41 means, one of a hundred above 9),
 * rounded, at most 64 means. BIMODAL: half a mean, and for one prompt of ten 5.5 means. FILE: the
 * lines of a file, over and over.
 */
enum lengths_kind {
    LENGTHS_RANGE,
    LENGTHS_UNIFORM,
    LENGTHS_LONGTAIL,
    LENGTHS_BIMODAL,
    LENGTHS_FILE
};

struct lengths {
    enum lengths_kind kind;
    char *text;        /* as it was asked for; owned */
    int64_t low, high; /* the mean in both where there is one; of FILE the least and the most */
    int64_t *lines;    /* [n_lines] of FILE, owned */
    size_t n_lines;
};

enum { MAX_LENGTHS = 32 };
struct lengths_list {
    struct lengths items[MAX_LENGTHS];
    int n; /* 0: not given */
};

/* Reads a list with commas, its files too. The caller frees *list, also after a failure. */
int lengths_parse(const char *text, struct lengths_list *list);
void lengths_free(struct lengths_list *list);
/* The range low-high, as an item of its own. */
int lengths_add_range(struct lengths_list *list, int64_t low, int64_t high);

/* The longest prompt there may be; of LONGTAIL, whose prompts are cut to what fits, 1. */
int64_t lengths_longest(const struct lengths *lengths);

/*
 * Draws up to n prompts of n_tokens tokens together to out [n]; how many. Prompts of a RANGE are
 * not cut below `low`, so that some tokens may be left; others fill n_tokens, the last one cut.
 * LONGTAIL gives none above `longest`.
 */
size_t lengths_draw(const struct lengths *lengths, uint64_t seed, int64_t longest, size_t n,
                    int64_t n_tokens, int64_t *out);

#endif
