/* score_report.c: the table, the figures and their JSON. */
#include "score_report.h"
#include "json_out.h"
#include "table.h"

#include <inttypes.h>
#include <math.h>

static double share(int64_t part, int64_t all)
{
    return all > 0 ? (double)part / (double)all : NAN;
}

/* Of a share of n: as lm-evaluation-harness has it, of a sample. */
static double standard_error(int64_t part, int64_t n)
{
    const double p = share(part, n);
    return n > 1 ? sqrt(p * (1 - p) / (double)(n - 1)) : NAN;
}

/* ---- the table ---- */

static void add_number(struct table *table, const json_t *number, const char *format)
{
    char text[48] = "-";
    if (json_is_number(number))
        snprintf(text, sizeof text, format, json_number_value(number));
    table_add(table, "%s", text);
}

static void add_question(struct table *table, const json_t *line)
{
    const json_t *list = json_object_get(line, "continuations");
    const json_int_t best = json_integer_value(json_object_get(line, "best"));
    const json_t *one = json_array_get(list, (size_t)best);
    table_add(table, "%zu", json_array_size(list));
    add_number(table, json_object_get(one, "logprob"), "%.4f");
    table_add(table, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(one, "tokens")));
    table_add(table, "%s", json_is_true(json_object_get(one, "greedy")) ? "yes" : "no");
    table_add(table, "%" JSON_INTEGER_FORMAT, best);
    add_number(table, json_object_get(line, "best_norm"), "%.0f");
    add_number(table, json_object_get(line, "answer"), "%.0f");
}

static void add_text(struct table *table, const json_t *line)
{
    add_number(table, json_object_get(line, "tokens"), "%.0f");
    add_number(table, json_object_get(line, "logprob"), "%.4f");
    add_number(table, json_object_get(line, "token_perplexity"), "%.4f");
    add_number(table, json_object_get(line, "word_perplexity"), "%.4f");
    add_number(table, json_object_get(line, "byte_perplexity"), "%.4f");
    add_number(table, json_object_get(line, "bits_per_byte"), "%.4f");
}

static void add_headings(struct table *table, bool is_text)
{
    static const char *const texts[] = {"item",     "tokens",   "log p",    "ppl/token",
                                        "ppl/word", "ppl/byte", "bits/byte"};
    static const char *const questions[] = {"item",   "given", "log p",     "tokens",
                                            "greedy", "best",  "best/char", "answer"};
    table_start(table, is_text ? ">>>>>>>" : ">>>>>>>>");
    for (size_t i = 0; i < (is_text ? 7 : 8); i++)
        table_add(table, "%s", is_text ? texts[i] : questions[i]);
}

static int print_table(const struct score_report *report, FILE *out)
{
    const size_t n = json_array_size(report->lines), most = (size_t)report->options->show;
    const size_t n_shown = n < most ? n : most, n_all = report->work->n_records;
    struct table table;
    if (n_shown == 0)
        return 0;
    add_headings(&table, report->work->is_text);
    for (size_t i = 0; i < n_shown; i++) {
        const json_t *line = json_array_get(report->lines, i);
        table_add(&table, "%zu", i + 1);
        if (report->work->is_text)
            add_text(&table, line);
        else
            add_question(&table, line);
    }
    const int status = table_finish(&table, out);
    if (n_shown < n_all)
        fprintf(out, "and %zu more (--show N)\n", n_all - n_shown);
    fputc('\n', out);
    return status;
}

/* ---- the figures ---- */

static void print_share(FILE *out, const char *name, int64_t part, int64_t all, const char *more)
{
    fprintf(out, "%-14s %.2f %% (%" PRId64 " of %" PRId64 ")", name, 100 * share(part, all), part,
            all);
    if (all > 1)
        fprintf(out, ", standard error %.2f", 100 * standard_error(part, all));
    fprintf(out, "%s\n", more);
}

static void print_questions(const struct score_totals *totals, FILE *out)
{
    const double n = (double)totals->n_continuations;
    fprintf(out,
            "scored         %" PRId64 " continuation%s of %" PRId64 " context%s, %" PRId64
            " tokens\n",
            totals->n_continuations, totals->n_continuations == 1 ? "" : "s", totals->n_items,
            totals->n_items == 1 ? "" : "s", totals->n_tokens);
    if (totals->n_answers > 0)
        print_share(out, "acc", totals->n_right, totals->n_answers, ": the largest log p");
    if (totals->n_norm_answers > 0)
        print_share(out, "acc_norm", totals->n_right_norm, totals->n_norm_answers,
                    ": the largest log p a character");
    if (totals->n_norm_answers > 0 && totals->n_right_bytes != totals->n_right_norm)
        print_share(out, "acc_bytes", totals->n_right_bytes, totals->n_norm_answers,
                    ": the largest log p a byte");
    fprintf(out, "mean log p     %.6f of a continuation, %.6f of a token", totals->logprob / n,
            totals->logprob / (double)totals->n_tokens);
    if (totals->n_answers > 0)
        fprintf(out, ", %.6f of an answer", totals->answer_logprob / (double)totals->n_answers);
    fprintf(out, "\n");
    print_share(out, "greedy", totals->n_greedy, totals->n_continuations,
                ": would have been generated");
}

static void print_perplexity(FILE *out, const char *name, double logprob, int64_t n)
{
    if (n > 0)
        fprintf(out, "%-14s %.6f\n", name, exp(-logprob / (double)n));
}

static void print_texts(const struct score_report *report, FILE *out)
{
    const struct score_totals *totals = &report->totals;
    fprintf(out, "scored         %" PRId64 " tokens of %" PRId64 " text%s", totals->n_tokens,
            totals->n_items, totals->n_items == 1 ? "" : "s");
    if (totals->n_bytes > 0)
        fprintf(out, ", %" PRId64 " words, %" PRId64 " bytes", totals->n_words, totals->n_bytes);
    fprintf(out, "\n");
    print_perplexity(out, "ppl of tokens", totals->logprob, totals->n_tokens);
    print_perplexity(out, "ppl of words", totals->word_logprob, totals->n_words);
    print_perplexity(out, "ppl of bytes", totals->word_logprob, totals->n_bytes);
    if (totals->n_bytes > 0)
        fprintf(out, "bits a byte    %.6f\n",
                -totals->word_logprob / (double)totals->n_bytes / log(2));
}

int score_print(const struct score_report *report, FILE *out)
{
    char device[160];
    const int status = print_table(report, out);
    if (status)
        return status;
    describe_session(&report->session, device, sizeof device);
    fprintf(out, "model          %s, %" PRId64 " parameters%s\n", report->engine->name,
            pp_model_n_parameters(report->engine->model),
            pp_model_is_random(report->engine->model) ? ", random weights" : "");
    fprintf(out, "device         %s\n", device);
    if (report->work->is_text)
        print_texts(report, out);
    else
        print_questions(&report->totals, out);
    fprintf(out, "time           %.3f s, %" PRId64 " tokens through the model", report->seconds,
            report->session.tokens_computed);
    if (report->n_done > 0)
        fprintf(out, "; %" PRId64 " items were done before", report->n_done);
    fprintf(out, "\n");
    return 0;
}

/* ---- JSON ---- */

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *share_json(int64_t part, int64_t all)
{
    return all == 0 ? json_null()
                    : json_pack("{s:o, s:o, s:I}", "value", number_json(share(part, all)),
                                "standard_error", number_json(standard_error(part, all)), "n",
                                (json_int_t)all);
}

static void put_questions(const struct score_totals *totals, json_t **json)
{
    const double n = (double)totals->n_continuations;
    json_put_count(json, "continuations", totals->n_continuations);
    json_put(json, "acc", share_json(totals->n_right, totals->n_answers));
    json_put(json, "acc_norm", share_json(totals->n_right_norm, totals->n_norm_answers));
    json_put(json, "acc_bytes", share_json(totals->n_right_bytes, totals->n_norm_answers));
    json_put(json, "greedy", share_json(totals->n_greedy, totals->n_continuations));
    json_put(json, "mean_logprob", number_json(totals->logprob / n));
    json_put(json, "mean_token_logprob", number_json(totals->logprob / (double)totals->n_tokens));
    json_put(json, "mean_answer_logprob",
             number_json(totals->answer_logprob / (double)totals->n_answers));
}

static void put_texts(const struct score_totals *totals, json_t **json)
{
    const int64_t bytes = totals->n_bytes;
    json_put(json, "logprob", number_json(totals->logprob));
    json_put(json, "token_perplexity", perplexity_json(totals->logprob, totals->n_tokens));
    json_put(json, "words", bytes ? json_integer(totals->n_words) : json_null());
    json_put(json, "word_perplexity", perplexity_json(totals->word_logprob, totals->n_words));
    json_put(json, "bytes", bytes ? json_integer(bytes) : json_null());
    json_put(json, "byte_perplexity", perplexity_json(totals->word_logprob, bytes));
    json_put(json, "bits_per_byte",
             bytes ? number_json(-totals->word_logprob / (double)bytes / log(2)) : json_null());
}

json_t *score_json(const struct score_report *report)
{
    const struct score_totals *totals = &report->totals;
    json_t *json = json_object();
    json_put(&json, "model", json_lenient(report->engine->name));
    json_put(&json, "data", json_lenient(report->work->name));
    json_put_device(&json, &report->session);
    json_put_count(&json, "items", totals->n_items);
    json_put_count(&json, "tokens", totals->n_tokens);
    if (report->work->is_text)
        put_texts(totals, &json);
    else
        put_questions(totals, &json);
    json_put_count(&json, "cut", report->work->n_cut);
    json_put_count(&json, "crossed", report->work->n_crossed);
    json_put_count(&json, "tokens_computed", report->session.tokens_computed);
    json_put_count(&json, "peak_session_bytes", report->session.peak_memory_bytes);
    json_put(&json, "seconds", json_real(report->seconds));
    json_put(&json, "results", json_incref(report->lines));
    return json;
}
