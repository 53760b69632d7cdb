/*
 * spm_check.h: is a SentencePiece model file safe to hand to SentencePiece? Its library trusts what
 * it reads: a broken trie or an endless chain of pieces crashes the process.
 */
#ifndef PREPACK_SPM_CHECK_H
#define PREPACK_SPM_CHECK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prints one sentence that begins with path and returns an exit status if the model is refused. */
int spm_check(const char *path, const char *bytes, size_t n_bytes);

/* The same for its table of normalisations (spm_charsmap.c): NULL, or what is wrong with it. */
const char *spm_check_charsmap(const unsigned char *blob, size_t n_bytes);

#ifdef __cplusplus
}
#endif
#endif
