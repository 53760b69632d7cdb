/* datafile.h: the readers of one kind of file each. They append to an empty set; a sentence about a
 * bad file names its line. */
#ifndef PREPACK_DATAFILE_H
#define PREPACK_DATAFILE_H

#include "dataset.h"
#include "textfile.h"

int dataset_read_lines(struct textfile *file, struct dataset *set);
int dataset_read_lengths(struct textfile *file, struct dataset *set);
/* field: where the text of a prompt is. */
int dataset_read_table(struct textfile *file, char separator, const char *field,
                       struct dataset *set);
/* The file as one prompt. */
int dataset_read_text(struct textfile *file, struct dataset *set);
/* field: as above; NULL: `usual`, or strings in place of objects. hint: what a sentence about a
 * file that is not JSON ends in. */
int dataset_read_json(struct textfile *file, const char *field, const char *usual, const char *hint,
                      struct dataset *set);
/* Token ids from JSON. field: of objects; NULL: one of the usual. */
int dataset_read_ids(struct textfile *file, const char *field, struct dataset *set);

#endif
