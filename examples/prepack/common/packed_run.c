/* packed_run.c: the prompts of items to the planner, and the items with its plan to the session. */
#include "packed_run.h"
#include "packer_options.h"

#include <stdlib.h>

static pp_status plan_items(const pp_packer *packer, const pp_item *items, int64_t n,
                            pp_plan **plan, pp_error *err)
{
    pp_prompt *prompts = calloc((size_t)n, sizeof *prompts);
    int64_t *lengths = calloc((size_t)n, sizeof *lengths);
    pp_status done = PP_ERR_NOMEM;
    err->code = PP_ERR_NOMEM;
    err->message[0] = '\0';
    if (prompts && lengths) {
        for (int64_t i = 0; i < n; i++) {
            prompts[i] = (pp_prompt){items[i].tokens, items[i].n_tokens};
            lengths[i] = items[i].n_tokens;
        }
        done = packer_plan(packer, prompts, lengths, (size_t)n, plan, err);
    }
    free(prompts);
    free(lengths);
    return done;
}

/* Whether a plan shares or splits prompts. */
static int has_parts(const pp_plan *plan)
{
    pp_plan_info info = {.struct_size = sizeof info};
    return pp_plan_get_info(plan, &info, NULL) >= 0 && info.placed_tokens != info.tokens;
}

pp_status packed_run(pp_session *session, const pp_packer *packer, pp_item *items, int64_t n,
                     const pp_run_params *params, pp_error *err)
{
    pp_plan *plan = NULL;
    pp_status done = plan_items(packer, items, n, &plan, err);
    if (done >= 0)
        done = pp_run(session, plan, items, n, params, err);
    if (done == PP_ERR_UNSUPPORTED && plan && has_parts(plan))
        done = pp_run(session, NULL, items, n, params, err);
    pp_plan_destroy(plan);
    return done;
}
