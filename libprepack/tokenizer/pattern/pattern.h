/*
 * pattern.h: regular expressions of tokenizer.json, written for Oniguruma's Ruby syntax, matched by
 * PCRE2 with limits on time and memory.
 */
#ifndef PPI_PATTERN_H
#define PPI_PATTERN_H

#include "tokenizer/text.h"

struct ppi_pattern;      /* immutable, shared by threads */
struct ppi_pattern_work; /* what one thread needs to match */

/* regex: a regular expression, else the bytes are literal text. label and where name them in
 * messages. Errors: PP_ERR_UNSUPPORTED (what it uses that is not implemented), PP_ERR_FORMAT,
 * PP_ERR_LIMIT (too long), PP_ERR_NOMEM. */
pp_status ppi_pattern_create(const char *bytes, size_t n, bool regex, const char *label,
                             const char *where, struct ppi_mem *mem, struct ppi_pattern **pattern,
                             pp_error *err);
void ppi_pattern_destroy(struct ppi_pattern *pattern);

/* One for all patterns. Errors: PP_ERR_NOMEM. */
pp_status ppi_pattern_work_create(struct ppi_mem *mem, struct ppi_pattern_work **work,
                                  pp_error *err);
void ppi_pattern_work_destroy(struct ppi_pattern_work *work);

/* The first match in bytes[0, n), valid UTF-8, that begins at `from` or behind. 1: *match is it (it
 * may be empty); 0: there is none. Errors: PP_ERR_LIMIT (it would take too long), PP_ERR_NOMEM. */
pp_status ppi_pattern_find(const struct ppi_pattern *pattern, struct ppi_pattern_work *work,
                           const char *bytes, size_t n, size_t from, struct ppi_span *match,
                           pp_error *err);

/* All matches, one after the other: an empty one that touches the match before it is passed over.
 */
struct ppi_matches {
    size_t from, last_end;
    bool any;
};
/* The next match of bytes[0, n); *matches begins as zeros. As ppi_pattern_find. */
pp_status ppi_matches_next(struct ppi_matches *matches, const struct ppi_pattern *pattern,
                           struct ppi_pattern_work *work, const char *bytes, size_t n,
                           struct ppi_span *match, pp_error *err);

#endif
