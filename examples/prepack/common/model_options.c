/* model_options.c: the table of the options of models. */
#include "model_options.h"

#include <prepack/prepack.h>
#include <string.h>

static const char *const models[] = {"demo", NULL};

#define AT(member) offsetof(struct model_options, member)

const struct option_rule model_rules[] = {
    {.name = "model",
     .argument = "M",
     .kind = &option_file,
     .place = AT(name),
     .words = models,
     .help = "a directory with config.json, safetensors files and the tokenizer, as Hugging Face "
             "has them, or a GGUF file ('prepack help' lists the architectures): not a hub id, "
             "nothing is downloaded; 'demo'; or a shape with random weights:",
     .names = pp_model_preset_name},
    {.name = "random-weights",
     .kind = &option_flag,
     .place = AT(random_weights),
     .help = "of a model directory take config.json alone and make the weights up: to measure a "
             "shape without a checkpoint"},
    {.name = "sliding-window",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(sliding_window),
     .low = 1,
     .high = INT32_MAX,
     .help = "keys that a token sees, in a GGUF file of a model that has a window and whose file "
             "does not say it (Mistral 7B v0.1: 4096)"},
    {.name = NULL},
};

const char *model_architecture(int64_t i)
{
    const char *name = pp_arch_name((int32_t)i + 1);
    return strcmp(name, "unknown") == 0 ? NULL : name;
}
