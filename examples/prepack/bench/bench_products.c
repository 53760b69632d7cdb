/* bench_products.c: products with weight matrices, in one format of weights after another, and what
 * the device does at best of that kind. */
#include "bench_peak.h"
#include "benching.h"
#include "say.h"

#include <stddef.h>

enum { ROOF_ROWS = 8192 };

static const struct {
    int32_t operation;
    const char *name;
} products[] = {{PP_MEASURE_QKV, "qkv"},
                {PP_MEASURE_O, "o"},
                {PP_MEASURE_GATE_UP, "gate_up"},
                {PP_MEASURE_DOWN, "down"},
                {PP_MEASURE_LM_HEAD, "lm_head"}};
enum { N_PRODUCTS = sizeof products / sizeof *products };

/* ---- roofs ---- */

static struct bench_roof *roof_of(struct benching *benching, int32_t weights)
{
    struct bench_roofs *roofs = &benching->report.roofs;
    return bench_is_integer(weights) ? &roofs->integers : &roofs->numbers;
}

static void raise_by_peak(struct benching *benching, const pp_session_info *session)
{
    struct bench_roof *roof = roof_of(benching, session->weights);
    const struct peak peak = bench_peak(session, bench_is_integer(session->weights));
    if (peak.flop > roof->flop)
        *roof = (struct bench_roof){peak.flop, peak.name};
}

static void raise_by_product(struct bench_roof *roof, const pp_measurement *m)
{
    const double seconds[] = {m->seconds, m->guarded_seconds, m->unguarded_seconds};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (seconds[i] > 0 && m->flop / seconds[i] > roof->flop)
            *roof = (struct bench_roof){m->flop / seconds[i], NULL};
}

int bench_find_roof(struct benching *benching)
{
    const pp_session_info *session = &benching->report.session;
    int status = STATUS_OK;
    raise_by_peak(benching, session);
    for (int i = 0; i < N_PRODUCTS && !status; i++) {
        pp_measure_params params = bench_params(benching, products[i].operation);
        pp_measurement m;
        params.unguarded = 1;
        params.n_rows = session->max_pass_tokens;
        if (params.n_rows > ROOF_ROWS)
            params.n_rows = ROOF_ROWS;
        if (products[i].operation == PP_MEASURE_LM_HEAD ||
            !bench_find_layer(benching, products[i].operation, NULL))
            continue;
        status = bench_measure(benching, &params, &m);
        if (!status)
            raise_by_product(roof_of(benching, session->weights), &m);
    }
    return status;
}

/* ---- figures ---- */

static void matrix_shape(const struct benching *benching, int32_t operation, int64_t *n, int64_t *k)
{
    const pp_model_config *config = &benching->engine.config;
    pp_layer_config layer = {.struct_size = sizeof layer};
    bench_find_layer(benching, operation, &layer);
    const int64_t q_dim = (int64_t)config->n_heads * layer.head_dim;
    const int64_t kv_dim = (int64_t)layer.n_kv_heads * layer.head_dim;
    *n = operation == PP_MEASURE_QKV       ? q_dim + 2 * kv_dim
         : operation == PP_MEASURE_GATE_UP ? 2 * (int64_t)layer.intermediate_size
         : operation == PP_MEASURE_LM_HEAD ? config->vocab_size
                                           : config->hidden_size;
    *k = operation == PP_MEASURE_O      ? q_dim
         : operation == PP_MEASURE_DOWN ? layer.intermediate_size
                                        : config->hidden_size;
}

/* With the weights of the session that is open. */
static int measure_format(struct benching *benching, int32_t weights)
{
    const size_t first = benching->report.n_figures;
    int status = STATUS_OK;
    for (int r = 0; r < benching->rows.n; r++)
        for (int i = 0; i < N_PRODUCTS && !status; i++) {
            pp_measure_params params = bench_params(benching, products[i].operation);
            struct bench_figure what = {.bench = BENCH_GEMM,
                                        .name = products[i].name,
                                        .weights = weights,
                                        .rows = benching->rows.items[r]};
            params.n_rows = what.rows;
            params.unguarded = 1;
            if (!bench_find_layer(benching, products[i].operation, NULL))
                continue;
            matrix_shape(benching, products[i].operation, &what.n, &what.k);
            status = bench_add_figure(benching, &params, &what);
        }
    for (size_t i = first; i < benching->report.n_figures; i++)
        raise_by_product(roof_of(benching, weights), &benching->report.figures[i].measured);
    return status;
}

int bench_products(struct benching *benching)
{
    const struct bench_options *options = benching->options;
    if (options->formats.n == 0)
        return measure_format(benching, benching->report.session.weights);
    int status = STATUS_OK;
    for (int i = 0; i < options->formats.n && !status; i++) {
        struct device_options device = options->device;
        pp_session_info info;
        device.weights = options->formats.items[i];
        status = bench_change_session(benching, &device, &info);
        if (status)
            break;
        raise_by_peak(benching, &info);
        status = measure_format(benching, info.weights);
    }
    return status;
}

int64_t bench_count_products(const struct benching *benching)
{
    const int n_formats = benching->options->formats.n;
    int n = 0;
    for (int i = 0; i < N_PRODUCTS; i++)
        n += bench_find_layer(benching, products[i].operation, NULL);
    const int64_t figures = (int64_t)benching->rows.n * n * (n_formats ? n_formats : 1);
    return n - 1 + (benching->options->benches & BENCH_GEMM ? figures : 0);
}
