/* score_continuations.c: JSON objects with a context and continuations of it. */
#include "json_scan.h"
#include "say.h"
#include "score_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where programs put them; options name others. */
enum { CONTEXT, QUESTION, CONTINUATION, CONTINUATIONS, CHOICES, ANSWER, N_MEMBERS };
static const char *const usual_names[N_MEMBERS] = {"context",       "question", "continuation",
                                                   "continuations", "choices",  "answer"};

struct reader {
    const struct score_options *options;
    struct encoder *encoder;
    int64_t max_length;
    struct score_work *work;
    const struct textfile *file;
    size_t number, line; /* of the item that is read, both from 1 */
};

/* "item 3 (line 4 of FILE)" of the item that is read. */
#define ITEM            "item %zu (line %zu of %s)"
#define ITEM_OF(reader) (reader)->number, (reader)->line, (reader)->file->name

/* ---- values ---- */

static int fail_value(const struct reader *reader, const char *name, const json_error_t *error)
{
    if (json_error_code(error) == json_error_null_character)
        return fail(ITEM ": '%s' has the character \\u0000, which a text may not have",
                    ITEM_OF(reader), name);
    return fail(ITEM ": '%s' cannot be read: %s", ITEM_OF(reader), name, error->text);
}

static int parse(const struct reader *reader, const struct member *member, json_t **value)
{
    json_error_t error;
    *value = json_loadb(member->value.start, member->value.n, JSON_DECODE_ANY, &error);
    return *value ? STATUS_OK : fail_value(reader, member->name, &error);
}

/* Whether a value is a list of whole numbers; an empty one is. */
static bool is_ids(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_integer(json_array_get(value, i)))
            return false;
    return json_is_array(value);
}

static int add_ids(const struct reader *reader, const json_t *value, const char *name,
                   struct token_list *list)
{
    const int32_t vocab_size = reader->encoder->engine->config.vocab_size;
    int status = STATUS_OK;
    for (size_t i = 0; i < json_array_size(value) && !status; i++) {
        const json_int_t id = json_integer_value(json_array_get(value, i));
        if (id < 0 || id >= vocab_size)
            return fail(ITEM ": '%s' has the token id %" JSON_INTEGER_FORMAT
                             ", but ids must be from 0 to %" PRId32,
                        ITEM_OF(reader), name, id, vocab_size - 1);
        status = tokens_append(list, &(int32_t){(int32_t)id}, 1);
    }
    return status;
}

/* ---- a sequence ---- */

/* Code points of a text that is UTF-8. */
static int64_t count_chars(const char *text)
{
    int64_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Takes the tokens of the context and of a continuation together, as far as they fit. text: of the
 * continuation; NULL: it is ids. */
static int add_sequence(struct reader *reader, const struct context *context,
                        const struct token_list *continuation, size_t number, const char *text)
{
    struct score_work *work = reader->work;
    const size_t room = (size_t)reader->max_length + 1; /* the last token is only a target */
    size_t first = 0, before = context->tokens.n, rest;
    if (continuation->n == 0)
        return fail(ITEM ": continuation %zu has no tokens; at least 1 is needed behind those of "
                         "the context",
                    ITEM_OF(reader), number + 1);
    if (before == 0)
        return fail(ITEM ": the context is empty, and the model has no token that begins or ends a "
                         "text to stand in its place",
                    ITEM_OF(reader));
    if (continuation->n >= room)
        return fail(ITEM ": continuation %zu has %zu tokens, but at most %" PRId64 " fit",
                    ITEM_OF(reader), number + 1, continuation->n, reader->max_length);
    if (before + continuation->n > room) {
        before = room - continuation->n;
        work->n_cut++;
    }
    int status =
        work_add_tokens(work, context->tokens.items + context->tokens.n - before, before, &first);
    if (!status)
        status = work_add_tokens(work, continuation->items, continuation->n, &rest);
    return status ? status
                  : work_add_sequence(
                        work, &(struct sequence){.first = first,
                                                 .n_tokens = (int64_t)(before + continuation->n),
                                                 .n_targets = (int64_t)continuation->n,
                                                 .n_chars = text ? count_chars(text) : 0,
                                                 .n_bytes = text ? (int64_t)strlen(text) : 0});
}

/* One continuation; delimiter: what stands before it where neither side has white space. */
static int add_continuation(struct reader *reader, const struct context *context,
                            const json_t *value, const char *name, size_t number,
                            const char *delimiter)
{
    struct token_list list = {0};
    bool crossed = false;
    const char *text = json_string_value(value);
    int status;
    if ((context->text != NULL) != (text != NULL) || (!text && !is_ids(value)))
        return fail(ITEM ": '%s' must have %s, as the context is", ITEM_OF(reader), name,
                    context->text ? "texts" : "lists of token ids");
    if (text) {
        const bool has_space = *context->space || !*context->text || begins_with_space(text);
        status = encoder_add_continuation(reader->encoder, context, has_space ? "" : delimiter,
                                          text, &list, &crossed);
    } else {
        status = add_ids(reader, value, name, &list);
    }
    if (!status)
        status = add_sequence(reader, context, &list, number, text);
    reader->work->n_crossed += crossed;
    free(list.items);
    return status;
}

/* ---- an item ---- */

static int read_context(struct reader *reader, const json_t *value, const char *name,
                        struct context *context)
{
    const char *text = json_string_value(value);
    if (!text && !is_ids(value))
        return fail(ITEM ": '%s' must be a text or a list of token ids", ITEM_OF(reader), name);
    if (!text) {
        *context = (struct context){0};
        return json_array_size(value) > 0
                   ? add_ids(reader, value, name, &context->tokens)
                   : encoder_add_start(reader->encoder, false, &context->tokens);
    }
    const int status = encoder_open_tokenizer(reader->encoder);
    return status ? status : encoder_context(reader->encoder, text, context);
}

/* An index from 0, or a letter, A the first; -1: neither. */
static int64_t answer_index(const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_integer(value))
        return json_integer_value(value);
    if (!text || strlen(text) != 1)
        return -1;
    return *text >= 'a' && *text <= 'z'   ? *text - 'a'
           : *text >= 'A' && *text <= 'Z' ? *text - 'A'
                                          : -1;
}

static int read_answer(const struct reader *reader, const struct member *member, size_t n,
                       int64_t *answer)
{
    json_t *value;
    *answer = -1;
    if (member->value.n == 0)
        return STATUS_OK;
    const int status = parse(reader, member, &value);
    if (status)
        return status;
    *answer = answer_index(value);
    json_decref(value);
    if (*answer >= 0 && *answer < (int64_t)n)
        return STATUS_OK;
    return fail(ITEM ": '%s' must be a number from 0 to %zu, or a letter from A on, and name one "
                     "of the %zu continuations",
                ITEM_OF(reader), member->name, n - 1, n);
}

static int add_all(struct reader *reader, const struct context *context, const json_t *value,
                   const struct member *member, const struct member *answer, const char *delimiter)
{
    const bool single = json_is_string(value) || (is_ids(value) && json_array_size(value) > 0);
    const size_t n = single ? 1 : json_array_size(value);
    struct record record = {.line = reader->line, .answer = -1};
    if (n == 0)
        return fail(ITEM ": '%s' must be a continuation or a list of some", ITEM_OF(reader),
                    member->name);
    int status = read_answer(reader, answer, n, &record.answer);
    if (!status)
        status = work_add_record(reader->work, &record);
    for (size_t i = 0; i < n && !status; i++) {
        const json_t *one = single ? value : json_array_get(value, i);
        status = add_continuation(reader, context, one, member->name, i, delimiter);
    }
    return status;
}

/* The one of members[first .. end) that is there. */
static int find_member(const struct reader *reader, const struct member *members, int first,
                       int end, int *found)
{
    *found = -1;
    for (int i = first; i < end; i++) {
        if (members[i].value.n == 0)
            continue;
        if (*found >= 0)
            return fail(ITEM ": there may be only one of '%s' and '%s'", ITEM_OF(reader),
                        members[*found].name, members[i].name);
        *found = i;
    }
    if (*found >= 0)
        return STATUS_OK;
    char known[256] = "";
    for (int i = first; i < end; i++) {
        const size_t n = strlen(known);
        if (members[i].name)
            snprintf(known + n, sizeof known - n, "%s'%s'", n ? ", " : "", members[i].name);
    }
    return fail(ITEM ": none of %s is there; %s name another", ITEM_OF(reader), known,
                first == CONTEXT ? "--field can" : "--continuation-field and --choices-field can");
}

/* The names that are looked for; NULL: none. */
static void name_members(const struct score_options *options, struct member *members)
{
    const bool named = options->continuation_field || options->choices_field;
    for (int i = 0; i < N_MEMBERS; i++)
        members[i] = (struct member){.name = usual_names[i]};
    if (options->reading.field) {
        members[CONTEXT].name = options->reading.field;
        members[QUESTION].name = NULL;
    }
    if (named) {
        members[CONTINUATION].name = options->continuation_field;
        members[CONTINUATIONS].name = NULL;
        members[CHOICES].name = options->choices_field;
    }
    if (options->answer_field)
        members[ANSWER].name = options->answer_field;
}

static int take_members(struct reader *reader, const struct member *members)
{
    const char *delimiter = reader->options->delimiter ? reader->options->delimiter : " ";
    struct context context = {0};
    json_t *before = NULL, *after = NULL;
    int i_context, i_after;
    int status = find_member(reader, members, CONTEXT, CONTINUATION, &i_context);
    if (!status)
        status = find_member(reader, members, CONTINUATION, ANSWER, &i_after);
    if (!status)
        status = parse(reader, &members[i_context], &before);
    if (!status)
        status = parse(reader, &members[i_after], &after);
    if (!status)
        status = read_context(reader, before, members[i_context].name, &context);
    if (!status)
        status = add_all(reader, &context, after, &members[i_after], &members[ANSWER],
                         i_after == CHOICES ? delimiter : "");
    context_free(&context);
    json_decref(before);
    json_decref(after);
    return status;
}

static int take_item(struct scanner *scanner, struct dataset *set)
{
    struct reader *reader = scanner->user;
    struct member members[N_MEMBERS];
    (void)set;
    const char c = scan_space(scanner);
    scanner->start_line = reader->line = scanner->file->line;
    reader->number = reader->work->n_records + 1;
    if (c != '{')
        return fail("line %zu of %s: no JSON object begins where one must", reader->line,
                    scanner->file->name);
    name_members(reader->options, members);
    return scan_object(scanner, members, N_MEMBERS) ? take_members(reader, members)
                                                    : fail_not_json(scanner);
}

int score_read_continuations(const struct score_options *options, struct encoder *encoder,
                             int64_t max_length, struct score_work *work)
{
    struct textfile file;
    int status = textfile_open(options->data, &file);
    struct reader reader = {.options = options,
                            .encoder = encoder,
                            .max_length = max_length,
                            .work = work,
                            .file = &file};
    struct scanner scanner = {.file = &file, .hint = "", .user = &reader};
    work->name = file.name;
    if (!status)
        status = scan_space(&scanner) == '[' ? scan_list(&scanner, take_item, NULL)
                                             : scan_items(&scanner, take_item, NULL);
    textfile_close(&file);
    if (!status && work->n_records == 0)
        status = fail("%s holds nothing to score", work->name);
    return status;
}
