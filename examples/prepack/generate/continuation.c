/* continuation.c: the JSON of `prepack generate`. */
#include "continuation.h"
#include "json_out.h"

static json_t *tokens_json(const int32_t *tokens, size_t n)
{
    json_t *json = json_array();
    for (size_t i = 0; i < n; i++)
        json_put_count(&json, NULL, tokens[i]);
    return json;
}

static json_t *continuation_json(const struct continuation *item)
{
    const pp_prompt *ids = item->given_ids;
    json_t *json = json_pack("{s:s?, s:s?, s:o}", "prompt", ids ? NULL : item->prompt, "text",
                             item->is_text ? item->text : NULL, "tokens",
                             tokens_json(item->tokens, item->n_tokens));
    if (ids)
        json_put(&json, "prompt_tokens", tokens_json(ids->tokens, (size_t)ids->n_tokens));
    return json;
}

json_t *generate_json(const struct continuation *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_put(&list, NULL, continuation_json(&items[i]));
    return list;
}
