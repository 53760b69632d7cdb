/*
 * needs.h: what a run would need, worked out from the prompts and from what a session is said to
 * hold: nothing is loaded or run.
 */
#ifndef PREPACK_NEEDS_H
#define PREPACK_NEEDS_H

#include <prepack/prepack.h>

/* Of one method's steps; a step is what one call of pp_prefill gets. */
struct needs {
    int64_t steps;
    int64_t passes, most_passes; /* of all steps, and of the step with most */
    int64_t tokens, most_tokens;
    int64_t most_pages;   /* KV pages of a step's prompts */
    int64_t most_prompts; /* of a step */
    int64_t longest;      /* tokens of a prompt */
};

/* Adds a step: n prompts in the bins of plan, or, without one, as they come. */
int needs_add_step(struct needs *needs, const pp_session_info *info, const pp_plan *plan,
                   const pp_prompt *prompts, size_t n);

/* Memory at the peak of those steps, in bytes. */
struct needed_memory {
    int64_t kv;
    int64_t device; /* with weights, workspace and KV pages */
    int64_t host;   /* beside it; 0 where the device's memory is the host's */
};

struct needed_memory needs_memory(const struct needs *needs, const pp_session_info *info,
                                  const pp_model_config *config);

#endif
