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
 * kinds: [n_tokens] what is wanted of each row, PPI_WANT_* or 0; NULL: nothing of any. i_stretch:
 * what the wanted rows are of. The rows must fit.
 */
pp_status ppi_pass_add(struct pp_session *session, const pp_kvcache *cache, const int32_t *tokens,
                       int64_t begin, int64_t n_tokens, const uint8_t *kinds, int64_t i_stretch,
                       pp_error *err);

/* Where a model has linear layers: where states go behind the tokens that were added last, and
 * those before them, which are not read at position 0. Without it, or with NULL, they go nowhere.
 */
void ppi_pass_set_state(struct pp_session *session, void *state, const void *state_before);

/* What was added, as a pass in slot 0; it lives until more is added. */
struct ppi_pass ppi_pass_drafted(const struct pp_session *session);

/* Runs what was added and leaves the pass empty. */
pp_status ppi_pass_run(struct pp_session *session, const struct ppi_take *take, pp_error *err);

#endif
