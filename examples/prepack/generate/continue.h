/* continue.h: prefill and decoding of a group of prompts until each is done. */
#ifndef PREPACK_CONTINUE_H
#define PREPACK_CONTINUE_H

#include "continuation.h"
#include "dataset.h"
#include "live_text.h"
#include "progress.h"

#include <prepack/prepack.h>

/* What every group of a run shares. */
struct continuer {
    pp_session *session;
    const struct dataset *dataset; /* whose prompts these are, as sentences name them */
    const pp_packer *packer;       /* NULL: the prompts are not packed */
    struct progress *progress;
    int64_t max_new_tokens;
    int64_t max_position;
    const int32_t *end_tokens; /* [n_end_tokens] each ends a text */
    int n_end_tokens;
    pp_item drawing; /* how tokens are drawn: what every item begins as */
    uint64_t seed;
    struct live_text *live; /* shows the text of the only prompt; NULL: nobody does */
};

/*
 * Continues prompts[0..n): their tokens go to items[0..n), which are empty and which the caller
 * frees. first_index: the index of prompts[0] in the whole run, which with the seed says what is
 * drawn.
 */
int continue_group(struct continuer *continuer, const pp_prompt *prompts, size_t n,
                   size_t first_index, struct continuation *items);

#endif
