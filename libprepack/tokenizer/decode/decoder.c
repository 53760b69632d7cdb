/*
 * decoder.c: runs a token through all steps of a decoder; see decoder.h.
 */
#include "tokenizer/decode/decoder_steps.h"

struct ppi_decoding {
    const struct ppi_decoder *decoder;
    struct ppi_mem *mem;
    struct ppi_step_state *states; /* [decoder->n] */
    struct ppi_flow flows[2];      /* what a step takes and what it gives, in turns */
    struct ppi_pattern_work *work; /* NULL: no step has a pattern */
};

/* ---- decoders ---- */

struct ppi_step *ppi_decoder_add(struct ppi_decoder *decoder, enum ppi_step_kind kind)
{
    if (decoder->n == decoder->room) {
        size_t room = decoder->room ? decoder->room * 2 : 16;
        struct ppi_step *steps = ppi_alloc(decoder->mem, room, sizeof *steps);
        if (!steps)
            return NULL;
        if (decoder->n)
            memcpy(steps, decoder->steps, decoder->n * sizeof *steps);
        ppi_free(decoder->mem, decoder->steps);
        decoder->steps = steps;
        decoder->room = room;
    }
    struct ppi_step *step = &decoder->steps[decoder->n++];
    *step = (struct ppi_step){.kind = kind};
    return step;
}

/* borders[i], for a search that never looks back. */
static bool find_borders(struct ppi_mem *mem, struct ppi_step *step)
{
    step->borders = ppi_alloc(mem, step->n + 1, sizeof *step->borders);
    if (!step->borders)
        return false;
    step->borders[0] = step->borders[1] = 0;
    for (size_t i = 1; i < step->n; i++) {
        size_t at = step->borders[i];
        while (at > 0 && step->bytes[at] != step->bytes[i])
            at = step->borders[at];
        step->borders[i + 1] = (uint32_t)(at + (step->bytes[at] == step->bytes[i]));
    }
    return true;
}

pp_status ppi_decoder_link(struct ppi_decoder *decoder, pp_error *err)
{
    bool fused = false;
    for (size_t i = 0; i < decoder->n; i++) {
        struct ppi_step *step = &decoder->steps[i];
        step->fused = fused;
        step->last = i == decoder->n - 1;
        /* the only piece is the last one, and none comes before it */
        if (fused && step->kind == PPI_STEP_SUFFIX)
            step->kind = step->n > 0 ? PPI_STEP_LITERAL : PPI_STEP_BETWEEN;
        if (fused && step->kind == PPI_STEP_REPEATS)
            step->kind = PPI_STEP_BETWEEN;
        if (step->kind == PPI_STEP_LITERAL && !find_borders(decoder->mem, step))
            return ppi_error_nomem(err, "a decoder", step->n * sizeof *step->borders);
        fused = fused || step->kind == PPI_STEP_FUSE || step->kind == PPI_STEP_BYTES;
    }
    return PP_OK;
}

pp_status ppi_decoder_create_bytes(struct ppi_mem *mem, struct ppi_decoder **decoder, pp_error *err)
{
    struct ppi_decoder *made = ppi_zalloc(mem, 1, sizeof *made);
    if (made)
        made->mem = mem;
    if (!made || !ppi_decoder_add(made, PPI_STEP_BYTES) || ppi_decoder_link(made, err) < 0) {
        ppi_decoder_destroy(made);
        return ppi_error_nomem(err, "a decoder", sizeof *made);
    }
    *decoder = made;
    return PP_OK;
}

void ppi_decoder_destroy(struct ppi_decoder *decoder)
{
    if (!decoder)
        return;
    struct ppi_mem *mem = decoder->mem;
    for (size_t i = 0; i < decoder->n; i++) {
        struct ppi_step *step = &decoder->steps[i];
        ppi_free(mem, step->bytes);
        ppi_free(mem, step->with);
        ppi_free(mem, step->borders);
        ppi_pattern_destroy(step->pattern);
    }
    ppi_free(mem, decoder->steps);
    ppi_free(mem, decoder);
}

/* ---- decoding ---- */

static bool has_pattern(const struct ppi_decoder *decoder)
{
    for (size_t i = 0; i < decoder->n; i++)
        if (decoder->steps[i].pattern)
            return true;
    return false;
}

pp_status ppi_decoding_create(const struct ppi_decoder *decoder, struct ppi_mem *mem,
                              struct ppi_decoding **decoding, pp_error *err)
{
    struct ppi_decoding *made = ppi_zalloc(mem, 1, sizeof *made);
    struct ppi_step_state *states = ppi_zalloc(mem, decoder->n, sizeof *states);
    if (!made || !states) {
        ppi_free(mem, made);
        ppi_free(mem, states);
        return ppi_error_nomem(err, "a decoder's state", decoder->n * sizeof *states);
    }
    *made = (struct ppi_decoding){.decoder = decoder, .mem = mem, .states = states};
    for (int i = 0; i < 2; i++) {
        made->flows[i].text = ppi_text_start(mem, false);
        made->flows[i].ends.mem = mem;
    }
    for (size_t i = 0; i < decoder->n; i++) {
        states[i].held = ppi_text_start(mem, false);
        states[i].kept = ppi_text_start(mem, false);
    }
    pp_status status =
        has_pattern(decoder) ? ppi_pattern_work_create(mem, &made->work, err) : PP_OK;
    if (status < 0) {
        ppi_decoding_destroy(made);
        return status;
    }
    *decoding = made;
    return PP_OK;
}

void ppi_decoding_destroy(struct ppi_decoding *decoding)
{
    if (!decoding)
        return;
    for (int i = 0; i < 2; i++) {
        ppi_text_free(&decoding->flows[i].text);
        ppi_spans_free(&decoding->flows[i].ends);
    }
    for (size_t i = 0; i < decoding->decoder->n; i++) {
        ppi_text_free(&decoding->states[i].held);
        ppi_text_free(&decoding->states[i].kept);
    }
    if (decoding->work)
        ppi_pattern_work_destroy(decoding->work);
    ppi_free(decoding->mem, decoding->states);
    ppi_free(decoding->mem, decoding);
}

static void empty_flow(struct ppi_flow *flow)
{
    ppi_text_clear(&flow->text, false);
    flow->ends.n = 0;
    flow->ends.failed = flow->too_long = false;
}

/* What a step remembers, as at the beginning; memory is kept. */
static void begin_anew(struct ppi_decoding *decoding)
{
    for (size_t i = 0; i < decoding->decoder->n; i++) {
        struct ppi_step_state *state = &decoding->states[i];
        ppi_text_clear(&state->held, false);
        ppi_text_clear(&state->kept, false);
        *state = (struct ppi_step_state){.held = state->held, .kept = state->kept};
    }
}

static pp_status check(const struct ppi_flow *flow, const struct ppi_step_state *state,
                       pp_error *err)
{
    if (flow->too_long)
        return ppi_error(err, PP_ERR_LIMIT, "tokens would become a text of 1 GiB or more");
    if (flow->text.failed || flow->ends.failed || state->held.failed || state->kept.failed)
        return ppi_error_nomem(err, "a text from tokens", flow->text.room);
    return PP_OK;
}

/* Gives a step all that a flow holds. */
static pp_status take_flow(struct ppi_decoding *decoding, size_t i, const struct ppi_flow *in,
                           struct ppi_flow *out, pp_error *err)
{
    const struct ppi_step *step = &decoding->decoder->steps[i];
    const char *bytes = in->text.n ? in->text.bytes : "";
    size_t begin = 0;
    for (size_t j = 0; j <= in->ends.n; j++) {
        bool ends = j < in->ends.n;
        size_t end = ends ? in->ends.items[j].end : in->text.n;
        if (ends || begin < end)
            PP_TRY(ppi_step_take(step, &decoding->states[i], decoding->work, bytes + begin,
                                 end - begin, ends, out, err));
        begin = end;
    }
    return PP_OK;
}

/* Runs flows[0] through all steps; *out receives what comes. */
static pp_status run(struct ppi_decoding *decoding, bool finish, struct ppi_text *out,
                     pp_error *err)
{
    int from = 0;
    for (size_t i = 0; i < decoding->decoder->n; i++) {
        const struct ppi_step *step = &decoding->decoder->steps[i];
        if (step->n_idle > 0 && !step->fused && ppi_step_is_idle(&decoding->flows[from].text)) {
            i += step->n_idle - 1;
            continue;
        }
        struct ppi_flow *given = &decoding->flows[!from];
        empty_flow(given);
        PP_TRY(take_flow(decoding, i, &decoding->flows[from], given, err));
        if (finish)
            ppi_step_finish(step, &decoding->states[i], given);
        PP_TRY(check(given, &decoding->states[i], err));
        from = !from;
    }
    const struct ppi_text *text = &decoding->flows[from].text;
    if (text->n > 0)
        ppi_text_put(out, text->bytes, text->n, (struct ppi_span){0, 0});
    return out->failed ? ppi_error_nomem(err, "a text from tokens", text->n) : PP_OK;
}

pp_status ppi_decoding_push(struct ppi_decoding *decoding, const char *token, size_t n,
                            struct ppi_text *out, pp_error *err)
{
    struct ppi_flow *first = &decoding->flows[0];
    empty_flow(first);
    if (decoding->decoder->n > 0 && decoding->decoder->steps[0].kind == PPI_STEP_BYTES &&
        !decoding->decoder->steps[0].spelled)
        ppi_flow_put(first, token, n);
    else
        ppi_flow_put_lossy(first, token, n, false);
    ppi_flow_end(first);
    pp_status status = first->text.failed || first->ends.failed ? ppi_error_nomem(err, "a token", n)
                                                                : run(decoding, false, out, err);
    if (status < 0)
        begin_anew(decoding);
    return status;
}

pp_status ppi_decoding_finish(struct ppi_decoding *decoding, struct ppi_text *out, pp_error *err)
{
    empty_flow(&decoding->flows[0]);
    pp_status status = run(decoding, true, out, err);
    begin_anew(decoding);
    return status;
}
