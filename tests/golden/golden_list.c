/*
 * golden_list.c: see golden_list.h.
 */
#include "golden_list.h"

#include <stdio.h>
#include <stdlib.h>

const char *golden_dir(const char *name)
{
    static char path[1024];
    const char *base = getenv("PREPACK_GOLDEN_DIR");
    snprintf(path, sizeof path, "%s/%s", base ? base : "tests/golden", name);
    return path;
}

void golden_list_append(struct golden_list *list, const char *list_name)
{
    char line[256];
    FILE *file = fopen(golden_dir(list_name), "r");
    if (!file) {
        printf("Bail out! cannot open %s\n", golden_dir(list_name));
        exit(EXIT_FAILURE);
    }
    while (list->n < GOLDEN_MAX_CASES && fgets(line, sizeof line, file))
        if (line[0] != '#' && sscanf(line, "%47s", list->names[list->n]) == 1)
            list->n++;
    fclose(file);
}

struct golden_list golden_list_read(const char *list_name)
{
    struct golden_list list = {.n = 0};
    golden_list_append(&list, list_name);
    return list;
}
