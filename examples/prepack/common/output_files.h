/* output_files.h: where a command writes: the text, and the JSON if it was asked for. */
#ifndef PREPACK_OUTPUT_FILES_H
#define PREPACK_OUTPUT_FILES_H

#include "option.h"

#include <jansson.h>
#include <stdio.h>

struct outputs {
    FILE *text;
    FILE *json; /* NULL: not asked for */
    const char *json_path;
};

/* --json: the place is a const char *. */
extern const struct option_rule json_rules[];

/* Opens the file of --json (NULL: not given) at once, so that a long run does not end in a wrong
 * path. */
int outputs_open(const char *json_path, struct outputs *outputs);
/* Writes json (whose reference is taken; NULL: there was no memory for it) if it was asked for. */
int outputs_write_json(struct outputs *outputs, json_t *json);
/* The same for text that is written as it stands. */
int outputs_write_text(struct outputs *outputs, const char *text);
/* Closes the file; with nothing written to it, a new one stays empty. */
void outputs_close(struct outputs *outputs);

#endif
