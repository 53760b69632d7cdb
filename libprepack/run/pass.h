/*
 * pass.h: fills one forward pass piece by piece: rows, segments, page tables, and the rows whose
 * logits are wanted.
 */
#ifndef PPI_PASS_H
#define PPI_PASS_H

#include "run/session_impl.h"

void ppi_pass_reset(struct pp_session *session);

/*
 * Adds tokens[0 .. n_tokens) at positions begin .. of the cache's prompt, whose slots are reserved.
 * first_wanted: of the tokens, the first whose logits are wanted, and all behind it; n_tokens:
 * none. wanted: what that first one is for; the others follow it. The rows must fit.
 */
pp_status ppi_pass_add(struct pp_session *session, const pp_kvcache *cache, const int32_t *tokens,
                       int64_t begin, int64_t n_tokens, int64_t first_wanted,
                       struct ppi_wanted wanted, pp_error *err);

/* What was added, as a pass in slot 0; it lives until more is added. */
struct ppi_pass ppi_pass_drafted(const struct pp_session *session);

/* Runs what was added and leaves the pass empty. */
pp_status ppi_pass_run(struct pp_session *session, ppi_take_logits take, void *user, pp_error *err);

#endif
