/* bench_print.c: the tables of `prepack bench`. */
#include "bench.h"
#include "engine.h"
#include "say.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

bool bench_is_integer(int32_t weights)
{
    return weights == PP_WEIGHTS_INT8 || weights == PP_WEIGHTS_INT4 || weights == PP_WEIGHTS_NF4;
}

double bench_share(const struct bench_report *report, const struct bench_figure *figure,
                   const pp_measurement *measured, const char **limit)
{
    const bool integer = figure->bench == BENCH_GEMM && bench_is_integer(figure->weights);
    const struct bench_roof *roof = integer ? &report->roofs.integers : &report->roofs.numbers;
    const double compute = measured->flop > 0 ? measured->flop / roof->flop : 0;
    const double memory = measured->bytes / report->roofs.bytes;
    *limit = compute > memory ? "compute" : "memory";
    return (compute > memory ? compute : memory) / measured->seconds;
}

bool bench_guard_percent(const struct bench_figure *figure, double *percent)
{
    const pp_measurement *m = &figure->measured;
    if (m->unguarded_seconds <= 0)
        return false;
    *percent = 100 * (m->guarded_seconds / m->unguarded_seconds - 1);
    return true;
}

/* A device of many TFLOP/s is not shown in GFLOP/s. */
static bool is_fast(const struct bench_report *report)
{
    return report->roofs.numbers.flop >= 1e13;
}

static const char *flop_unit(const struct bench_report *report)
{
    return is_fast(report) ? "TFLOP/s" : "GFLOP/s";
}

static double in_flop_unit(const struct bench_report *report, double flop)
{
    return flop * (is_fast(report) ? 1e-12 : 1e-9);
}

static bool knows_guard(const struct bench_report *report)
{
    for (size_t i = 0; i < report->n_figures; i++)
        if (report->figures[i].measured.unguarded_seconds > 0)
            return true;
    return false;
}

static void add_rates(struct table *table, const struct bench_report *report,
                      const struct bench_figure *f)
{
    const char *limit;
    const double share = bench_share(report, f, &f->measured, &limit);
    table_add(table, "%.4f", 1e3 * f->measured.seconds);
    table_add(table, "%.1f", in_flop_unit(report, f->measured.flop / f->measured.seconds));
    table_add(table, "%.1f", 1e-9 * f->measured.bytes / f->measured.seconds);
    table_add(table, "%.1f", 100 * share);
    table_add(table, "%s", limit);
}

/* Weights that are kept as stored are told by the dtype they are multiplied in. */
static const char *weights_shown(const struct bench_report *report, int32_t weights)
{
    return weights == PP_WEIGHTS_AUTO ? pp_dtype_name(report->session.dtype)
                                      : pp_weights_name(weights);
}

static int print_gemm(const struct bench_report *report, FILE *out)
{
    const bool guard = knows_guard(report);
    struct table table;
    table_start(&table, guard ? "<<>>>>>><>>" : "<<>>>>>><");
    table_add(&table, "product");
    table_add(&table, "weights");
    table_add(&table, "n x k");
    table_add(&table, "rows");
    table_add(&table, "ms");
    table_add(&table, "%s", flop_unit(report));
    table_add(&table, "GB/s");
    table_add(&table, "%% of roof");
    table_add(&table, "limit");
    if (guard) {
        table_add(&table, "guard %%");
        table_add(&table, "own %s", flop_unit(report));
    }
    for (size_t i = 0; i < report->n_figures; i++) {
        const struct bench_figure *f = &report->figures[i];
        double percent;
        if (f->bench != BENCH_GEMM)
            continue;
        table_add(&table, "%s", f->name);
        table_add(&table, "%s", weights_shown(report, f->weights));
        table_add(&table, "%" PRId64 " x %" PRId64, f->n, f->k);
        table_add(&table, "%" PRId64, f->rows);
        add_rates(&table, report, f);
        if (guard && bench_guard_percent(f, &percent))
            table_add(&table, "%+.1f", percent);
        else if (guard)
            table_add(&table, "n/a");
        if (guard && f->measured.own_seconds > 0)
            table_add(&table, "%.1f",
                      in_flop_unit(report, f->measured.flop / f->measured.own_seconds));
        else if (guard)
            table_add(&table, "n/a");
    }
    return table_finish(&table, out);
}

/* Whether more than one kernel ran over the same prompts. */
static bool compares_kernels(const struct bench_report *report)
{
    const struct bench_figure *first = NULL;
    for (size_t i = 0; i < report->n_figures; i++) {
        const struct bench_figure *f = &report->figures[i];
        if (f->bench != BENCH_ATTENTION)
            continue;
        if (!first)
            first = f;
        if (strcmp(first->kernel, f->kernel) != 0)
            return true;
    }
    return false;
}

static void add_warm(struct table *table, const struct bench_report *report,
                     const struct bench_figure *f)
{
    const char *limit;
    table_add(table, "%.4f", 1e3 * f->warm.seconds);
    table_add(table, "%.1f", in_flop_unit(report, f->warm.flop / f->warm.seconds));
    table_add(table, "%.1f", 100 * bench_share(report, f, &f->warm, &limit));
}

static void add_lengths(struct table *table, const struct bench_figure *f)
{
    char text[4 * 32 + 8];
    shorten(text, sizeof text, f->lengths->text, 32, true);
    table_add(table, "%s", text);
}

static int print_attention(const struct bench_report *report, FILE *out)
{
    const bool kernels = compares_kernels(report);
    struct table table;
    table_start(&table, kernels ? "<>>><>>>><>>>" : "<>>>>>>><>>>");
    table_add(&table, "attention");
    table_add(&table, "tokens each");
    table_add(&table, "prompts");
    table_add(&table, "rows");
    if (kernels)
        table_add(&table, "kernel");
    table_add(&table, "flushed ms");
    table_add(&table, "%s", flop_unit(report));
    table_add(&table, "GB/s");
    table_add(&table, "%% of roof");
    table_add(&table, "limit");
    table_add(&table, "warm ms");
    table_add(&table, "%s", flop_unit(report));
    table_add(&table, "%% of roof");
    for (size_t i = 0; i < report->n_figures; i++) {
        const struct bench_figure *f = &report->figures[i];
        if (f->bench != BENCH_ATTENTION)
            continue;
        table_add(&table, "%s", f->name);
        add_lengths(&table, f);
        table_add(&table, "%" PRId64, f->prompts);
        table_add(&table, "%" PRId64, f->rows);
        if (kernels)
            table_add(&table, "%s", f->kernel);
        add_rates(&table, report, f);
        add_warm(&table, report, f);
    }
    return table_finish(&table, out);
}

static int print_rows(const struct bench_report *report, FILE *out)
{
    struct table table;
    const char *limit; /* memory, but of experts */
    table_start(&table, "<>>>>");
    table_add(&table, "operation");
    table_add(&table, "rows");
    table_add(&table, "ms");
    table_add(&table, "GB/s");
    table_add(&table, "%% of roof");
    for (size_t i = 0; i < report->n_figures; i++) {
        const struct bench_figure *f = &report->figures[i];
        if (f->bench != BENCH_ROWS)
            continue;
        table_add(&table, "%s", f->name);
        table_add(&table, "%" PRId64, f->rows);
        table_add(&table, "%.4f", 1e3 * f->measured.seconds);
        table_add(&table, "%.1f", 1e-9 * f->measured.bytes / f->measured.seconds);
        table_add(&table, "%.1f", 100 * bench_share(report, f, &f->measured, &limit));
    }
    return table_finish(&table, out);
}

static void print_roofs(const struct bench_report *report, FILE *out)
{
    const struct bench_roof *const roofs[] = {&report->roofs.numbers, &report->roofs.integers};
    fprintf(out, "roofs      ");
    for (int i = 0; i < 2; i++)
        if (roofs[i]->flop > 0)
            fprintf(out, "%.1f %s (%s%s), ", in_flop_unit(report, roofs[i]->flop),
                    flop_unit(report), i == 0 ? "" : "int8, int4, nf4: ",
                    roofs[i]->peak ? roofs[i]->peak : "the best product here");
    fprintf(out, "%.1f GB/s (copying: read + written)\n", 1e-9 * report->roofs.bytes);
}

int bench_print(const struct bench_report *report, FILE *out)
{
    static int (*const tables[])(const struct bench_report *,
                                 FILE *) = {print_gemm, print_attention, print_rows};
    char device[160];
    for (int i = 0; i < 3; i++) {
        if (!(report->options->benches & 1 << i))
            continue;
        const int status = tables[i](report, out);
        if (status)
            return status;
        fputc('\n', out);
    }
    describe_session(&report->session, device, sizeof device);
    print_roofs(report, out);
    fprintf(out, "model      %s\n", report->model);
    if (report->options->benches & BENCH_ATTENTION) {
        fprintf(out, "heads      %d on %d kv heads, head_dim %d\n", report->config.n_heads,
                report->config.n_kv_heads, report->config.head_dim);
        fprintf(out,
                "caches     flushed: a copy as large as the %s cache before each run; warm: one "
                "run after the other over the same memory\n",
                is_on_gpu(&report->session) ? "L2" : "last-level");
    }
    fprintf(out, "device     %s\n", device);
    fprintf(out, "runs       median of %" PRId64 "\n", report->options->num_runs);
    return STATUS_OK;
}
