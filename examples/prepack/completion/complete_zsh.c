/* complete_zsh.c: the completion for zsh, by its function _arguments. */
#include "completion_options.h"
#include "offers.h"

/* ":LIST:_values ...", what follows an option, inside single quotes. */
static void print_value(const struct option_rule *rule, FILE *out)
{
    const enum offer offer = offer_of(rule);
    fprintf(out, ":%s%s:", rule->kind->may_lack_value ? ":" : "", rule->argument);
    if (offer == OFFER_NOTHING)
        fputc(' ', out);
    if (offer == OFFER_FOLDERS)
        fputs("_directories", out);
    if (offer == OFFER_FILES && !offer_word(rule, 0))
        fputs("_files", out);
    else if (offer == OFFER_FILES)
        fputs(" _prepack_words_or_files ", out);
    if (offer == OFFER_LIST)
        fputs("_values -s , word ", out);
    if (offer == OFFER_WORDS)
        fputc('(', out);
    offer_print_words(rule, ":", out);
    if (offer == OFFER_WORDS)
        fputc(')', out);
}

static void print_rule(const struct option_rule *rule, FILE *out)
{
    char brief[MAX_BRIEF];
    const bool valued = rule->kind->has_value;
    offer_brief(rule, brief);
    for (int form = rule->letter ? 0 : 1; form < 2; form++) {
        if (form == 0)
            fprintf(out, "        '*-%c%s[", rule->letter, valued ? "+" : "");
        else
            fprintf(out, "        '%s--%s%s[", rule->letter ? "*" : "", rule->name,
                    valued ? "=" : "");
        offer_print_quoted(brief, ":[]\\", false, out);
        fputc(']', out);
        if (valued)
            print_value(rule, out);
        fputs("'\n", out);
    }
}

static void print_command(const struct command *command, FILE *out)
{
    fprintf(out, "    %s)\n      arguments+=(\n", command->name);
    for (const struct option_group *group = command->groups; group->rules; group++)
        for (const struct option_rule *rule = group->rules; rule->name; rule++)
            print_rule(rule, out);
    if (command->words) {
        fputs("        '1:word:(", out);
        for (int64_t i = 0; command->words(i); i++)
            fprintf(out, "%s%s", i ? " " : "", command->words(i));
        fputs(")'\n", out);
    }
    fputs("      ) ;;\n", out);
}

void complete_in_zsh(FILE *out)
{
    fputs("#compdef prepack\n"
          "# Completion of prepack for zsh, as 'prepack completion zsh' prints it.\n"
          "\n"
          "_prepack_words_or_files() {\n"
          "  _alternative \"words:word:(${*//:/\\\\:})\" 'files:file:_files'\n"
          "}\n"
          "\n"
          "_prepack() {\n"
          "  local -a list arguments=('(- *)'{-h,--help}'[print the help of the command]')\n"
          "  if ((CURRENT == 2)); then\n"
          "    list=(\n",
          out);
    for (int i = 0; commands[i]; i++) {
        fprintf(out, "      '%s:", commands[i]->name);
        offer_print_quoted(commands[i]->summary, ":\\", false, out);
        fputs("'\n", out);
    }
    fputs("    )\n"
          "    _describe -t commands command list -- '(--help:print\\ the\\ help "
          "--version:print\\ the\\ version)'\n"
          "    return\n"
          "  fi\n"
          "  local command=$words[2]\n"
          "  ((CURRENT--))\n"
          "  shift words\n"
          "  case $command in\n",
          out);
    for (int i = 0; commands[i]; i++)
        print_command(commands[i], out);
    fputs("    *) return 1 ;;\n"
          "  esac\n"
          "  _arguments -s $arguments\n"
          "}\n"
          "\n"
          "if [[ $funcstack[1] == _prepack ]]; then\n"
          "  _prepack \"$@\"\n"
          "else\n"
          "  compdef _prepack prepack\n"
          "fi\n",
          out);
}
