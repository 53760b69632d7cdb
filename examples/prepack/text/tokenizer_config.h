/* tokenizer_config.h: what tokenizer_config.json and added_tokens.json beside a tokenizer say. */
#ifndef PREPACK_TOKENIZER_CONFIG_H
#define PREPACK_TOKENIZER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A token beside those of the SentencePiece model, or one of them by another rule. */
struct added_token {
    char *text; /* owned */
    int32_t id;
    bool special; /* has no text when ids become text */
    bool eats_space_left, eats_space_right;
};

/* A token that begins or ends texts. */
struct edge_token {
    bool stated;  /* false: as the SentencePiece model has it */
    char *text;   /* owned; NULL: there is none */
    int is_added; /* to every text: 1 yes, 0 no, -1 not said */
};

struct tokenizer_config {
    struct edge_token begin, end;
    bool no_prefix;            /* texts get no space before them */
    bool legacy;               /* what follows a special token gets a space before it, too */
    bool split_special;        /* special tokens in a text are spelled out */
    struct added_token *added; /* [n_added] owned */
    size_t n_added;
};

/* Reads the files of a folder; those that are not there say nothing. What would change the tokens
 * and is not implemented is said in a note. The caller frees *config, also after a failure. */
int tokenizer_config_read(const char *dir, struct tokenizer_config *config);
void tokenizer_config_free(struct tokenizer_config *config);

#ifdef __cplusplus
}
#endif
#endif
