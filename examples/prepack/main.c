/* main.c: finds the command and runs it. */
#include "cancel.h"
#include "commands.h"
#include "say.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

struct command_rule {
    const char *name;
    enum command command;
    int (*run)(const struct options *options);
};

static const struct command_rule commands[] = {
    {"profile", COMMAND_PROFILE, run_profile}, {"generate", COMMAND_GENERATE, run_generate},
    {"plan", COMMAND_PLAN, run_plan},          {"bench", COMMAND_BENCH, run_bench},
    {"tune", COMMAND_TUNE, run_tune},
};

static const struct command_rule *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int fail_no_command(const char *name)
{
    return fail_usage(
        "there is no command '%s'; the commands are profile, generate, plan, bench and tune", name);
}

static int print_help(const char *name)
{
    const struct command_rule *rule = name ? find_command(name) : NULL;
    if (name && !rule)
        return fail_no_command(name);
    fputs(help_text(rule ? (int)rule->command : 0), stdout);
    return STATUS_OK;
}

static int run_command(int argc, char **argv)
{
    struct options options;
    const struct command_rule *rule = find_command(argv[0]);
    if (!rule)
        return fail_no_command(argv[0]);
    int status = options_parse(rule->command, argc, argv, &options);
    if (!status && options.help)
        status = print_help(rule->name);
    else if (!status)
        status = rule->run(&options);
    options_free(&options);
    return status;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help_text(0), stderr);
        return fail_usage("a command is missing");
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("prepack %s\n", PP_VERSION_STRING);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    return run_command(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* only to know whether blocks can be drawn; numbers keep the point */
    cancel_install();
    const int status = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == STATUS_OK)
        return fail("standard output could not be written");
    return status;
}
