/* help_options.c: the options and the help of `prepack help`. */
#include "help_options.h"
#include "say.h"

#define AT(member) offsetof(struct help_options, member)

static const struct option_rule rules[] = {
    {.name = "man",
     .kind = &option_flag,
     .place = AT(man),
     .help = "print the source of the man page, for man -l; its date is that of SOURCE_DATE_EPOCH, "
             "or today"},
    {.name = NULL},
};

static const struct option_group groups[] = {{NULL, rules, 0}, {NULL, NULL, 0}};

static const struct help_options defaults = {.man = false};

static const char *command_word(int64_t i)
{
    return commands[i] ? commands[i]->name : NULL;
}

static int take_command(const char *word, void *line)
{
    struct help_options *options = line;
    if (options->command)
        return fail_usage("help explains one command at a time; '%s' is one too many", word);
    options->command = command_find(word);
    return options->command ? STATUS_OK : STATUS_USAGE;
}

int run_help(const void *line)
{
    const struct help_options *options = line;
    if (options->man && options->command)
        page_print_man(options->command, stdout);
    else if (options->man)
        overview_print_man(stdout);
    else if (options->command)
        command_print_help(options->command, stdout);
    else
        overview_print_help(stdout);
    return STATUS_OK;
}

static const char about[] = "Prints the help of a command, as --help of the command does, or of "
                            "the program. Man pages are\n"
                            "made from the same tables.\n";

static const struct example examples[] = {
    {"prepack help profile", "the options of a command"},
    {"prepack help --man profile | man -l -", "its man page, also where none is installed"},
    {NULL, NULL},
};

const struct command help_command = {
    .name = "help",
    .summary = "the options of a command (also: prepack COMMAND --help)",
    .usage = "[--man] [COMMAND]",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .words = command_word,
    .take_word = take_command,
    .run = run_help,
};
