/*
 * pass.c: the tables of one forward pass, filled on the host.
 */
#include "run/pass.h"

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
    int32_t n_classes = session->store.shape.n_classes;
    size_t held = (size_t)session->draft.n_pages;
    void **pages = ppi_alloc(&session->mem, (size_t)n_classes * (size_t)capacity, sizeof *pages);
    if (!pages)
        return ppi_error_nomem(err, "the page table of a pass", (size_t)capacity * sizeof *pages);
    for (int32_t c = 0; c < n_classes && held > 0; c++)
        memcpy(pages + c * capacity, ws->pages[c], held * sizeof *pages);
    ppi_free(&session->mem, ws->pages[0]);
    for (int32_t c = 0; c < n_classes; c++)
        ws->pages[c] = pages + c * capacity;
    ws->pages_capacity = capacity;
    return PP_OK;
}

/* The first n_pages pages of a cache, in every class; zeros stand for those given back. */
static pp_status add_pages(struct pp_session *session, const pp_kvcache *cache, int64_t n_pages,
                           pp_error *err)
{
    int32_t at = session->draft.n_pages;
    PP_TRY(reserve_pages(session, at + n_pages, err));
    for (int32_t c = 0; c < session->store.shape.n_classes; c++) {
        const struct ppi_page_list *list = &cache->lists[c];
        void **pages = session->workspace.pages[c] + at, *zeros = NULL;
        bool has_gap = false;
        for (int64_t i = 0; i < n_pages; i++) {
            pages[i] = list->pages[i] ? list->pages[i]->data : NULL;
            has_gap |= !pages[i];
        }
        if (!has_gap)
            continue;
        PP_TRY(ppi_pool_zeros(&session->store.pools[c], &zeros, err));
        for (int64_t i = 0; i < n_pages; i++)
            pages[i] = pages[i] ? pages[i] : zeros;
    }
    return PP_OK;
}

/* Rows from..to - 1 of a segment as one of the pass of wanted rows. */
static void add_wanted(struct pp_session *session, const struct ppi_segment *segment, int32_t from,
                       int32_t to, const uint8_t *kinds, int64_t i_stretch)
{
    struct ppi_workspace *ws = &session->workspace;
    struct ppi_pass_draft *draft = &session->draft;
    struct ppi_segment last = *segment;
    last.row = draft->n_last;
    last.n_rows = to - from;
    last.position += from;
    last.rope_row += from;
    ws->last[draft->n_last_segments++] = last;
    for (int32_t i = from; i < to; i++) {
        ws->last_rows[draft->n_last] = segment->row + i;
        ws->wanted[draft->n_last++] = (struct ppi_wanted){
            .i_stretch = i_stretch, .position = segment->position + i, .kinds = kinds[i]};
    }
}

/* Wanted rows that follow one another are a segment. */
static void add_wanted_rows(struct pp_session *session, const struct ppi_segment *segment,
                            const uint8_t *kinds, int64_t i_stretch)
{
    for (int32_t from = 0, to; kinds && from < segment->n_rows; from = to) {
        to = from + 1;
        while (to < segment->n_rows && (kinds[to] != 0) == (kinds[from] != 0))
            to++;
        if (kinds[from])
            add_wanted(session, segment, from, to, kinds, i_stretch);
    }
}

pp_status ppi_pass_add(struct pp_session *session, const pp_kvcache *cache, const int32_t *tokens,
                       int64_t begin, int64_t n_tokens, const uint8_t *kinds, int64_t i_stretch,
                       pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    struct ppi_pass_draft *draft = &session->draft;
    int64_t n_pages = ppi_store_pages(&session->store, begin + n_tokens);
    PP_TRY(add_pages(session, cache, n_pages, err));

    int64_t angles_row = ppi_angles_row(session, cache->rope_set);
    struct ppi_segment segment = {.row = draft->n_rows,
                                  .n_rows = (int32_t)n_tokens,
                                  .position = (int32_t)begin,
                                  .first_page = draft->n_pages,
                                  .rope_row = (int32_t)(angles_row + begin)};
    ws->segments[draft->n_segments++] = segment;
    memcpy(ws->tokens + draft->n_rows, tokens, (size_t)n_tokens * sizeof *tokens);
    add_wanted_rows(session, &segment, kinds, i_stretch);
    draft->n_rows += (int32_t)n_tokens;
    draft->n_pages += (int32_t)n_pages;
    return PP_OK;
}

void ppi_pass_set_state(struct pp_session *session, void *state, const void *state_before)
{
    struct ppi_segment *last = &session->workspace.segments[session->draft.n_segments - 1];
    last->state = state;
    last->state_before = state_before;
}

struct ppi_pass ppi_pass_drafted(const struct pp_session *session)
{
    const struct ppi_workspace *ws = &session->workspace;
    const struct ppi_pass_draft *draft = &session->draft;
    struct ppi_pass pass = {.n_rows = draft->n_rows,
                            .n_segments = draft->n_segments,
                            .tokens = ws->tokens,
                            .segments = ws->segments,
                            .n_pages = draft->n_pages};
    for (int32_t c = 0; c < PPI_MAX_PAGE_CLASSES; c++)
        pass.pages[c] = ws->pages[c];
    return pass;
}

pp_status ppi_pass_run(struct pp_session *session, const struct ppi_take *take, pp_error *err)
{
    struct ppi_workspace *ws = &session->workspace;
    const struct ppi_pass_draft draft = session->draft;
    struct ppi_pass pass = ppi_pass_drafted(session);
    ppi_pass_reset(session);
    if (draft.n_rows == 0)
        return PP_OK;
    struct ppi_pass last = pass;
    last.slot = 1;
    last.n_rows = draft.n_last;
    last.n_segments = draft.n_last_segments;
    last.tokens = NULL;
    last.source_rows = ws->last_rows;
    last.segments = ws->last;
    const struct ppi_pass *wanted = NULL;
    if (draft.n_last > 0)
        wanted = draft.n_last == draft.n_rows ? &pass : &last;
    PP_TRY(ppi_forward(session, &pass, wanted, take, err));
    session->tokens_computed += draft.n_rows;
    session->passes++;
    return PP_OK;
}
