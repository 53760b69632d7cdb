/* command.c: reads a command line by the tables of its command. */
#include "command.h"
#include "say.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 64 };

const struct command *command_find(const char *name)
{
    char known[256] = "";
    for (int i = 0; commands[i]; i++) {
        const size_t n = strlen(known);
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
        snprintf(known + n, sizeof known - n, "%s%s",
                 i == 0            ? ""
                 : commands[i + 1] ? ", "
                                   : " and ",
                 commands[i]->name);
    }
    fail_usage("there is no command '%s'; the commands are %s", name, known);
    return NULL;
}

/* All options of a command, as getopt_long and we know them; "help" is the last. */
struct known {
    const struct command *command;
    struct option names[MAX_RULES + 2];
    const struct option_rule *rules[MAX_RULES + 1];
    size_t places[MAX_RULES + 1];
    int n;
    char letters[2 * MAX_RULES + 4];
};

static void add_rule(struct known *known, const struct option_rule *rule, size_t place)
{
    known->names[known->n] =
        (struct option){.name = rule->name,
                        .has_arg = rule->kind->may_lack_value ? optional_argument
                                   : rule->kind->has_value    ? required_argument
                                                              : no_argument};
    known->rules[known->n] = rule;
    known->places[known->n++] = place + rule->place;
    if (rule->letter) {
        const size_t n = strlen(known->letters);
        known->letters[n] = rule->letter;
        known->letters[n + 1] = rule->kind->has_value ? ':' : '\0';
    }
}

static void know_rules(struct known *known)
{
    strcpy(known->letters, ":h");
    for (const struct option_group *group = known->command->groups; group->rules; group++)
        for (const struct option_rule *rule = group->rules; rule->name; rule++)
            if (known->n < MAX_RULES)
                add_rule(known, rule, group->place);
    known->names[known->n] = (struct option){.name = "help", .val = 'h'};
}

static const struct option_rule *rule_of(const struct known *known, int letter, int *which)
{
    for (int i = 0; i < known->n && letter; i++)
        if (known->rules[i]->letter == letter)
            *which = i;
    return *which < 0 ? NULL : known->rules[*which];
}

/* What getopt_long could not make sense of. */
static int fail_unknown(const char *name, int letter, const char *word)
{
    if (letter == ':')
        return fail_usage("'%s' needs a value; 'prepack help %s' says which", word, name);
    if (optopt > 0 && optopt != 'h')
        return fail_usage("%s does not know '-%c'; 'prepack help %s' lists its options", name,
                          optopt, name);
    return fail_usage("%s does not know '%s'; 'prepack help %s' lists its options", name, word,
                      name);
}

static int read_words(const struct command *command, int n, char **words, void *options)
{
    int status = STATUS_OK;
    for (int i = 0; i < n && !status; i++) {
        if (command->take_word)
            status = command->take_word(words[i], options);
        else
            status = fail_usage("%s does not know what to do with '%s'; values follow an option",
                                command->name, words[i]);
    }
    return status;
}

/* The next word, if it is a whole number: the value of an option that may lack one. */
static const char *take_number(int argc, char **argv)
{
    const char *word = optind < argc ? argv[optind] : "";
    if (*word == '\0' || word[strspn(word, "0123456789")] != '\0')
        return NULL;
    optind++;
    return word;
}

static int read_line(const struct command *command, int argc, char **argv, void *options,
                     bool *help)
{
    struct known known = {.command = command};
    know_rules(&known);
    opterr = 0;
    optind = 1;
    for (;;) {
        int which = -1;
        const int letter = getopt_long(argc, argv, known.letters, known.names, &which);
        if (letter == -1)
            break;
        if (letter == '?' || letter == ':')
            return fail_unknown(command->name, letter, argv[optind - 1]);
        if (letter == 'h') {
            *help = true;
            continue;
        }
        const struct option_rule *rule = rule_of(&known, letter, &which);
        const char *value = optarg;
        if (rule->kind->may_lack_value && !value)
            value = take_number(argc, argv);
        const int status = rule->kind->read(rule, value, (char *)options + known.places[which]);
        if (status)
            return status;
    }
    if (*help)
        return STATUS_OK;
    const int status = read_words(command, argc - optind, argv + optind, options);
    return status || !command->check ? status : command->check(options);
}

int command_run(const struct command *command, int argc, char **argv)
{
    bool help = false;
    void *options = malloc(command->options_bytes);
    if (!options)
        return fail_memory();
    memcpy(options, command->defaults, command->options_bytes);
    int status = read_line(command, argc, argv, options, &help);
    if (!status && help)
        command_print_help(command, stdout);
    else if (!status)
        status = command->run(options);
    if (command->release)
        command->release(options);
    free(options);
    return status;
}

void command_print_help(const struct command *command, FILE *out)
{
    const char *intro = "usage:";
    for (const char *form = command->usage; form;) {
        const size_t n = strcspn(form, "\n");
        fprintf(out, "%s prepack %s %.*s\n", intro, command->name, (int)n, form);
        form = form[n] ? form + n + 1 : NULL;
        intro = "      ";
    }
    fprintf(out, "\n%s\n", command->about);
    for (const struct option_group *group = command->groups; group->rules; group++)
        option_print_group(group, command->defaults, out);
    if (command->notes)
        fprintf(out, "\n%s", command->notes);
    if (command->examples)
        fputs("\nExamples:\n", out);
    for (const struct example *e = command->examples; e && e->line; e++)
        fprintf(out, "  # %s\n  %s\n", e->what, e->line);
}
