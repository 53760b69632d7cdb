/*
 * pass.c: fills one forward pass run by run: rows, segments, page table, and the rows whose logits
 * are wanted.
 */
#include "model/session_impl.h"

#include "batch/layout.h"

#include <string.h>

void ppi_pass_reset(struct pp_session *session)
{
    session->draft = (struct ppi_pass_draft){0};
}

static pp_status reserve_pages(struct pp_session *session, int64_t n, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    if (n <= ws->pages_capacity)
        return PP_OK;
    int64_t capacity = n + n / 2 + 64;
    void **pages = ppi_alloc(&session->mem, (size_t)capacity, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "the page table of a pass", (size_t)capacity * sizeof *pages);
    if (session->draft.n_pages > 0)
        memcpy(pages, ws->pages, (size_t)session->draft.n_pages * sizeof *pages);
    ppi_free(&session->mem, ws->pages);
    ws->pages = pages;
    ws->pages_capacity = capacity;
    return PP_OK;
}

pp_status ppi_pass_add(struct pp_session *session, const pp_kvcache *cache, const int32_t *tokens,
                       int64_t begin, int64_t n_tokens, int32_t output, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    struct ppi_pass_draft *draft = &session->draft;
    int64_t n_pages = ppi_div_up(begin + n_tokens, session->pool.page_tokens);
    PP_TRY(reserve_pages(session, draft->n_pages + n_pages, err));

    ws->segments[draft->n_segments] = (struct ppi_segment){.row = draft->n_rows,
                                                           .n_rows = (int32_t)n_tokens,
                                                           .position = (int32_t)begin,
                                                           .first_page = draft->n_pages,
                                                           .rope_row = (int32_t)begin};
    ppi_layout_run(tokens, begin, n_tokens, ws->tokens + draft->n_rows,
                   ws->positions + draft->n_rows);
    for (int64_t i = 0; i < n_pages; i++)
        ws->pages[draft->n_pages + i] = cache->pages[i]->data;
    if (output >= 0) {
        ws->last_rows[draft->n_last] = draft->n_rows + (int32_t)n_tokens - 1;
        ws->last_positions[draft->n_last] = (int32_t)(begin + n_tokens - 1);
        ws->last[draft->n_last] = (struct ppi_segment){.row = draft->n_last,
                                                       .n_rows = 1,
                                                       .position = (int32_t)(begin + n_tokens - 1),
                                                       .first_page = draft->n_pages,
                                                       .rope_row = (int32_t)(begin + n_tokens - 1)};
        ws->outputs[draft->n_last] = output;
        draft->n_last++;
    }
    draft->n_segments++;
    draft->n_rows += (int32_t)n_tokens;
    draft->n_pages += (int32_t)n_pages;
    return PP_OK;
}

struct ppi_pass ppi_pass_drafted(const struct pp_session *session)
{
    const struct ppi_workspace *ws = &session->workspace;
    const struct ppi_pass_draft *draft = &session->draft;
    return (struct ppi_pass){.n_rows = draft->n_rows,
                             .n_segments = draft->n_segments,
                             .tokens = ws->tokens,
                             .positions = ws->positions,
                             .segments = ws->segments,
                             .pages = {ws->pages},
                             .n_pages = draft->n_pages};
}

pp_status ppi_pass_run(struct pp_session *session, const struct ppi_sink *sink, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    const struct ppi_pass_draft draft = session->draft;
    struct ppi_pass pass = ppi_pass_drafted(session);
    ppi_pass_reset(session);
    if (draft.n_rows == 0)
        return PP_OK;
    struct ppi_pass last = {.slot = 1,
                            .n_rows = draft.n_last,
                            .n_segments = draft.n_last,
                            .positions = ws->last_positions,
                            .source_rows = ws->last_rows,
                            .segments = ws->last,
                            .pages = {ws->pages},
                            .n_pages = draft.n_pages};
    const struct ppi_pass *wanted = NULL;
    if (sink && draft.n_last > 0)
        wanted = draft.n_last == draft.n_rows ? &pass : &last;
    PP_TRY(ppi_forward(session, &pass, wanted, ws->outputs, sink, err));
    session->tokens_computed += draft.n_rows;
    session->passes++;
    return PP_OK;
}
