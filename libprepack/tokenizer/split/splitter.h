/*
 * splitter.h: how a text falls into words: the "pre_tokenizer" of tokenizer.json.
 */
#ifndef PPI_SPLITTER_H
#define PPI_SPLITTER_H

#include "tokenizer/pattern/pattern.h"
#include "tokenizer/reading.h"

struct ppi_splitter; /* a list of steps; immutable */

/* object: the value of "pre_tokenizer"; null or NULL: *splitter becomes NULL: a text is one word.
 * Kinds: Sequence, BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace,
 * Punctuation, Split (String, Regex; every behavior; invert), Whitespace,
 * WhitespaceSplit. */
pp_status ppi_splitter_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                            struct ppi_splitter **splitter);
void ppi_splitter_destroy(struct ppi_splitter *splitter);

/* Whether the last step is ByteLevel: its bytes are not spelled as characters then, words are the
 * bytes of the text, and the vocabulary has to be read as bytes (byte_level.h). A ByteLevel before
 * other steps spells them. */
bool ppi_splitter_is_byte_level(const struct ppi_splitter *splitter);
/* Whether a step asks if a word begins the input and only where it came from tells, since the text
 * is written anew before: by a normalizer (rewritten) or by a step. */
bool ppi_splitter_asks_origin(const struct ppi_splitter *splitter, bool rewritten);

/*
 * Splits *text, which steps may change (Metaspace writes U+2581, ByteLevel with add_prefix_space
 * puts a space before): *words receives the words in order, without empty ones, as spans of *text
 * as it is then. first: the text begins the input (a Metaspace with prepend_scheme "first" asks:
 * no special token stands before it; a
 * traced text says of each word whether it came from the beginning). spare, spare_words: memory
 * that may be used; their content is lost. Errors: PP_ERR_NOMEM, PP_ERR_LIMIT.
 */
pp_status ppi_split(const struct ppi_splitter *splitter, struct ppi_text *text, bool first,
                    struct ppi_spans *words, struct ppi_text *spare, struct ppi_spans *spare_words,
                    struct ppi_pattern_work *work, pp_error *err);

#endif
