/*
 * edges.h: what stands before and behind the tokens of a text: the "post_processor" of
 * tokenizer.json.
 */
#ifndef PPI_EDGES_H
#define PPI_EDGES_H

#include "tokenizer/reading.h"
#include "tokenizer/pieces/vocab.h"

#define PPI_MAX_EDGE 16

struct ppi_edges {
    int32_t before[PPI_MAX_EDGE], after[PPI_MAX_EDGE]; /* ids */
    int32_t n_before, n_after;
    bool trim_offsets;     /* offsets leave out the spaces at the ends of a token */
    bool add_prefix_space; /* the first space of a text is not the text's */
};

/* object: the value of "post_processor"; null or NULL: none. Kinds: Sequence, TemplateProcessing,
 * BertProcessing, RobertaProcessing, ByteLevel. */
pp_status ppi_edges_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                         struct ppi_edges *edges);

#endif
