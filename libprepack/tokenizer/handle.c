/*
 * handle.c: the handle: what it answers, what its settings change, and its end.
 */
#include "tokenizer/tokenizer_impl.h"

/* ---- questions ---- */

int32_t ppi_tokenizer_find(const pp_tokenizer *tokenizer, const char *text, size_t n)
{
    const struct ppi_added_token *added = ppi_added_find_text(&tokenizer->added, text, n);
    if (added)
        return added->id;
    return tokenizer->vocab.table ? ppi_vocab_find(&tokenizer->vocab, text, n) : -1;
}

struct ppi_token ppi_tokenizer_token(const pp_tokenizer *tokenizer, int32_t id)
{
    const struct ppi_added_token *added = ppi_added_find_id(&tokenizer->added, id);
    if (added && added->shown)
        return (struct ppi_token){added->shown, added->n_shown};
    if (added)
        return (struct ppi_token){added->text, added->n};
    if (id < 0 || id >= tokenizer->vocab.n_ids)
        return (struct ppi_token){0};
    return tokenizer->vocab.tokens[id];
}

const char *pp_tokenizer_token(const pp_tokenizer *tokenizer, int32_t id, size_t *n_bytes)
{
    const struct ppi_token token =
        tokenizer ? ppi_tokenizer_token(tokenizer, id) : (struct ppi_token){0};
    if (token.text && n_bytes)
        *n_bytes = token.n;
    return token.text;
}

int32_t pp_tokenizer_id(const pp_tokenizer *tokenizer, const char *text, size_t n_bytes)
{
    return tokenizer && text ? ppi_tokenizer_find(tokenizer, text, n_bytes) : -1;
}

static bool is_among(int32_t id, const int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

pp_status pp_tokenizer_get_info(const pp_tokenizer *tokenizer, pp_tokenizer_info *info,
                                pp_error *err)
{
    if (!tokenizer || !info)
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_get_info: an argument is NULL");
    const struct ppi_edges *edges = &tokenizer->edges;
    const pp_tokenizer_info found = {
        .struct_size = sizeof found,
        .kind = tokenizer->pieces->kind->id,
        .vocab_size = tokenizer->n_ids,
        .n_special_tokens = (int32_t)tokenizer->added.n,
        .bos_token = tokenizer->bos,
        .eos_token = tokenizer->eos,
        .unk_token = tokenizer->unk,
        .pad_token = tokenizer->pad,
        .adds_bos = tokenizer->bos >= 0 && is_among(tokenizer->bos, edges->before, edges->n_before),
        .adds_eos = tokenizer->eos >= 0 && is_among(tokenizer->eos, edges->after, edges->n_after),
    };
    return ppi_struct_write(info, &found, sizeof found, "pp_tokenizer_info", err);
}

pp_status pp_tokenizer_get_special(const pp_tokenizer *tokenizer, int32_t i,
                                   pp_special_token *special, pp_error *err)
{
    if (!tokenizer || !special)
        return ppi_error(err, PP_ERR_ARG, "pp_tokenizer_get_special: an argument is NULL");
    if (i < 0 || (size_t)i >= tokenizer->added.n)
        return ppi_error_at(err, PP_ERR_ARG, i, "special token %d of %zu", i, tokenizer->added.n);
    const struct ppi_added_token *token = &tokenizer->added.tokens[i];
    const pp_special_token found = {.struct_size = sizeof found,
                                    .id = token->id,
                                    .is_special = token->special,
                                    .text = token->text};
    return ppi_struct_write(special, &found, sizeof found, "pp_special_token", err);
}

/* ---- settings ---- */

/* The token that a setting names; it must be one. */
static pp_status find_named(const pp_tokenizer *tokenizer, const struct ppi_named *named,
                            const char *key, bool needed, int32_t *id, pp_error *err)
{
    if (!named->stated)
        return PP_OK;
    *id = named->text ? ppi_tokenizer_find(tokenizer, named->text, strlen(named->text)) : -1;
    if (needed && named->text && *id < 0)
        return ppi_error(err, PP_ERR_FORMAT,
                         "%s is \"%s\", which is neither in the vocabulary nor among the added "
                         "tokens",
                         key, ppi_label(named->text).text);
    return PP_OK;
}

/* As transformers does: where one of add_bos_token and add_eos_token is there, the two alone say
 * what stands around a text. */
static void apply_edges(pp_tokenizer *tokenizer, const struct ppi_settings *settings, bool add_bos)
{
    struct ppi_edges *edges = &tokenizer->edges;
    if (!add_bos && settings->add_bos == PPI_NOT_SAID && settings->add_eos == PPI_NOT_SAID)
        return;
    edges->n_before = edges->n_after = 0;
    if (add_bos && tokenizer->bos >= 0)
        edges->before[edges->n_before++] = tokenizer->bos;
    if (settings->add_eos == PPI_YES && tokenizer->eos >= 0)
        edges->after[edges->n_after++] = tokenizer->eos;
}

pp_status ppi_tokenizer_apply(pp_tokenizer *tokenizer, const struct ppi_settings *settings,
                              pp_error *err)
{
    const bool add_bos =
        settings->add_bos == PPI_YES || (settings->add_bos == PPI_NOT_SAID && tokenizer->usual_bos);
    PP_TRY(find_named(tokenizer, &settings->bos, "bos_token", add_bos, &tokenizer->bos, err));
    PP_TRY(find_named(tokenizer, &settings->eos, "eos_token", settings->add_eos == PPI_YES,
                      &tokenizer->eos, err));
    PP_TRY(find_named(tokenizer, &settings->unk, "unk_token", false, &tokenizer->unk, err));
    PP_TRY(find_named(tokenizer, &settings->pad, "pad_token", false, &tokenizer->pad, err));
    tokenizer->split_special = settings->split_special;
    apply_edges(tokenizer, settings, add_bos);
    return PP_OK;
}

/* ---- the end ---- */

void pp_tokenizer_destroy(pp_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    struct ppi_mem mem = tokenizer->mem;
    if (tokenizer->pieces) {
        ppi_encode_work_free_all(tokenizer);
        tokenizer->pieces->kind->destroy(tokenizer->pieces);
    }
    ppi_normalizer_destroy(tokenizer->normalizer);
    ppi_splitter_destroy(tokenizer->splitter);
    ppi_decoder_destroy(tokenizer->decoder);
    ppi_added_free(&tokenizer->added);
    if (tokenizer->vocab.mem)
        ppi_vocab_free(&tokenizer->vocab);
    pthread_mutex_destroy(&tokenizer->lock);
    ppi_free(&mem, tokenizer);
}
