/* table.h: a table of text with aligned columns. */
#ifndef PREPACK_TABLE_H
#define PREPACK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { MAX_COLUMNS = 16 };

struct table {
    size_t n_columns;
    bool right[MAX_COLUMNS]; /* numbers stand at the right */
    char **cells;            /* [n_cells], row after row; the first row is the heading */
    size_t n_cells, room;
    bool failed; /* there was no memory for a cell */
};

/* columns: '<' left, '>' right, one for each column. */
void table_start(struct table *table, const char *columns);
/* Adds the next cell, from left to right and row after row. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the table and frees it. */
int table_finish(struct table *table, FILE *out);
/* Frees without printing. */
void table_free(struct table *table);

/* Cells a UTF-8 text takes on a terminal, a code point each. */
size_t text_width(const char *text);
/* Columns to write in: $COLUMNS, the terminal's, or 80. */
int terminal_columns(FILE *out);
/* Writes text of at most `width` (4 or more) cells to out: what is longer loses its beginning or
 * its end to "..."; control bytes are escaped. out_bytes: 4 * width + 8 are enough. */
void shorten(char *out, size_t out_bytes, const char *text, size_t width, bool keep_end);

#endif
