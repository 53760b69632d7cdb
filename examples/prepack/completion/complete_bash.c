/* complete_bash.c: the completion for bash, which needs nothing but bash 4.3. */
#include "completion_options.h"
#include "offers.h"

static const char head[] =
    "# Completion of prepack for bash, as 'prepack completion bash' prints it.\n"
    "\n";

/* $1 the command, $2 an option: sets kind and words; fails where no value follows. */
static void print_values(const struct command *command, FILE *out)
{
    static const char *const kinds[] = {"", "nothing", "words", "list", "files", "folders"};
    for (const struct option_group *group = command->groups; group->rules; group++) {
        for (const struct option_rule *rule = group->rules; rule->name; rule++) {
            const enum offer offer = offer_of(rule);
            if (offer == OFFER_NO_VALUE || rule->kind->may_lack_value)
                continue;
            fprintf(out, "    '%s --%s'", command->name, rule->name);
            if (rule->letter)
                fprintf(out, " | '%s -%c'", command->name, rule->letter);
            fprintf(out, ") kind=%s words='", kinds[offer]);
            offer_print_words(rule, "", out);
            fputs("' ;;\n", out);
        }
    }
}

static void print_options(const struct command *command, FILE *out)
{
    fprintf(out, "    %s) options='", command->name);
    for (const struct option_group *group = command->groups; group->rules; group++) {
        for (const struct option_rule *rule = group->rules; rule->name; rule++) {
            if (rule->letter)
                fprintf(out, "-%c ", rule->letter);
            fprintf(out, "--%s ", rule->name);
        }
    }
    fputs("--help' words='", out);
    for (int64_t i = 0; command->words && command->words(i); i++)
        fprintf(out, "%s%s", i ? " " : "", command->words(i));
    fputs("' ;;\n", out);
}

static const char body[] =
    "\n"
    "_prepack() {\n"
    "    local IFS=$' \\t\\n' line=() word stuck='' options='' words='' kind='' before=''\n"
    "    COMPREPLY=()\n"
    "    # readline cuts words at = and : as well\n"
    "    for word in \"${COMP_WORDS[@]:0:COMP_CWORD+1}\"; do\n"
    "        if [[ ${#line[@]} -gt 0 && ($stuck || $word =~ ^[=:]+$) ]]; then\n"
    "            line[${#line[@]} - 1]+=$word\n"
    "        else\n"
    "            line+=(\"$word\")\n"
    "        fi\n"
    "        stuck=''\n"
    "        [[ $word =~ ^[=:]+$ ]] && stuck=1\n"
    "    done\n"
    "    local n=${#line[@]} command=${line[1]} cur\n"
    "    cur=${line[n - 1]}\n"
    "    if ((n <= 2)); then\n"
    "        _prepack_options ''\n"
    "        words=\"$words $options\"\n"
    "    elif [[ $cur == --*=* ]]; then\n"
    "        before=${cur%%=*}=\n"
    "        _prepack_value \"$command\" \"${before%=}\"\n"
    "    elif ! _prepack_value \"$command\" \"${line[n - 2]}\"; then\n"
    "        _prepack_options \"$command\"\n"
    "        if [[ $cur == -* || ! $words ]]; then\n"
    "            words=$options\n"
    "        fi\n"
    "    fi\n"
    "    [[ $kind == list && $cur == *,* ]] && before=${cur%,*},\n"
    "    # what stands before the last = or : stays on the line\n"
    "    local kept=''\n"
    "    if [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]]; then\n"
    "        kept=${cur%\"${cur##*:}\"}\n"
    "    elif [[ $COMP_WORDBREAKS == *=* && $cur == *=* ]]; then\n"
    "        kept=${cur%\"${cur##*=}\"}\n"
    "    fi\n"
    "    for word in $words; do\n"
    "        word=$before$word\n"
    "        [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"${word#\"$kept\"}\")\n"
    "    done\n"
    "    [[ ${COMPREPLY[*]} == *: ]] && compopt -o nospace\n"
    "    if [[ $kind == files && ${#COMPREPLY[@]} -gt 0 ]]; then\n"
    "        compopt -o filenames\n"
    "        while IFS= read -r word; do\n"
    "            COMPREPLY+=(\"$word\")\n"
    "        done < <(compgen -f -- \"${cur#\"$before\"}\")\n"
    "    elif [[ $kind == files ]]; then\n"
    "        compopt -o default\n"
    "    elif [[ $kind == folders ]]; then\n"
    "        compopt -o dirnames\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F _prepack prepack\n";

void complete_in_bash(FILE *out)
{
    fputs(head, out);
    fputs("# COMMAND OPTION: sets kind and words; fails where no value follows.\n"
          "_prepack_value() {\n"
          "    case \"$1 $2\" in\n",
          out);
    for (int i = 0; commands[i]; i++)
        print_values(commands[i], out);
    fputs("    *) return 1 ;;\n"
          "    esac\n"
          "}\n"
          "\n"
          "# COMMAND: sets its options, and the words that may follow it.\n"
          "_prepack_options() {\n"
          "    case $1 in\n",
          out);
    for (int i = 0; commands[i]; i++)
        print_options(commands[i], out);
    fputs("    '') options='--help --version' words='", out);
    for (int i = 0; commands[i]; i++)
        fprintf(out, "%s%s", i ? " " : "", commands[i]->name);
    fputs("' ;;\n"
          "    esac\n"
          "}\n",
          out);
    fputs(body, out);
}
