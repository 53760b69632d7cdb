/* pack_and_prefill.c: prompts of different lengths, one packed pass, a KV cache and a token each.
 */
#include <prepack/prepack.h>
#include <stdio.h>

#define TRY(call)                                                                                  \
    if ((call) < 0)                                                                                \
    return fprintf(stderr, "%s\n", err.message), 1

int main(int argc, char **argv)
{
    static const int32_t a[] = {1, 15, 27, 8, 301, 44}, b[] = {1, 9}, c[] = {1, 77, 12, 5};
    const pp_prompt prompts[] = {{a, 6}, {b, 2}, {c, 4}};
    const int64_t lengths[] = {6, 2, 4};
    pp_error err = {.struct_size = sizeof err};
    pp_model_config config = {.struct_size = sizeof config};
    pp_model *model;
    pp_session *session;
    pp_packer *packer;
    pp_plan *plan;
    pp_kvcache *caches[3];
    const float *logits;

    TRY(pp_model_open(argc > 1 ? argv[1] : "examples/demo-model", NULL, &model, &err));
    TRY(pp_model_get_config(model, &config, &err));
    TRY(pp_session_create(model, NULL, &session, &err));
    TRY(pp_packer_create(NULL, &packer, &err));
    TRY(pp_packer_plan(packer, lengths, 3, &plan, &err));
    TRY(pp_prefill(session, plan, prompts, 3, caches, &logits, &err));
    for (int i = 0; i < 3; i++) {
        const float *row = logits + (size_t)i * (size_t)config.vocab_size;
        int32_t next = 0;
        for (int32_t t = 1; t < config.vocab_size; t++)
            next = row[t] > row[next] ? t : next;
        printf("prompt %d: %lld tokens cached, next token %d\n", i,
               (long long)pp_kvcache_length(caches[i]), next);
        pp_kvcache_destroy(caches[i]);
    }
    pp_plan_destroy(plan);
    pp_packer_destroy(packer);
    pp_session_destroy(session);
    pp_model_unref(model);
}
