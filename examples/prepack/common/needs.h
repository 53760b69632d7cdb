/*
 * needs.h: what a run would need, worked out from the prompts and from what a session is said to
 * hold: nothing is loaded or run.
 */
#ifndef PREPACK_NEEDS_H
#define PREPACK_NEEDS_H

#include <prepack/prepack.h>

/* Of one method's steps; a step is what one pp_run gets. */
struct needs {
    int64_t steps;
    int64_t passes, most_passes;     /* of all steps, and of the step with most */
    int64_t tokens, most_tokens;     /* that are computed */
    double seconds;                  /* of all steps, by the cost model */
    int64_t kv_bytes, most_kv_bytes; /* of the caches afterwards */
    int64_t most_held_bytes;         /* of KV pages while a step runs, at most */
    int64_t most_pages;              /* of a step's prompts, at most */
    int64_t most_prompts;            /* of a step */
    int64_t longest;                 /* tokens of a prompt */
};

/* Adds a step: n prompts of these lengths in the bins of plan, or, without one, as they come. cost:
 * NULL: a pass costs its tokens. */
int needs_add_step(struct needs *needs, const pp_session_info *info, const pp_cost_model *cost,
                   const pp_plan *plan, const int64_t *lengths, size_t n);

/* Memory at the peak of those steps, in bytes. */
struct needed_memory {
    int64_t kv;     /* of the caches of the largest step */
    int64_t device; /* with weights, workspace and KV pages */
    int64_t host;   /* beside it; 0 where the device's memory is the host's */
};

struct needed_memory needs_memory(const struct needs *needs, const pp_session_info *info,
                                  const pp_model *model);

#endif
