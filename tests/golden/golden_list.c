/*
 * golden_list.c: see golden_list.h.
 */
#include "golden_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_dir(const char *name)
{
    static char path[1024];
    const char *base = getenv("PREPACK_GOLDEN_DIR");
    snprintf(path, sizeof path, "%s/%s", base ? base : "tests/golden", name);
    return path;
}

struct golden_list golden_list_read(const char *marks)
{
    struct golden_list list = {.n = 0};
    char line[256], mark[2], name[48];
    FILE *file = fopen(golden_dir("cases.txt"), "r");
    if (!file) {
        printf("Bail out! cannot open %s\n", golden_dir("cases.txt"));
        exit(EXIT_FAILURE);
    }
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%1[-?] %47s", mark, name) != 2) {
            strcpy(mark, " ");
            if (line[0] == '#' || sscanf(line, "%47s", name) != 1)
                continue;
        }
        if (strchr(marks, mark[0]) && list.n < GOLDEN_MAX_CASES)
            strcpy(list.names[list.n++], name);
    }
    fclose(file);
    return list;
}
