/* bench_json.c: the JSON of `prepack bench`. Its keys are added to, never renamed. */
#include "bench.h"
#include "json_out.h"

static json_t *positive_or_null(double value)
{
    return value > 0 ? json_real(value) : json_null();
}

static json_t *figure_json(const struct bench_report *report, const struct bench_figure *figure)
{
    const pp_measurement *m = &figure->measured;
    const char *limit;
    double guard;
    json_t *json = json_object();
    json_put(&json, "name", json_string(figure->name));
    if (figure->bench == BENCH_GEMM) {
        json_put_count(&json, "n", figure->n);
        json_put_count(&json, "k", figure->k);
    }
    if (figure->bench == BENCH_ATTENTION) {
        json_put(&json, "lengths", json_lenient(figure->lengths->text));
        json_put(&json, "kernel", json_string(figure->kernel));
        json_put_count(&json, "least_tokens", figure->low);
        json_put_count(&json, "most_tokens", figure->high);
        json_put_count(&json, "tokens", figure->tokens);
        json_put_count(&json, "prompts", figure->prompts);
    }
    json_put_count(&json, "rows", figure->rows);
    json_put(&json, "seconds", json_real(m->seconds));
    json_put(&json, "flop", json_real(m->flop));
    json_put(&json, "bytes", json_real(m->bytes));
    json_put(&json, "percent_of_roof", json_real(100 * bench_share(report, figure, m, &limit)));
    json_put(&json, "limit", json_string(limit));
    if (figure->bench == BENCH_ATTENTION) {
        json_put(&json, "warm_seconds", json_real(figure->warm.seconds));
        json_put(&json, "warm_percent_of_roof",
                 json_real(100 * bench_share(report, figure, &figure->warm, &limit)));
    }
    if (figure->bench == BENCH_GEMM) {
        json_put(&json, "guarded_seconds", positive_or_null(m->guarded_seconds));
        json_put(&json, "unguarded_seconds", positive_or_null(m->unguarded_seconds));
        json_put(&json, "own_seconds", positive_or_null(m->own_seconds));
        json_put(&json, "guard_percent",
                 bench_guard_percent(figure, &guard) ? json_real(guard) : json_null());
        json_put(&json, "weights", json_string(pp_weights_name(figure->weights)));
    }
    return json;
}

static json_t *roofs_json(const struct bench_roofs *roofs)
{
    json_t *json =
        json_pair("flop_per_second", roofs->numbers.flop, "bytes_per_second", roofs->bytes);
    json_put(&json, "integer_flop_per_second", positive_or_null(roofs->integers.flop));
    return json;
}

json_t *bench_json(const struct bench_report *report)
{
    static const char *const keys[] = {"gemm", "attention", "rows"};
    const pp_session_info *session = &report->session;
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(report->model));
    json_put_device(&json, session);
    json_put_count(&json, "max_pass_tokens", session->max_pass_tokens);
    json_put_count(&json, "n_heads", report->config.n_heads);
    json_put_count(&json, "n_kv_heads", report->config.n_kv_heads);
    json_put_count(&json, "head_dim", report->config.head_dim);
    json_put_count(&json, "num_runs", report->options->num_runs);
    json_put(&json, "roofs", roofs_json(&report->roofs));
    for (int bench = 0; bench < 3; bench++) {
        json_t *list = json_array();
        for (size_t i = 0; i < report->n_figures; i++)
            if ((int)report->figures[i].bench == 1 << bench)
                json_put(&list, NULL, figure_json(report, &report->figures[i]));
        json_put(&json, keys[bench], list);
    }
    return json;
}
