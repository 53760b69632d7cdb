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

/*
 * The cases whose line in cases.txt begins with one of the marks:
 *   ' '  the library opens it (the line is the name alone)
 *   '-'  it refuses it
 *   '?'  it opens it, warns of a key, and does not obey that key
 * Ends the program where cases.txt cannot be read.
 */
struct golden_list golden_list_read(const char *marks);

/* The folder of a case, in a static array. */
const char *golden_dir(const char *name);

#endif
