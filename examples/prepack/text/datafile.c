/*
 * datafile.c: the files that hold prompts. Every file is read whole and checked to be UTF-8; a
 * sentence about a bad file names its line.
 */
#include "dataset.h"
#include "files.h"
#include "say.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_file_bytes = (size_t)1 << 30;
static const int64_t max_length = INT32_MAX;

/* Reads a file of text; leaves out the byte order mark some editors put before it. */
static int read_text(const char *path, char **bytes, char **text, size_t *n)
{
    size_t n_bytes;
    const int status = read_file(path, max_file_bytes, bytes, &n_bytes);
    if (status)
        return status;
    const size_t skip = n_bytes >= 3 && memcmp(*bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    *text = *bytes + skip;
    *n = n_bytes - skip;
    return STATUS_OK;
}

/* A file of lines, taken apart in place. */
struct lines {
    const char *path;
    char *bytes; /* owned */
    char *next, *end;
    size_t number; /* of the line last given, from 1 */
};

static int lines_open(const char *path, struct lines *lines)
{
    size_t n;
    *lines = (struct lines){.path = path};
    const int status = read_text(path, &lines->bytes, &lines->next, &n);
    if (status)
        return status;
    lines->end = lines->next + n;
    return STATUS_OK;
}

/* *line: the next line, NUL-ended, without its end; NULL after the last. */
static int lines_next(struct lines *lines, char **line, size_t *n)
{
    if (lines->next >= lines->end) {
        *line = NULL;
        return STATUS_OK;
    }
    char *start = lines->next;
    char *end = memchr(start, '\n', (size_t)(lines->end - start));
    lines->next = end ? end + 1 : lines->end;
    if (!end)
        end = lines->end;
    if (end > start && end[-1] == '\r')
        end--;
    *end = '\0';
    lines->number++;
    *line = start;
    *n = (size_t)(end - start);
    if (!is_text(start, *n))
        return fail("line %zu of %s is not UTF-8 text", lines->number, lines->path);
    return STATUS_OK;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t")] == '\0';
}

int dataset_read_lines(const char *path, struct dataset *set)
{
    struct lines lines;
    char *line;
    size_t n;
    int status = lines_open(path, &lines);
    while (!status && !(status = lines_next(&lines, &line, &n)) && line)
        if (!is_blank(line))
            status = dataset_add_text(set, line, NULL);
    free(lines.bytes);
    return status;
}

static int add_length_line(const struct lines *lines, const char *line, struct dataset *set)
{
    char *end;
    const long long length = strtoll(line, &end, 10);
    if (end == line || !is_blank(end) || length < 1 || length > max_length)
        return fail("line %zu of %s is '%.40s', but must be a token count from 1 to %lld",
                    lines->number, lines->path, line, (long long)max_length);
    return dataset_add_length(set, length);
}

int dataset_read_lengths(const char *path, struct dataset *set)
{
    struct lines lines;
    char *line;
    size_t n;
    int status = lines_open(path, &lines);
    while (!status && !(status = lines_next(&lines, &line, &n)) && line)
        if (!is_blank(line))
            status = add_length_line(&lines, line, set);
    free(lines.bytes);
    return status;
}

static int add_json_line(const struct lines *lines, const char *line, size_t n, const char *field,
                         struct dataset *set)
{
    json_error_t error;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    int status;
    if (!object)
        return fail("line %zu of %s is not JSON: %s", lines->number, lines->path, error.text);
    const char *text = json_string_value(json_object_get(object, field));
    const char *answer = json_string_value(json_object_get(object, "answer"));
    if (!json_is_object(object))
        status = fail("line %zu of %s is not a JSON object", lines->number, lines->path);
    else if (!text)
        status = fail("line %zu of %s has no string '%s'; --field names the one with the prompt",
                      lines->number, lines->path, field);
    else
        status = dataset_add_text(set, text, answer);
    json_decref(object);
    return status;
}

int dataset_read_jsonl(const char *path, const char *field, struct dataset *set)
{
    struct lines lines;
    char *line;
    size_t n;
    int status = lines_open(path, &lines);
    while (!status && !(status = lines_next(&lines, &line, &n)) && line)
        if (!is_blank(line))
            status = add_json_line(&lines, line, n, field, set);
    free(lines.bytes);
    return status;
}

/* CSV as RFC 4180 has it: fields with commas, quotes or line ends stand in quotes, a quote inside
 * is doubled. The file is taken apart in place. */
struct csv {
    const char *path;
    char *next, *end;
    size_t number; /* of the line that is read, from 1 */
    char **fields; /* of the record last read */
    size_t n_fields, room;
};

/* Takes a quoted field apart; next stands behind the opening quote. */
static int csv_quoted(struct csv *csv, char **field)
{
    const size_t first_line = csv->number;
    char *from = csv->next, *to = csv->next;
    *field = to;
    for (; from < csv->end; from++) {
        if (*from == '\n')
            csv->number++;
        if (*from != '"') {
            *to++ = *from;
            continue;
        }
        if (from + 1 < csv->end && from[1] == '"') {
            *to++ = '"';
            from++;
            continue;
        }
        csv->next = from + 1;
        *to = '\0'; /* at the latest on the closing quote */
        return STATUS_OK;
    }
    return fail("the quotes opened in line %zu of %s are never closed", first_line, csv->path);
}

/* Reads one field and the comma or line end after it; *last: it was the record's last. */
static int csv_field(struct csv *csv, bool *last)
{
    char *field = csv->next, *field_end = NULL;
    if (csv->next < csv->end && *csv->next == '"') {
        csv->next++;
        const int status = csv_quoted(csv, &field);
        if (status)
            return status;
    } else {
        while (csv->next < csv->end && *csv->next != ',' && *csv->next != '\n' &&
               *csv->next != '\r')
            csv->next++;
        field_end = csv->next;
    }
    const bool carriage_return = csv->next < csv->end && *csv->next == '\r';
    const char separator = csv->next + carriage_return < csv->end ? csv->next[carriage_return] : 0;
    if (csv->next + carriage_return < csv->end && separator != '\n' &&
        (carriage_return || separator != ','))
        return fail("line %zu of %s has text after a closing quote or a stray carriage return",
                    csv->number, csv->path);
    *last = separator != ',';
    csv->next += carriage_return + (csv->next + carriage_return < csv->end);
    csv->number += separator == '\n';
    if (field_end)
        *field_end = '\0';
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
                    csv->path, field);
    while (csv->next < csv->end) {
        const size_t line = csv->number;
        status = csv_record(csv);
        if (status)
            return status;
        if (csv->n_fields == 1 && csv->fields[0][0] == '\0')
            continue;
        if (csv->n_fields != n_columns)
            return fail("line %zu of %s has %zu fields, but the first line names %zu", line,
                        csv->path, csv->n_fields, n_columns);
        status = dataset_add_text(set, csv->fields[column],
                                  answer_column == SIZE_MAX ? NULL : csv->fields[answer_column]);
        if (status)
            return status;
    }
    return STATUS_OK;
}

int dataset_read_csv(const char *path, const char *field, struct dataset *set)
{
    char *bytes;
    size_t n;
    struct csv csv = {.path = path, .number = 1};
    int status = read_text(path, &bytes, &csv.next, &n);
    if (status)
        return status;
    csv.end = csv.next + n;
    if (n == 0)
        status = fail("%s is empty, but must have a first line that names its columns", path);
    else if (!is_text(csv.next, n))
        status = fail("%s is not UTF-8 text", path);
    else
        status = read_csv_records(&csv, field, set);
    free(csv.fields);
    free(bytes);
    return status;
}
