/* plan_view.c: rows of places, for the terminal and for SVG. */
#include "plan_view.h"
#include "say.h"

#include <stdlib.h>

/* Bins of more prompts are shown as one place: a picture has no room for so many. */
enum { MAX_PLACES = 512 };

static int add_rows(struct view *view, int64_t n, size_t max_rows)
{
    view->n_all = n;
    const size_t wanted = (uint64_t)n < max_rows ? (size_t)n : max_rows;
    view->rows = calloc(wanted + 1, sizeof *view->rows);
    if (!view->rows)
        return fail_memory();
    view->n_rows = wanted;
    return STATUS_OK;
}

static int add_places(struct view_row *row, size_t n)
{
    row->places = calloc(n + 1, sizeof *row->places);
    row->n_places = row->places ? n : 0;
    return row->places ? STATUS_OK : fail_memory();
}

int view_padded(const int64_t *lengths, size_t n, size_t max_rows, struct view *view)
{
    double tokens = 0;
    *view = (struct view){.name = "full batching", .same_width = true};
    for (size_t i = 0; i < n; i++) {
        view->widest = lengths[i] > view->widest ? lengths[i] : view->widest;
        tokens += (double)lengths[i];
    }
    view->unused = n > 0 ? 1 - tokens / ((double)n * (double)view->widest) : 0;
    int status = add_rows(view, (int64_t)n, max_rows);
    for (size_t i = 0; i < view->n_rows && !status; i++) {
        struct view_row *row = &view->rows[i];
        *row = (struct view_row){
            .number = (int64_t)i, .capacity = view->widest, .tokens = lengths[i], .n_prompts = 1};
        status = add_places(row, 1);
        if (!status)
            row->places[0].n_tokens = lengths[i];
    }
    return status;
}

static int read_places(const pp_plan *plan, const pp_bin_info *bin, const int64_t *lengths,
                       struct view_row *row, bool *has_parts)
{
    pp_error err = {.struct_size = sizeof err};
    const bool all = bin->n_segments <= MAX_PLACES;
    const int status = add_places(row, all ? (size_t)bin->n_segments : 1);
    if (status || !all) {
        if (!status)
            row->places[0].n_tokens = bin->used;
        return status;
    }
    for (size_t i = 0; i < row->n_places; i++) {
        pp_segment segment;
        if (pp_plan_get_segment(plan, bin->first_segment + (int64_t)i, &segment, &err) < 0)
            return fail_library(&err);
        const bool is_part = segment.n_tokens < lengths[segment.prompt];
        row->places[i] = (struct view_place){segment.start, segment.n_tokens, is_part};
        *has_parts = *has_parts || is_part;
    }
    return STATUS_OK;
}

int view_packed(const pp_plan *plan, const int64_t *lengths, size_t max_rows, struct view *view)
{
    pp_error err = {.struct_size = sizeof err};
    pp_plan_info info = {.struct_size = sizeof info};
    *view = (struct view){.name = "packed", .same_width = true};
    if (pp_plan_get_info(plan, &info, &err) < 0)
        return fail_library(&err);
    view->unused = info.waste;
    view->widest = info.capacity;
    int status = add_rows(view, info.n_bins, max_rows);
    for (size_t i = 0; i < view->n_rows && !status; i++) {
        struct view_row *row = &view->rows[i];
        pp_bin_info bin = {.struct_size = sizeof bin};
        if (pp_plan_get_bin_info(plan, (int64_t)i, &bin, &err) < 0)
            return fail_library(&err);
        *row = (struct view_row){.number = (int64_t)i,
                                 .capacity = bin.capacity,
                                 .tokens = bin.tokens,
                                 .n_prompts = bin.n_segments};
        view->same_width = view->same_width && bin.capacity == info.capacity;
        status = read_places(plan, &bin, lengths, row, &view->has_parts);
    }
    return status;
}

void view_free(struct view *view)
{
    for (size_t i = 0; view->rows && i < view->n_rows; i++)
        free(view->rows[i].places);
    free(view->rows);
    *view = (struct view){0};
}
