/* csv.c: prompts from tables, with commas or tabs between the columns. */
#include "datafile.h"
#include "say.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* CSV as RFC 4180 has it: fields with commas, quotes or line ends stand in quotes, a quote inside
 * is doubled. The file is taken apart in place. */
struct csv {
    struct textfile *file;
    char separator;
    char **fields; /* of the record last read */
    size_t n_fields, room;
};

/* Takes a quoted field apart; next stands behind the opening quote. */
static int csv_quoted(struct csv *csv, char **field)
{
    const size_t first_line = csv->file->line;
    char *from = csv->file->next, *to = csv->file->next;
    *field = to;
    for (; from < csv->file->end; from++) {
        if (*from == '\n')
            csv->file->line++;
        if (*from != '"') {
            *to++ = *from;
            continue;
        }
        if (from + 1 < csv->file->end && from[1] == '"') {
            *to++ = '"';
            from++;
            continue;
        }
        csv->file->next = from + 1;
        *to = '\0'; /* at the latest on the closing quote */
        return STATUS_OK;
    }
    return fail("the quotes opened in line %zu of %s are never closed", first_line,
                csv->file->name);
}

static int csv_add_field(struct csv *csv, char *field)
{
    if (csv->n_fields == csv->room) {
        const size_t room = csv->room ? csv->room * 2 : 16;
        char **larger = realloc(csv->fields, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        csv->fields = larger;
        csv->room = room;
    }
    csv->fields[csv->n_fields++] = field;
    return STATUS_OK;
}

/* Reads one field and the separator or line end after it; *last: it was the record's last. */
static int csv_field(struct csv *csv, bool *last)
{
    struct textfile *file = csv->file;
    char *field = file->next, *field_end = NULL;
    if (*file->next == '"') {
        file->next++;
        const int status = csv_quoted(csv, &field);
        if (status)
            return status;
    } else {
        while (file->next < file->end && *file->next != csv->separator && *file->next != '\n' &&
               *file->next != '\r')
            file->next++;
        field_end = file->next;
    }
    const bool carriage_return = *file->next == '\r';
    const char after = file->next[carriage_return]; /* NUL at the end */
    if (after != '\0' && after != '\n' && (carriage_return || after != csv->separator))
        return fail("line %zu of %s has text after a closing quote or a stray carriage return",
                    file->line, file->name);
    *last = after != csv->separator;
    file->next += carriage_return + (after != '\0');
    file->line += after == '\n';
    if (field_end)
        *field_end = '\0';
    return csv_add_field(csv, field);
}

static int csv_record(struct csv *csv)
{
    csv->n_fields = 0;
    for (bool last = false; !last;) {
        const int status = csv_field(csv, &last);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static size_t csv_column(const struct csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->n_fields; i++)
        if (strcmp(csv->fields[i], name) == 0)
            return i;
    return SIZE_MAX;
}

static int read_csv_records(struct csv *csv, const char *field, struct dataset *set)
{
    int status = csv_record(csv);
    if (status)
        return status;
    const size_t n_columns = csv->n_fields;
    const size_t column = csv_column(csv, field), answer_column = csv_column(csv, "answer");
    if (column == SIZE_MAX)
        return fail("the first line of %s names no column '%s'; --field names the one with the "
                    "prompt",
                    csv->file->name, field);
    while (csv->file->next < csv->file->end) {
        const size_t line = csv->file->line;
        status = csv_record(csv);
        if (status)
            return status;
        if (csv->n_fields == 1 && csv->fields[0][0] == '\0')
            continue;
        if (csv->n_fields != n_columns)
            return fail("line %zu of %s has %zu fields, but the first line names %zu", line,
                        csv->file->name, csv->n_fields, n_columns);
        status = dataset_add_text(set, line, csv->fields[column],
                                  answer_column == SIZE_MAX ? NULL : csv->fields[answer_column]);
        if (status)
            return status;
    }
    return STATUS_OK;
}

int dataset_read_table(struct textfile *file, char separator, const char *field,
                       struct dataset *set)
{
    struct csv csv = {.file = file, .separator = separator};
    if (file->next == file->end)
        return fail("%s is empty, but must have a first line that names its columns", file->name);
    const int status = read_csv_records(&csv, field, set);
    free(csv.fields);
    return status;
}
