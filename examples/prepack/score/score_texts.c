/* score_texts.c: texts, and the windows through which a model sees them. */
#include "dataset.h"
#include "say.h"
#include "score_data.h"

#include <stdlib.h>
#include <string.h>

/* A text whose tokens lie in the work from `first` on. */
struct tokenized {
    size_t first;
    int64_t n;      /* tokens, those before the text included */
    int64_t before; /* that are not scored by a rolling window */
};

static int add_window(struct score_work *work, const struct tokenized *text, int64_t begin,
                      int64_t end, int64_t n_targets)
{
    return work_add_sequence(work, &(struct sequence){.first = text->first + (size_t)begin,
                                                      .n_tokens = end - begin,
                                                      .n_targets = n_targets});
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Windows of max_length targets, each with one token before it but for the first, which has all
 * that stands before the text. */
static int add_rolling(struct score_work *work, const struct tokenized *text, int64_t max_length)
{
    int status = STATUS_OK;
    for (int64_t next = text->before, begin = 0; next < text->n && !status;) {
        const int64_t end = smaller(text->n, begin + max_length + 1);
        status = add_window(work, text, begin, end, end - next);
        next = end;
        begin = end - 1;
    }
    return status;
}

/* Windows of max_length tokens that begin `stride` tokens apart. */
static int add_strided(struct score_work *work, const struct tokenized *text, int64_t max_length,
                       int64_t stride)
{
    int status = STATUS_OK;
    int64_t done = 0; /* the end of the window before */
    for (int64_t begin = 0; done < text->n && !status; begin += stride) {
        const int64_t end = smaller(text->n, begin + max_length);
        const int64_t n_targets = smaller(end - done, end - begin - 1);
        if (n_targets > 0)
            status = add_window(work, text, begin, end, n_targets);
        done = end;
    }
    return status;
}

/* Which tokens a text has, and which stand before it. */
static int tokenize(const struct score_options *options, struct encoder *encoder,
                    const struct dataset *set, size_t i, struct token_list *list, size_t *before)
{
    list->n = 0;
    *before = 0;
    if (set->ids) { /* as they are given: the first is only seen */
        *before = 1;
        return tokens_append(list, set->ids[i], (size_t)set->lengths[i]);
    }
    if (options->stride > 0) {
        *before = encoder->edges.n_before;
        return encoder_add_text(encoder, set->texts[i], list);
    }
    char name[512];
    struct context none;
    bool crossed;
    int status = encoder_context(encoder, "", &none);
    if (!status)
        status = tokens_append(list, none.tokens.items, none.tokens.n);
    *before = list->n;
    if (!status)
        status = encoder_add_continuation(encoder, &none, "", set->texts[i], list, &crossed);
    context_free(&none);
    if (!status && *before == 0) {
        dataset_name_prompt(set, i, name, sizeof name);
        status = fail("%s: the model has no token that begins or ends a text, so that the first "
                      "token of a text has nothing before it; --stride leaves it out",
                      name);
    }
    return status;
}

static int add_text(const struct score_options *options, struct encoder *encoder,
                    const struct dataset *set, size_t i, int64_t max_length,
                    struct token_list *list, struct score_work *work)
{
    struct tokenized text;
    size_t before;
    int status = tokenize(options, encoder, set, i, list, &before);
    if (!status)
        status = work_add_tokens(work, list->items, list->n, &text.first);
    if (status)
        return status;
    text.n = (int64_t)list->n;
    text.before = (int64_t)before;
    struct record record = {.line = set->line_numbers[i], .answer = -1};
    record.n_tokens = text.n - (set->ids ? 0 : text.before);
    if (set->texts) {
        record.n_words = count_words(set->texts[i]);
        record.n_bytes = (int64_t)strlen(set->texts[i]);
    }
    status = work_add_record(work, &record);
    if (status)
        return status;
    return options->stride > 0 ? add_strided(work, &text, max_length, options->stride)
                               : add_rolling(work, &text, max_length);
}

static int load(const struct score_options *options, struct dataset *set)
{
    struct data_options reading = options->reading;
    if (options->ids)
        return dataset_load_ids(options->ids, &reading, set);
    reading.texts_only = reading.whole_texts = true;
    reading.usual_field = "text";
    const int status = dataset_load(options->data, &reading, set);
    if (!status && !set->texts)
        return fail_usage("score needs texts, but %s is a list of token counts", options->data);
    return status;
}

int score_read_texts(const struct score_options *options, struct encoder *encoder,
                     int64_t max_length, struct score_work *work)
{
    struct dataset set = {0};
    struct token_list list = {0};
    int status = load(options, &set);
    if (!status && set.texts)
        status = encoder_open_tokenizer(encoder);
    if (!status)
        status = dataset_check_ids(&set, encoder->engine->config.vocab_size);
    work->name = set.name;
    work->is_text = true;
    for (size_t i = 0; i < set.n && !status; i++)
        status = add_text(options, encoder, &set, i, max_length, &list, work);
    free(list.items);
    dataset_free(&set);
    return status;
}
