/* datafile.c: what kind of file holds the prompts, and the kinds that are read line by line. */
#include "datafile.h"
#include "data_options.h"
#include "say.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const int64_t max_length = INT32_MAX;

int dataset_read_lines(struct textfile *file, struct dataset *set)
{
    int status = STATUS_OK;
    char *line;
    while (!status && (line = textfile_next_line(file)))
        if (!is_blank(line))
            status = dataset_add_text(set, file->line - 1, line, NULL);
    return status;
}

int dataset_read_text(struct textfile *file, struct dataset *set)
{
    return is_blank(file->next) ? STATUS_OK : dataset_add_text(set, 1, file->next, NULL);
}

static int add_length_line(const struct textfile *file, const char *line, struct dataset *set)
{
    char *end;
    const long long length = strtoll(line, &end, 10);
    if (end == line || !is_blank(end) || length < 1 || length > max_length)
        return fail("line %zu of %s is '%.40s', but must be a token count from 1 to %lld",
                    file->line - 1, file->name, line, (long long)max_length);
    return dataset_add_length(set, file->line - 1, length);
}

int dataset_read_lengths(struct textfile *file, struct dataset *set)
{
    int status = STATUS_OK;
    char *line;
    while (!status && (line = textfile_next_line(file)))
        if (!is_blank(line))
            status = add_length_line(file, line, set);
    return status;
}

static bool ends_in(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcasecmp(name + n - m, ending) == 0;
}

/* What a name says; FORMAT_AUTO: nothing. */
static enum data_format format_of_name(const char *name)
{
    static const struct {
        const char *ending;
        enum data_format format;
    } endings[] = {{".jsonl", FORMAT_JSON}, {".ndjson", FORMAT_JSON},    {".json", FORMAT_JSON},
                   {".csv", FORMAT_CSV},    {".tsv", FORMAT_TSV},        {".tab", FORMAT_TSV},
                   {".txt", FORMAT_LINES},  {".lengths", FORMAT_LENGTHS}};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(name, endings[i].ending))
            return endings[i].format;
    return FORMAT_AUTO;
}

/* A '{' or '[', and behind it what JSON may have there and texts seldom do: "[INST]" is a text. */
static bool looks_like_json(const char *text)
{
    static const char space[] = " \t\r\n";
    const char *first = text + strspn(text, space);
    const char second = *first ? first[1 + strspn(first + 1, space)] : '\0';
    if (*first == '{')
        return second == '"' || second == '}';
    return *first == '[' && (second == '{' || second == '"' || second == ']');
}

/* Whether the first line names `column`, quoted or not, among at least two. */
static bool looks_like_table(const char *text, char separator, const char *column)
{
    const char *end = text + strcspn(text, "\r\n");
    const size_t n = strlen(column);
    bool named = false;
    int n_columns = 0;
    for (const char *start = text; start <= end; n_columns++) {
        const char *stop = memchr(start, separator, (size_t)(end - start));
        if (!stop)
            stop = end;
        const bool quoted = stop - start >= 2 && *start == '"' && stop[-1] == '"';
        const char *name = start + quoted;
        named |= (size_t)(stop - start) == n + 2 * quoted && memcmp(name, column, n) == 0;
        start = stop + 1;
    }
    return named && n_columns > 1;
}

/* Whether the first of several lines is nothing but short words with a separator between them, as
 * names of columns are. */
static bool looks_like_columns(const char *text, char separator)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_\"";
    int n_columns = 0;
    for (;; text++, n_columns++) {
        const size_t n = strspn(text, word);
        text += n;
        if (n == 0 || n > 32 || *text != separator)
            break;
    }
    const size_t end = strspn(text, "\r\n");
    return n_columns >= 1 && end > 0 && text[end] != '\0';
}

/* Whether every line that is not blank is a whole number. */
static bool looks_like_lengths(const char *text)
{
    bool any = false;
    while (*text) {
        text += strspn(text, " \t\r\n");
        const size_t n = strspn(text, "0123456789");
        const char *rest = text + n + strspn(text + n, " \t\r");
        if (*text && (n == 0 || (*rest && *rest != '\n')))
            return false;
        any |= n > 0;
        text = rest;
    }
    return any;
}

static const char *usual_field(const struct data_options *options)
{
    return options->usual_field ? options->usual_field : "prompt";
}

/* The content decides, and where it leaves that open, the name. */
static enum data_format format_of(const struct textfile *file, const struct data_options *options)
{
    const enum data_format by_name = format_of_name(file->name);
    const char *column = options->field ? options->field : usual_field(options);
    if (by_name == FORMAT_LENGTHS)
        return by_name;
    if (by_name == FORMAT_AUTO && !options->texts_only && looks_like_lengths(file->next))
        return FORMAT_LENGTHS;
    if (looks_like_json(file->next))
        return FORMAT_JSON;
    if (by_name == FORMAT_AUTO && looks_like_table(file->next, ',', column))
        return FORMAT_CSV;
    if (by_name == FORMAT_AUTO && looks_like_table(file->next, '\t', column))
        return FORMAT_TSV;
    return by_name == FORMAT_AUTO ? FORMAT_LINES : by_name;
}

/* Lines that may have been meant as a table: whoever piped one in should know. */
static void note_columns(const struct textfile *file)
{
    const bool commas = looks_like_columns(file->next, ',');
    if (commas || looks_like_columns(file->next, '\t'))
        note("%s is read as lines of text, though its first line looks like names of columns; "
             "--format %s --field NAME reads one of them",
             file->name, commas ? "csv" : "tsv");
}

static int read_as(enum data_format format, struct textfile *file,
                   const struct data_options *options, struct dataset *set)
{
    const char *field = options->field;
    const char *hint = options->format == FORMAT_AUTO ? "; --format lines takes it as text" : "";
    const char *usual = usual_field(options);
    if (field && (format == FORMAT_LINES || format == FORMAT_TEXT || format == FORMAT_LENGTHS))
        return fail_usage("--field is for JSON, CSV and TSV, but %s %s %s; --format says what a "
                          "file holds",
                          file->name, options->format == FORMAT_AUTO ? "looks like" : "is read as",
                          format == FORMAT_LENGTHS ? "token counts"
                          : format == FORMAT_TEXT  ? "one text"
                                                   : "lines of text");
    switch (format) {
    case FORMAT_JSON:
        return dataset_read_json(file, field, usual, hint, set);
    case FORMAT_CSV:
        return dataset_read_table(file, ',', field ? field : usual, set);
    case FORMAT_TSV:
        return dataset_read_table(file, '\t', field ? field : usual, set);
    case FORMAT_TEXT:
        return dataset_read_text(file, set);
    case FORMAT_LENGTHS:
        return dataset_read_lengths(file, set);
    default:
        return dataset_read_lines(file, set);
    }
}

int dataset_read(const char *path, const struct data_options *options, struct dataset *set)
{
    struct textfile file;
    int status = textfile_open(path, &file);
    if (!status) {
        enum data_format format = options->format == FORMAT_AUTO
                                      ? format_of(&file, options)
                                      : (enum data_format)options->format;
        if (format == FORMAT_LINES && options->format == FORMAT_AUTO && options->whole_texts)
            format = FORMAT_TEXT;
        if (format == FORMAT_LINES && options->format == FORMAT_AUTO)
            note_columns(&file);
        status = read_as(format, &file, options, set);
    }
    textfile_close(&file);
    return status;
}
