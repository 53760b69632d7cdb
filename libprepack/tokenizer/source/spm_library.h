/*
 * spm_library.h: SentencePiece's library, as C. No exception leaves it. Models are checked before
 * (spm_check.h).
 */
#ifndef PPI_SPM_LIBRARY_H
#define PPI_SPM_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ppi_spm; /* immutable, shared by threads */

enum ppi_spm_result { PPI_SPM_OK, PPI_SPM_REFUSED, PPI_SPM_NOMEM };

/* Why a call was refused. */
struct ppi_spm_reason {
    char text[256];
};

/* bare: also for texts that get no space before them. The caller closes *spm. */
enum ppi_spm_result ppi_spm_open(const char *bytes, size_t n, bool bare, struct ppi_spm **spm,
                                 struct ppi_spm_reason *reason);
void ppi_spm_close(struct ppi_spm *spm);

/* As ModelProto.SentencePiece.Type has them. */
enum ppi_spm_type {
    PPI_SPM_NORMAL = 1,
    PPI_SPM_UNKNOWN = 2,
    PPI_SPM_CONTROL = 3,
    PPI_SPM_UNUSED = 5,
    PPI_SPM_BYTE = 6,
};

struct ppi_spm_piece {
    const char *text; /* [n], NUL-ended; the model's */
    size_t n;
    enum ppi_spm_type type; /* a user-defined piece is a normal one here */
};

int32_t ppi_spm_count(const struct ppi_spm *spm);
struct ppi_spm_piece ppi_spm_piece(const struct ppi_spm *spm, int32_t id);
/* -1: there is none */
int32_t ppi_spm_bos(const struct ppi_spm *spm);
int32_t ppi_spm_eos(const struct ppi_spm *spm);
int32_t ppi_spm_unk(const struct ppi_spm *spm);
int32_t ppi_spm_pad(const struct ppi_spm *spm);

/* Gives the ids of a text to put, in order; spans are bytes of it. bare: no space is put before it;
 * needs what ppi_spm_open was told. spans: without, they are all {0, 0}, which is faster. */
enum ppi_spm_result
ppi_spm_encode(const struct ppi_spm *spm, const char *bytes, size_t n, bool bare, bool spans,
               void (*put)(void *user, int32_t id, uint32_t begin, uint32_t end), void *user,
               struct ppi_spm_reason *reason);

#ifdef __cplusplus
}
#endif
#endif
