/* command.h: a command as the program's main sees it: its options, its help and what it does. */
#ifndef PREPACK_COMMAND_H
#define PREPACK_COMMAND_H

#include "option.h"

struct command {
    const char *name;
    const char *summary;               /* one line, for the help of the program */
    const char *usage;                 /* what may follow the name; "\n" begins another form */
    const char *about;                 /* lines above the options */
    const struct option_group *groups; /* in the order of the help; the last has no rules */
    const char *notes;                 /* lines below the options; NULL: none */
    const void *defaults;              /* [options_bytes] the options before the line is read */
    size_t options_bytes;
    /* Takes a word that is no option; NULL: the command has none. */
    int (*take_word)(const char *word, void *options);
    /* Refuses what only the options together can break; NULL: nothing can. */
    int (*check)(const void *options);
    int (*run)(const void *options);
    /* Frees what reading the options took; NULL: nothing. */
    void (*release)(void *options);
};

/* Reads argv, whose first entry is the command's name, and runs the command or prints its help. The
 * program's exit status. */
int command_run(const struct command *command, int argc, char **argv);
void command_print_help(const struct command *command, FILE *out);

#endif
