/* weight_accuracy.c: all logits of the prompts by the sink of pp_run, kept as what readout holds.
 */
#include "support/weight_accuracy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const pp_prompt *prompts;
    int64_t *starts; /* [n] of each prompt's tokens in best */
    struct readout *readout;
    double loss; /* sum over n_judged tokens */
    int64_t n_judged;
};

static int32_t most_likely(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* -log softmax(logits)[token], the largest logit taken off first. */
static double loss_of(const float *logits, int32_t n, int32_t best, int32_t token)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)expf(logits[i] - logits[best]);
    return log(sum) + (double)logits[best] - (double)logits[token];
}

static int32_t read_rows(void *user, const pp_logits *piece)
{
    struct reading *reading = user;
    const pp_prompt *prompt = &reading->prompts[piece->i_item];
    for (int64_t row = 0; row < piece->n_rows; row++) {
        const float *logits = piece->logits + row * piece->vocab_size;
        const int64_t at = piece->first_token + row;
        const int32_t best = most_likely(logits, piece->vocab_size);
        reading->readout->best[reading->starts[piece->i_item] + at] = best;
        if (at + 1 == prompt->n_tokens)
            continue;
        reading->loss += loss_of(logits, piece->vocab_size, best, prompt->tokens[at + 1]);
        reading->n_judged++;
    }
    return 0;
}

static pp_status run_all(pp_session *session, pp_item *items, int64_t n, struct reading *reading,
                         pp_error *err)
{
    pp_run_params params;
    pp_run_params_init(&params, sizeof params);
    params.sink = read_rows;
    params.sink_user = reading;
    for (int64_t i = 0; i < n; i++) {
        items[i] = (pp_item){.struct_size = sizeof *items,
                             .tokens = reading->prompts[i].tokens,
                             .n_tokens = reading->prompts[i].n_tokens,
                             .output = PP_OUTPUT_ALL_LOGITS};
        reading->starts[i] = reading->readout->n_tokens;
        reading->readout->n_tokens += items[i].n_tokens;
    }
    reading->readout->best = malloc((size_t)reading->readout->n_tokens * sizeof(int32_t));
    if (!reading->readout->best)
        return PP_ERR_NOMEM;
    const pp_status status = pp_run(session, NULL, items, n, &params, err);
    for (int64_t i = 0; i < n; i++)
        pp_kvcache_destroy(items[i].cache);
    return status;
}

pp_status readout_take(pp_model *model, const pp_session_params *params, const pp_prompt *prompts,
                       int64_t n, struct readout *readout, pp_error *err)
{
    struct reading reading = {.prompts = prompts, .readout = readout};
    pp_item *items = calloc((size_t)n, sizeof *items);
    pp_session *session = NULL;
    *readout = (struct readout){.info = {.struct_size = sizeof readout->info}};
    reading.starts = calloc((size_t)n, sizeof *reading.starts);
    pp_status status = items && reading.starts ? PP_OK : PP_ERR_NOMEM;
    if (status >= 0)
        status = pp_session_create(model, params, &session, err);
    if (status >= 0)
        status = pp_session_get_info(session, &readout->info, err);
    if (status >= 0)
        status = run_all(session, items, n, &reading, err);
    if (status >= 0)
        readout->loss = reading.loss / (double)reading.n_judged;
    pp_session_destroy(session);
    free(reading.starts);
    free(items);
    return status;
}

void readout_free(struct readout *readout)
{
    free(readout->best);
    readout->best = NULL;
}

struct readout_change readout_compare(const struct readout *from, const struct readout *to,
                                      const pp_prompt *prompts, int64_t n)
{
    struct readout_change change = {.perplexity = exp(to->loss - from->loss) - 1};
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t k = 0; k < prompts[i].n_tokens; k++, at++)
            if (from->best[at] != to->best[at]) {
                change.all++;
                change.last += k == prompts[i].n_tokens - 1;
            }
    return change;
}
