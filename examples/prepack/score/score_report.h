/* score_report.h: what `prepack score` says at its end. */
#ifndef PREPACK_SCORE_REPORT_H
#define PREPACK_SCORE_REPORT_H

#include "engine.h"
#include "score_lines.h"
#include "score_options.h"

#include <stdio.h>

struct score_report {
    const struct score_options *options;
    const struct engine *engine;
    const struct score_work *work;
    struct score_totals totals;
    pp_session_info session;
    int64_t n_done; /* items that a run before this one did */
    double seconds;
    json_t *lines; /* of all records, or only of the first ones */
};

/* A table of the first records, and the figures of all. */
int score_print(const struct score_report *report, FILE *out);
json_t *score_json(const struct score_report *report);

#endif
