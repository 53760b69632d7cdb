/* benching.h: what the parts of `prepack bench` share while they measure. */
#ifndef PREPACK_BENCHING_H
#define PREPACK_BENCHING_H

#include "bench.h"
#include "engine.h"
#include "output_files.h"
#include "progress.h"

struct benching {
    const struct bench_options *options;
    struct engine engine;
    pp_session *session;
    struct progress progress;
    struct outputs outputs;
    struct numbers rows;       /* that fit the session */
    struct lengths_list usual; /* lengths where none are asked for */
    const struct lengths_list *lengths;
    int64_t *prompt_lengths; /* [max_pass_tokens] of the attention that is measured */
    char kernel[32];         /* of attention, of the session that is open */
    struct bench_report report;
};

pp_measure_params bench_params(const struct benching *benching, int32_t operation);
/* One operation of the session that is open. */
int bench_measure(struct benching *benching, const pp_measure_params *params,
                  pp_measurement *measured);
/* Measures one more figure, of attention twice. */
int bench_add_figure(struct benching *benching, const pp_measure_params *params,
                     const struct bench_figure *what);
/* The layer that an operation is measured in; false: the model has none. layer may be NULL. */
bool bench_find_layer(const struct benching *benching, int32_t operation, pp_layer_config *layer);
/* Another session in place of the one that is open; passes as long as before. */
int bench_change_session(struct benching *benching, const struct device_options *options,
                         pp_session_info *info);

/* ---- bench_products.c ---- */

/* What the device does at best with numbers: its instruction, and the products of a layer over a
 * whole pass, or as much of it as keeps a device busy. */
int bench_find_roof(struct benching *benching);
/* The products with the session's weights; or with each format that was asked for, in a session
 * each, the last of which stays open. */
int bench_products(struct benching *benching);
/* How many measurements the two are. */
int64_t bench_count_products(const struct benching *benching);

#endif
