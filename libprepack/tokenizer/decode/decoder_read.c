/*
 * decoder_read.c: the "decoder" of tokenizer.json as a list of steps. Keys that only matter where
 * text becomes tokens are not looked at.
 */
#include "tokenizer/decode/decoder_steps.h"

#define WHERE "decoder"

static pp_status no_memory(const struct ppi_reading *reading)
{
    return ppi_error_nomem(reading->err, "a decoder", sizeof(struct ppi_step));
}

/* A string that must be there. */
static pp_status need_string(const struct ppi_reading *reading, const struct ppi_json_value *object,
                             const char *key, const char **out, size_t *n)
{
    *out = NULL;
    PP_TRY(ppi_reading_string(reading, WHERE, object, key, out, n));
    if (*out)
        return PP_OK;
    return ppi_error(reading->err, PP_ERR_FORMAT, "%s: the decoder \"%s\" needs a \"%s\"",
                     reading->label, ppi_label(ppi_reading_type(object)).text, key);
}

static pp_status need_flag(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           const char *key, bool *out)
{
    PP_TRY(ppi_reading_flag(reading, WHERE, object, key, out));
    const struct ppi_json_value *value = ppi_json_get(object, key);
    if (value && value->type != PPI_JSON_NULL)
        return PP_OK;
    return ppi_error(reading->err, PP_ERR_FORMAT, "%s: the decoder \"%s\" needs a \"%s\"",
                     reading->label, ppi_label(ppi_reading_type(object)).text, key);
}

/* One character. */
static pp_status need_char(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           const char *key, const char **out, size_t *n)
{
    PP_TRY(need_string(reading, object, key, out, n));
    size_t n_char = 0;
    if (*n > 0)
        ppi_utf8_get(*out, &n_char);
    if (*n > 0 && n_char == *n)
        return PP_OK;
    return ppi_error(reading->err, PP_ERR_FORMAT,
                     "%s: \"%s\" of the decoder \"%s\" is \"%s\"; one character is needed",
                     reading->label, key, ppi_label(ppi_reading_type(object)).text,
                     ppi_label(*out).text);
}

/* A step with copies of what it looks for and what it puts there. */
static pp_status add(const struct ppi_reading *reading, struct ppi_decoder *decoder,
                     enum ppi_step_kind kind, const char *bytes, size_t n, const char *with,
                     size_t n_with)
{
    struct ppi_step *step = ppi_decoder_add(decoder, kind);
    if (!step)
        return no_memory(reading);
    step->bytes = ppi_reading_copy(decoder->mem, bytes, n);
    step->with = ppi_reading_copy(decoder->mem, with, n_with);
    step->n = n;
    step->n_with = n_with;
    return step->bytes && step->with ? PP_OK : no_memory(reading);
}

static struct ppi_step *last_of(struct ppi_decoder *decoder)
{
    return &decoder->steps[decoder->n - 1];
}

/* `with` for `bytes`, as Rust's str::replace: nothing is found at every border of characters. */
static pp_status add_replace(const struct ppi_reading *reading, struct ppi_decoder *decoder,
                             const char *bytes, size_t n, const char *with, size_t n_with)
{
    PP_TRY(add(reading, decoder, n ? PPI_STEP_LITERAL : PPI_STEP_BETWEEN, bytes, n, with, n_with));
    last_of(decoder)->empty_too = true;
    return PP_OK;
}

/* English as it is written, from words with spaces between them. */
static pp_status add_cleanup(const struct ppi_reading *reading, struct ppi_decoder *decoder)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    size_t first = decoder->n;
    for (size_t i = 0; i < PPI_COUNT(pairs); i++)
        PP_TRY(add_replace(reading, decoder, pairs[i][0], strlen(pairs[i][0]), pairs[i][1],
                           strlen(pairs[i][1])));
    decoder->steps[first].n_idle = (uint32_t)PPI_COUNT(pairs);
    return PP_OK;
}

static pp_status read_word_piece(const struct ppi_reading *reading,
                                 const struct ppi_json_value *part, struct ppi_decoder *decoder)
{
    const char *prefix;
    size_t n = 0;
    bool cleanup = false;
    PP_TRY(need_string(reading, part, "prefix", &prefix, &n));
    PP_TRY(need_flag(reading, part, "cleanup", &cleanup));
    PP_TRY(add(reading, decoder, PPI_STEP_JOIN, prefix, n, "", 0));
    last_of(decoder)->has_prefix = true;
    return cleanup ? add_cleanup(reading, decoder) : PP_OK;
}

static pp_status read_ctc(const struct ppi_reading *reading, const struct ppi_json_value *part,
                          struct ppi_decoder *decoder)
{
    const char *pad, *word;
    size_t n_pad = 0, n_word = 0;
    bool cleanup = false;
    PP_TRY(need_string(reading, part, "pad_token", &pad, &n_pad));
    PP_TRY(need_string(reading, part, "word_delimiter_token", &word, &n_word));
    PP_TRY(need_flag(reading, part, "cleanup", &cleanup));
    PP_TRY(add(reading, decoder, PPI_STEP_REPEATS, "", 0, "", 0));
    PP_TRY(add_replace(reading, decoder, pad, n_pad, "", 0));
    if (cleanup) {
        PP_TRY(add_cleanup(reading, decoder));
        PP_TRY(add_replace(reading, decoder, word, n_word, " ", 1));
    }
    return add(reading, decoder, PPI_STEP_EMPTY, "", 0, "", 0);
}

static pp_status read_metaspace(const struct ppi_reading *reading,
                                const struct ppi_json_value *part, struct ppi_decoder *decoder)
{
    const char *replacement, *scheme = "always";
    size_t n = 0, n_scheme = 0;
    bool prefix_space = true;
    PP_TRY(need_char(reading, part, "replacement", &replacement, &n));
    PP_TRY(ppi_reading_string(reading, WHERE, part, "prepend_scheme", &scheme, &n_scheme));
    PP_TRY(ppi_reading_flag(reading, WHERE, part, "add_prefix_space", &prefix_space));
    bool never = strcmp(scheme, "never") == 0;
    if (!never && strcmp(scheme, "always") != 0 && strcmp(scheme, "first") != 0)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE ".prepend_scheme",
                                  ppi_json_get(part, "prepend_scheme"),
                                  "\"always\", \"first\" or \"never\" is needed");
    if (!never && !prefix_space)
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: the decoder \"Metaspace\" has \"add_prefix_space\" false, but "
                         "\"prepend_scheme\" \"%s\"",
                         reading->label, scheme);
    PP_TRY(add_replace(reading, decoder, replacement, n, " ", 1));
    last_of(decoder)->spares_first = !never;
    return PP_OK;
}

static pp_status read_replace(const struct ppi_reading *reading, const struct ppi_json_value *part,
                              struct ppi_decoder *decoder)
{
    const struct ppi_json_value *pattern = ppi_json_get(part, "pattern");
    const struct ppi_json_value *value = ppi_json_first(pattern);
    const char *with;
    size_t n_with = 0;
    PP_TRY(need_string(reading, part, "content", &with, &n_with));
    bool one = ppi_json_is(pattern, PPI_JSON_OBJECT) && pattern->len == 1;
    bool is_string = one && strcmp(value->name, "String") == 0;
    bool is_regex = one && strcmp(value->name, "Regex") == 0;
    if ((!is_string && !is_regex) || !ppi_json_is(value, PPI_JSON_STRING))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE ".pattern", pattern,
                                  "an object with one \"String\" or \"Regex\" is needed");
    if (is_string) {
        PP_TRY(add_replace(reading, decoder, value->string, value->len, with, n_with));
        last_of(decoder)->empty_too = false;
        return PP_OK;
    }
    PP_TRY(add(reading, decoder, PPI_STEP_REGEX, "", 0, with, n_with));
    return ppi_pattern_create(value->string, value->len, true, reading->label, WHERE ".pattern",
                              reading->mem, &last_of(decoder)->pattern, reading->err);
}

/* Rust's usize; JSON's integers end at INT64_MAX, which no text reaches. */
static pp_status need_count(const struct ppi_reading *reading, const struct ppi_json_value *part,
                            const char *key, uint64_t *out)
{
    int64_t value = -1;
    PP_TRY(ppi_reading_integer(reading, WHERE, part, key, 0, INT64_MAX, &value));
    if (value < 0)
        return ppi_error(reading->err, PP_ERR_FORMAT, "%s: the decoder \"Strip\" needs a \"%s\"",
                         reading->label, key);
    *out = (uint64_t)value;
    return PP_OK;
}

static pp_status read_strip(const struct ppi_reading *reading, const struct ppi_json_value *part,
                            struct ppi_decoder *decoder)
{
    const char *content = NULL;
    size_t n = 0;
    uint64_t start = 0, stop = 0;
    PP_TRY(need_char(reading, part, "content", &content, &n));
    PP_TRY(need_count(reading, part, "start", &start));
    PP_TRY(need_count(reading, part, "stop", &stop));
    PP_TRY(add(reading, decoder, PPI_STEP_STRIP, content, n, "", 0));
    last_of(decoder)->start = start;
    last_of(decoder)->stop = stop;
    return PP_OK;
}

static pp_status read_suffix(const struct ppi_reading *reading, const struct ppi_json_value *part,
                             struct ppi_decoder *decoder)
{
    const char *suffix;
    size_t n = 0;
    PP_TRY(need_string(reading, part, "suffix", &suffix, &n));
    return add(reading, decoder, PPI_STEP_SUFFIX, suffix, n, "", 0);
}

static pp_status read_fuse(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           struct ppi_decoder *decoder)
{
    (void)part;
    return add(reading, decoder, PPI_STEP_FUSE, "", 0, "", 0);
}

static pp_status read_byte_runs(const struct ppi_reading *reading,
                                const struct ppi_json_value *part, struct ppi_decoder *decoder)
{
    (void)part;
    return add(reading, decoder, PPI_STEP_BYTE_RUNS, "", 0, "", 0);
}

static pp_status read_byte_level(const struct ppi_reading *reading,
                                 const struct ppi_json_value *part, struct ppi_decoder *decoder)
{
    (void)part;
    PP_TRY(add(reading, decoder, PPI_STEP_BYTES, "", 0, "", 0));
    last_of(decoder)->spelled = true;
    return PP_OK;
}

static pp_status read_part(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           void *user)
{
    static const struct {
        const char *type;
        pp_status (*read)(const struct ppi_reading *reading, const struct ppi_json_value *part,
                          struct ppi_decoder *decoder);
    } kinds[] = {
        {"BPEDecoder", read_suffix},
        {"ByteFallback", read_byte_runs},
        {"ByteLevel", read_byte_level},
        {"CTC", read_ctc},
        {"Fuse", read_fuse},
        {"Metaspace", read_metaspace},
        {"Replace", read_replace},
        {"Strip", read_strip},
        {"WordPiece", read_word_piece},
    };
    for (size_t i = 0; i < PPI_COUNT(kinds); i++)
        if (strcmp(ppi_reading_type(part), kinds[i].type) == 0)
            return kinds[i].read(reading, part, user);
    return ppi_reading_unknown(reading, WHERE, part);
}

pp_status ppi_decoder_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           struct ppi_decoder **decoder)
{
    struct ppi_decoder *made = ppi_zalloc(reading->mem, 1, sizeof *made);
    if (!made)
        return no_memory(reading);
    made->mem = reading->mem;
    bool none = !object || object->type == PPI_JSON_NULL;
    pp_status status = none
                           ? add(reading, made, PPI_STEP_JOIN, "", 0, "", 0)
                           : ppi_reading_parts(reading, WHERE, "decoders", object, read_part, made);
    if (status >= 0)
        status = ppi_decoder_link(made, reading->err);
    if (status < 0) {
        ppi_decoder_destroy(made);
        return status;
    }
    *decoder = made;
    return PP_OK;
}
