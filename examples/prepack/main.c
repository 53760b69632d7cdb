/* main.c: finds the command and runs it. */
#include "bench/bench_options.h"
#include "completion/completion_options.h"
#include "convert/convert_options.h"
#include "embed/embed_options.h"
#include "interrupt.h"
#include "generate/generate_options.h"
#include "help/help_options.h"
#include "plan/plan_options.h"
#include "prefill/prefill_options.h"
#include "profile/profile_options.h"
#include "say.h"
#include "score/score_options.h"
#include "tokenize/tokenize_options.h"
#include "tune/tune_options.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {&profile_command,
                                          &generate_command,
                                          &prefill_command,
                                          &score_command,
                                          &embed_command,
                                          &tokenize_command,
                                          &plan_command,
                                          &bench_command,
                                          &tune_command,
                                          &convert_command,
                                          &help_command,
                                          &completion_command,
                                          NULL};

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        overview_print_help(stderr);
        return fail_usage("a command is missing");
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("prepack %s\n", PP_VERSION_STRING);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return command_run(&help_command, argc - 1, argv + 1);
    const struct command *command = command_find(argv[1]);
    return command ? command_run(command, argc - 1, argv + 1) : STATUS_USAGE;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* only to know whether blocks can be drawn; numbers keep the point */
    interrupt_install();
    const int status = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == STATUS_OK)
        return fail("standard output could not be written");
    return status;
}
