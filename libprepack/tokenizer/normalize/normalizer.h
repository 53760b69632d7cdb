/*
 * normalizer.h: what is done to a text before it is split: the "normalizer" of tokenizer.json.
 */
#ifndef PPI_NORMALIZER_H
#define PPI_NORMALIZER_H

#include "tokenizer/pattern/pattern.h"
#include "tokenizer/reading.h"

struct ppi_normalizer; /* a list of steps; immutable */

/* object: the value of "normalizer"; null or NULL: *normalizer becomes NULL, which changes nothing.
 * Kinds: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Replace (String, Regex),
 * Prepend, BertNormalizer, Precompiled, Nmt, ByteLevel. Errors: PP_ERR_FORMAT, PP_ERR_UNSUPPORTED,
 * PP_ERR_LIMIT, PP_ERR_NOMEM. */
pp_status ppi_normalizer_read(const struct ppi_reading *reading,
                              const struct ppi_json_value *object,
                              struct ppi_normalizer **normalizer);
void ppi_normalizer_destroy(struct ppi_normalizer *normalizer);
/* For one that nobody uses yet: "Precompiled" looks for the longest text that it maps, as
 * SentencePiece does; tokenizer.json means clusters of characters. */
void ppi_normalizer_match_longest(struct ppi_normalizer *normalizer);

/* Whether it leaves every text of ASCII letters, digits, spaces and punctuation as it is: then a
 * plain text need not be copied. */
bool ppi_normalizer_keeps_ascii(const struct ppi_normalizer *normalizer);

/* Changes *text in place, origins included: origins of the result are those of the bytes that it
 * was made from. spare: a text whose memory may be used; its content is lost. Errors: PP_ERR_NOMEM,
 * PP_ERR_LIMIT (a pattern that would run away; a text that would grow beyond 1 GiB). */
pp_status ppi_normalize(const struct ppi_normalizer *normalizer, struct ppi_text *text,
                        struct ppi_text *spare, struct ppi_pattern_work *work, pp_error *err);

#endif
