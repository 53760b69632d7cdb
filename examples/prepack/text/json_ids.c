/* json_ids.c: prompts that are token ids, from JSON: lists one after another, a list of lists, or
 * objects that have such a list. */
#include "datafile.h"
#include "json_scan.h"
#include "say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where programs put token ids; --field names another. */
static const char *const usual_fields[] = {"ids", "tokens", "input_ids"};
enum { N_FIELDS = sizeof usual_fields / sizeof *usual_fields };

/* Ids that grow. */
struct id_list {
    int32_t *items; /* owned */
    size_t n, room;
};

static int fail_id(const struct scanner *scanner, const struct dataset *set, size_t line,
                   const char *text, size_t n, const char *must)
{
    return fail("prompt %zu (line %zu of %s): '%.*s' %s", set->n + 1, line, scanner->file->name,
                n < 40 ? (int)n : 40, text, must);
}

/* Reads the number at `text`, which is no longer than n; *id. */
static int read_id(const struct scanner *scanner, const struct dataset *set, size_t line,
                   const char *text, size_t n, int32_t *id)
{
    char *end;
    if (n == 0)
        return fail("prompt %zu (line %zu of %s) has a list in which a token id is missing",
                    set->n + 1, line, scanner->file->name);
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end != text + n || *text == '+')
        return fail_id(scanner, set, line, text, n, "is no token id, which is a whole number");
    if (errno || number > INT32_MAX || number < INT32_MIN)
        return fail_id(scanner, set, line, text, n,
                       "is no token id, which is at least 0 and below the model's vocabulary");
    *id = (int32_t)number;
    return STATUS_OK;
}

static int add_id(struct id_list *list, int32_t id)
{
    if (list->n == list->room) {
        const size_t room = list->room ? list->room * 2 : 256;
        int32_t *larger = realloc(list->items, room * sizeof *larger);
        if (!larger)
            return fail_memory();
        list->items = larger;
        list->room = room;
    }
    list->items[list->n++] = id;
    return STATUS_OK;
}

/* The ids of a span that is a list; `line` is where it begins. */
static int read_list(const struct scanner *scanner, const struct dataset *set,
                     const struct span *span, size_t line, struct id_list *list)
{
    static const char ends[] = " \t\r\n,]";
    const char *next = span->start + 1;
    for (bool first = true;; first = false) {
        int32_t id = 0;
        for (; strchr(" \t\r\n", *next); next++)
            line += *next == '\n';
        if (*next == ']' && first)
            return STATUS_OK;
        const size_t n = strcspn(next, ends);
        int status = read_id(scanner, set, line, next, n, &id);
        if (!status)
            status = add_id(list, id);
        if (status)
            return status;
        for (next += n; strchr(" \t\r\n", *next); next++)
            line += *next == '\n';
        if (*next == ']')
            return STATUS_OK;
        if (*next++ != ',')
            return fail("prompt %zu (line %zu of %s): a ',' or ']' is missing after %d", set->n + 1,
                        line, scanner->file->name, id);
    }
}

static int add_prompt(struct scanner *scanner, const struct member *ids,
                      const struct member *answer, struct dataset *set)
{
    struct id_list list = {0};
    json_error_t error;
    int status = read_list(scanner, set, &ids->value, ids->line, &list);
    if (!status && list.n == 0)
        status = fail("prompt %zu (line %zu of %s) has no token ids; at least 1 is needed",
                      set->n + 1, scanner->start_line, scanner->file->name);
    if (!status) {
        json_t *right = span_string(&answer->value, &error);
        status =
            dataset_add_ids(set, scanner->start_line, list.items, list.n, json_string_value(right));
        json_decref(right);
    }
    free(list.items);
    return status;
}

/* The member of an object that holds the ids, among those that were looked for; NULL: none, or
 * two. */
static const struct member *find_ids(const struct member *members, size_t n)
{
    const struct member *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (members[i].value.n == 0)
            continue;
        if (found)
            return NULL;
        found = &members[i];
    }
    return found;
}

static int take_object(struct scanner *scanner, struct dataset *set)
{
    struct member members[N_FIELDS + 1] = {{.name = "answer"}};
    const size_t n = scanner->field ? 1 : N_FIELDS;
    for (size_t i = 0; i < n; i++)
        members[1 + i].name = scanner->field ? scanner->field : usual_fields[i];
    if (!scan_object(scanner, members, 1 + n))
        return fail_not_json(scanner);
    const struct member *ids = find_ids(members + 1, n);
    if (!ids || *ids->value.start != '[') {
        const char *field = scanner->field ? scanner->field : "ids', 'tokens' or 'input_ids";
        return fail("prompt %zu (line %zu of %s) has no list '%s', or more than one; --field names "
                    "the one with the token ids",
                    set->n + 1, scanner->start_line, scanner->file->name, field);
    }
    return add_prompt(scanner, ids, &members[0], set);
}

static int take_item(struct scanner *scanner, struct dataset *set)
{
    struct member ids = {0};
    const struct member no_answer = {0};
    const char c = scan_space(scanner);
    scanner->start_line = ids.line = scanner->file->line;
    if (c == '{')
        return take_object(scanner, set);
    if (c != '[')
        return fail("line %zu of %s: neither a list of token ids, such as [1, 15, 27], nor an "
                    "object with one begins where one must",
                    scanner->start_line, scanner->file->name);
    if (!scan_value(scanner, &ids.value))
        return fail_not_json(scanner);
    return add_prompt(scanner, &ids, &no_answer, set);
}

/* Whether the list at next has lists or objects. */
static bool is_list_of_lists(const struct textfile *file)
{
    const char *second = file->next + 1 + strspn(file->next + 1, " \t\r\n");
    return *second == '[' || *second == '{';
}

int dataset_read_ids(struct textfile *file, const char *field, struct dataset *set)
{
    struct scanner scanner = {.file = file, .field = field, .hint = ""};
    return scan_space(&scanner) == '[' && is_list_of_lists(file)
               ? scan_list(&scanner, take_item, set)
               : scan_items(&scanner, take_item, set);
}
