/*
 * json_write.h: JSON put together in a caller's buffer. What does not fit is counted and dropped,
 * so that the same code first tells the size and then writes. Nothing is allocated.
 *
 *     struct ppi_json_out out = {0};                        counts
 *     write_thing(&out, thing);
 *     if (room > out.bytes) {                               one more for the NUL
 *         out = (struct ppi_json_out){.text = text, .room = room};
 *         write_thing(&out, thing);
 */
#ifndef PPI_JSON_WRITE_H
#define PPI_JSON_WRITE_H

#include "internal.h"

struct ppi_json_out {
    char *text; /* [room], NUL-terminated after every put; NULL: only count */
    size_t room;
    size_t bytes; /* put so far, without the NUL */
};

/* As it stands: brackets, commas, names. */
void ppi_json_put(struct ppi_json_out *out, const char *text);
void ppi_json_put_integer(struct ppi_json_out *out, int64_t value);
/* A finite number in the fewest of 15 to 17 digits that read back as the same double, with a
 * decimal point whatever the program's locale says. */
void ppi_json_put_real(struct ppi_json_out *out, double value);
/* In quotes, escaped. A byte that is not UTF-8 becomes '?'. */
void ppi_json_put_string(struct ppi_json_out *out, const char *string);

#endif
