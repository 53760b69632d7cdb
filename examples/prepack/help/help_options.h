/* help_options.h: the command line of `prepack help`, and the pages it prints. */
#ifndef PREPACK_HELP_OPTIONS_H
#define PREPACK_HELP_OPTIONS_H

#include "command.h"

struct help_options {
    const struct command *command; /* NULL: the program as a whole */
    bool man;
};

extern const struct command help_command;

int run_help(const void *options);

/* The help of the program as a whole. */
void overview_print_help(FILE *out);
/* The source of prepack(1). */
void overview_print_man(FILE *out);
/* The source of prepack-COMMAND(1). */
void page_print_man(const struct command *command, FILE *out);

#endif
