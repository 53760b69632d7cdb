/*
 * prepack/outputs.h: what an item of a run may ask for: logits, a token, log-probabilities, hidden
 * states, scores of labels. (run.h runs items.)
 *
 *     pp_score wanted[2] = {{.token = 7, .target = 42}, {.token = 8, .target = PP_NO_TARGET}};
 *     item.scores = wanted;             wanted[0].logprob is log p(42 | tokens 0 .. 7)
 *     item.n_scores = 2;
 *
 * Terms: row t is what the model gives after an item's token t: a distribution over the token that
 * comes next, and a hidden state. The LM head is computed for rows that something is wanted of.
 */
#ifndef PREPACK_OUTPUTS_H
#define PREPACK_OUTPUTS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an item asks for. Values are frozen. */
enum {
    PP_OUTPUT_NONE = 0,        /* only its cache; the LM head and what feeds it are skipped */
    PP_OUTPUT_LAST_LOGITS = 1, /* of the last token: [vocab_size] */
    PP_OUTPUT_ALL_LOGITS = 2,  /* of every token of the item: [n_tokens, vocab_size] */
    PP_OUTPUT_TOKEN = 3,       /* a token drawn after the last one */
    PP_OUTPUT_HIDDEN = 4,      /* hidden states of tokens: [n_hidden, hidden_size] */
    PP_OUTPUT_POOLED = 5,      /* one vector for the item: [hidden_size], by its `pooling` */
    PP_OUTPUT_LABELS = 6,      /* of a model with a classification head: [n_labels] scores (logits),
                                  by the last token */
    PP_OUTPUT_INT32 = -1,      /* no value: see common.h */
};

/* How hidden states of an item's tokens become one vector. Values are frozen. */
enum {
    PP_POOLING_LAST = 0,   /* the last token's */
    PP_POOLING_MEAN = 1,   /* the mean over the item's tokens, summed in double in their order */
    PP_POOLING_FIRST = 2,  /* the first token's */
    PP_POOLING_INT32 = -1, /* no value: see common.h */
};

/* Of pp_score and pp_item. Values are frozen. */
enum {
    PP_NO_TARGET = -1,    /* no target: only the most likely tokens of the row are wanted */
    PP_DRAWN_TARGET = -2, /* the token that PP_OUTPUT_TOKEN draws, in the row of the last token */
    PP_MAX_TOP = 256,     /* most of pp_item.n_top */
};

/* The log-probability of one token in one row, asked for and given. A plain record: it will never
 * grow. */
typedef struct pp_score {
    int64_t token;  /* asked: the row, 0 .. n_tokens - 1 of the item */
    int32_t target; /* asked: an id, PP_NO_TARGET or PP_DRAWN_TARGET */
    int32_t rank;   /* given: how many ids are more likely, the smaller id of equals counting as
                       such; 0: the target is the most likely token. PP_NO_TARGET: -1 */
    double logprob; /* given: natural log of softmax(logits)[target]; PP_NO_TARGET: 0 */
} pp_score;

/* Some rows of logits of one item, lent for the call of the sink. */
typedef struct pp_logits {
    uint32_t struct_size;
    int32_t vocab_size;
    int64_t i_item;
    int64_t first_token; /* of the item's tokens: row i is what follows token first_token + i */
    int64_t n_rows;      /* at most 64 */
    const float *logits; /* [n_rows, vocab_size] */
} pp_logits;

/* Receives logits in pieces, those of one item in order. 0: go on; any other value ends the run
 * with PP_ERR_CANCELLED. It runs on the thread of the call and must not call into the session. */
typedef int32_t (*pp_logits_fn)(void *user, const pp_logits *piece);

#ifdef __cplusplus
}
#endif
#endif
