/* complete_fish.c: the completion for fish, a line for each option. */
#include "completion_options.h"
#include "offers.h"

/* What follows an option: -x takes nothing else, -r also files. */
static void print_value(const struct option_rule *rule, FILE *out)
{
    const enum offer offer = offer_of(rule);
    if (offer == OFFER_NO_VALUE || rule->kind->may_lack_value)
        return;
    if (offer == OFFER_FILES)
        fputs(" -r -F", out);
    else
        fputs(" -x", out);
    if (offer == OFFER_FOLDERS)
        fputs(" -a '(__fish_complete_directories (commandline -ct))'", out);
    if (!offer_word(rule, 0))
        return;
    fputs(offer == OFFER_LIST ? " -a '(__fish_append , " : " -a '", out);
    offer_print_words(rule, "", out);
    fputs(offer == OFFER_LIST ? ")'" : "'", out);
}

static void print_rule(const struct command *command, const struct option_rule *rule, FILE *out)
{
    char brief[MAX_BRIEF];
    fprintf(out, "complete -c prepack -n '__prepack_runs %s'", command->name);
    if (rule->letter)
        fprintf(out, " -s %c", rule->letter);
    fprintf(out, " -l %s", rule->name);
    print_value(rule, out);
    offer_brief(rule, brief);
    fputs(" -d '", out);
    offer_print_quoted(brief, "\\", true, out);
    fputs("'\n", out);
}

static void print_command(const struct command *command, FILE *out)
{
    fprintf(out, "\ncomplete -c prepack -n __prepack_needs_command -a %s -d '", command->name);
    offer_print_quoted(command->summary, "\\", true, out);
    fputs("'\n", out);
    for (const struct option_group *group = command->groups; group->rules; group++)
        for (const struct option_rule *rule = group->rules; rule->name; rule++)
            print_rule(command, rule, out);
    if (!command->words)
        return;
    fprintf(out, "complete -c prepack -n '__prepack_runs %s' -a '", command->name);
    for (int64_t i = 0; command->words(i); i++)
        fprintf(out, "%s%s", i ? " " : "", command->words(i));
    fputs("'\n", out);
}

void complete_in_fish(FILE *out)
{
    fputs("# Completion of prepack for fish, as 'prepack completion fish' prints it.\n"
          "\n"
          "function __prepack_needs_command\n"
          "    test (count (commandline -opc)) -eq 1\n"
          "end\n"
          "\n"
          "function __prepack_runs\n"
          "    set -l line (commandline -opc)\n"
          "    test (count $line) -ge 2; and test $line[2] = $argv[1]\n"
          "end\n"
          "\n"
          "complete -c prepack -f\n"
          "complete -c prepack -n __prepack_needs_command -l version -d 'print the version'\n"
          "complete -c prepack -s h -l help -d 'print the help'\n",
          out);
    for (int i = 0; commands[i]; i++)
        print_command(commands[i], out);
}
