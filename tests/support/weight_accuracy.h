/*
 * weight_accuracy.h: what a format of weights does to a model's answers: the most likely token
 * after every token of some prompts, and how likely the prompts themselves are. Public interface
 * only.
 */
#ifndef TEST_WEIGHT_ACCURACY_H
#define TEST_WEIGHT_ACCURACY_H

#include <prepack/prepack.h>

/* What one session makes of the prompts. */
struct readout {
    int32_t *best; /* [n_tokens] the most likely token after each, prompt behind prompt; malloced */
    int64_t n_tokens;
    double
        loss; /* nats by token, over all tokens but the prompts' first; perplexity is exp(loss) */
    pp_session_info info;
};

/* Runs the prompts through a session of its own. readout_free also after a failure. */
pp_status readout_take(pp_model *model, const pp_session_params *params, const pp_prompt *prompts,
                       int64_t n, struct readout *readout, pp_error *err);
void readout_free(struct readout *readout);

struct readout_change {
    int64_t last;      /* prompts whose most likely next token is another one */
    int64_t all;       /* the same over all positions */
    double perplexity; /* by the other's, less 1 */
};

struct readout_change readout_compare(const struct readout *from, const struct readout *to,
                                      const pp_prompt *prompts, int64_t n);

#endif
