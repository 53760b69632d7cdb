/*
 * normalizer.c: reads the "normalizer" of tokenizer.json into steps, and takes texts through them;
 * see normalizer.h. What most steps do to most text is nothing: a text of ASCII that a step leaves
 * alone is recognised, and changed in place where characters only change for others.
 */
#include "tokenizer/normalize/normalizer.h"

#include "tokenizer/split/byte_level.h"
#include "tokenizer/normalize/normalizer_steps.h"
#include "tokenizer/pattern/pattern_json.h"
#include "tokenizer/unicode/unicode.h"

/* Parts are at most 64, and become up to 5 steps. */
#define MAX_STEPS      320
#define MAX_TEXT_BYTES ((size_t)1 << 30)

static const char part_name[] = "normalizer";

struct ppi_normalizer {
    struct ppi_mem *mem;
    struct ppi_normal_step steps[MAX_STEPS];
    int n;
};

/* ---- reading ---- */

static struct ppi_normal_step *add(struct ppi_normalizer *normalizer, enum ppi_normal_kind kind,
                                   bool keeps_ascii)
{
    struct ppi_normal_step *step = &normalizer->steps[normalizer->n++];
    *step = (struct ppi_normal_step){.kind = kind, .keeps_ascii = keeps_ascii};
    return step;
}

static bool is_ascii(const char *bytes, size_t n)
{
    unsigned char all = 0;
    for (size_t i = 0; i < n; i++)
        all |= (unsigned char)bytes[i];
    return all < 0x80;
}

static pp_status read_strip(const struct ppi_reading *reading, const struct ppi_json_value *part,
                            struct ppi_normalizer *normalizer)
{
    struct ppi_normal_step *step = add(normalizer, PPI_NORMAL_STRIP, false);
    step->left = step->right = true;
    PP_TRY(ppi_reading_flag(reading, part_name, part, "strip_left", &step->left));
    return ppi_reading_flag(reading, part_name, part, "strip_right", &step->right);
}

static pp_status read_content(const struct ppi_reading *reading, const struct ppi_json_value *part,
                              const char *key, struct ppi_normal_step *step)
{
    const char *text = "";
    if (!ppi_json_get(part, key))
        return ppi_error(reading->err, PP_ERR_FORMAT, "%s: the normalizer \"%s\" needs a \"%s\"",
                         reading->label, ppi_reading_type(part), key);
    PP_TRY(ppi_reading_string(reading, part_name, part, key, &text, &step->content_bytes));
    step->content = ppi_reading_copy(reading->mem, text, step->content_bytes);
    return step->content ? PP_OK
                         : ppi_error_nomem(reading->err, "a normalizer", step->content_bytes);
}

static pp_status read_replace(const struct ppi_reading *reading, const struct ppi_json_value *part,
                              struct ppi_normalizer *normalizer)
{
    const struct ppi_json_value *literal = ppi_json_get(ppi_json_get(part, "pattern"), "String");
    struct ppi_normal_step *step = add(normalizer, PPI_NORMAL_REPLACE, false);
    PP_TRY(read_content(reading, part, "content", step));
    PP_TRY(ppi_pattern_read(reading, part_name, part, &step->pattern));
    step->keeps_ascii =
        ppi_json_is(literal, PPI_JSON_STRING) && !is_ascii(literal->string, literal->len);
    return PP_OK;
}

static pp_status read_prepend(const struct ppi_reading *reading, const struct ppi_json_value *part,
                              struct ppi_normalizer *normalizer)
{
    return read_content(reading, part, "prepend", add(normalizer, PPI_NORMAL_PREPEND, false));
}

static pp_status read_bert(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           struct ppi_normalizer *normalizer)
{
    bool clean = true, chinese = true, lower = true;
    PP_TRY(ppi_reading_flag(reading, part_name, part, "clean_text", &clean));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "handle_chinese_chars", &chinese));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "lowercase", &lower));
    bool accents = lower; /* whether they go */
    PP_TRY(ppi_reading_flag(reading, part_name, part, "strip_accents", &accents));
    if (clean)
        add(normalizer, PPI_NORMAL_CLEAN, true);
    if (chinese)
        add(normalizer, PPI_NORMAL_CHINESE, true);
    if (accents) {
        add(normalizer, PPI_NORMAL_FORM, true);
        add(normalizer, PPI_NORMAL_NO_NONSPACING, true);
    }
    if (lower)
        add(normalizer, PPI_NORMAL_LOWER, false);
    return PP_OK;
}

static pp_status read_charsmap(const struct ppi_reading *reading, const struct ppi_json_value *part,
                               struct ppi_normalizer *normalizer)
{
    const struct ppi_json_value *value = ppi_json_get(part, "precompiled_charsmap");
    struct ppi_normal_step *step = add(normalizer, PPI_NORMAL_CHARSMAP, false);
    const char *what;
    if (!ppi_json_is(value, PPI_JSON_STRING))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "normalizer.precompiled_charsmap", value,
                                  "a string is needed");
    step->charsmap = ppi_charsmap_create(value->string, value->len, reading->mem, &what);
    if (!step->charsmap && !what)
        return ppi_error_nomem(reading->err, "a normalizer", value->len);
    if (!step->charsmap)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: \"normalizer.precompiled_charsmap\" cannot be used: %s",
                         reading->label, what);
    step->keeps_ascii = !ppi_charsmap_maps(step->charsmap, ' ', '~');
    return PP_OK;
}

static pp_status read_part(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           void *user)
{
    static const struct {
        const char *type;
        pp_status (*read)(const struct ppi_reading *reading, const struct ppi_json_value *part,
                          struct ppi_normalizer *normalizer);
    } readers[] = {{"Strip", read_strip},
                   {"Replace", read_replace},
                   {"Prepend", read_prepend},
                   {"BertNormalizer", read_bert},
                   {"Precompiled", read_charsmap}};
    static const struct {
        const char *type;
        enum ppi_normal_kind kind;
        uint32_t form;
        bool keeps_ascii;
    } plain[] = {{"NFC", PPI_NORMAL_FORM, PPI_FORM_COMPOSED, true},
                 {"NFD", PPI_NORMAL_FORM, 0, true},
                 {"NFKC", PPI_NORMAL_FORM, PPI_FORM_COMPOSED | PPI_FORM_COMPATIBLE, true},
                 {"NFKD", PPI_NORMAL_FORM, PPI_FORM_COMPATIBLE, true},
                 {"Lowercase", PPI_NORMAL_LOWER, 0, false},
                 {"StripAccents", PPI_NORMAL_NO_COMBINING, 0, true},
                 {"Nmt", PPI_NORMAL_NMT, 0, true},
                 {"ByteLevel", PPI_NORMAL_SPELLING, 0, false}};
    const char *type = ppi_reading_type(part);
    for (size_t i = 0; i < PPI_COUNT(readers); i++) {
        if (strcmp(type, readers[i].type) == 0)
            return readers[i].read(reading, part, user);
    }
    for (size_t i = 0; i < PPI_COUNT(plain); i++) {
        if (strcmp(type, plain[i].type) == 0) {
            add(user, plain[i].kind, plain[i].keeps_ascii)->form = plain[i].form;
            return PP_OK;
        }
    }
    return ppi_reading_unknown(reading, part_name, part);
}

pp_status ppi_normalizer_read(const struct ppi_reading *reading,
                              const struct ppi_json_value *object,
                              struct ppi_normalizer **normalizer)
{
    if (!object || object->type == PPI_JSON_NULL) {
        *normalizer = NULL;
        return PP_OK;
    }
    struct ppi_normalizer *made = ppi_zalloc(reading->mem, 1, sizeof *made);
    if (!made)
        return ppi_error_nomem(reading->err, "a normalizer", sizeof *made);
    made->mem = reading->mem;
    const pp_status status =
        ppi_reading_parts(reading, part_name, "normalizers", object, read_part, made);
    if (status < 0) {
        ppi_normalizer_destroy(made);
        return status;
    }
    *normalizer = made;
    return PP_OK;
}

void ppi_normalizer_match_longest(struct ppi_normalizer *normalizer)
{
    for (int i = 0; normalizer && i < normalizer->n; i++)
        if (normalizer->steps[i].kind == PPI_NORMAL_CHARSMAP) {
            normalizer->steps[i].longest = true;
            normalizer->steps[i].keeps_ascii = false;
        }
}

void ppi_normalizer_destroy(struct ppi_normalizer *normalizer)
{
    if (!normalizer)
        return;
    for (int i = 0; i < normalizer->n; i++) {
        ppi_pattern_destroy(normalizer->steps[i].pattern);
        ppi_charsmap_destroy(normalizer->steps[i].charsmap);
        ppi_free(normalizer->mem, normalizer->steps[i].content);
    }
    ppi_free(normalizer->mem, normalizer);
}

bool ppi_normalizer_keeps_ascii(const struct ppi_normalizer *normalizer)
{
    for (int i = 0; normalizer && i < normalizer->n; i++) {
        if (!normalizer->steps[i].keeps_ascii)
            return false;
    }
    return true;
}

/* ---- character by character ---- */

static uint32_t nmt_of(uint32_t code)
{
    static const uint32_t spaces[] = {0x9,    0xa,    0xc,    0xd,    0x1680,
                                      0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd};
    for (size_t i = 0; i < PPI_COUNT(spaces); i++) {
        if (code == spaces[i])
            return ' ';
    }
    return code >= 0x200b && code <= 0x200f ? ' ' : code;
}

static bool nmt_drops(uint32_t code)
{
    return (code >= 1 && code <= 8) || code == 0xb || (code >= 0xe && code <= 0x1f) ||
           code == 0x7f || code == 0x8f || code == 0x9f;
}

/* What a character becomes: how many. */
static int map_char(enum ppi_normal_kind kind, uint32_t code, uint32_t codes[4])
{
    codes[0] = code;
    switch (kind) {
    case PPI_NORMAL_CLEAN:
        if (ppi_is_white_space(code))
            codes[0] = ' ';
        return !(code == 0 || code == 0xfffd || ppi_is_other(code));
    case PPI_NORMAL_CHINESE:
        if (!ppi_is_chinese(code))
            return 1;
        codes[0] = codes[2] = ' ';
        codes[1] = code;
        return 3;
    case PPI_NORMAL_NO_NONSPACING:
        return !ppi_is_mark_nonspacing(code);
    case PPI_NORMAL_NO_COMBINING:
        return !ppi_is_combining(code);
    case PPI_NORMAL_LOWER:
        return ppi_to_lower(code, codes);
    case PPI_NORMAL_NMT:
        codes[0] = nmt_of(code);
        return !nmt_drops(code);
    default: {
        char bytes[4];
        const size_t n = ppi_utf8_put(code, bytes);
        for (size_t i = 0; i < n; i++)
            codes[i] = ppi_byte_level_char((unsigned char)bytes[i]);
        return (int)n;
    }
    }
}

static void map_chars(enum ppi_normal_kind kind, const struct ppi_text *text, struct ppi_text *out)
{
    size_t copied = 0;
    for (size_t i = 0, step; i < text->n; i += step) {
        uint32_t codes[4];
        const uint32_t code = ppi_utf8_get(text->bytes + i, &step);
        const int n = map_char(kind, code, codes);
        if (n == 1 && codes[0] == code)
            continue;
        ppi_text_copy(out, text, copied, i);
        for (int k = 0; k < n; k++)
            ppi_text_put_char(out, codes[k],
                              text->traced ? text->origin[i] : (struct ppi_span){0, 0});
        copied = i + step;
    }
    ppi_text_copy(out, text, copied, text->n);
}

/* In place, of a text of ASCII. false: characters go, or become several. */
static bool map_ascii(enum ppi_normal_kind kind, struct ppi_text *text)
{
    for (size_t i = 0; i < text->n; i++) {
        uint32_t codes[4];
        const unsigned char byte = (unsigned char)text->bytes[i];
        if (map_char(kind, byte, codes) != 1 || codes[0] >= 0x80)
            return false;
        text->bytes[i] = (char)codes[0];
    }
    return true;
}

/* ---- the other steps ---- */

void ppi_change(struct ppi_changes *changes, uint32_t code, int32_t change)
{
    const struct ppi_text *from = changes->from;
    struct ppi_span origin = {0, 0};
    size_t at = changes->at;
    if (from->traced && from->n) {
        if (change <= 0)
            origin = from->origin[at < from->n ? at : from->n - 1];
        else if (at > 0)
            origin = from->origin[at - 1];
    }
    for (; change <= 0 && at < from->n; change++) {
        size_t step;
        ppi_utf8_get(from->bytes + at, &step);
        at += step;
    }
    changes->at = at;
    ppi_text_put_char(changes->out, code, origin);
}

static void strip(const struct ppi_normal_step *step, const struct ppi_text *text,
                  struct ppi_text *out)
{
    size_t begin = 0, end = text->n, n;
    while (step->left && begin < end && ppi_is_white_space(ppi_utf8_get(text->bytes + begin, &n)))
        begin += n;
    while (step->right && end > begin && ppi_is_white_space(ppi_utf8_last(text->bytes, end, &n)))
        end -= n;
    ppi_text_copy(out, text, begin, end);
}

static pp_status replace(const struct ppi_normal_step *step, const struct ppi_text *text,
                         struct ppi_text *out, struct ppi_pattern_work *work, pp_error *err)
{
    struct ppi_matches matches = {0};
    struct ppi_span match;
    size_t copied = 0;
    pp_status status;
    while (!out->failed && text->n &&
           (status = ppi_matches_next(&matches, step->pattern, work, text->bytes, text->n, &match,
                                      err)) != 0) {
        PP_TRY(status);
        ppi_text_copy(out, text, copied, match.begin);
        /* it comes from where the last of what it replaces came from */
        ppi_text_put(out, step->content, step->content_bytes,
                     text->traced && match.end > 0 ? text->origin[match.end - 1]
                                                   : (struct ppi_span){0, 0});
        copied = match.end;
    }
    ppi_text_copy(out, text, copied, text->n);
    return PP_OK;
}

static void prepend(const struct ppi_normal_step *step, const struct ppi_text *text,
                    struct ppi_text *out)
{
    if (text->n)
        ppi_text_put(out, step->content, step->content_bytes,
                     text->traced ? text->origin[0] : (struct ppi_span){0, 0});
    ppi_text_copy(out, text, 0, text->n);
}

/* Whether a step is done with a text already. */
static bool is_done(const struct ppi_normal_step *step, struct ppi_text *text)
{
    if (text->n == 0)
        return true;
    if (step->kind > PPI_NORMAL_FORM || !is_ascii(text->bytes, text->n))
        return false;
    return step->kind == PPI_NORMAL_FORM || map_ascii(step->kind, text);
}

static pp_status write_step(const struct ppi_normal_step *step, const struct ppi_text *text,
                            struct ppi_text *out, struct ppi_pattern_work *work, pp_error *err)
{
    switch (step->kind) {
    case PPI_NORMAL_FORM:
        ppi_normal_form(text, step->form, out);
        return PP_OK;
    case PPI_NORMAL_STRIP:
        strip(step, text, out);
        return PP_OK;
    case PPI_NORMAL_REPLACE:
        return replace(step, text, out, work, err);
    case PPI_NORMAL_PREPEND:
        prepend(step, text, out);
        return PP_OK;
    case PPI_NORMAL_CHARSMAP:
        if (step->longest)
            ppi_charsmap_apply_longest(step->charsmap, text, out);
        else
            ppi_charsmap_apply(step->charsmap, text, out);
        return PP_OK;
    default:
        map_chars(step->kind, text, out);
        return PP_OK;
    }
}

pp_status ppi_normalize(const struct ppi_normalizer *normalizer, struct ppi_text *text,
                        struct ppi_text *spare, struct ppi_pattern_work *work, pp_error *err)
{
    for (int i = 0; normalizer && i < normalizer->n; i++) {
        const struct ppi_normal_step *step = &normalizer->steps[i];
        if (is_done(step, text))
            continue;
        ppi_text_clear(spare, text->traced);
        PP_TRY(write_step(step, text, spare, work, err));
        if (spare->failed && spare->room == MAX_TEXT_BYTES)
            return ppi_error(err, PP_ERR_LIMIT, "a text becomes larger than 1 GiB");
        if (spare->failed)
            return ppi_error_nomem(err, "a text", text->n);
        const struct ppi_text kept = *text;
        *text = *spare;
        *spare = kept;
    }
    return PP_OK;
}
