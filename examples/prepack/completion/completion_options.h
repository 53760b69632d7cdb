/* completion_options.h: the command line of `prepack completion`, and the scripts it prints. */
#ifndef PREPACK_COMPLETION_OPTIONS_H
#define PREPACK_COMPLETION_OPTIONS_H

#include "command.h"

enum shell { SHELL_NONE, SHELL_BASH, SHELL_ZSH, SHELL_FISH };

struct completion_options {
    int64_t shell;
};

extern const struct command completion_command;

int run_completion(const void *options);

void complete_in_bash(FILE *out);
void complete_in_zsh(FILE *out);
void complete_in_fish(FILE *out);

#endif
