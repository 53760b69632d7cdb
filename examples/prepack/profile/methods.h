/* methods.h: one pass over all prompts with one of the methods that `profile` compares. */
#ifndef PREPACK_METHODS_H
#define PREPACK_METHODS_H

#include "needs.h"
#include "packers.h"
#include "profile_options.h"
#include "progress.h"
#include "promptset.h"
#include "usage.h"

#include <prepack/prepack.h>

/* What all methods share. */
struct workload {
    const struct dataset *dataset; /* whose prompts these are, as sentences name them */
    const struct promptset *prompts;
    int64_t *lengths; /* of all prompts */
    size_t *order;    /* [n_prompts] the prompts chosen, shuffled */
    size_t n_prompts;
    size_t batch_size;
    size_t n_batches;
    int32_t vocab_size;
    int32_t pad_token;
    bool first_tokens;      /* pick every prompt's first token as well */
    int64_t share_prefixes; /* tokens that METHOD_DATASET shares at least; 0: none */
    struct progress *progress;
};

struct pass_figures {
    double seconds; /* all batches */
    int64_t tokens_real, tokens_computed;
    int64_t passes;
    int64_t bins;           /* 0 where nothing is packed */
    int64_t capacity_total; /* of all bins */
    int64_t placed_total;   /* tokens in them: less than all where prefixes are shared */
};

/* Runs every batch of the workload once. */
int methods_run(enum method method, const struct workload *work, pp_session *session,
                const struct packers *packers, struct usage *usage, struct pass_figures *figures);
/* Walks the same steps without running them: what they would need in a session of `info`. */
int methods_count(enum method method, const struct workload *work, const pp_session_info *info,
                  const struct packers *packers, struct needs *needs, struct pass_figures *figures);
/* Runs a few short prompts, so that the first batch that is measured is not the first at all. */
int methods_warm_up(const struct workload *work, pp_session *session);

#endif
