/* plan_picture.c: rows as lines of cells; the prompts of a bin take turns in two shades. */
#include "plan_picture.h"
#include "table.h"

#include <inttypes.h>
#include <langinfo.h>
#include <string.h>

enum { MAX_CELLS = 200 };

struct shades {
    const char *even, *odd, *part, *unused;
};

static struct shades choose_shades(void)
{
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return (struct shades){"\u2588", "\u2593", "\u2592", "\u00b7"};
    return (struct shades){"#", "=", "+", "."};
}

/* A cell shows what lies in its middle. */
static void draw_row(FILE *out, const struct view_row *row, int64_t scale, int n_cells,
                     const struct shades *shades)
{
    fprintf(out, "%5" PRId64 " ", row->number);
    size_t i = 0;
    for (int c = 0; c < n_cells; c++) {
        const double middle = (c + 0.5) * (double)scale / n_cells;
        const struct view_place *place = row->places;
        while (i < row->n_places && (double)(place[i].start + place[i].n_tokens) <= middle)
            i++;
        const bool filled = i < row->n_places && (double)place[i].start <= middle;
        if (filled)
            fputs(place[i].is_part ? shades->part : i % 2 ? shades->odd : shades->even, out);
        else
            fputs(middle < (double)row->capacity ? shades->unused : " ", out);
    }
    fprintf(out, " %4" PRId64 " prompt%s %7" PRId64 "\n", row->n_prompts,
            row->n_prompts == 1 ? " " : "s", row->tokens);
}

static void draw_view(FILE *out, const struct view *view, const char *rows, const char *unused,
                      int64_t scale, int n_cells, const struct shades *shades)
{
    fprintf(out, "%s: %" PRId64 " %s of %s%" PRId64 " tokens, %.2f %% %s\n", view->name,
            view->n_all, rows, view->same_width ? "" : "at most ", view->widest, 100 * view->unused,
            unused);
    const size_t n = view->n_rows < DRAWN_ROWS ? view->n_rows : DRAWN_ROWS;
    for (size_t i = 0; i < n; i++)
        draw_row(out, &view->rows[i], scale, n_cells, shades);
    if (view->n_all > (int64_t)n)
        fprintf(out, "      and %" PRId64 " more\n", view->n_all - (int64_t)n);
}

void draw_views(FILE *out, const struct view *before, const struct view *after, bool first_only)
{
    const struct shades shades = choose_shades();
    const int64_t scale = before->widest > after->widest ? before->widest : after->widest;
    int n_cells = terminal_columns(out) - 28;
    n_cells = n_cells < 10 ? 10 : n_cells > MAX_CELLS ? MAX_CELLS : n_cells;
    fprintf(out, "%s%s %s prompts, ", first_only ? "the first batch: " : "", shades.even,
            shades.odd);
    if (after->has_parts)
        fprintf(out, "%s parts of prompts, ", shades.part);
    fprintf(out, "%s unused; %d cells are %" PRId64 " tokens\n", shades.unused, n_cells, scale);
    draw_view(out, before, "rows", "padding", scale, n_cells, &shades);
    draw_view(out, after, "bins", "unused", scale, n_cells, &shades);
    fputc('\n', out);
}
