/* page.c: the man page of a command, from the tables that its command line is read by. */
#include "page.h"
#include "help_options.h"

#include <ctype.h>
#include <prepack/prepack.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A build that shall be repeatable says which day it is. */
static void write_date(char *date, size_t date_bytes)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm day;
    if (!gmtime_r(&now, &day) || strftime(date, date_bytes, "%Y-%m-%d", &day) == 0)
        snprintf(date, date_bytes, "1970-01-01");
}

void page_begin(struct roff *roff, const struct command *command, const char *summary)
{
    char date[32], line[128];
    const char *dash = command ? "\\-" : "", *name = command ? command->name : "";
    write_date(date, sizeof date);
    fprintf(roff->out, ".TH PREPACK%s", dash);
    for (const char *c = name; *c; c++)
        fputc(toupper((unsigned char)*c), roff->out);
    fprintf(roff->out, " 1 %s \"prepack %s\" \"User Commands\"\n", date, PP_VERSION_STRING);
    roff_request(roff, ".nh\n.ad l\n.SH NAME"); /* no hyphen in a word that may be typed */
    snprintf(line, sizeof line, "prepack%s%s \\- ", dash, name);
    fputs(line, roff->out);
    roff->column = strlen(line);
    roff->glued = true;
    roff_words(roff, summary);
}

void page_examples(struct roff *roff, const struct command *command, bool follow)
{
    for (const struct example *e = command->examples; e && e->line; e++) {
        char lines[512];
        snprintf(lines, sizeof lines, "%s:\n  %s\n", e->what, e->line);
        if (follow || e != command->examples)
            roff_request(roff, ".PP");
        roff_text(roff, lines);
    }
}

static void write_synopsis(struct roff *roff, const struct command *command)
{
    roff_request(roff, ".SH SYNOPSIS");
    for (const char *form = command->usage; form;) {
        char words[256];
        const size_t n = strcspn(form, "\n");
        if (form != command->usage)
            roff_request(roff, ".br");
        roff_font(roff, 'B', "prepack");
        roff_font(roff, 'B', command->name);
        snprintf(words, sizeof words, "%.*s", (int)n, form);
        roff_words(roff, words);
        form = form[n] ? form + n + 1 : NULL;
    }
}

/* A list with a line for each, or "word, word". */
static void write_choices(struct roff *roff, const struct choice *choices, int64_t usual)
{
    const bool lines = choices->help != NULL;
    roff->glued = true;
    if (lines)
        roff_request(roff, ".RS");
    else
        roff_words(roff, ":");
    for (const struct choice *c = choices; c->name; c++) {
        const char *usually = c->value == usual ? " (default)" : "";
        char word[64];
        if (!lines) {
            snprintf(word, sizeof word, "%s%s%s", c->name, usually, c[1].name ? "," : "");
            roff_words(roff, word);
            continue;
        }
        roff_request(roff, ".TP");
        roff_font(roff, 'B', c->name);
        roff_end_line(roff);
        roff_words(roff, c->help);
        roff_words(roff, usually);
    }
    if (lines)
        roff_request(roff, ".RE");
}

static void write_rule(struct roff *roff, const struct option_rule *rule, const void *place)
{
    char word[160] = "";
    roff_request(roff, ".TP");
    if (rule->letter) {
        snprintf(word, sizeof word, "-%c", rule->letter);
        roff_font(roff, 'B', word);
        roff->glued = true;
        roff_words(roff, ",");
    }
    snprintf(word, sizeof word, "--%s", rule->name);
    roff_font(roff, 'B', word);
    if (rule->argument)
        roff_font(roff, 'I', rule->argument);
    roff_end_line(roff);
    roff_text(roff, rule->help);
    for (int64_t i = 0; rule->names && rule->names(i); i++) {
        snprintf(word, sizeof word, "%s%s", rule->names(i), rule->names(i + 1) ? "," : "");
        roff_words(roff, word);
    }
    if (rule->choices)
        write_choices(roff, rule->choices, *(const int64_t *)place);
    option_default(rule, place, word, sizeof word);
    roff_words(roff, word);
}

static void write_options(struct roff *roff, const struct command *command)
{
    roff_request(roff, ".SH OPTIONS");
    for (const struct option_group *group = command->groups; group->rules; group++) {
        if (group->heading) {
            char heading[80];
            snprintf(heading, sizeof heading, ".SS %.*s", (int)strcspn(group->heading, ":"),
                     group->heading);
            roff_request(roff, heading);
        }
        for (const struct option_rule *rule = group->rules; rule->name; rule++)
            write_rule(roff, rule, (const char *)command->defaults + group->place + rule->place);
    }
    roff_request(roff, ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint the help of the command");
}

void page_print_man(const struct command *command, FILE *out)
{
    struct roff roff = {.out = out};
    page_begin(&roff, command, command->summary);
    write_synopsis(&roff, command);
    roff_request(&roff, ".SH DESCRIPTION");
    roff_text(&roff, command->about);
    roff.indented = true;
    write_options(&roff, command);
    roff.indented = false;
    if (command->notes) {
        roff_request(&roff, ".SH NOTES");
        roff_text(&roff, command->notes);
    }
    if (command->examples)
        roff_request(&roff, ".SH EXAMPLES");
    page_examples(&roff, command, false);
    roff_request(&roff, ".SH SEE ALSO\n.BR prepack (1)\nhas the exit statuses, the environment and "
                        "the files.");
}
