/*
 * decoder_steps.c: what each step does with a piece; see decoder_steps.h. None copies more than it
 * takes, and none holds back what nothing can change any more.
 */
#define _GNU_SOURCE
#include "tokenizer/decode/decoder_steps.h"

#include "tokenizer/split/byte_level.h"

#define MAX_FLOW_BYTES ((size_t)1 << 30)

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

/* ---- flows ---- */

static void append(struct ppi_text *text, const char *bytes, size_t n)
{
    ppi_text_put(text, bytes, n, (struct ppi_span){0, 0});
}

void ppi_flow_put(struct ppi_flow *flow, const char *bytes, size_t n)
{
    struct ppi_text *text = &flow->text;
    if (n > MAX_FLOW_BYTES - text->n) {
        flow->too_long = true;
    } else if (n <= text->room - text->n && n > 0) { /* the usual way, without a call */
        memcpy(text->bytes + text->n, bytes, n);
        text->n += n;
    } else {
        append(text, bytes, n);
    }
}

void ppi_flow_end(struct ppi_flow *flow)
{
    size_t begin = flow->ends.n ? flow->ends.items[flow->ends.n - 1].end : 0;
    ppi_spans_put(&flow->ends, begin, flow->text.n);
}

size_t ppi_flow_put_lossy(struct ppi_flow *flow, const char *bytes, size_t n, bool more)
{
    size_t i = 0;
    while (i < n) {
        size_t good = ppi_utf8_check(bytes + i, n - i);
        ppi_flow_put(flow, bytes + i, good);
        i += good;
        if (i == n)
            break;
        bool cut;
        size_t bad = ppi_utf8_bad_bytes(bytes + i, n - i, &cut);
        if (cut && more)
            break;
        ppi_flow_put(flow, REPLACEMENT, 3);
        i += bad;
    }
    return i;
}

static void put_piece(struct ppi_flow *flow, const char *bytes, size_t n)
{
    ppi_flow_put(flow, bytes, n);
    ppi_flow_end(flow);
}

/* ---- bytes ---- */

/* Tokens whose characters all stand for bytes give these, others their own. */
static void take_bytes(const struct ppi_step *step, struct ppi_step_state *state, const char *bytes,
                       size_t n, struct ppi_flow *out)
{
    struct ppi_text *kept = &state->kept;
    if (n == 0 || !ppi_text_reserve(kept, n))
        return;
    size_t put = step->spelled ? ppi_byte_level_decode(bytes, n, kept->bytes + kept->n) : SIZE_MAX;
    if (put == SIZE_MAX)
        append(kept, bytes, n);
    else
        kept->n += put;
    size_t done = ppi_flow_put_lossy(out, kept->bytes, kept->n, true);
    kept->n -= done;
    memmove(kept->bytes, kept->bytes + done, kept->n);
}

/* The byte that a token "<0xNN>" stands for, or -1. Where two digits are wanted "+N" is one, too:
 * so Rust reads numbers. */
static int byte_of_token(const char *token, size_t n)
{
    if (n != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    int byte = 0;
    for (int i = token[3] == '+' ? 4 : 3; i < 5; i++) {
        unsigned char c = (unsigned char)token[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            byte = byte * 16 + c - '0';
        else if (letter >= 'a' && letter <= 'f')
            byte = byte * 16 + letter - 'a' + 10;
        else
            return -1;
    }
    return byte;
}

/* What is no UTF-8 as a whole becomes a U+FFFD for each byte. */
static void put_bad_run(struct ppi_step_state *state, struct ppi_flow *out)
{
    for (size_t i = 0; i < state->kept.n; i++)
        put_piece(out, REPLACEMENT, 3);
    state->kept.n = state->at = 0;
}

/* Ends a run of bytes. */
static void put_run(struct ppi_step_state *state, struct ppi_flow *out)
{
    if (state->at == state->kept.n && state->kept.n > 0)
        put_piece(out, state->kept.bytes, state->kept.n);
    else
        put_bad_run(state, out);
    state->kept.n = state->at = 0;
    state->begun = false;
}

/* kept: the run so far, of which the first `at` bytes are good. begun: the run is bad already, and
 * kept is empty. */
static void take_byte_runs(struct ppi_step_state *state, const char *bytes, size_t n,
                           struct ppi_flow *out)
{
    struct ppi_text *run = &state->kept;
    int byte = byte_of_token(bytes, n);
    if (byte < 0) {
        put_run(state, out);
        put_piece(out, bytes, n);
        return;
    }
    char one = (char)byte;
    append(run, &one, 1);
    if (run->failed)
        return;
    if (!state->begun) {
        bool cut = true;
        state->at += ppi_utf8_check(run->bytes + state->at, run->n - state->at);
        if (state->at < run->n)
            ppi_utf8_bad_bytes(run->bytes + state->at, run->n - state->at, &cut);
        state->begun = !cut;
    }
    if (state->begun)
        put_bad_run(state, out);
}

/* ---- replacing ---- */

/* Knuth, Morris and Pratt's search: of what may be a match only the length is kept (`at`), since
 * its bytes are known. */
static void take_literal(const struct ppi_step *step, struct ppi_step_state *state,
                         const char *bytes, size_t n, bool ends, struct ppi_flow *out)
{
    size_t n_with = step->spares_first && state->i_piece == 0 ? 0 : step->n_with;
    size_t at = state->at, i = 0;
    while (i < n) {
        if (at == 0) {
            const char *hit = memchr(bytes + i, step->bytes[0], n - i);
            size_t plain = hit ? (size_t)(hit - bytes) - i : n - i;
            ppi_flow_put(out, bytes + i, plain);
            i += plain;
            if (!hit)
                break;
        }
        if (bytes[i] == step->bytes[at]) {
            at++;
            i++;
        } else {
            size_t keep = step->borders[at];
            ppi_flow_put(out, step->bytes, at - keep);
            at = keep;
        }
        if (at == step->n) {
            ppi_flow_put(out, step->with, n_with);
            at = 0;
        }
    }
    if (ends) {
        put_piece(out, step->bytes, at);
        at = 0;
        state->i_piece++;
    }
    state->at = at;
}

bool ppi_step_is_idle(const struct ppi_text *text)
{
    const char *at = text->bytes, *end = text->n ? at + text->n : at;
    while (at < end && (at = memchr(at, ' ', (size_t)(end - at))) != NULL) {
        size_t n = (size_t)(end - ++at);
        if (n > 0 && (memchr(".?!,'", *at, 5) || (n >= 3 && memcmp(at, "n't", 3) == 0) ||
                      (n >= 6 && memcmp(at, "do not", 6) == 0)))
            return false;
    }
    return true;
}

static void put_between(struct ppi_flow *out, const char *bytes, size_t n, const char *with,
                        size_t n_with)
{
    for (size_t i = 0; i < n; i++) {
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            ppi_flow_put(out, with, n_with);
        ppi_flow_put(out, bytes + i, 1);
    }
}

static void take_between(const struct ppi_step *step, struct ppi_step_state *state,
                         const char *bytes, size_t n, bool ends, struct ppi_flow *out)
{
    put_between(out, bytes, n, step->with, step->n_with);
    state->begun = state->begun || n > 0;
    if (!ends)
        return;
    put_piece(out, step->with, state->begun || step->empty_too ? step->n_with : 0);
    state->begun = false;
}

static pp_status take_regex(const struct ppi_step *step, struct ppi_pattern_work *work,
                            const char *bytes, size_t n, struct ppi_flow *out, pp_error *err)
{
    struct ppi_matches matches = {0};
    size_t done = 0;
    while (n > 0 && !out->text.failed && !out->too_long) {
        struct ppi_span match;
        pp_status found = ppi_matches_next(&matches, step->pattern, work, bytes, n, &match, err);
        if (found < 0)
            return found;
        if (found == 0)
            break;
        ppi_flow_put(out, bytes + done, match.begin - done);
        ppi_flow_put(out, step->with, step->n_with);
        done = match.end;
    }
    put_piece(out, bytes + done, n - done);
    return PP_OK;
}

/* ---- edges of pieces ---- */

static void put_times(struct ppi_flow *out, const struct ppi_step *step, uint64_t times)
{
    for (; times > 0; times--)
        ppi_flow_put(out, step->bytes, step->n);
}

/* removed: how many went in front; count: how many more may yet turn out to be the last ones.
 * begun: another character was there. */
static void take_strip(const struct ppi_step *step, struct ppi_step_state *state, const char *bytes,
                       size_t n, bool ends, struct ppi_flow *out)
{
    for (size_t i = 0; i < n;) {
        if (n - i >= step->n && memcmp(bytes + i, step->bytes, step->n) == 0) {
            i += step->n;
            if (!state->begun && state->removed < step->start)
                state->removed++;
            else if (state->count < step->stop)
                state->count++;
            else
                put_times(out, step, 1);
            continue;
        }
        put_times(out, step, state->count);
        state->count = 0;
        state->begun = true;
        const char *next = memchr(bytes + i + 1, step->bytes[0], n - i - 1);
        size_t end = next ? (size_t)(next - bytes) : n;
        ppi_flow_put(out, bytes + i, end - i);
        i = end;
    }
    if (!ends)
        return;
    state->removed = state->count = 0;
    state->begun = false;
    ppi_flow_end(out);
}

static void take_join(const struct ppi_step *step, struct ppi_step_state *state, const char *bytes,
                      size_t n, bool ends, struct ppi_flow *out)
{
    size_t skip = 0;
    if (state->i_piece > 0) {
        bool has = step->has_prefix && n >= step->n && memcmp(bytes, step->bytes, step->n) == 0;
        skip = has ? step->n : 0;
        ppi_flow_put(out, " ", has ? 0 : 1);
    }
    ppi_flow_put(out, bytes + skip, n - skip);
    if (!ends)
        return;
    ppi_flow_end(out);
    state->i_piece++;
}

/* The piece that was held back, with `with` for each suffix. */
static void put_kept(const struct ppi_step *step, struct ppi_step_state *state, const char *with,
                     size_t n_with, struct ppi_flow *out)
{
    const char *at = state->kept.n ? state->kept.bytes : "", *end = at + state->kept.n;
    if (step->n == 0) {
        put_between(out, at, state->kept.n, with, n_with);
        ppi_flow_put(out, with, n_with);
    }
    for (const char *hit; step->n > 0 && at < end; at = hit + step->n) {
        hit = memmem(at, (size_t)(end - at), step->bytes, step->n);
        ppi_flow_put(out, at, (size_t)((hit ? hit : end) - at));
        if (!hit)
            break;
        ppi_flow_put(out, with, n_with);
    }
    ppi_flow_end(out);
    state->kept.n = 0;
    state->begun = false;
}

/* Only a piece with a suffix is not the same whether it is the last or not: it waits (begun). */
static void take_suffix(const struct ppi_step *step, struct ppi_step_state *state,
                        const char *bytes, size_t n, struct ppi_flow *out)
{
    if (state->begun)
        put_kept(step, state, " ", 1, out);
    const char *hit = memmem(bytes, n, step->bytes, step->n);
    if (!hit) {
        put_piece(out, bytes, n);
        return;
    }
    size_t plain = step->last ? (size_t)(hit - bytes) : 0;
    ppi_flow_put(out, bytes, plain);
    append(&state->kept, bytes + plain, n - plain);
    state->begun = true;
}

/* ---- whole pieces that go ---- */

static void take_repeats(struct ppi_step_state *state, const char *bytes, size_t n,
                         struct ppi_flow *out)
{
    struct ppi_text *kept = &state->kept;
    if (state->begun && kept->n == n && (n == 0 || memcmp(kept->bytes, bytes, n) == 0))
        return;
    put_piece(out, bytes, n);
    kept->n = 0;
    append(kept, bytes, n);
    state->begun = true;
}

static void take_empty(struct ppi_step_state *state, const char *bytes, size_t n, bool ends,
                       struct ppi_flow *out)
{
    ppi_flow_put(out, bytes, n);
    state->begun = state->begun || n > 0;
    if (!ends)
        return;
    if (state->begun)
        ppi_flow_end(out);
    state->begun = false;
}

/* ---- all ---- */

static pp_status take_whole(const struct ppi_step *step, struct ppi_step_state *state,
                            struct ppi_pattern_work *work, const char *bytes, size_t n,
                            struct ppi_flow *out, pp_error *err)
{
    switch (step->kind) {
    case PPI_STEP_BYTES:
        take_bytes(step, state, bytes, n, out);
        return PP_OK;
    case PPI_STEP_BYTE_RUNS:
        take_byte_runs(state, bytes, n, out);
        return PP_OK;
    default:
        return take_regex(step, work, bytes, n, out, err);
    }
}

pp_status ppi_step_take(const struct ppi_step *step, struct ppi_step_state *state,
                        struct ppi_pattern_work *work, const char *bytes, size_t n, bool ends,
                        struct ppi_flow *out, pp_error *err)
{
    switch (step->kind) {
    case PPI_STEP_FUSE:
        ppi_flow_put(out, bytes, n);
        return PP_OK;
    case PPI_STEP_LITERAL:
        take_literal(step, state, bytes, n, ends, out);
        return PP_OK;
    case PPI_STEP_BETWEEN:
        take_between(step, state, bytes, n, ends, out);
        return PP_OK;
    case PPI_STEP_STRIP:
        take_strip(step, state, bytes, n, ends, out);
        return PP_OK;
    case PPI_STEP_JOIN:
        take_join(step, state, bytes, n, ends, out);
        return PP_OK;
    case PPI_STEP_SUFFIX:
        take_suffix(step, state, bytes, n, out);
        return PP_OK;
    case PPI_STEP_REPEATS:
        take_repeats(state, bytes, n, out);
        return PP_OK;
    case PPI_STEP_EMPTY:
        take_empty(state, bytes, n, ends, out);
        return PP_OK;
    case PPI_STEP_SENTENCES:
        ppi_sentence_step_take(step, state, bytes, n, out);
        return PP_OK;
    case PPI_STEP_BYTES:
    case PPI_STEP_BYTE_RUNS:
    case PPI_STEP_REGEX:
        break;
    }
    if (!step->fused)
        return take_whole(step, state, work, bytes, n, out, err);
    append(&state->held, bytes, n);
    if (!ends || state->held.failed)
        return PP_OK;
    pp_status status = take_whole(step, state, work, state->held.n ? state->held.bytes : "",
                                  state->held.n, out, err);
    state->held.n = 0;
    return status;
}

void ppi_step_finish(const struct ppi_step *step, struct ppi_step_state *state,
                     struct ppi_flow *out)
{
    if (step->kind == PPI_STEP_BYTES && state->kept.n > 0)
        ppi_flow_put_lossy(out, state->kept.bytes, state->kept.n, false);
    if (step->kind == PPI_STEP_FUSE || step->kind == PPI_STEP_BYTES)
        ppi_flow_end(out);
    if (step->kind == PPI_STEP_SENTENCES)
        ppi_sentence_step_finish(state, out);
    if (step->kind == PPI_STEP_BYTE_RUNS)
        put_run(state, out);
    if (step->kind == PPI_STEP_SUFFIX && state->begun)
        put_kept(step, state, "", 0, out);
}
