/* commands.h: the commands; each returns the program's exit status. */
#ifndef PREPACK_COMMANDS_H
#define PREPACK_COMMANDS_H

#include "options.h"

int run_profile(const struct options *options);
int run_generate(const struct options *options);
int run_plan(const struct options *options);
int run_bench(const struct options *options);
int run_tune(const struct options *options);

#endif
