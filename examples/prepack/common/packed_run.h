/* packed_run.h: items that are packed and run at once. */
#ifndef PREPACK_PACKED_RUN_H
#define PREPACK_PACKED_RUN_H

#include <prepack/prepack.h>

/* Plans n items, whose caches are new, and runs them. Where prefixes that the plan shares may not
 * be shared, because the rotary embedding depends on a prompt's length, the items run in their
 * order, each by itself. Errors: of pp_packer_plan_input and of pp_run. */
pp_status packed_run(pp_session *session, const pp_packer *packer, pp_item *items, int64_t n,
                     const pp_run_params *params, pp_error *err);

#endif
