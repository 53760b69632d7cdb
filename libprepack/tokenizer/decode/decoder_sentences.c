/*
 * decoder_sentences.c: the decoder of SentencePiece models: one step that does what the library's
 * own decoding does, piece by piece.
 */
#define _GNU_SOURCE
#include "tokenizer/decode/decoder_steps.h"

static const char SPACE[] = "\u2581";

/* The byte of a piece <0xNN>, which the check of models has seen; -1: another piece. */
static int byte_of_piece(const char *piece, size_t n)
{
    int byte = 0;
    if (n != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        const char c = piece[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'F'))
            return -1;
        byte = byte * 16 + (c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return byte;
}

/* Characters from the bytes that wait; U+FFFD for each byte that is in none. more: further bytes
 * may come, so that an unfinished character waits on. */
static void put_bytes(struct ppi_step_state *state, bool more, struct ppi_flow *out)
{
    struct ppi_text *kept = &state->kept;
    size_t i = 0;
    while (i < kept->n) {
        const size_t good = ppi_utf8_check(kept->bytes + i, kept->n - i);
        ppi_flow_put(out, kept->bytes + i, good);
        i += good;
        if (i == kept->n)
            break;
        bool cut;
        ppi_utf8_bad_bytes(kept->bytes + i, kept->n - i, &cut);
        if (cut && more)
            break;
        ppi_flow_put(out, "\ufffd", 3);
        i++;
    }
    if (i > 0)
        memmove(kept->bytes, kept->bytes + i, kept->n - i);
    kept->n -= i;
}

static void put_piece(const char *piece, size_t n, struct ppi_flow *out)
{
    while (n > 0) {
        const char *space = memmem(piece, n, SPACE, 3);
        const size_t n_before = space ? (size_t)(space - piece) : n;
        ppi_flow_put(out, piece, n_before);
        if (space)
            ppi_flow_put(out, " ", 1);
        piece += n_before + (space ? 3 : 0);
        n -= n_before + (space ? 3 : 0);
    }
}

/* begun: a space that begins a piece is text, since something stands before it. */
void ppi_sentence_step_take(const struct ppi_step *step, struct ppi_step_state *state,
                            const char *piece, size_t n, struct ppi_flow *out)
{
    const int byte = step->spelled ? byte_of_piece(piece, n) : -1;
    if (byte >= 0) {
        const char one = (char)byte;
        ppi_text_put(&state->kept, &one, 1, (struct ppi_span){0, 0});
        if (!state->kept.failed)
            put_bytes(state, true, out);
        state->begun = true;
        return;
    }
    put_bytes(state, false, out);
    if (n == step->n && memcmp(piece, step->bytes, n) == 0) {
        ppi_flow_put(out, step->with, step->n_with);
        state->begun = state->begun || step->n_with > 0;
        return;
    }
    if (!state->begun && step->start > 0 && n >= 3 && memcmp(piece, SPACE, 3) == 0) {
        piece += 3;
        n -= 3;
        state->begun = step->start == 1;
    }
    put_piece(piece, n, out);
    state->begun = state->begun || n > 0;
}

void ppi_sentence_step_finish(struct ppi_step_state *state, struct ppi_flow *out)
{
    put_bytes(state, false, out);
}

pp_status ppi_decoder_create_sentences(const struct ppi_sentence_decoding *decoding,
                                       struct ppi_mem *mem, struct ppi_decoder **decoder,
                                       pp_error *err)
{
    struct ppi_decoder *made = ppi_zalloc(mem, 1, sizeof *made);
    if (made)
        made->mem = mem;
    struct ppi_step *step = made ? ppi_decoder_add(made, PPI_STEP_SENTENCES) : NULL;
    if (step) {
        step->bytes = ppi_reading_copy(mem, decoding->unk, decoding->n_unk);
        step->with = ppi_reading_copy(mem, decoding->unk_surface, decoding->n_unk_surface);
        step->n = decoding->n_unk;
        step->n_with = decoding->n_unk_surface;
        step->spelled = decoding->byte_fallback;
        step->start = decoding->drops_spaces ? UINT64_MAX : decoding->drops_first_space ? 1 : 0;
    }
    if (!step || !step->bytes || !step->with) {
        ppi_decoder_destroy(made);
        return ppi_error_nomem(err, "a decoder", sizeof *made);
    }
    const pp_status status = ppi_decoder_link(made, err);
    if (status < 0)
        ppi_decoder_destroy(made);
    else
        *decoder = made;
    return status;
}
