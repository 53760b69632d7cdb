/* table.c: cells are kept until the widths of all columns are known. */
#include "table.h"
#include "say.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

void table_start(struct table *table, const char *columns)
{
    *table = (struct table){.n_columns = strlen(columns)};
    for (size_t c = 0; c < table->n_columns; c++)
        table->right[c] = columns[c] == '>';
}

void table_add(struct table *table, const char *format, ...)
{
    if (table->n_cells == table->room) {
        const size_t room = table->room ? table->room * 2 : 64;
        char **larger = realloc(table->cells, room * sizeof *larger);
        if (!larger) {
            table->failed = true;
            return;
        }
        table->cells = larger;
        table->room = room;
    }
    va_list args;
    va_start(args, format);
    char *cell = NULL;
    if (vasprintf(&cell, format, args) < 0)
        table->failed = true;
    else
        table->cells[table->n_cells++] = cell;
    va_end(args);
}

size_t text_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_row(const struct table *table, char **row, const size_t *widths, FILE *out)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const bool last = c + 1 == table->n_columns;
        const int space = (int)(widths[c] - text_width(row[c]));
        if (table->right[c])
            fprintf(out, "%*s%s", space, "", row[c]);
        else
            fprintf(out, "%s%*s", row[c], last ? 0 : space, "");
        fputs(last ? "\n" : "  ", out);
    }
}

int table_finish(struct table *table, FILE *out)
{
    size_t widths[MAX_COLUMNS] = {0};
    const size_t n_rows = table->n_cells / table->n_columns;
    if (table->failed) {
        table_free(table);
        return fail_memory();
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        const size_t width = text_width(table->cells[i]);
        if (widths[i % table->n_columns] < width)
            widths[i % table->n_columns] = width;
    }
    for (size_t r = 0; r < n_rows; r++) {
        print_row(table, table->cells + r * table->n_columns, widths, out);
        for (size_t c = 0; r == 0 && c < table->n_columns; c++) {
            for (size_t i = 0; i < widths[c]; i++)
                fputc('-', out);
            fputs(c + 1 == table->n_columns ? "\n" : "  ", out);
        }
    }
    table_free(table);
    return STATUS_OK;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

int terminal_columns(FILE *out)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    const long stated = columns ? strtol(columns, NULL, 10) : 0;
    if (stated > 0)
        return stated < 1000 ? (int)stated : 1000;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* Cells of one character; control bytes are written as two. */
static size_t cells_of(char c)
{
    const unsigned char byte = (unsigned char)c;
    return (byte & 0xc0) == 0x80 ? 0 : byte < 0x20 || byte == 0x7f ? 2 : 1;
}

static size_t shown_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += cells_of(*text);
    return n;
}

/* Appends at most `width` cells of text at *n. */
static void append_cells(char *out, size_t out_bytes, size_t *n, const char *text, size_t width)
{
    for (; *text; text++) {
        const size_t cells = cells_of(*text);
        if (cells > width || *n + 3 > out_bytes)
            break;
        width -= cells;
        if (cells == 2) {
            out[(*n)++] = '\\';
            out[(*n)++] = *text == '\n' ? 'n' : *text == '\t' ? 't' : '?';
        } else {
            out[(*n)++] = *text;
        }
    }
    out[*n] = '\0';
}

void shorten(char *out, size_t out_bytes, const char *text, size_t width, bool keep_end)
{
    size_t n = 0, all = shown_width(text);
    if (all <= width) {
        append_cells(out, out_bytes, &n, text, width);
    } else if (keep_end) {
        for (; all > width - 3 || cells_of(*text) == 0; text++)
            all -= cells_of(*text);
        append_cells(out, out_bytes, &n, "...", 3);
        append_cells(out, out_bytes, &n, text, width - 3);
    } else {
        append_cells(out, out_bytes, &n, text, width - 3);
        append_cells(out, out_bytes, &n, "...", 3);
    }
}
