/* draw.c: bins as lines of cells; the prompts of a bin take turns in two shades. */
#include "draw.h"
#include "say.h"
#include "table.h"

#include <inttypes.h>
#include <langinfo.h>
#include <string.h>

enum {
    MAX_DRAWN = 64, /* bins */
    MAX_CELLS = 200
};

struct shades {
    const char *even, *odd, *unused;
};

static struct shades choose_shades(void)
{
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return (struct shades){"\u2588", "\u2593", "\u00b7"};
    return (struct shades){"#", "=", "."};
}

/* A cell shows what lies in its middle. */
static int draw_bin(FILE *out, const pp_plan *plan, int64_t bin, const int64_t *lengths,
                    int64_t capacity, int n_cells, const struct shades *shades)
{
    pp_error err = {.struct_size = sizeof err};
    const int32_t *prompts;
    int64_t n_prompts, tokens;
    if (pp_plan_get_bin(plan, bin, &prompts, &n_prompts, &tokens, &err) < 0)
        return fail_library(&err);
    fprintf(out, "%5" PRId64 " ", bin);
    int64_t i = 0, end = n_prompts > 0 ? lengths[prompts[0]] : 0;
    for (int c = 0; c < n_cells; c++) {
        const double middle = (c + 0.5) * (double)capacity / n_cells;
        while (i < n_prompts && (double)end <= middle)
            if (++i < n_prompts)
                end += lengths[prompts[i]];
        fputs(i == n_prompts ? shades->unused : i % 2 ? shades->odd : shades->even, out);
    }
    fprintf(out, " %4" PRId64 " prompt%s %7" PRId64 "\n", n_prompts, n_prompts == 1 ? " " : "s",
            tokens);
    return STATUS_OK;
}

int draw_plan(FILE *out, const pp_plan *plan, const int64_t *lengths, bool first_only)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    const struct shades shades = choose_shades();
    int n_cells = terminal_columns(out) - 28;
    n_cells = n_cells < 10 ? 10 : n_cells > MAX_CELLS ? MAX_CELLS : n_cells;
    fprintf(out, "%s: %" PRId64 " bins of %" PRId64 " tokens (%s %s prompts, %s unused)\n",
            first_only ? "first batch" : "bins", info.n_bins, info.capacity, shades.even,
            shades.odd, shades.unused);
    for (int64_t b = 0; b < info.n_bins && b < MAX_DRAWN; b++) {
        const int status = draw_bin(out, plan, b, lengths, info.capacity, n_cells, &shades);
        if (status)
            return status;
    }
    if (info.n_bins > MAX_DRAWN)
        fprintf(out, "      and %" PRId64 " more\n", info.n_bins - MAX_DRAWN);
    fputc('\n', out);
    return STATUS_OK;
}
