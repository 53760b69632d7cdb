/*
 * bpe_read.c: the "model" of a tokenizer.json that is BPE: flags and merges.
 */
#include "tokenizer/pieces/bpe.h"
#include "tokenizer/split/byte_level.h"

#include <stdio.h>

struct reader {
    const struct ppi_reading *reading;
    const struct ppi_vocab *vocab;
    struct ppi_bpe_spec spec;
    struct ppi_text joined; /* the text of the token that a merge makes */
};

/* ---- merges ---- */

/* The two halves of a merge. */
struct halves {
    const char *left, *right;
    size_t n_left, n_right;
};

static pp_status refuse_merge(const struct reader *reader, int64_t i, const char *reason,
                              struct ppi_label label)
{
    return ppi_error(reader->reading->err, PP_ERR_FORMAT,
                     "%s: merge %lld of \"model.merges\": %s%s", reader->reading->label,
                     (long long)i, reason, label.text);
}

/* "left right", or ["left", "right"]. */
static pp_status take_apart(const struct reader *reader, const struct ppi_json_value *value,
                            int64_t i, struct halves *halves)
{
    if (ppi_json_is(value, PPI_JSON_STRING)) {
        const char *space = memchr(value->string, ' ', value->len);
        const char *end = value->string + value->len;
        if (space && !memchr(space + 1, ' ', (size_t)(end - space - 1))) {
            *halves = (struct halves){value->string, space + 1, (size_t)(space - value->string),
                                      (size_t)(end - space - 1)};
            return PP_OK;
        }
    } else if (ppi_json_is(value, PPI_JSON_ARRAY) && value->len == 2) {
        const struct ppi_json_value *left = ppi_json_first(value);
        const struct ppi_json_value *right = ppi_json_next(value, left);
        if (left->type == PPI_JSON_STRING && right->type == PPI_JSON_STRING) {
            *halves = (struct halves){left->string, right->string, left->len, right->len};
            return PP_OK;
        }
    }
    return refuse_merge(reader, i, "two tokens are needed, not ", ppi_json_describe(value));
}

static pp_status find(const struct reader *reader, int64_t i, const char *text, size_t n,
                      int32_t *id)
{
    *id = ppi_vocab_find(reader->vocab, text, n);
    if (*id >= 0)
        return PP_OK;
    char copy[64];
    size_t n_copy = n < sizeof copy - 1 ? n : sizeof copy - 1;
    memcpy(copy, text, n_copy);
    copy[n_copy] = '\0';
    return refuse_merge(reader, i, "the vocabulary has no ", ppi_label(copy));
}

static pp_status read_merge(struct reader *reader, const struct ppi_json_value *value, int64_t i,
                            struct ppi_merge *merge)
{
    struct halves halves = {0};
    const size_t n_prefix = reader->spec.prefix.n;
    struct ppi_text *joined = &reader->joined;
    PP_TRY(take_apart(reader, value, i, &halves));
    PP_TRY(find(reader, i, halves.left, halves.n_left, &merge->left));
    PP_TRY(find(reader, i, halves.right, halves.n_right, &merge->right));
    if (halves.n_right < n_prefix)
        return refuse_merge(reader, i, "the second token is shorter than continuing_subword_prefix",
                            ppi_label(""));
    joined->n = 0;
    ppi_text_put(joined, halves.left, halves.n_left, (struct ppi_span){0, 0});
    ppi_text_put(joined, halves.right + n_prefix, halves.n_right - n_prefix,
                 (struct ppi_span){0, 0});
    if (joined->failed)
        return ppi_error_nomem(reader->reading->err, "a merge", halves.n_left + halves.n_right);
    merge->rank = (uint32_t)i;
    return find(reader, i, joined->n ? joined->bytes : "", joined->n, &merge->id);
}

/* Old files have the first line of the merges.txt that they were made from among their merges. */
static bool is_version(const struct ppi_json_value *value)
{
    static const char version[] = "#version";
    return value->type == PPI_JSON_STRING && value->len >= sizeof version - 1 &&
           memcmp(value->string, version, sizeof version - 1) == 0;
}

static pp_status read_merges(struct reader *reader, const struct ppi_json_value *list,
                             struct ppi_merge *merges)
{
    int64_t i = 0;
    for (const struct ppi_json_value *value = ppi_json_first(list); value;
         value = ppi_json_next(list, value), i++)
        if (!is_version(value))
            PP_TRY(read_merge(reader, value, i, &merges[reader->spec.n_merges++]));
    return PP_OK;
}

/* ---- the rest ---- */

static pp_status read_affix(const struct reader *reader, const struct ppi_json_value *object,
                            const char *key, struct ppi_affix *affix)
{
    const char *text = "";
    size_t n = 0;
    PP_TRY(ppi_reading_string(reader->reading, "model", object, key, &text, &n));
    if (n > sizeof affix->bytes)
        return ppi_error(reader->reading->err, PP_ERR_LIMIT,
                         "%s: \"model.%s\" has %zu bytes; at most %zu are accepted",
                         reader->reading->label, key, n, sizeof affix->bytes);
    memcpy(affix->bytes, text, n);
    affix->n = (uint32_t)n;
    return PP_OK;
}

/* Whether every byte has a token, so that nothing is unknown. */
static bool has_all_bytes(const struct reader *reader)
{
    const struct ppi_bpe_spec *spec = &reader->spec;
    bool all = spec->byte_fallback || (spec->byte_level && !spec->prefix.n && !spec->suffix.n);
    for (int byte = 0; all && byte < 256; byte++) {
        char text[8];
        const int n = spec->byte_fallback
                          ? snprintf(text, sizeof text, "<0x%02X>", byte)
                          : (int)ppi_utf8_put(ppi_byte_level_char((unsigned char)byte), text);
        all = ppi_vocab_find(reader->vocab, text, (size_t)n) >= 0;
    }
    return all;
}

/* Behind the flags and affixes, which say whether a text can have what is unknown. */
static pp_status read_unk(struct reader *reader, const struct ppi_json_value *object)
{
    const char *text = NULL;
    size_t n = 0;
    reader->spec.unk = -1;
    PP_TRY(ppi_reading_string(reader->reading, "model", object, "unk_token", &text, &n));
    if (!text)
        return PP_OK;
    reader->spec.unk = ppi_vocab_find(reader->vocab, text, n);
    if (reader->spec.unk < 0 && !has_all_bytes(reader))
        return ppi_reading_refuse(reader->reading, PP_ERR_FORMAT, "model.unk_token",
                                  ppi_json_get(object, "unk_token"),
                                  "a token of the vocabulary is needed");
    return PP_OK;
}

/* Dropout is for training: with it the tokens of a text are drawn. */
static pp_status check_dropout(const struct ppi_reading *reading,
                               const struct ppi_json_value *object)
{
    const struct ppi_json_value *value = ppi_json_get(object, "dropout");
    double number = 0;
    if (!value || value->type == PPI_JSON_NULL || (ppi_json_number(value, &number) && number == 0))
        return PP_OK;
    return ppi_reading_refuse(reading, PP_ERR_UNSUPPORTED, "model.dropout", value,
                              "merges that are left out at random are not implemented");
}

static pp_status read_spec(struct reader *reader, const struct ppi_json_value *object)
{
    const struct ppi_reading *reading = reader->reading;
    struct ppi_bpe_spec *spec = &reader->spec;
    PP_TRY(check_dropout(reading, object));
    PP_TRY(read_affix(reader, object, "continuing_subword_prefix", &spec->prefix));
    PP_TRY(read_affix(reader, object, "end_of_word_suffix", &spec->suffix));
    PP_TRY(ppi_reading_flag(reading, "model", object, "fuse_unk", &spec->fuse_unk));
    PP_TRY(ppi_reading_flag(reading, "model", object, "byte_fallback", &spec->byte_fallback));
    PP_TRY(ppi_reading_flag(reading, "model", object, "ignore_merges", &spec->ignore_merges));
    return read_unk(reader, object);
}

static pp_status read_bpe(struct reader *reader, const struct ppi_json_value *object,
                          struct ppi_pieces **pieces)
{
    const struct ppi_reading *reading = reader->reading;
    const struct ppi_json_value *list = ppi_json_get(object, "merges");
    PP_TRY(read_spec(reader, object));
    if (!ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, "model.merges", list,
                                  "a list of pairs of tokens is needed");
    struct ppi_merge *merges = ppi_alloc(reading->mem, list->len, sizeof *merges);
    if (!merges)
        return ppi_error_nomem(reading->err, "merges", list->len * sizeof *merges);
    pp_status status = read_merges(reader, list, merges);
    if (status >= 0) {
        reader->spec.merges = merges;
        status = ppi_bpe_create(&reader->spec, reader->vocab, reading->mem, pieces, reading->err);
    }
    ppi_free(reading->mem, merges);
    return status;
}

pp_status ppi_bpe_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                       const struct ppi_vocab *vocab, bool byte_level, struct ppi_pieces **pieces)
{
    struct reader reader = {.reading = reading,
                            .vocab = vocab,
                            .spec = {.byte_level = byte_level},
                            .joined = ppi_text_start(reading->mem, false)};
    pp_status status = read_bpe(&reader, object, pieces);
    ppi_text_free(&reader.joined);
    return status;
}
