/* option_help.c: the help of options, laid out in two columns from their tables. */
#include "option.h"

#include <string.h>

enum { INDENT = 23, WIDTH = 90 };

/* Words that are put on lines one after another. */
struct writer {
    FILE *out;
    size_t column;
    size_t indent; /* of the lines that follow */
};

static void break_line(struct writer *writer)
{
    fprintf(writer->out, "\n%*s", (int)writer->indent, "");
    writer->column = writer->indent;
}

/* A '\n' in the text ends a line; spaces after it indent the next. */
static void write_words(struct writer *writer, const char *text)
{
    while (*text) {
        if (*text == '\n') {
            const size_t spaces = strspn(text + 1, " ");
            break_line(writer);
            fprintf(writer->out, "%*s", (int)spaces, "");
            writer->column += spaces;
            text += 1 + spaces;
            continue;
        }
        const size_t spaces = strspn(text, " ");
        const size_t n = strcspn(text + spaces, " \n");
        if (n > 0 && writer->column > writer->indent && writer->column + spaces + n > WIDTH) {
            break_line(writer);
        } else {
            fprintf(writer->out, "%*s", (int)spaces, "");
            writer->column += spaces;
        }
        fwrite(text + spaces, 1, n, writer->out);
        writer->column += n;
        text += spaces + n;
    }
}

/* "batch (default), prompt", or a line for each where they have a help. */
static void write_choices(struct writer *writer, const struct choice *choices, int64_t usual)
{
    size_t widest = 0;
    for (const struct choice *c = choices; c->name; c++)
        if (widest < strlen(c->name))
            widest = strlen(c->name);
    write_words(writer, choices->help ? "" : ": ");
    for (const struct choice *c = choices; c->name; c++) {
        if (c->help) {
            writer->indent = INDENT + 2;
            break_line(writer);
            fprintf(writer->out, "%-*s  ", (int)widest, c->name);
            writer->indent += widest + 2;
            writer->column = writer->indent;
            write_words(writer, c->help);
        } else {
            write_words(writer, c->name);
        }
        write_words(writer, c->value == usual ? " (default)" : "");
        write_words(writer, c[1].name && !c->help ? ", " : "");
    }
}

static void write_names(struct writer *writer, const char *(*names)(int64_t i))
{
    char word[64];
    for (int64_t i = 0; names && names(i); i++) {
        snprintf(word, sizeof word, " %s%s", names(i), names(i + 1) ? "," : "");
        write_words(writer, word);
    }
}

void option_default(const struct option_rule *rule, const void *place, char *out, size_t out_bytes)
{
    char text[128] = "";
    if (rule->kind->show)
        rule->kind->show(rule, place, text, sizeof text);
    if (text[0])
        snprintf(out, out_bytes, " (default %s)", text);
    else
        *out = '\0';
}

static void print_rule(const struct option_rule *rule, const void *place, FILE *out)
{
    struct writer writer = {.out = out, .indent = INDENT};
    char name[64], letter[8] = "", usual[160];
    if (rule->letter)
        snprintf(letter, sizeof letter, "-%c, ", rule->letter);
    snprintf(name, sizeof name, "  %s--%s%s%s", letter, rule->name, rule->argument ? " " : "",
             rule->argument ? rule->argument : "");
    writer.column = strlen(name);
    fputs(name, out);
    if (writer.column + 2 > INDENT) {
        break_line(&writer);
    } else {
        fprintf(out, "%*s", (int)(INDENT - writer.column), "");
        writer.column = INDENT;
    }
    write_words(&writer, rule->help);
    write_names(&writer, rule->names);
    if (rule->choices)
        write_choices(&writer, rule->choices, *(const int64_t *)place);
    option_default(rule, place, usual, sizeof usual);
    write_words(&writer, usual);
    fputc('\n', out);
}

void option_print_group(const struct option_group *group, const void *options, FILE *out)
{
    if (group->heading)
        fprintf(out, "\n%s\n", group->heading);
    for (const struct option_rule *rule = group->rules; rule->name; rule++)
        print_rule(rule, (const char *)options + group->place + rule->place, out);
}
