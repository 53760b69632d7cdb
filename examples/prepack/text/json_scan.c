/*
 * json_scan.c: JSON read by stepping over it. Only the members that are asked for are taken; what
 * other programs write into others (numbers of any size, NaN, nesting of any depth) is passed over.
 */
#include "json_scan.h"
#include "say.h"

#include <stdint.h>
#include <string.h>

static bool is_wrong(struct scanner *scanner, const char *what)
{
    scanner->wrong = what;
    return false;
}

char scan_space(struct scanner *scanner)
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
        const char c = scan_space(scanner);
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

bool scan_value(struct scanner *scanner, struct span *span)
{
    const char c = scan_space(scanner);
    span->start = scanner->file->next;
    const bool good = c == '"'               ? skip_string(scanner)
                      : c == '{' || c == '[' ? skip_nested(scanner)
                                             : skip_word(scanner);
    span->n = (size_t)(scanner->file->next - span->start);
    return good;
}

json_t *span_string(const struct span *span, json_error_t *error)
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
    json_t *text = span_string(key, &error);
    const bool same = text && strcmp(json_string_value(text), name) == 0;
    json_decref(text);
    return same;
}

static bool take_member(struct scanner *scanner, struct member *members, size_t n)
{
    struct span key, value;
    if (scan_space(scanner) != '"')
        return is_wrong(scanner, "a key in quotes is missing");
    if (!scan_value(scanner, &key))
        return false;
    if (scan_space(scanner) != ':')
        return is_wrong(scanner, "a ':' is missing after a key");
    scanner->file->next++;
    const size_t line = (scan_space(scanner), scanner->file->line);
    if (!scan_value(scanner, &value))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!members[i].name || !is_named(&key, members[i].name))
            continue;
        if (members[i].value.n > 0)
            return is_wrong(scanner, "a key stands in it twice");
        members[i].value = value;
        members[i].line = line;
    }
    return true;
}

bool scan_object(struct scanner *scanner, struct member *members, size_t n)
{
    struct textfile *file = scanner->file;
    file->next++;
    if (scan_space(scanner) == '}') {
        file->next++;
        return true;
    }
    for (;;) {
        if (!take_member(scanner, members, n))
            return false;
        const char c = scan_space(scanner);
        if (c != ',' && c != '}')
            return is_wrong(scanner, "a ',' or '}' is missing after a value");
        file->next++;
        if (c == '}')
            return true;
    }
}

int fail_not_json(const struct scanner *scanner)
{
    return fail("line %zu of %s: what begins there is not JSON: %s%s", scanner->start_line,
                scanner->file->name, scanner->wrong, scanner->hint);
}

int scan_list(struct scanner *scanner, take_item_fn take_item, struct dataset *set)
{
    struct textfile *file = scanner->file;
    const size_t start_line = file->line;
    file->next++;
    for (char c = scan_space(scanner); c != ']'; c = scan_space(scanner)) {
        const int status = take_item(scanner, set);
        if (status)
            return status;
        c = scan_space(scanner);
        if (c == ',')
            file->next++;
        else if (c != ']')
            return fail("line %zu of %s: the list that begins in line %zu has no ',' or ']' "
                        "there%s",
                        file->line, file->name, start_line, scanner->hint);
    }
    file->next++;
    if (scan_space(scanner) != '\0')
        return fail("line %zu of %s: something follows the list that begins in line %zu%s",
                    file->line, file->name, start_line, scanner->hint);
    return STATUS_OK;
}

int scan_items(struct scanner *scanner, take_item_fn take_item, struct dataset *set)
{
    int status = STATUS_OK;
    while (!status && scan_space(scanner) != '\0')
        status = take_item(scanner, set);
    return status;
}
