/* completion_options.c: the options and the help of `prepack completion`. */
#include "completion_options.h"
#include "say.h"

#include <string.h>

static const struct choice shells[] = {{"bash", SHELL_BASH, NULL},
                                       {"zsh", SHELL_ZSH, NULL},
                                       {"fish", SHELL_FISH, NULL},
                                       {NULL, 0, NULL}};

static const struct option_group groups[] = {{NULL, NULL, 0}};

static const struct completion_options defaults = {.shell = SHELL_NONE};

static const char *shell_word(int64_t i)
{
    return shells[i].name;
}

static int take_shell(const char *word, void *line)
{
    struct completion_options *options = line;
    const struct choice *c = shells;
    while (c->name && strcmp(word, c->name) != 0)
        c++;
    if (!c->name || options->shell)
        return fail_usage("completion does not know what to do with '%s'; it takes one of bash, "
                          "zsh or fish",
                          word);
    options->shell = c->value;
    return STATUS_OK;
}

static int check(const void *line)
{
    const struct completion_options *options = line;
    return options->shell ? STATUS_OK
                          : fail_usage("completion needs to know the shell: bash, zsh or fish");
}

int run_completion(const void *line)
{
    const struct completion_options *options = line;
    if (options->shell == SHELL_BASH)
        complete_in_bash(stdout);
    else if (options->shell == SHELL_ZSH)
        complete_in_zsh(stdout);
    else
        complete_in_fish(stdout);
    return STATUS_OK;
}

static const char about[] =
    "Prints a script with which a shell completes commands, options and their values. An\n"
    "installation has put it where the shell looks, so that nothing needs to be done.\n";

static const struct example examples[] = {
    {"eval \"$(prepack completion bash)\"", "for this session of bash"},
    {"prepack completion zsh > ~/.zfunc/_prepack", "for zsh, a folder of its fpath"},
    {"prepack completion fish | source", "for this session of fish"},
    {NULL, NULL},
};

const struct command completion_command = {
    .name = "completion",
    .summary = "a script with which bash, zsh or fish completes command lines",
    .usage = "bash|zsh|fish",
    .about = about,
    .groups = groups,
    .examples = examples,
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .words = shell_word,
    .take_word = take_shell,
    .check = check,
    .run = run_completion,
};
