/* dry_run.c: `prepack profile --dry-run`: what each method would need, without loading weights. */
#include "dry_run.h"
#include "engine.h"
#include "say.h"
#include "table.h"

#include <inttypes.h>

static double megabytes(int64_t bytes)
{
    return (double)bytes / 1e6;
}

int dry_run_count(struct dry_run_report *report, const struct workload *work,
                  const struct packers *packers, const pp_model *model)
{
    for (int i = 0; i < report->options->methods.n; i++) {
        struct method_needs *method = &report->methods[i];
        struct pass_figures figures;
        method->method = report->options->methods.items[i];
        const int status = methods_count((enum method)method->method, work, &report->session,
                                         packers, &method->needs, &figures);
        if (status)
            return status;
        method->tokens_real = figures.tokens_real;
        method->memory = needs_memory(&method->needs, &report->session, model);
        report->n_methods++;
    }
    return STATUS_OK;
}

int dry_run_print(const struct dry_run_report *report, FILE *out)
{
    const bool on_gpu = is_on_gpu(&report->session);
    struct table table;
    table_start(&table, on_gpu ? "<>>>>>>>>" : "<>>>>>>>");
    table_add(&table, "method");
    table_add(&table, "batches");
    table_add(&table, "tokens/batch");
    table_add(&table, "most");
    table_add(&table, "passes/batch");
    table_add(&table, "most");
    table_add(&table, "KV MB");
    table_add(&table, on_gpu ? "device MB" : "all MB");
    if (on_gpu)
        table_add(&table, "host MB");
    for (int i = 0; i < report->n_methods; i++) {
        const struct method_needs *m = &report->methods[i];
        const struct needs *needs = &m->needs;
        table_add(&table, "%s", method_names[m->method]);
        table_add(&table, "%" PRId64, needs->steps);
        table_add(&table, "%.1f", (double)needs->tokens / (double)needs->steps);
        table_add(&table, "%" PRId64, needs->most_tokens);
        table_add(&table, "%.2f", (double)needs->passes / (double)needs->steps);
        table_add(&table, "%" PRId64, needs->most_passes);
        table_add(&table, "%.1f", megabytes(m->memory.kv));
        table_add(&table, "%.1f", megabytes(m->memory.device));
        if (on_gpu)
            table_add(&table, "%.1f", megabytes(m->memory.host));
    }
    const int status = table_finish(&table, out);
    fprintf(out,
            "nothing was loaded or run; KV caches and memory are those of the largest batch\n\n");
    return status;
}

void dry_run_print_memory(const struct dry_run_report *report, FILE *out)
{
    const pp_session_info *session = &report->session;
    fprintf(out, "weights    %.1f MB\n", megabytes(session->weight_bytes));
    fprintf(out, "workspace  %.1f MB, for passes of up to %d tokens\n",
            megabytes(session->memory_bytes - session->weight_bytes), session->max_pass_tokens);
    fprintf(out, "KV pages   of %d tokens, at most %.3f MB\n", session->page_tokens,
            megabytes(session->page_bytes));
}

int dry_run_compare(const struct dry_run_report *report, FILE *out)
{
    const int64_t limit = report->options->device.memory_limit;
    const struct method_needs *most = neediest(report);
    const char *name = method_names[most->method];
    if (limit == 0)
        return STATUS_OK;
    if (most->memory.device > limit)
        return fail("--memory-limit is %.1f MB, but %s needs %.1f MB", megabytes(limit), name,
                    megabytes(most->memory.device));
    fprintf(out, "limit      %.1f MB are enough: %s needs most, %.1f MB\n", megabytes(limit), name,
            megabytes(most->memory.device));
    return STATUS_OK;
}
