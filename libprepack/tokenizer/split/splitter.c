/*
 * splitter.c: reads the "pre_tokenizer" of tokenizer.json into steps, and takes texts through them;
 * see splitter.h.
 */
#include "tokenizer/split/splitter.h"

#include "tokenizer/pattern/pattern_json.h"
#include "tokenizer/split/splitter_steps.h"
#include "tokenizer/unicode/unicode.h"

/* Parts are at most 64, and become up to 3 steps. */
#define MAX_STEPS 192

static const char part_name[] = "pre_tokenizer";
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct ppi_splitter {
    struct ppi_mem *mem;
    struct ppi_split_step steps[MAX_STEPS];
    int n;
    bool byte_level;
};

/* ---- reading ---- */

static struct ppi_split_step *add(struct ppi_splitter *splitter, enum ppi_split_kind kind,
                                  int32_t behavior)
{
    struct ppi_split_step *step = &splitter->steps[splitter->n++];
    *step = (struct ppi_split_step){.kind = kind, .behavior = behavior};
    return step;
}

static void add_chars(struct ppi_splitter *splitter, bool (*wanted)(uint32_t), int32_t behavior)
{
    add(splitter, PPI_SPLIT_CHARS, behavior)->wanted = wanted;
}

static pp_status read_behavior(const struct ppi_reading *reading, const struct ppi_json_value *part,
                               int32_t *behavior)
{
    static const char *const names[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};
    return ppi_reading_choice(reading, part_name, part, "behavior", names, behavior);
}

static pp_status read_split(const struct ppi_reading *reading, const struct ppi_json_value *part,
                            struct ppi_splitter *splitter)
{
    int32_t behavior = -1;
    bool invert = false;
    PP_TRY(read_behavior(reading, part, &behavior));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "invert", &invert));
    struct ppi_split_step *step = add(splitter, PPI_SPLIT_PATTERN, behavior);
    step->inverted = invert;
    return ppi_pattern_read(reading, part_name, part, &step->pattern);
}

static pp_status read_byte_level(const struct ppi_reading *reading,
                                 const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    bool prefix = true, regex = true;
    PP_TRY(ppi_reading_flag(reading, part_name, part, "add_prefix_space", &prefix));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "use_regex", &regex));
    if (prefix)
        add(splitter, PPI_SPLIT_PREFIX, 0);
    if (regex)
        PP_TRY(ppi_pattern_create(
            gpt2_pattern, sizeof gpt2_pattern - 1, true, reading->label, part_name, reading->mem,
            &add(splitter, PPI_SPLIT_PATTERN, PPI_ISOLATED)->pattern, reading->err));
    add(splitter, PPI_SPLIT_SPELLING, 0);
    return PP_OK;
}

static pp_status read_metaspace(const struct ppi_reading *reading,
                                const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    static const char *const names[] = {"always", "first", "never", NULL};
    int32_t prepend = PPI_PREPEND_ALWAYS;
    bool split = true, prefix = true;
    uint32_t code;
    PP_TRY(ppi_reading_char(reading, part_name, part, "replacement", &code));
    PP_TRY(ppi_reading_choice(reading, part_name, part, "prepend_scheme", names, &prepend));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "add_prefix_space", &prefix));
    PP_TRY(ppi_reading_flag(reading, part_name, part, "split", &split));
    if (!prefix && prepend != PPI_PREPEND_NEVER) {
        if (ppi_json_get(part, "prepend_scheme"))
            return ppi_reading_refuse(reading, PP_ERR_FORMAT, "pre_tokenizer.prepend_scheme",
                                      ppi_json_get(part, "prepend_scheme"),
                                      "\"never\" is what add_prefix_space says");
        prepend = PPI_PREPEND_NEVER;
    }
    struct ppi_split_step *step = add(splitter, PPI_SPLIT_META, 0);
    step->code = code;
    step->prepend = prepend;
    if (split)
        add(splitter, PPI_SPLIT_CHARS, PPI_MERGED_WITH_NEXT)->code = code;
    return PP_OK;
}

static pp_status read_digits(const struct ppi_reading *reading, const struct ppi_json_value *part,
                             struct ppi_splitter *splitter)
{
    bool each = false;
    PP_TRY(ppi_reading_flag(reading, part_name, part, "individual_digits", &each));
    add_chars(splitter, ppi_is_numeric, each ? PPI_ISOLATED : PPI_CONTIGUOUS);
    return PP_OK;
}

static pp_status read_punctuation(const struct ppi_reading *reading,
                                  const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    int32_t behavior = PPI_ISOLATED;
    PP_TRY(read_behavior(reading, part, &behavior));
    add_chars(splitter, ppi_is_punctuation, behavior);
    return PP_OK;
}

static pp_status read_delimiter(const struct ppi_reading *reading,
                                const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    uint32_t code;
    PP_TRY(ppi_reading_char(reading, part_name, part, "delimiter", &code));
    add(splitter, PPI_SPLIT_CHARS, PPI_REMOVED)->code = code;
    return PP_OK;
}

static pp_status read_fixed_length(const struct ppi_reading *reading,
                                   const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    int64_t length = 5;
    PP_TRY(ppi_reading_integer(reading, part_name, part, "length", 1, INT32_MAX, &length));
    add(splitter, PPI_SPLIT_LENGTH, 0)->length = length;
    return PP_OK;
}

static pp_status read_bert(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           struct ppi_splitter *splitter)
{
    (void)reading;
    (void)part;
    add_chars(splitter, ppi_is_white_space, PPI_REMOVED);
    add_chars(splitter, ppi_is_punctuation, PPI_ISOLATED);
    return PP_OK;
}

static pp_status read_whitespace(const struct ppi_reading *reading,
                                 const struct ppi_json_value *part, struct ppi_splitter *splitter)
{
    (void)reading;
    (void)part;
    add(splitter, PPI_SPLIT_RUNS, 0);
    return PP_OK;
}

static pp_status read_whitespace_split(const struct ppi_reading *reading,
                                       const struct ppi_json_value *part,
                                       struct ppi_splitter *splitter)
{
    (void)reading;
    (void)part;
    add_chars(splitter, ppi_is_white_space, PPI_REMOVED);
    return PP_OK;
}

static pp_status read_part(const struct ppi_reading *reading, const struct ppi_json_value *part,
                           void *user)
{
    static const struct {
        const char *type;
        pp_status (*read)(const struct ppi_reading *reading, const struct ppi_json_value *part,
                          struct ppi_splitter *splitter);
    } kinds[] = {{"Split", read_split},
                 {"ByteLevel", read_byte_level},
                 {"Metaspace", read_metaspace},
                 {"Digits", read_digits},
                 {"Punctuation", read_punctuation},
                 {"BertPreTokenizer", read_bert},
                 {"Whitespace", read_whitespace},
                 {"WhitespaceSplit", read_whitespace_split},
                 {"CharDelimiterSplit", read_delimiter},
                 {"FixedLength", read_fixed_length}};
    const char *type = ppi_reading_type(part);
    for (size_t i = 0; i < PPI_COUNT(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].read(reading, part, user);
    }
    return ppi_reading_unknown(reading, part_name, part);
}

pp_status ppi_splitter_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                            struct ppi_splitter **splitter)
{
    if (!object || object->type == PPI_JSON_NULL) {
        *splitter = NULL;
        return PP_OK;
    }
    struct ppi_splitter *made = ppi_zalloc(reading->mem, 1, sizeof *made);
    if (!made)
        return ppi_error_nomem(reading->err, "a splitter", sizeof *made);
    made->mem = reading->mem;
    const pp_status status =
        ppi_reading_parts(reading, part_name, "pretokenizers", object, read_part, made);
    if (status < 0) {
        ppi_splitter_destroy(made);
        return status;
    }
    if (made->n > 0 && made->steps[made->n - 1].kind == PPI_SPLIT_SPELLING) {
        made->n--;
        made->byte_level = true;
    }
    *splitter = made;
    return PP_OK;
}

void ppi_splitter_destroy(struct ppi_splitter *splitter)
{
    if (!splitter)
        return;
    for (int i = 0; i < splitter->n; i++)
        ppi_pattern_destroy(splitter->steps[i].pattern);
    ppi_free(splitter->mem, splitter);
}

bool ppi_splitter_asks_origin(const struct ppi_splitter *splitter, bool rewritten)
{
    for (int i = 0; splitter && i < splitter->n; i++) {
        const struct ppi_split_step *step = &splitter->steps[i];
        if (rewritten && step->kind == PPI_SPLIT_META && step->prepend == PPI_PREPEND_FIRST)
            return true;
        rewritten |= ppi_split_rewrites(step);
    }
    return false;
}

bool ppi_splitter_is_byte_level(const struct ppi_splitter *splitter)
{
    return splitter && splitter->byte_level;
}

/* ---- splitting ---- */

static void swap_spans(struct ppi_spans *a, struct ppi_spans *b)
{
    const struct ppi_spans kept = *a;
    *a = *b;
    *b = kept;
}

static void clear_spans(struct ppi_spans *spans)
{
    spans->n = 0;
    spans->failed = false;
}

static pp_status take_step(const struct ppi_split_step *step, struct ppi_text *text, bool first,
                           struct ppi_spans *words, struct ppi_text *spare,
                           struct ppi_spans *spare_words, struct ppi_pattern_work *work,
                           pp_error *err)
{
    clear_spans(spare_words);
    if (!ppi_split_rewrites(step)) {
        PP_TRY(ppi_split_words(step, text, words, spare_words, work, err));
    } else {
        ppi_text_clear(spare, text->traced);
        ppi_split_rewrite(step, text, first, words, spare, spare_words);
        if (spare->failed)
            return ppi_error_nomem(err, "a text", text->n);
        const struct ppi_text kept = *text;
        *text = *spare;
        *spare = kept;
    }
    if (spare_words->failed)
        return ppi_error_nomem(err, "words", words->n * sizeof *words->items);
    swap_spans(words, spare_words);
    return PP_OK;
}

pp_status ppi_split(const struct ppi_splitter *splitter, struct ppi_text *text, bool first,
                    struct ppi_spans *words, struct ppi_text *spare, struct ppi_spans *spare_words,
                    struct ppi_pattern_work *work, pp_error *err)
{
    clear_spans(words);
    if (text->n)
        ppi_spans_put(words, 0, text->n);
    if (words->failed)
        return ppi_error_nomem(err, "words", sizeof *words->items);
    for (int i = 0; splitter && i < splitter->n; i++)
        PP_TRY(take_step(&splitter->steps[i], text, first, words, spare, spare_words, work, err));
    return PP_OK;
}
