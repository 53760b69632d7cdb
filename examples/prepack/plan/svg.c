/*
 * svg.c: two charts of bars, each with an axis in tokens, and a legend. Colours are those of Okabe
 * and Ito (Color Universal Design, 2008), which the colour-blind tell apart; padding is hatched, so
 * that the picture can also be read without any.
 */
#include "svg.h"
#include "files.h"
#include "say.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TITLE_CELLS = 88 };

/* Pixels. */
enum {
    WIDTH = 1000,
    LEFT = 56,
    PLOT = 720,
    BAR = 10,
    STEP = 13,
    TITLE = 56,
    HEADING = 26,
    AXIS = 44,
    LEGEND = 44
};

static const char style[] =
    "<style>text{font-family:sans-serif;font-size:12px;fill:#222}"
    ".title{font-size:18px;font-weight:bold}.heading{font-size:14px;font-weight:bold}"
    ".number{text-anchor:end}.tick{text-anchor:middle}line{stroke:#222}"
    ".even{fill:#0072b2}.odd{fill:#56b4e9}.part{fill:#e69f00}"
    ".unused{fill:url(#hatch);stroke:#999}</style>\n"
    "<defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
    "<rect width=\"5\" height=\"5\" fill=\"#f4f4f4\"/>"
    "<path d=\"M0 5L5 0\" stroke=\"#bbb\"/></pattern></defs>\n";

/* Text of XML. Bytes that it may not have become '?'. */
static void put_text(FILE *file, const char *text)
{
    const bool is_utf8 = is_text(text, strlen(text));
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", file);
        else if (c == '<')
            fputs("&lt;", file);
        else if (c == '>')
            fputs("&gt;", file);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
            fputc('?', file);
        else if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0)
            fputs((text += 2, "?"), file);
        else
            fputc(c, file);
    }
}

struct chart {
    FILE *file;
    double per_token; /* pixels */
    int64_t scale;    /* tokens of the plot */
    int y;            /* where the next thing goes */
};

static void put_bar(const struct chart *chart, const char *class, int64_t start, int64_t n_tokens)
{
    fprintf(chart->file, "<rect class=\"%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"/>\n",
            class, LEFT + chart->per_token * (double)start, chart->y,
            chart->per_token * (double)n_tokens, BAR);
}

static void put_row(const struct chart *chart, const struct view_row *row)
{
    fprintf(chart->file, "<text class=\"number\" x=\"%d\" y=\"%d\">%" PRId64 "</text>\n", LEFT - 6,
            chart->y + BAR, row->number);
    put_bar(chart, "unused", 0, row->capacity);
    for (size_t i = 0; i < row->n_places; i++) {
        const struct view_place *place = &row->places[i];
        put_bar(chart,
                place->is_part ? "part"
                : i % 2        ? "odd"
                               : "even",
                place->start, place->n_tokens);
    }
    fprintf(chart->file,
            "<text x=\"%d\" y=\"%d\">%" PRId64 " prompt%s, %" PRId64 " tokens</text>\n",
            LEFT + PLOT + 8, chart->y + BAR, row->n_prompts, row->n_prompts == 1 ? "" : "s",
            row->tokens);
}

/* The smallest of 1, 2, 5 times a power of ten that gives at most 8 ticks. */
static int64_t tick_step(int64_t scale)
{
    double power = 1;
    for (;; power *= 10)
        for (int i = 0; i < 3; i++) {
            const double step = power * (i == 0 ? 1 : i == 1 ? 2 : 5);
            if ((double)scale / step <= 8)
                return (int64_t)step;
        }
}

static void put_axis(const struct chart *chart)
{
    const int64_t step = tick_step(chart->scale);
    fprintf(chart->file, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", LEFT, chart->y,
            LEFT + PLOT, chart->y);
    for (int64_t i = 0; i <= chart->scale / step; i++) {
        const double x = LEFT + chart->per_token * (double)(i * step);
        fprintf(chart->file, "<line x1=\"%.2f\" y1=\"%d\" x2=\"%.2f\" y2=\"%d\"/>\n", x, chart->y,
                x, chart->y + 4);
        fprintf(chart->file, "<text class=\"tick\" x=\"%.2f\" y=\"%d\">%" PRId64 "</text>\n", x,
                chart->y + 16, i * step);
    }
    fprintf(chart->file, "<text x=\"%d\" y=\"%d\">tokens</text>\n", LEFT + PLOT + 32,
            chart->y + 16);
}

/* Height of a chart and what its rows have beside them. */
static int chart_height(const struct view *view)
{
    const bool has_more = view->n_all > (int64_t)view->n_rows;
    return HEADING + ((int)view->n_rows + has_more) * STEP + AXIS;
}

static void put_chart(struct chart *chart, const struct view *view, const char *rows,
                      const char *unused)
{
    const int64_t n_more = view->n_all - (int64_t)view->n_rows;
    fprintf(chart->file,
            "<text class=\"heading\" x=\"%d\" y=\"%d\">%s: %" PRId64 " %s of %s%" PRId64
            " tokens, %.2f %% %s</text>\n",
            LEFT, chart->y + 14, view->name, view->n_all, rows, view->same_width ? "" : "at most ",
            view->widest, 100 * view->unused, unused);
    chart->y += HEADING;
    for (size_t i = 0; i < view->n_rows; i++, chart->y += STEP)
        put_row(chart, &view->rows[i]);
    if (n_more > 0) {
        fprintf(chart->file, "<text x=\"%d\" y=\"%d\">and %" PRId64 " more, not drawn</text>\n",
                LEFT, chart->y + BAR, n_more);
        chart->y += STEP;
    }
    put_axis(chart);
    chart->y += AXIS;
}

static void put_legend(struct chart *chart, bool has_parts)
{
    const struct {
        const char *class, *label;
        int width;
    } entries[] = {{"even", "", 4},
                   {"odd", "prompts, in turn", 130},
                   {"part", "part of a prompt", 130},
                   {"unused", "padding, unused", 130}};
    int x = LEFT;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (strcmp(entries[i].class, "part") == 0 && !has_parts)
            continue;
        fprintf(chart->file, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"18\" height=\"12\"/>\n",
                entries[i].class, x, chart->y);
        if (entries[i].label[0])
            fprintf(chart->file, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 24, chart->y + 11,
                    entries[i].label);
        x += 18 + entries[i].width;
    }
}

static void put_title(FILE *file, const char *name, const char *note)
{
    char title[4 * TITLE_CELLS + 8];
    shorten(title, sizeof title, name, TITLE_CELLS, true);
    put_text(file, title);
    if (note)
        fprintf(file, ", %s", note);
}

static void put_picture(FILE *file, const char *name, const char *note, const struct view *before,
                        const struct view *after)
{
    const int64_t widest = before->widest > after->widest ? before->widest : after->widest;
    const int height = TITLE + chart_height(before) + chart_height(after) + LEGEND;
    struct chart chart = {.file = file, .scale = widest > 0 ? widest : 1, .y = TITLE};
    chart.per_token = PLOT / (double)chart.scale;
    fprintf(file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
            WIDTH, height, WIDTH, height);
    put_title(file, name, note);
    fprintf(file, "</title>\n%s<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", style, WIDTH,
            height);
    fprintf(file, "<text class=\"title\" x=\"%d\" y=\"32\">", LEFT);
    put_title(file, name, note);
    fputs("</text>\n", file);
    put_chart(&chart, before, "rows", "padding");
    put_chart(&chart, after, "bins", "unused");
    put_legend(&chart, after->has_parts);
    fputs("</svg>\n", file);
}

int svg_write(const char *path, const char *name, const char *note, const struct view *before,
              const struct view *after)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return fail("%s could not be opened for writing: %s", path, strerror(errno));
    put_picture(file, name, note, before, after);
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return fail("%s could not be written: %s", path, strerror(errno));
    return STATUS_OK;
}
