/*
 * edges.c: post-processors, of which single texts are what counts here; see edges.h.
 */
#include "tokenizer/edges.h"

#include <string.h>

#define WHERE "post_processor"

static pp_status check_id(const struct ppi_reading *reading, const struct ppi_json_value *value)
{
    if (ppi_json_is(value, PPI_JSON_INTEGER) && value->integer >= 0 &&
        value->integer < PPI_VOCAB_MAX_IDS)
        return PP_OK;
    return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE, value, "the id of a token is needed");
}

/* Puts ids around what is there already: later processors stand outside of earlier ones. */
static pp_status wrap(const struct ppi_reading *reading, const struct ppi_edges *outer,
                      struct ppi_edges *edges)
{
    if (edges->n_before + outer->n_before > PPI_MAX_EDGE ||
        edges->n_after + outer->n_after > PPI_MAX_EDGE)
        return ppi_error(reading->err, PP_ERR_LIMIT,
                         "%s: \"%s\" puts more than %d tokens before or behind a text",
                         reading->label, WHERE, PPI_MAX_EDGE);
    memmove(edges->before + outer->n_before, edges->before,
            (size_t)edges->n_before * sizeof *edges->before);
    memcpy(edges->before, outer->before, (size_t)outer->n_before * sizeof *outer->before);
    memcpy(edges->after + edges->n_after, outer->after,
           (size_t)outer->n_after * sizeof *outer->after);
    edges->n_before += outer->n_before;
    edges->n_after += outer->n_after;
    return PP_OK;
}

/* ---- templates ---- */

/* The ids of a special token of a template. */
static pp_status put_special(const struct ppi_reading *reading, const struct ppi_json_value *table,
                             const struct ppi_json_value *special, int32_t *ids, int32_t *n)
{
    const char *name = ppi_json_string(ppi_json_get(special, "id"));
    const struct ppi_json_value *entry = name ? ppi_json_get(table, name) : NULL;
    const struct ppi_json_value *list = ppi_json_get(entry, "ids");
    if (!ppi_json_is(list, PPI_JSON_ARRAY))
        return ppi_error(reading->err, PP_ERR_FORMAT,
                         "%s: \"%s\" names the special token \"%s\" and does not say its ids",
                         reading->label, WHERE, name ? ppi_label(name).text : "");
    for (const struct ppi_json_value *id = ppi_json_first(list); id; id = ppi_json_next(list, id)) {
        PP_TRY(check_id(reading, id));
        if (*n == PPI_MAX_EDGE)
            return ppi_error(reading->err, PP_ERR_LIMIT,
                             "%s: \"%s\" puts more than %d tokens before or behind a text",
                             reading->label, WHERE, PPI_MAX_EDGE);
        ids[(*n)++] = (int32_t)id->integer;
    }
    return PP_OK;
}

static pp_status read_template(const struct ppi_reading *reading,
                               const struct ppi_json_value *object, struct ppi_edges *edges)
{
    const struct ppi_json_value *single = ppi_json_get(object, "single");
    const struct ppi_json_value *table = ppi_json_get(object, "special_tokens");
    struct ppi_edges outer = {0};
    bool behind = false;
    if (!ppi_json_is(single, PPI_JSON_ARRAY))
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE ".single", single,
                                  "a list is needed");
    for (const struct ppi_json_value *piece = ppi_json_first(single); piece;
         piece = ppi_json_next(single, piece)) {
        const struct ppi_json_value *special = ppi_json_get(piece, "SpecialToken");
        const struct ppi_json_value *sequence = ppi_json_get(piece, "Sequence");
        const char *id = ppi_json_string(ppi_json_get(sequence, "id"));
        if (special && !sequence) {
            PP_TRY(put_special(reading, table, special, behind ? outer.after : outer.before,
                               behind ? &outer.n_after : &outer.n_before));
        } else if (id && !behind && strcmp(id, "A") == 0) {
            behind = true;
        } else {
            return ppi_reading_refuse(reading, PP_ERR_UNSUPPORTED, WHERE ".single", piece,
                                      "special tokens and one sequence A are supported");
        }
    }
    if (!behind)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE ".single", single,
                                  "the sequence A is missing");
    return wrap(reading, &outer, edges);
}

/* ---- the others ---- */

/* "cls": ["[CLS]", 101] */
static pp_status read_pair(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           const char *key, int32_t *id)
{
    const struct ppi_json_value *pair = ppi_json_get(object, key);
    const struct ppi_json_value *token = ppi_json_first(pair);
    if (!ppi_json_is(pair, PPI_JSON_ARRAY) || pair->len != 2)
        return ppi_reading_refuse(reading, PP_ERR_FORMAT, WHERE, pair,
                                  "a token with its id is needed");
    PP_TRY(check_id(reading, ppi_json_next(pair, token)));
    *id = (int32_t)ppi_json_next(pair, token)->integer;
    return PP_OK;
}

static pp_status read_bert(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           struct ppi_edges *edges)
{
    struct ppi_edges outer = {.n_before = 1, .n_after = 1};
    PP_TRY(read_pair(reading, object, "cls", &outer.before[0]));
    PP_TRY(read_pair(reading, object, "sep", &outer.after[0]));
    return wrap(reading, &outer, edges);
}

static pp_status read_trim(const struct ppi_reading *reading, const struct ppi_json_value *object,
                           struct ppi_edges *edges)
{
    bool trim = true, space = true;
    PP_TRY(ppi_reading_flag(reading, WHERE, object, "trim_offsets", &trim));
    PP_TRY(ppi_reading_flag(reading, WHERE, object, "add_prefix_space", &space));
    edges->trim_offsets = edges->trim_offsets || trim;
    if (trim)
        edges->add_prefix_space = space;
    return PP_OK;
}

static pp_status take(const struct ppi_reading *reading, const struct ppi_json_value *part,
                      void *user)
{
    const char *type = ppi_reading_type(part);
    struct ppi_edges *edges = user;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(reading, part, edges);
    if (strcmp(type, "BertProcessing") == 0)
        return read_bert(reading, part, edges);
    if (strcmp(type, "ByteLevel") == 0)
        return read_trim(reading, part, edges);
    if (strcmp(type, "RobertaProcessing") == 0) {
        PP_TRY(read_trim(reading, part, edges));
        return read_bert(reading, part, edges);
    }
    return ppi_reading_unknown(reading, "post-processor", part);
}

pp_status ppi_edges_read(const struct ppi_reading *reading, const struct ppi_json_value *object,
                         struct ppi_edges *edges)
{
    *edges = (struct ppi_edges){0};
    if (!object || object->type == PPI_JSON_NULL)
        return PP_OK;
    return ppi_reading_parts(reading, WHERE, "processors", object, take, edges);
}
