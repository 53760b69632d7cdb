/* score_lines.c: objects of records, and sums over them. */
#include "score_lines.h"
#include "json_out.h"

#include <math.h>
#include <string.h>

/* Without a token there is no such number, and JSON has none that is infinite. */
static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *perplexity_json(double logprob, int64_t n)
{
    return n > 0 ? number_json(exp(-logprob / (double)n)) : json_null();
}

static json_t *bits_json(double logprob, int64_t n)
{
    return n > 0 ? number_json(-logprob / (double)n / log(2)) : json_null();
}

/* ---- a record ---- */

static void begin_tokens(struct line_builder *builder)
{
    if (!builder->per_token)
        return;
    builder->ids = json_array();
    builder->logprobs = json_array();
    builder->ranks = json_array();
    builder->top = json_array();
}

void line_begin(struct line_builder *builder, const struct score_work *work, bool per_token)
{
    *builder = (struct line_builder){.work = work, .per_token = per_token, .has_text = true};
    builder->best = builder->best_norm = builder->best_bytes = (struct best){.value = -INFINITY};
    builder->continuations = json_array();
    begin_tokens(builder);
}

void line_drop(struct line_builder *builder)
{
    json_decref(builder->continuations);
    json_decref(builder->ids);
    json_decref(builder->logprobs);
    json_decref(builder->ranks);
    json_decref(builder->top);
    *builder = (struct line_builder){0};
}

/* [[id, log-probability], ...] */
static json_t *top_json(const struct sequence_scores *figures, int64_t t)
{
    json_t *list = json_array();
    for (int32_t k = 0; k < figures->n_top; k++) {
        const int64_t place = t * figures->n_top + k;
        json_put(&list, NULL,
                 json_pack("[I, o]", (json_int_t)figures->top_tokens[place],
                           number_json(figures->top_logprobs[place])));
    }
    return list;
}

static void add_tokens(struct line_builder *builder, const struct sequence_scores *figures)
{
    for (int64_t t = 0; t < figures->n && builder->per_token; t++) {
        const pp_score *score = &figures->scores[t];
        json_put(&builder->ids, NULL, json_integer(score->target));
        json_put(&builder->logprobs, NULL, number_json(score->logprob));
        json_put(&builder->ranks, NULL, json_integer(score->rank));
        if (figures->n_top > 0)
            json_put(&builder->top, NULL, top_json(figures, t));
    }
}

/* Moves what is known of tokens to an object. */
static void put_tokens(struct line_builder *builder, json_t **json)
{
    if (!builder->per_token)
        return;
    const bool has_top = json_array_size(builder->top) > 0;
    json_put(json, "token_ids", builder->ids);
    json_put(json, "logprobs", builder->logprobs);
    json_put(json, "ranks", builder->ranks);
    if (has_top)
        json_put(json, "top", builder->top);
    else
        json_decref(builder->top);
    builder->ids = builder->logprobs = builder->ranks = builder->top = NULL;
}

/* The first of equals stays. */
static void keep_best(struct best *best, double value, int64_t i)
{
    if (value > best->value)
        *best = (struct best){value, i};
}

static void add_continuation(struct line_builder *builder, const struct sequence *sequence,
                             double logprob, bool greedy)
{
    const int64_t i = (int64_t)json_array_size(builder->continuations);
    json_t *json = json_object();
    keep_best(&builder->best, logprob, i);
    builder->has_text = builder->has_text && sequence->n_bytes > 0;
    if (sequence->n_bytes > 0) {
        keep_best(&builder->best_norm, logprob / (double)sequence->n_chars, i);
        keep_best(&builder->best_bytes, logprob / (double)sequence->n_bytes, i);
    }
    json_put(&json, "logprob", number_json(logprob));
    json_put(&json, "greedy", json_boolean(greedy));
    json_put_count(&json, "tokens", sequence->n_targets);
    json_put(&json, "characters",
             sequence->n_chars ? json_integer(sequence->n_chars) : json_null());
    json_put(&json, "bytes", sequence->n_bytes ? json_integer(sequence->n_bytes) : json_null());
    put_tokens(builder, &json);
    json_put(&builder->continuations, NULL, json);
    begin_tokens(builder);
}

void line_add(struct line_builder *builder, size_t i, const struct sequence_scores *figures)
{
    double logprob = 0;
    bool greedy = true;
    for (int64_t t = 0; t < figures->n; t++) {
        logprob += figures->scores[t].logprob;
        greedy = greedy && figures->scores[t].rank == 0;
    }
    add_tokens(builder, figures);
    builder->logprob += logprob;
    builder->n_tokens += figures->n;
    if (!builder->work->is_text)
        add_continuation(builder, &builder->work->sequences[i], logprob, greedy);
}

static void put_continuations(struct line_builder *builder, const struct record *record,
                              json_t **json)
{
    json_put(json, "continuations", builder->continuations);
    builder->continuations = NULL;
    json_put_count(json, "best", builder->best.i);
    json_put(json, "best_norm",
             builder->has_text ? json_integer(builder->best_norm.i) : json_null());
    json_put(json, "best_bytes",
             builder->has_text ? json_integer(builder->best_bytes.i) : json_null());
    if (record->answer >= 0)
        json_put_count(json, "answer", record->answer);
}

static void put_text(struct line_builder *builder, const struct record *record, json_t **json)
{
    json_put_count(json, "tokens", builder->n_tokens);
    json_put(json, "logprob", number_json(builder->logprob));
    json_put(json, "token_perplexity", perplexity_json(builder->logprob, builder->n_tokens));
    if (record->n_bytes > 0) {
        json_put_count(json, "words", record->n_words);
        json_put(json, "word_perplexity", perplexity_json(builder->logprob, record->n_words));
        json_put_count(json, "bytes", record->n_bytes);
        json_put(json, "byte_perplexity", perplexity_json(builder->logprob, record->n_bytes));
        json_put(json, "bits_per_byte", bits_json(builder->logprob, record->n_bytes));
    }
    put_tokens(builder, json);
}

json_t *line_end(struct line_builder *builder, size_t i)
{
    const struct score_work *work = builder->work;
    const struct record *record = &work->records[i];
    const bool per_token = builder->per_token;
    json_t *json = json_object();
    json_put_count(&json, "item", (int64_t)i);
    json_put_count(&json, "line", (int64_t)record->line);
    if (work->is_text)
        put_text(builder, record, &json);
    else
        put_continuations(builder, record, &json);
    line_drop(builder);
    line_begin(builder, work, per_token);
    return json;
}

/* ---- all records ---- */

static bool add_answer(struct score_totals *totals, const json_t *line, const json_t *list)
{
    const json_t *answer = json_object_get(line, "answer");
    const json_t *norm = json_object_get(line, "best_norm");
    const json_t *bytes = json_object_get(line, "best_bytes");
    if (!answer)
        return true;
    const json_int_t right = json_integer_value(answer);
    const json_t *one = json_array_get(list, (size_t)right);
    totals->n_answers++;
    totals->n_right += json_integer_value(json_object_get(line, "best")) == right;
    totals->n_norm_answers += json_is_integer(norm);
    totals->n_right_norm += json_is_integer(norm) && json_integer_value(norm) == right;
    totals->n_right_bytes += json_is_integer(bytes) && json_integer_value(bytes) == right;
    totals->answer_logprob += json_number_value(json_object_get(one, "logprob"));
    return json_is_integer(answer) && json_is_object(one) &&
           json_is_integer(json_object_get(line, "best"));
}

static bool add_continuations(struct score_totals *totals, const json_t *line, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const json_t *logprob = json_object_get(one, "logprob");
        const json_t *tokens = json_object_get(one, "tokens");
        if (!json_is_integer(tokens) || (!json_is_number(logprob) && !json_is_null(logprob)))
            return false;
        totals->n_continuations++;
        totals->n_tokens += json_integer_value(tokens);
        totals->logprob += json_is_null(logprob) ? -INFINITY : json_number_value(logprob);
        totals->n_greedy += json_is_true(json_object_get(one, "greedy"));
    }
    return i > 0 && add_answer(totals, line, list);
}

static bool add_text(struct score_totals *totals, const json_t *line)
{
    const json_t *tokens = json_object_get(line, "tokens");
    const json_t *logprob = json_object_get(line, "logprob");
    const json_int_t bytes = json_integer_value(json_object_get(line, "bytes"));
    if (!json_is_integer(tokens) || (!json_is_number(logprob) && !json_is_null(logprob)))
        return false;
    const double value = json_is_null(logprob) ? -INFINITY : json_number_value(logprob);
    totals->n_tokens += json_integer_value(tokens);
    totals->logprob += value;
    if (bytes > 0) {
        totals->n_bytes += bytes;
        totals->n_words += json_integer_value(json_object_get(line, "words"));
        totals->word_logprob += value;
    }
    return true;
}

bool totals_add(struct score_totals *totals, const json_t *line)
{
    const json_t *list = json_object_get(line, "continuations");
    totals->n_items++;
    return json_is_array(list) ? add_continuations(totals, line, list) : add_text(totals, line);
}
