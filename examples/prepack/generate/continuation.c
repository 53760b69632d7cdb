/* continuation.c: the JSON of `prepack generate`. */
#include "continuation.h"
#include "json_out.h"

static json_t *continuation_json(const struct continuation *item)
{
    json_t *tokens = json_array();
    for (size_t i = 0; i < item->n_tokens; i++)
        json_put_count(&tokens, NULL, item->tokens[i]);
    return json_pack("{s:s, s:s, s:o}", "prompt", item->prompt, "text", item->text, "tokens",
                     tokens);
}

json_t *generate_json(const struct continuation *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_put(&list, NULL, continuation_json(&items[i]));
    return list;
}
