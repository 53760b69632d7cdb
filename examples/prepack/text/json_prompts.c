/* json_prompts.c: prompts that are texts, from JSON. */
#include "datafile.h"
#include "json_scan.h"
#include "say.h"

static int add_prompt(struct scanner *scanner, const char *field, const struct span *prompt,
                      const struct span *answer, struct dataset *set)
{
    const struct textfile *file = scanner->file;
    json_error_t error;
    json_t *text = span_string(prompt, &error);
    if (!text && error.text[0])
        return fail("line %zu of %s has a string that cannot be read: %s", scanner->start_line,
                    file->name,
                    json_error_code(&error) == json_error_null_character
                        ? "a prompt may not have the character \\u0000"
                        : error.text);
    if (!text)
        return fail("line %zu of %s has no string '%s'; --field names the one with the prompt",
                    scanner->start_line, file->name, field);
    json_t *right = span_string(answer, &error);
    const int status = dataset_add_text(set, scanner->start_line, json_string_value(text),
                                        json_string_value(right));
    json_decref(text);
    json_decref(right);
    return status;
}

/* An object with the field, or, where none was named, a string. */
static int take_item(struct scanner *scanner, struct dataset *set)
{
    const char *field = scanner->field ? scanner->field : scanner->usual;
    struct member members[] = {{.name = field}, {.name = "answer"}};
    const char c = scan_space(scanner);
    scanner->start_line = scanner->file->line;
    if (c != '{' && (c != '"' || scanner->field))
        return fail("line %zu of %s: %s begins where one must%s%s", scanner->start_line,
                    scanner->file->name,
                    scanner->field ? "no JSON object" : "neither a JSON object nor a string",
                    c == '[' ? "; --ids reads lists of token ids" : "", scanner->hint);
    if (!(c == '{' ? scan_object(scanner, members, 2) : scan_value(scanner, &members[0].value)))
        return fail_not_json(scanner);
    return add_prompt(scanner, field, &members[0].value, &members[1].value, set);
}

int dataset_read_json(struct textfile *file, const char *field, const char *usual, const char *hint,
                      struct dataset *set)
{
    struct scanner scanner = {.file = file, .field = field, .usual = usual, .hint = hint};
    return scan_space(&scanner) == '[' ? scan_list(&scanner, take_item, set)
                                       : scan_items(&scanner, take_item, set);
}
