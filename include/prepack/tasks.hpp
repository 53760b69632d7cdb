/*
 * prepack/tasks.hpp: what is done most often, in one call each: prefill, generate, score, embed.
 * All of it is Session::run with the right items.
 *
 *     std::vector<std::vector<int32_t>> prompts = {{1, 15, 27}, {1, 9}};
 *     std::vector<prepack::Cache> caches = prepack::prefill(session, prompts);
 *     prepack::GenerateOptions how;
 *     how.max_new_tokens = 32;
 *     auto texts = prepack::generate(session, prompts, how);   vector<vector<int32_t>>
 *     auto logprobs = prepack::score(session, prompts);        logprobs[i][t]: of token t + 1
 *     prepack::Matrix vectors = prepack::embed(session, prompts);
 *
 * `prompts` is any range of what a span<const int32_t> can be made of, or of pp_prompt; it is
 * looked at during the call. Results are bitwise the same whatever the other prompts are. Errors
 * name the prompt by Error::index().
 */
#ifndef PREPACK_TASKS_HPP
#define PREPACK_TASKS_HPP

#include "continuations.h"
#include "session.hpp"

#include <algorithm>

namespace prepack {

/* Rows of numbers, all in one vector. */
struct Matrix {
    std::vector<float> values; /* [n_rows, n_columns] */
    size_t n_rows = 0, n_columns = 0;

    Matrix() = default;
    Matrix(size_t rows, size_t columns) : values(rows * columns), n_rows(rows), n_columns(columns)
    {
    }
    /* A view that lives as long as the matrix. */
    span<const float> operator[](size_t row) const noexcept
    {
        return {values.data() + row * n_columns, n_columns};
    }
    span<float> operator[](size_t row) noexcept
    {
        return {values.data() + row * n_columns, n_columns};
    }
};

/* An item for each prompt. */
inline std::vector<Item> items_of(span<const pp_prompt> prompts)
{
    std::vector<Item> items(prompts.size());
    for (size_t i = 0; i < items.size(); i++) {
        items[i].tokens = prompts[i].tokens;
        items[i].n_tokens = prompts[i].n_tokens;
    }
    return items;
}

/* A cache for each prompt; with `logits` also those of each prompt's last token, which become
 * [prompts, vocab_size]. */
template <class Prompts>
std::vector<Cache> prefill(Session &session, const Prompts &prompts, const RunOptions &options = {},
                           Matrix *logits = nullptr)
{
    std::vector<Item> items = items_of(prompts_of(prompts));
    Matrix rows;
    if (logits) {
        rows = Matrix(items.size(), static_cast<size_t>(session.model().config().vocab_size));
        for (size_t i = 0; i < items.size(); i++) {
            items[i].output = PP_OUTPUT_LAST_LOGITS;
            items[i].logits = rows[i].data();
        }
    }
    session.run(items, options);
    std::vector<Cache> caches;
    caches.reserve(items.size());
    for (Item &item : items)
        caches.push_back(item.take_cache());
    if (logits)
        *logits = std::move(rows);
    return caches;
}

/* How tokens are drawn (pp_item), and when there are enough of them. */
struct GenerateOptions {
    int64_t max_new_tokens = 64;
    float temperature = 0; /* 0: the most likely token */
    int32_t top_k = 0;
    float top_p = 0;
    float min_p = 0;
    uint64_t seed = 0;                /* of prompt 0; prompt i has seed + i */
    bool stop_at_eos = true;          /* at the model's end tokens, which are not given */
    std::vector<int32_t> stop_tokens; /* and at these */
    /* Told each token of each prompt as it comes; false: this prompt has enough. */
    std::function<bool(size_t prompt, int32_t token)> on_token;
    RunOptions run; /* its plan and shared prefixes are for the prompts, all else for every run */
};

/* The tokens that follow each prompt. */
template <class Prompts>
std::vector<std::vector<int32_t>> generate(Session &session, const Prompts &prompts,
                                           const GenerateOptions &options = {})
{
    std::vector<Item> items = items_of(prompts_of(prompts));
    std::vector<std::vector<int32_t>> texts(items.size());
    std::vector<size_t> owners(items.size()); /* of items: the prompt */
    for (size_t i = 0; i < items.size(); i++) {
        owners[i] = i;
        items[i].output = PP_OUTPUT_TOKEN;
        items[i].temperature = options.temperature;
        items[i].top_k = options.top_k;
        items[i].top_p = options.top_p;
        items[i].min_p = options.min_p;
        items[i].seed = options.seed + i;
    }
    std::vector<int32_t> stops = options.stop_tokens;
    if (options.stop_at_eos) {
        const pp_model_config config = session.model().config();
        stops.insert(stops.end(), config.eos_tokens, config.eos_tokens + config.n_eos_tokens);
    }
    RunOptions run = options.run;
    for (int64_t step = 0; step < options.max_new_tokens && !items.empty(); step++) {
        try {
            session.run(items, run);
        } catch (const Error &error) {
            if (error.index() < 0 || error.index() >= count(items.size()))
                throw;
            throw Error(error.status(), error.what(),
                        count(owners[static_cast<size_t>(error.index())]), error.native_code());
        }
        run.plan = nullptr; /* from now on a token each */
        run.min_shared_prefix = 0;
        size_t n_kept = 0;
        for (size_t i = 0; i < items.size(); i++) {
            const int32_t token = items[i].next;
            std::vector<int32_t> &text = texts[owners[i]];
            if (std::find(stops.begin(), stops.end(), token) != stops.end())
                continue;
            text.push_back(token);
            if (options.on_token && !options.on_token(owners[i], token))
                continue;
            owners[n_kept] = owners[i];
            items[n_kept++] = std::move(items[i]);
        }
        items.resize(n_kept);
        for (size_t i = 0; i < n_kept; i++)
            items[i].set_tokens({&texts[owners[i]].back(), 1});
    }
    return texts;
}

/* The natural log-probability of every token of each prompt but the first, given those before it:
 * n_tokens - 1 numbers each. No cache is kept. */
template <class Prompts>
std::vector<std::vector<double>> score(Session &session, const Prompts &prompts,
                                       const RunOptions &options = {})
{
    std::vector<Item> items = items_of(prompts_of(prompts));
    std::vector<std::vector<pp_score>> wanted(items.size());
    for (size_t i = 0; i < items.size(); i++) {
        for (int64_t t = 0; t + 1 < items[i].n_tokens; t++)
            wanted[i].push_back({t, items[i].tokens[t + 1], 0, 0});
        items[i].scores = wanted[i].data();
        items[i].n_scores = count(wanted[i].size());
        items[i].discard_cache = 1;
    }
    session.run(items, options);
    std::vector<std::vector<double>> logprobs(items.size());
    for (size_t i = 0; i < items.size(); i++)
        for (const pp_score &given : wanted[i])
            logprobs[i].push_back(given.logprob);
    return logprobs;
}

/* Fills logprob and is_greedy of each continuation; prefixes of 16 tokens or more are computed
 * once.
 */
inline void score_continuations(Session &session, span<pp_continuation> all)
{
    call(pp_score_continuations, session.get(), all.data(), count(all.size()), nullptr);
}

/* A vector for each prompt, [prompts, hidden_size], after the model's last norm. pooling:
 * PP_POOLING_*, normalize: 0 or 1; -1: as the model's files recommend, else the last token's and
 * not normalised. No cache is kept. */
template <class Prompts>
Matrix embed(Session &session, const Prompts &prompts, int32_t pooling = -1, int32_t normalize = -1,
             const RunOptions &options = {})
{
    std::vector<Item> items = items_of(prompts_of(prompts));
    const pp_model_config config = session.model().config();
    if (pooling < 0)
        pooling = std::max(config.pooling, int32_t{PP_POOLING_LAST});
    if (normalize < 0)
        normalize = std::max(config.normalize, 0);
    Matrix vectors(items.size(), static_cast<size_t>(config.hidden_size));
    for (size_t i = 0; i < items.size(); i++) {
        items[i].output = PP_OUTPUT_POOLED;
        items[i].pooling = pooling;
        items[i].normalize = normalize;
        items[i].hidden = vectors[i].data();
        items[i].discard_cache = 1;
    }
    session.run(items, options);
    return vectors;
}

} // namespace prepack
#endif
