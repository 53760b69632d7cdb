/*
 * pieces_fixture.h: a model with what belongs to it, made from JSON or by the test itself, and one
 * word's tokens.
 */
#ifndef TEST_PIECES_FIXTURE_H
#define TEST_PIECES_FIXTURE_H

#include "tokenizer/pieces/pieces.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct ppi_mem mem;
    struct ppi_vocab vocab;
    struct ppi_pieces *pieces;
    void *work;
    struct ppi_tokens tokens;
    pp_error err;
};

static inline pp_status read_model(const struct ppi_reading *reading,
                                   const struct ppi_json_value *model, struct fixture *fixture)
{
    const char *type = ppi_reading_type(model);
    PP_TRY(ppi_vocab_read(reading, model, &fixture->vocab));
    if (strcmp(type, "Unigram") == 0)
        return ppi_unigram_read(reading, model, &fixture->vocab, &fixture->pieces);
    if (strcmp(type, "WordPiece") == 0)
        return ppi_wordpiece_read(reading, model, &fixture->vocab, &fixture->pieces);
    return ppi_wordlevel_read(reading, model, &fixture->vocab, &fixture->pieces);
}

static inline pp_status start_work(struct fixture *fixture)
{
    fixture->work = fixture->pieces->kind->start_work(fixture->pieces, &fixture->mem);
    return fixture->work ? PP_OK : PP_ERR_NOMEM;
}

static inline void init(struct fixture *fixture, const pp_allocator *allocator)
{
    *fixture = (struct fixture){.err = {.struct_size = sizeof fixture->err}};
    ck_assert_int_eq(ppi_mem_init(&fixture->mem, allocator, 0, NULL), PP_OK);
    fixture->tokens.mem = fixture->vocab.mem = &fixture->mem;
}

/* The model that a JSON text, with ' for ", says. */
static inline pp_status open_with(struct fixture *fixture, const pp_allocator *allocator,
                                  const char *json)
{
    char text[1024];
    init(fixture, allocator);
    int n = snprintf(text, sizeof text, "%s", json);
    ck_assert_int_lt(n, sizeof text);
    for (char *at = text; (at = strchr(at, '\'')) != NULL;)
        *at = '"';
    struct ppi_json parsed;
    struct ppi_json_limits limits = {.allow_nul = true, .nul_in_names = true, .any_number = true};
    PP_TRY(ppi_json_parse(text, (size_t)n, "file", &limits, &fixture->mem, &parsed, &fixture->err));
    struct ppi_reading reading = {
        .label = "file", .mem = &fixture->mem, .err = &fixture->err, .log = &(struct ppi_log){0}};
    pp_status status = read_model(&reading, parsed.root, fixture);
    ppi_json_free(&parsed, &fixture->mem);
    memset(text, 'x', sizeof text); /* nothing may still look at it */
    PP_TRY(status);
    return start_work(fixture);
}

static inline void stop(struct fixture *fixture)
{
    if (fixture->work)
        fixture->pieces->kind->free_work(fixture->work);
    if (fixture->pieces)
        fixture->pieces->kind->destroy(fixture->pieces);
    ppi_vocab_free(&fixture->vocab);
    ppi_tokens_free(&fixture->tokens);
    ck_assert_int_eq(fixture->mem.bytes, 0);
}

/* The word lies in a block of its own, so that reading past it is noticed. */
static inline pp_status encode(struct fixture *fixture, const char *word, size_t n, bool traced)
{
    if (fixture->tokens.traced != traced || fixture->tokens.failed)
        ppi_tokens_free(&fixture->tokens);
    fixture->tokens.traced = traced;
    fixture->tokens.n = 0;
    char *copy = malloc(n ? n : 1);
    memcpy(copy, word, n);
    pp_status status = fixture->pieces->kind->encode(fixture->pieces, fixture->work, copy, n, 0,
                                                     &fixture->tokens, &fixture->err);
    free(copy);
    if (status >= 0 && fixture->tokens.failed)
        return PP_ERR_NOMEM;
    return status;
}

#endif
