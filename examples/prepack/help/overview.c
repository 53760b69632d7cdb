/* overview.c: what there is to say of the program as a whole, as its help and as prepack(1). */
#include "help_options.h"
#include "model_options.h"
#include "page.h"

#include <prepack/prepack.h>
#include <string.h>

static const char summary[] =
    "packs prompts, prefills them without padding, and shows what that saves";
static const char models[] =
    "Models (--model): demo, directories as Hugging Face has them, GGUF files, and shapes\n"
    "with random weights.\n";
static const char exit_status[] =
    "0 done, 1 failed, 2 wrong command line, 130 interrupted (Ctrl-C).\n";
static const char data_folder[] =
    "names the folder that holds lengths/ and demo-model/ when they are not\n"
    "where the program looks: ../share/prepack beside the program's folder, then the source\n"
    "tree.\n";

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

void overview_print_help(FILE *out)
{
    fprintf(out, "prepack: %s\n\nusage: prepack COMMAND [OPTION]...\n\n", summary);
    for (int i = 0; commands[i]; i++)
        fprintf(out, "  prepack %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
            "  prepack --version  the version\n"
            "\n"
            "A first look, on the bundled model and prompts:\n"
            "  prepack profile\n"
            "  prepack generate --model demo -p 'The capital of Germany is' --compare\n"
            "\n"
            "%s",
            models);
    print_names("architectures", model_architecture, out);
    print_names("shapes", pp_model_preset_name, out);
    fprintf(out, "\nExit status: %sPREPACK_DATA %s", exit_status, data_folder);
}

static void write_names(struct roff *roff, const char *intro, const char *(*names)(int64_t i))
{
    roff_request(roff, ".PP");
    roff_words(roff, intro);
    for (int64_t i = 0; names(i); i++) {
        char word[64];
        snprintf(word, sizeof word, "%s%s", names(i), names(i + 1) ? "," : ".");
        roff_words(roff, word);
    }
}

static void write_commands(struct roff *roff)
{
    roff_request(roff, ".SH COMMANDS");
    for (int i = 0; commands[i]; i++) {
        roff_request(roff, ".TP");
        fprintf(roff->out, ".BR prepack\\-%s (1)\n", commands[i]->name);
        roff_words(roff, commands[i]->summary);
    }
    roff_request(roff, ".TP\n.B prepack \\-\\-version\nthe version");
}

static void write_surroundings(struct roff *roff)
{
    roff_request(roff, ".SH EXIT STATUS");
    roff_words(roff, exit_status);
    roff_request(roff, ".SH ENVIRONMENT\n.TP\n.B PREPACK_DATA");
    roff_text(roff, data_folder);
    roff_request(roff, ".TP\n.B PREPACK_BACKEND_CUDA");
    roff_words(roff,
               "names the module for NVIDIA GPUs (libprepack-cuda.so) in place of the one that "
               "was installed with the library.");
    roff_request(roff, ".TP\n.B COLUMNS");
    roff_words(roff,
               "is how wide pictures and progress are, in place of the width of the terminal.");
    roff_request(roff, ".SH FILES\n.TP\n.I ../share/prepack/lengths");
    roff_words(roff, "beside the program's folder: the token counts of the data sets of --dataset, "
                     "a list each.");
    roff_request(roff, ".TP\n.I ../share/prepack/demo\\-model");
    roff_words(roff, "the model 'demo', its tokenizer and the prompts of --dataset demo.");
}

void overview_print_man(FILE *out)
{
    struct roff roff = {.out = out};
    page_begin(&roff, NULL, summary);
    roff_request(&roff, ".SH SYNOPSIS\n.B prepack\n.I COMMAND\n[\\fIOPTION\\fR]...\n.br\n"
                        ".B prepack help\n[\\fICOMMAND\\fR]\n.SH DESCRIPTION");
    roff_words(
        &roff,
        "A prefill of a language model wastes most of its work on padding when prompts differ "
        "in length. prepack bin-packs the prompts, runs one pass without padding in which "
        "every prompt sees only itself, and has a result for each, the same bits as alone.");
    roff_request(&roff, ".PP");
    roff_words(&roff, models);
    write_names(&roff, "Architectures that run:", model_architecture);
    write_names(&roff, "Shapes:", pp_model_preset_name);
    write_commands(&roff);
    write_surroundings(&roff);
    roff_request(&roff, ".SH EXAMPLES");
    for (int i = 0; commands[i]; i++)
        page_examples(&roff, commands[i], i > 0);
    roff_request(&roff, ".SH SEE ALSO");
    for (int i = 0; commands[i]; i++)
        fprintf(out, ".BR prepack\\-%s (1)%s\n", commands[i]->name, commands[i + 1] ? "," : "");
}
