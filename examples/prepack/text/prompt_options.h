/* prompt_options.h: the options that give a command its prompts: texts of the command line, a file
 * of texts or a file of token ids. */
#ifndef PREPACK_PROMPT_OPTIONS_H
#define PREPACK_PROMPT_OPTIONS_H

#include "data_options.h"
#include "dataset.h"

struct text_list {
    const char **items; /* [n] owned; the texts are not */
    size_t n;
};

struct prompt_options {
    struct text_list texts; /* of -p */
    const char *file;       /* of --prompts; NULL: not given */
    const char *ids;        /* the file of --ids; NULL: not given */
};

extern const struct option_rule prompt_rules[];

/* One of the three must be there; command: its name, for sentences, and whether it has --ids. */
int prompt_options_check(const struct prompt_options *options, const struct data_options *data,
                         const char *command, bool takes_ids);
void prompt_options_release(struct prompt_options *options);

/* The prompts that the options give: texts or token ids. */
int prompt_options_load(const struct prompt_options *options, const struct data_options *data,
                        const char *command, struct dataset *set);

#endif
