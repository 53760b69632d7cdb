/* prompt_options.c: the table of the options of prompts that run, and reading what they name. */
#include "prompt_options.h"
#include "say.h"

#include <stdlib.h>

static int read_more_text(const struct option_rule *rule, const char *value, void *place)
{
    struct text_list *list = place;
    const char **larger = realloc(list->items, (list->n + 1) * sizeof *larger);
    (void)rule;
    if (!larger)
        return fail_memory();
    list->items = larger;
    list->items[list->n++] = value;
    return STATUS_OK;
}

static const struct option_kind kind_texts = {.has_value = true, .read = read_more_text};

static const char *const prompt_sets[] = {"demo", NULL};

#define AT(member) offsetof(struct prompt_options, member)

const struct option_rule prompt_rules[] = {
    {.name = "prompt",
     .letter = 'p',
     .argument = "TEXT",
     .kind = &kind_texts,
     .place = AT(texts),
     .help = "a prompt; may be repeated"},
    {.name = "prompts",
     .argument = "FILE",
     .kind = &option_file,
     .place = AT(file),
     .words = prompt_sets,
     .help = "one prompt a line, JSON lines, a JSON array, CSV or TSV; '-': standard input; "
             "'demo': the bundled prompts"},
    {.name = NULL},
};

int prompt_options_check(const struct prompt_options *options, const struct data_options *data,
                         const char *command, bool takes_ids)
{
    const int n_given = (options->texts.n > 0) + (options->file != NULL) + (options->ids != NULL);
    if (n_given == 0)
        return fail_usage("%s needs prompts: -p TEXT%s", command,
                          takes_ids ? ", --prompts FILE or --ids FILE" : " or --prompts FILE");
    if (n_given > 1)
        return fail_usage("%s takes one of -p%s", command,
                          takes_ids ? ", --prompts and --ids" : " and --prompts");
    if (!options->file && data->format != FORMAT_AUTO)
        return fail_usage("--format says how a file is read and needs --prompts");
    if (options->texts.n > 0 && data->field)
        return fail_usage("--field says how a file is read and needs --prompts%s",
                          takes_ids ? " or --ids" : "");
    return STATUS_OK;
}

void prompt_options_release(struct prompt_options *options)
{
    free(options->texts.items);
}

int prompt_options_load(const struct prompt_options *options, const struct data_options *data,
                        const char *command, struct dataset *set)
{
    struct data_options reading = *data;
    if (options->ids)
        return dataset_load_ids(options->ids, data, set);
    if (!options->file)
        return dataset_from_texts(options->texts.items, options->texts.n, set);
    reading.texts_only = true;
    const int status = dataset_load(options->file, &reading, set);
    if (!status && !set->texts)
        return fail_usage("%s needs prompts that are text, but %s is a list of token counts",
                          command, options->file);
    return status;
}
