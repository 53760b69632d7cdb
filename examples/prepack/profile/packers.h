/* packers.h: the packers of the methods that `profile` compares, and which of them share prefixes.
 */
#ifndef PREPACK_PACKERS_H
#define PREPACK_PACKERS_H

#include "profile_options.h"

struct packers {
    pp_packer *usual, *sharing; /* the second of METHOD_SHARED; NULL where that is not run */
};

/* Those that the methods of options need. The caller closes them, also after a failure. */
int packers_open(const struct profile_options *options, struct packers *packers);
void packers_close(struct packers *packers);
const pp_packer *packers_of(const struct packers *packers, enum method method);

/* Tokens in common that a method computes once; 0: none. */
int64_t method_shares(const struct profile_options *options, enum method method);
/* Whether any of the methods of options does. */
bool methods_share(const struct profile_options *options);

#endif
