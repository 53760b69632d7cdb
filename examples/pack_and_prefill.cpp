/* pack_and_prefill.cpp: ragged prompts, one packed pass, a KV cache and a next token for each; then
 * the same prompts continued, and how likely they are. */
#include <prepack/prepack.hpp>

#include <cstdio>

int main(int argc, char **argv)
try {
    const std::vector<std::vector<int32_t>> prompts = {
        {1, 15, 27, 8, 301, 44}, {1, 9}, {1, 77, 12, 5}};
    prepack::Model model(argc > 1 ? argv[1] : "examples/demo-model");
    prepack::Session session(model);
    prepack::Plan plan = prepack::Packer::with_defaults().plan_prompts(prompts);

    std::vector<prepack::Item> items;
    for (const auto &ids : prompts) {
        items.emplace_back(ids);
        items.back().output = PP_OUTPUT_TOKEN;
    }
    prepack::RunOptions options;
    options.plan = &plan;
    session.run(items, options);
    for (prepack::Item &item : items) {
        prepack::Cache cache = item.take_cache();
        std::printf("%lld tokens cached, next: %d\n", static_cast<long long>(cache.length()),
                    item.next);
    }

    prepack::GenerateOptions how;
    how.max_new_tokens = 4;
    how.stop_at_eos = false;
    const auto texts = prepack::generate(session, prompts, how);
    const auto logprobs = prepack::score(session, prompts);
    for (size_t i = 0; i < prompts.size(); i++) {
        std::printf("prompt %zu goes on:", i);
        for (int32_t token : texts[i])
            std::printf(" %d", token);
        std::printf("; log-probability of its second token: %.3f\n", logprobs[i][0]);
    }
    return 0;
} catch (const prepack::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
