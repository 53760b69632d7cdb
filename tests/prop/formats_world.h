/*
 * formats_world.h: what tests of weight formats share: sessions with a format, and the bits of a
 * prompt in one.
 */
#ifndef TEST_FORMATS_WORLD_H
#define TEST_FORMATS_WORLD_H

#include "support/sessions.h"

/* A directory for files; ends the test where there is none. Remove it with remove_folder. */
char *make_folder(void);
void remove_folder(char *folder);
/* folder/name, in a static buffer that the fourth call after it overwrites. */
const char *in_folder(const char *folder, const char *name);

pp_model *open_model(const char *path);
/* dtype, weights: of the session. */
pp_session *open_session(pp_model *model, int32_t dtype, int32_t weights);
pp_session_info info_of(const pp_session *session);

/* What a prompt of 37 tokens leaves, in a session of its own. */
struct run_bits bits_of(pp_model *model, int32_t dtype, int32_t weights);
/* Fails unless both give the same bits. */
void expect_same_bits(const char *what, pp_model *a, int32_t a_weights, pp_model *b,
                      int32_t b_weights, int32_t dtype);

#endif
