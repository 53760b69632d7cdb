/*
 * label.h: names from outside (paths, tensor names, JSON strings) in a length that fits a message.
 */
#ifndef PPI_LABEL_H
#define PPI_LABEL_H

/* Returned by value, so that it can stand inside a call: ppi_error(..., ppi_label(name).text). */
struct ppi_label {
    char text[200];
};

/* The text; of a longer one the beginning, then "...". Never ends inside a UTF-8 sequence. */
struct ppi_label ppi_label(const char *text);

/* "dir/name", or dir alone where name is NULL; of a longer one "..." and the end. */
struct ppi_label ppi_label_path(const char *dir, const char *name);

#endif
