/*
 * golden_list.h: lists of golden cases: cases.txt, and heads.txt of other heads.
 */
#ifndef TEST_GOLDEN_LIST_H
#define TEST_GOLDEN_LIST_H

#define GOLDEN_MAX_CASES 100

struct golden_list {
    char names[GOLDEN_MAX_CASES][48];
    int n;
};

/* All of a list, in order. Ends the program where it cannot be read. */
struct golden_list golden_list_read(const char *list_name);

/* The folder of a case, in a static array. */
const char *golden_dir(const char *name);

#endif
