/* command.h: a command as the program's main sees it: its options, its help and what it does. */
#ifndef PREPACK_COMMAND_H
#define PREPACK_COMMAND_H

#include "option.h"

/* A command line, and what it shows. */
struct example {
    const char *line; /* NULL: the end of a list */
    const char *what;
};

struct command {
    const char *name;
    const char *summary;               /* one line, for the help of the program */
    const char *usage;                 /* what may follow the name; "\n" begins another form */
    const char *about;                 /* lines above the options */
    const struct option_group *groups; /* in the order of the help; the last has no rules */
    const char *notes;                 /* lines below the options; NULL: none */
    const struct example *examples;    /* NULL: none */
    const void *defaults;              /* [options_bytes] the options before the line is read */
    size_t options_bytes;
    /* The words that are no options; NULL at the end, and where there are none. */
    const char *(*words)(int64_t i);
    /* Takes such a word; NULL: the command has none. */
    int (*take_word)(const char *word, void *options);
    /* Refuses what only the options together can break; NULL: nothing can. */
    int (*check)(const void *options);
    int (*run)(const void *options);
    /* Frees what reading the options took; NULL: nothing. */
    void (*release)(void *options);
};

/* All commands in the order of the help; the last is NULL. */
extern const struct command *const commands[];

/* NULL: there is no such command, which a sentence has said. */
const struct command *command_find(const char *name);

/* Reads argv, whose first entry is the command's name, and runs the command or prints its help. The
 * program's exit status. */
int command_run(const struct command *command, int argc, char **argv);
void command_print_help(const struct command *command, FILE *out);

#endif
