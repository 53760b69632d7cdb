/*
 * option.h: options as data. A table says of each option how it is called, what its help says, how
 * its value is read and where it goes; the command line and the help are both made from it, so that
 * they cannot differ.
 */
#ifndef PREPACK_OPTION_H
#define PREPACK_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct option_rule;

/* How the values of an option are read, and how one of them is written in the help. */
struct option_kind {
    bool has_value;
    bool may_lack_value;     /* an option without a number behind it is one, too: read gets NULL */
    bool has_commas;         /* a value is a list of the rule's words */
    bool is_file, is_folder; /* what a shell offers for a value */
    /* Reads a value to place; on failure one sentence that says what is allowed. */
    int (*read)(const struct option_rule *rule, const char *value, void *place);
    /* Writes the default at place to out; nothing where there is none. NULL: there never is. */
    void (*show)(const struct option_rule *rule, const void *place, char *out, size_t out_bytes);
};

/* The place of an option is... */
extern const struct option_kind option_text;    /* const char *; NULL: not given */
extern const struct option_kind option_file;    /* the same: a path of a file or folder */
extern const struct option_kind option_folder;  /* the same: a path of a folder */
extern const struct option_kind option_integer; /* int64_t between low and high */
extern const struct option_kind option_real;    /* double between low and high */
extern const struct option_kind option_bytes;   /* int64_t, with or without a unit */
extern const struct option_kind option_seed;    /* struct seed */
extern const struct option_kind option_choice;  /* int64_t, one of choices */
extern const struct option_kind option_numbers; /* struct numbers between low and high */
extern const struct option_kind option_flag;    /* bool */

struct seed {
    uint64_t value;
    bool given;
};

/* Whole numbers; n 0: not given. */
enum { MAX_NUMBERS = 32 };
struct numbers {
    int n;
    int64_t items[MAX_NUMBERS];
};

/* A word that an option may have, and what it means. */
struct choice {
    const char *name; /* NULL: the end of a list */
    int64_t value;
    const char *help; /* NULL: the name says it */
};

/* The name of a value; "unknown". */
const char *choice_name(const struct choice *choices, int64_t value);

struct option_rule {
    const char *name;     /* "batch-size"; NULL: the end of a table */
    const char *argument; /* "N" or "[N]", as the help calls the value; NULL: a flag */
    const struct option_kind *kind;
    size_t place;     /* offset in the struct that the table is about */
    double low, high; /* of numbers */
    const struct choice *choices;
    char letter;      /* 'p' for "-p"; 0: none */
    const char *help; /* ends without a full stop; the default and choices follow by themselves */
    const char *(*names)(int64_t i); /* more that follows, with commas; NULL: nothing does */
    /* [NULL at the end] words of the help that a value may be, for shells; NULL: none */
    const char *const *words;
};

/* A table, and where in the options of a command its struct lies. */
struct option_group {
    const char *heading;             /* the line above it in the help; NULL: none */
    const struct option_rule *rules; /* NULL: the end of a list */
    size_t place;
};

/* Writes " (default ...)" of the default at place; nothing where there is none. */
void option_default(const struct option_rule *rule, const void *place, char *out, size_t out_bytes);

/* Writes the help of a group's options, with the defaults that `options` holds. */
void option_print_group(const struct option_group *group, const void *options, FILE *out);

#endif
