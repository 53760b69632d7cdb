/* main.c: finds the command and runs it. */
#include "bench/bench_options.h"
#include "convert/convert_options.h"
#include "embed/embed_options.h"
#include "interrupt.h"
#include "generate/generate_options.h"
#include "model_options.h"
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

static const struct command *const commands[] = {
    &profile_command,  &generate_command, &prefill_command, &score_command, &embed_command,
    &tokenize_command, &plan_command,     &bench_command,   &tune_command,  &convert_command};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* "word  a, b, c" in lines of at most 90 columns. */
static void print_names(const char *word, const char *(*names)(int64_t i), FILE *out)
{
    enum { INDENT = 15, WIDTH = 90 };
    size_t column = INDENT;
    fprintf(out, "  %-*s", INDENT - 2, word);
    for (int64_t i = 0; names(i); i++) {
        const size_t n = strlen(names(i)) + 2;
        if (column + n > WIDTH) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
        }
        fprintf(out, " %s%s", names(i), names(i + 1) ? "," : "\n");
        column += n;
    }
}

static void print_general_help(FILE *out)
{
    fputs("prepack: packs prompts, prefills them without padding, and shows what that saves\n"
          "\n"
          "usage: prepack COMMAND [OPTION]...\n"
          "\n",
          out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  prepack %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "  prepack help COMMAND    the options of a command (also: prepack COMMAND --help)\n"
          "  prepack --version       the version\n"
          "\n"
          "A first look, on the bundled model and prompts:\n"
          "  prepack profile\n"
          "  prepack generate --model demo -p 'The capital of Germany is' --compare\n"
          "\n"
          "Models (--model): demo, directories as Hugging Face has them, GGUF files, and shapes\n"
          "with random weights.\n",
          out);
    print_names("architectures", model_architecture, out);
    print_names("shapes", pp_model_preset_name, out);
    fputs("\n"
          "Exit status: 0 done, 1 failed, 2 wrong command line, 130 interrupted (Ctrl-C).\n"
          "PREPACK_DATA names the folder that holds lengths/ and demo-model/ when they are not\n"
          "where the program looks: ../share/prepack beside the program's folder, then the source\n"
          "tree.\n",
          out);
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    return NULL;
}

static int fail_no_command(const char *name)
{
    char known[256] = "";
    for (int i = 0; i < N_COMMANDS; i++) {
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s",
                 i == 0               ? ""
                 : i + 1 < N_COMMANDS ? ", "
                                      : " and ",
                 commands[i]->name);
    }
    return fail_usage("there is no command '%s'; the commands are %s", name, known);
}

static int print_help(const char *name)
{
    const struct command *command = name ? find_command(name) : NULL;
    if (name && !command)
        return fail_no_command(name);
    if (command)
        command_print_help(command, stdout);
    else
        print_general_help(stdout);
    return STATUS_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_general_help(stderr);
        return fail_usage("a command is missing");
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("prepack %s\n", PP_VERSION_STRING);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    const struct command *command = find_command(argv[1]);
    return command ? command_run(command, argc - 1, argv + 1) : fail_no_command(argv[1]);
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
