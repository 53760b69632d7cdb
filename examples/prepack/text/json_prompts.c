/*
 * json_prompts.c: prompts from JSON: objects one after another (JSON lines), or in a list. Only the
 * fields that are asked for are read; what other programs write into others (numbers of any size,
 * NaN, nesting of any depth) is stepped over.
 */
#include "datafile.h"
#include "say.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

struct scanner {
    struct textfile *file;
    const char *field;
    bool field_given;
    const char *hint;
    const char *wrong; /* what was found wrong last */
    size_t start_line; /* of the object that is read */
};

/* A part of the file. */
struct span {
    const char *start;
    size_t n; /* 0: not there */
};

static bool is_wrong(struct scanner *scanner, const char *what)
{
    scanner->wrong = what;
    return false;
}

static char skip_space(struct scanner *scanner)
{
    struct textfile *file = scanner->file;
    while (file->next < file->end && strchr(" \t\r\n", *file->next))
        file->line += *file->next++ == '\n';
    return *file->next;
}

/* next stands on the opening quote; moves behind the closing one. */
static bool skip_string(struct scanner *scanner)
{
    struct textfile *file = scanner->file;
    for (file->next++; file->next < file->end; file->next++) {
        if (*file->next == '"') {
            file->next++;
            return true;
        }
        if (*file->next == '\n')
            break;
        file->next += *file->next == '\\' && file->next + 1 < file->end;
    }
    return is_wrong(scanner, "a string has no closing quote");
}

static bool skip_word(struct scanner *scanner)
{
    static const char letters[] =
        "+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const size_t n = strspn(scanner->file->next, letters);
    scanner->file->next += n;
    return n > 0 || is_wrong(scanner, "a value is missing");
}

/* Steps over an object or a list, however deep: brackets are only counted. */
static bool skip_nested(struct scanner *scanner)
{
    struct textfile *file = scanner->file;
    int64_t n_objects = 0, n_lists = 0; /* open ones */
    do {
        const char c = skip_space(scanner);
        if (c == '\0')
            return is_wrong(scanner, "an object or a list in it has no end");
        n_objects += (c == '{') - (c == '}');
        n_lists += (c == '[') - (c == ']');
        if (n_objects < 0 || n_lists < 0)
            return is_wrong(scanner, "an object or a list in it ends in the wrong bracket");
        if (c != '"')
            file->next++;
        else if (!skip_string(scanner))
            return false;
    } while (n_objects > 0 || n_lists > 0);
    return true;
}

static bool skip_value(struct scanner *scanner, struct span *span)
{
    const char c = skip_space(scanner);
    span->start = scanner->file->next;
    const bool good = c == '"'               ? skip_string(scanner)
                      : c == '{' || c == '[' ? skip_nested(scanner)
                                             : skip_word(scanner);
    span->n = (size_t)(scanner->file->next - span->start);
    return good;
}

/* The string that a span spells; NULL with `error` if it is none. The caller drops it. */
static json_t *read_string(const struct span *span, json_error_t *error)
{
    error->text[0] = '\0';
    return span->n > 0 && *span->start == '"'
               ? json_loadb(span->start, span->n, JSON_DECODE_ANY, error)
               : NULL;
}

static bool is_named(const struct span *key, const char *name)
{
    json_error_t error;
    if (key->n >= 2 && !memchr(key->start, '\\', key->n))
        return strlen(name) == key->n - 2 && memcmp(key->start + 1, name, key->n - 2) == 0;
    json_t *text = read_string(key, &error);
    const bool same = text && strcmp(json_string_value(text), name) == 0;
    json_decref(text);
    return same;
}

static bool take_member(struct scanner *scanner, struct span *prompt, struct span *answer)
{
    struct span key, value;
    if (skip_space(scanner) != '"')
        return is_wrong(scanner, "a key in quotes is missing");
    if (!skip_value(scanner, &key))
        return false;
    if (skip_space(scanner) != ':')
        return is_wrong(scanner, "a ':' is missing after a key");
    scanner->file->next++;
    if (!skip_value(scanner, &value))
        return false;
    struct span *wanted = is_named(&key, scanner->field) ? prompt
                          : is_named(&key, "answer")     ? answer
                                                         : NULL;
    if (wanted && wanted->n > 0)
        return is_wrong(scanner, "a key stands in it twice");
    if (wanted)
        *wanted = value;
    return true;
}

/* next stands on '{'; moves behind its '}'. */
static bool take_object(struct scanner *scanner, struct span *prompt, struct span *answer)
{
    struct textfile *file = scanner->file;
    file->next++;
    if (skip_space(scanner) == '}') {
        file->next++;
        return true;
    }
    for (;;) {
        if (!take_member(scanner, prompt, answer))
            return false;
        const char c = skip_space(scanner);
        if (c != ',' && c != '}')
            return is_wrong(scanner, "a ',' or '}' is missing after a value");
        file->next++;
        if (c == '}')
            return true;
    }
}

static int fail_not_json(const struct scanner *scanner)
{
    return fail("line %zu of %s: what begins there is not JSON: %s%s", scanner->start_line,
                scanner->file->name, scanner->wrong, scanner->hint);
}

static int add_prompt(struct scanner *scanner, const struct span *prompt, const struct span *answer,
                      struct dataset *set)
{
    const struct textfile *file = scanner->file;
    json_error_t error;
    json_t *text = read_string(prompt, &error);
    if (!text && error.text[0])
        return fail("line %zu of %s has a string that cannot be read: %s", scanner->start_line,
                    file->name, error.text);
    if (!text)
        return fail("line %zu of %s has no string '%s'; --field names the one with the prompt",
                    scanner->start_line, file->name, scanner->field);
    json_t *right = read_string(answer, &error);
    const int status = dataset_add_text(set, scanner->start_line, json_string_value(text),
                                        json_string_value(right));
    json_decref(text);
    json_decref(right);
    return status;
}

/* An object with the field, or, where none was named, a string. */
static int take_item(struct scanner *scanner, struct dataset *set)
{
    struct span prompt = {0}, answer = {0};
    const char c = skip_space(scanner);
    scanner->start_line = scanner->file->line;
    if (c != '{' && (c != '"' || scanner->field_given))
        return fail("line %zu of %s: %s begins where one must%s", scanner->start_line,
                    scanner->file->name,
                    scanner->field_given ? "no JSON object" : "neither a JSON object nor a string",
                    scanner->hint);
    if (!(c == '{' ? take_object(scanner, &prompt, &answer) : skip_value(scanner, &prompt)))
        return fail_not_json(scanner);
    return add_prompt(scanner, &prompt, &answer, set);
}

/* next stands on '['. */
static int take_list(struct scanner *scanner, struct dataset *set)
{
    struct textfile *file = scanner->file;
    const size_t start_line = file->line;
    file->next++;
    for (char c = skip_space(scanner); c != ']'; c = skip_space(scanner)) {
        const int status = take_item(scanner, set);
        if (status)
            return status;
        c = skip_space(scanner);
        if (c == ',')
            file->next++;
        else if (c != ']')
            return fail("line %zu of %s: the list that begins in line %zu has no ',' or ']' "
                        "there%s",
                        file->line, file->name, start_line, scanner->hint);
    }
    file->next++;
    if (skip_space(scanner) != '\0')
        return fail("line %zu of %s: something follows the list that begins in line %zu%s",
                    file->line, file->name, start_line, scanner->hint);
    return STATUS_OK;
}

int dataset_read_json(struct textfile *file, const char *field, const char *hint,
                      struct dataset *set)
{
    struct scanner scanner = {
        .file = file, .field = field ? field : "prompt", .field_given = field, .hint = hint};
    if (skip_space(&scanner) == '[')
        return take_list(&scanner, set);
    int status = STATUS_OK;
    while (!status && skip_space(&scanner) != '\0')
        status = take_item(&scanner, set);
    return status;
}
