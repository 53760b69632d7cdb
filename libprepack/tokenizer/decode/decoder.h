/*
 * decoder.h: tokens to text: the "decoder" of tokenizer.json, token by token. Each step takes
 * pieces and hands them on as soon as nothing that may follow can change them; so decoding whole
 * lists is a stream that is fed all of them and then flushed. (decoder.c, decoder_read.c)
 */
#ifndef PPI_DECODER_H
#define PPI_DECODER_H

#include "tokenizer/pattern/pattern.h"
#include "tokenizer/reading.h"

struct ppi_decoder;  /* a list of steps; immutable */
struct ppi_decoding; /* one text on its way; its decoder must outlive it */

/* object: the value of "decoder"; null or NULL: tokens with a space between them. Kinds: Sequence,
 * ByteLevel, ByteFallback, Fuse, Metaspace, Replace (String, Regex), Strip, WordPiece, BPEDecoder,
 * CTC. */
pp_status ppi_decoder_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           struct ppi_decoder **decoder);
/* For vocabularies whose tokens are bytes of any kind: joined, as UTF-8. Errors: PP_ERR_NOMEM. */
pp_status ppi_decoder_create_bytes(struct ppi_mem *mem, struct ppi_decoder **decoder,
                                   pp_error *err);
void ppi_decoder_destroy(struct ppi_decoder *decoder);

pp_status ppi_decoding_create(const struct ppi_decoder *decoder, struct ppi_mem *mem,
                              struct ppi_decoding **decoding, pp_error *err);
void ppi_decoding_destroy(struct ppi_decoding *decoding);
/* Appends to *out the text that a token, as its file spells it, completes: whole characters.
 * Errors: PP_ERR_NOMEM, PP_ERR_LIMIT (a text of 1 GiB; a pattern that would run away); what was
 * held back is then lost, and *out is as it was but for its `failed`. */
pp_status ppi_decoding_push(struct ppi_decoding *decoding, const char *token, size_t n,
                            struct ppi_text *out, pp_error *err);
/* Appends what is held back, and begins anew. */
pp_status ppi_decoding_finish(struct ppi_decoding *decoding, struct ppi_text *out, pp_error *err);

#endif
