/* plan_data.c: a data set in the order in which it is packed. */
#include "plan_data.h"
#include "choose.h"
#include "model_tokenizer.h"
#include "say.h"

#include <stdio.h>
#include <stdlib.h>

/* Token counts, and tokens where prefixes are looked for. */
static int count_tokens(const struct plan_options *options, struct tokenizer *tokenizer,
                        struct plan_data *data)
{
    struct dataset *set = &data->set;
    if (options->share_prefixes && !set->texts && !set->ids)
        return fail_usage("--share-prefixes needs the tokens of the prompts, but %s holds only "
                          "their counts",
                          options->dataset);
    if (!options->share_prefixes)
        return dataset_count_tokens(set, tokenizer, options->max_length, &data->n_cut);
    const int status = promptset_build(set, tokenizer, INT32_MAX, options->max_length, INT32_MAX,
                                       options->seed.value, &data->tokens);
    data->n_cut = data->tokens.n_cut;
    return status;
}

static int read_data(const struct plan_options *options, struct plan_data *data)
{
    struct dataset *set = &data->set;
    struct engine engine = {0};
    struct tokenizer *tokenizer = NULL;
    int status = options->ids ? dataset_load_ids(options->ids, &options->data, set)
                              : dataset_load(options->dataset, &options->data, set);
    if (status)
        return status;
    if (set->texts) {
        struct model_options model = options->model;
        if (!model.name && set->is_demo)
            model.name = "demo";
        if (!model.name)
            return fail_usage("plan needs --model to count the tokens of the text in %s",
                              options->dataset);
        status = engine_find(&model, &engine);
        if (!status)
            status = model_tokenizer_open(&engine, &options->data, &tokenizer);
    }
    if (!status)
        status = count_tokens(options, tokenizer, data);
    tokenizer_close(tokenizer);
    engine_close(&engine);
    return status;
}

static int64_t length_of(const struct plan_data *data, size_t i)
{
    return data->tokens.prompts ? data->tokens.prompts[i].n_tokens : data->set.lengths[i];
}

/* Shuffled as profile does, or as the file has them. */
static int order_prompts(const struct plan_options *options, struct plan_data *data)
{
    const struct dataset *set = &data->set;
    data->shuffled = set->built_in || options->seed.given;
    data->batch_size = options->batch_size > 0 ? (size_t)options->batch_size : set->n;
    data->n = count_wanted(set->n, data->batch_size, options->max_batches);
    data->n_batches = (data->n + data->batch_size - 1) / data->batch_size;
    data->lengths = calloc(data->n, sizeof *data->lengths);
    int64_t *lengths = calloc(set->n, sizeof *lengths);
    data->order = calloc(data->n, sizeof *data->order);
    const bool with_tokens = data->tokens.prompts != NULL;
    if (with_tokens)
        data->prompts = calloc(data->n, sizeof *data->prompts);
    int status = STATUS_OK;
    if (!data->order || !lengths || !data->lengths || (with_tokens && !data->prompts))
        status = fail_memory();
    for (size_t i = 0; i < set->n && !status; i++)
        lengths[i] = length_of(data, i);
    if (!status && data->shuffled)
        status = choose_prompts(lengths, set->n, options->seed.value, data->n, data->order);
    for (size_t i = 0; i < data->n && !status; i++) {
        if (!data->shuffled)
            data->order[i] = i;
        const size_t from = data->order[i];
        data->lengths[i] = lengths[from];
        if (with_tokens)
            data->prompts[i] = data->tokens.prompts[from];
    }
    free(lengths);
    return status;
}

int plan_data_open(const struct plan_options *options, struct plan_data *data)
{
    *data = (struct plan_data){0};
    const int status = read_data(options, data);
    return status ? status : order_prompts(options, data);
}

void plan_data_free(struct plan_data *data)
{
    free(data->order);
    free(data->lengths);
    free(data->prompts);
    promptset_free(&data->tokens);
    dataset_free(&data->set);
    *data = (struct plan_data){0};
}

void plan_data_name_prompt(const struct plan_data *data, size_t i, char *out, size_t out_bytes)
{
    if (data->order)
        dataset_name_prompt(&data->set, data->order[i], out, out_bytes);
    else
        snprintf(out, out_bytes, "prompt %zu", i + 1);
}
