/*
 * golden_list.h: lists of golden cases: cases.txt, mixed.txt of experts, linear layers and Gemma 4,
 * and heads.txt of other heads.
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

/* Those of another list behind them. */
void golden_list_append(struct golden_list *list, const char *list_name);

/* The folder of a case, in a static array. */
const char *golden_dir(const char *name);

#endif
