/* plan_data.h: the prompts that `plan` packs, as lengths and, where they are needed, as tokens. */
#ifndef PREPACK_PLAN_DATA_H
#define PREPACK_PLAN_DATA_H

#include "plan_options.h"
#include "promptset.h"

struct plan_data {
    size_t *order;      /* [n] the place in the set of each; owned */
    int64_t *lengths;   /* [n] in the order they are packed; owned */
    pp_prompt *prompts; /* [n], or NULL where nobody looks at tokens; owned */
    size_t n;
    size_t batch_size; /* at least 1 */
    size_t n_batches;
    size_t n_cut; /* prompts that were longer than --max-length */
    bool shuffled;
    struct dataset set;
    struct promptset tokens;
};

/* Reads the data set of the command line. The caller frees with plan_data_free, also after a
 * failure. */
int plan_data_open(const struct plan_options *options, struct plan_data *data);
void plan_data_free(struct plan_data *data);

/* How sentences call the prompt that is packed i-th; of a plan from a file, its own number. */
void plan_data_name_prompt(const struct plan_data *data, size_t i, char *out, size_t out_bytes);

#endif
