/* json_scan.h: files of JSON items, one after another or in a list, of which only a few members are
 * wanted. */
#ifndef PREPACK_JSON_SCAN_H
#define PREPACK_JSON_SCAN_H

#include "dataset.h"
#include "textfile.h"

#include <jansson.h>

struct scanner {
    struct textfile *file;
    const char *field; /* the one that holds the prompt; NULL: not named */
    const char *hint;  /* what a sentence about a file that is not JSON ends in */
    const char *usual; /* where none is named, by its name */
    const char *wrong; /* what was found wrong last */
    void *user;        /* of take_item */
    size_t start_line; /* of the item that is read */
};

/* A part of the file. */
struct span {
    const char *start;
    size_t n; /* 0: not there */
};

/* A member of an object that is asked for. */
struct member {
    const char *name; /* NULL: nothing is asked for */
    struct span value;
    size_t line; /* where the value begins */
};

/* Takes one item at file->next and adds its prompt to the set (NULL where scan_items got none). */
typedef int (*take_item_fn)(struct scanner *scanner, struct dataset *set);

/* Moves to the next byte that is no space, and gives it; NUL at the end. */
char scan_space(struct scanner *scanner);
/* Moves behind a value of any kind; false where it is broken. */
bool scan_value(struct scanner *scanner, struct span *span);
/* next stands on '{'; moves behind its '}' and takes the members that are named. */
bool scan_object(struct scanner *scanner, struct member *members, size_t n);
/* next stands on '[': the items of a list, which is all that the file holds. */
int scan_list(struct scanner *scanner, take_item_fn take_item, struct dataset *set);
/* Items one after another, to the end. */
int scan_items(struct scanner *scanner, take_item_fn take_item, struct dataset *set);
/* For what scan_value and scan_object found broken. */
int fail_not_json(const struct scanner *scanner);

/* The string that a span spells; NULL with `error` if it is none. The caller drops it. */
json_t *span_string(const struct span *span, json_error_t *error);

#endif
