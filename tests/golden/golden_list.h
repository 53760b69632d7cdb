/*
 * golden_list.h: the list of golden cases, cases.txt.
 */
#ifndef TEST_GOLDEN_LIST_H
#define TEST_GOLDEN_LIST_H

#define GOLDEN_MAX_CASES 100

struct golden_list {
    char names[GOLDEN_MAX_CASES][48];
    int n;
};

/* All of them, in order. Ends the program where cases.txt cannot be read. */
struct golden_list golden_list_read(void);

/* The folder of a case, in a static array. */
const char *golden_dir(const char *name);

#endif
