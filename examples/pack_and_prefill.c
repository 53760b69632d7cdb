/* pack_and_prefill.c: ragged prompts, one packed pass, a KV cache and a next token for each. */
#include <prepack/prepack.h>
#include <stdio.h>

#define PROMPT(ids, n)                                                                             \
    {                                                                                              \
        .struct_size = sizeof(pp_item), .output = PP_OUTPUT_TOKEN, .tokens = ids, .n_tokens = n    \
    }

int main(int argc, char **argv)
{
    static const int32_t a[] = {1, 15, 27, 8, 301, 44}, b[] = {1, 9}, c[] = {1, 77, 12, 5};
    pp_item items[] = {PROMPT(a, 6), PROMPT(b, 2), PROMPT(c, 4)};
    const int64_t lengths[] = {6, 2, 4};
    const char *dir = argc > 1 ? argv[1] : "examples/demo-model";
    pp_error err = {.struct_size = sizeof err};
    pp_model *model = NULL;
    pp_session *session = NULL;
    pp_packer *packer = NULL;
    pp_plan *plan = NULL;

    if (pp_model_open(dir, NULL, &model, &err) < 0 ||
        pp_session_create(model, NULL, &session, &err) < 0 ||
        pp_packer_create(NULL, &packer, &err) < 0 ||
        pp_packer_plan(packer, lengths, 3, &plan, &err) < 0 ||
        pp_run(session, plan, items, 3, NULL, &err) < 0)
        return fprintf(stderr, "%s\n", err.message), 1;
    for (int i = 0; i < 3; i++) {
        printf("%lld tokens cached, next: %d\n", (long long)pp_kvcache_length(items[i].cache),
               items[i].next);
        pp_kvcache_destroy(items[i].cache);
    }
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    pp_session_destroy(session);
    pp_model_unref(model);
}
