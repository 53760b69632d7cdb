/*
 * prepack/planner.hpp: Packer, Plan and Batch: lengths in, bins out, and the arrays of bins for an
 * engine of the host's own. (packer.h, bins.h, partition.h, exchange.h and batch.h say what all of
 * it means.)
 *
 *     auto params = prepack::defaults<pp_packer_params>();
 *     params.capacity = 2048;
 *     prepack::Packer packer(params);
 *     prepack::Plan plan = packer.plan(lengths);               std::vector<int64_t>
 *     for (int64_t b = 0; b < plan.info().n_bins; b++)
 *         for (int32_t prompt : plan.bin(b))
 *             ...
 *     prepack::Batch batch(plan, prompts);                     vector<vector<int32_t>>
 *     my_engine(batch.view().tokens, batch.view().cu_seqlens);
 */
#ifndef PREPACK_PLANNER_HPP
#define PREPACK_PLANNER_HPP

#include "base.hpp"
#include "batch.h"
#include "exchange.h"
#include "packer.h"
#include "partition.h"

#include <string_view>
#include <vector>

namespace prepack {

template <>
struct Defaults<pp_packer_params> : DefaultsBy<pp_packer_params, pp_packer_params_init> {
};
template <> struct Defaults<pp_batch_params> : DefaultsBy<pp_batch_params, pp_batch_params_init> {
};
template <> struct Defaults<pp_cost_model> : DefaultsBy<pp_cost_model, pp_cost_init> {
};

/* Prompts as the C functions take them: `prompts` is any range of what a span<const int32_t> can be
 * made of (vectors of ids, spans), or of pp_prompt. They are views of it. */
template <class Prompts> std::vector<pp_prompt> prompts_of(const Prompts &prompts)
{
    std::vector<pp_prompt> result;
    result.reserve(std::size(prompts));
    for (const auto &prompt : prompts) {
        if constexpr (std::is_same_v<std::decay_t<decltype(prompt)>, pp_prompt>) {
            result.push_back(prompt);
        } else {
            const span<const int32_t> ids(prompt);
            result.push_back({ids.data(), count(ids.size())});
        }
    }
    return result;
}

/* Immutable; may be shared by threads. */
class Plan : public Handle<pp_plan, pp_plan_destroy> {
  public:
    using Handle::Handle;
    /* One that to_json or somebody else wrote (docs/plan-format.md). */
    static Plan from_json(std::string_view text)
    {
        pp_plan *plan = nullptr;
        call(pp_plan_from_json, text.data(), text.size(), nullptr, &plan);
        return Plan(plan);
    }

    pp_plan_info info() const
    {
        auto info = defaults<pp_plan_info>();
        call(pp_plan_get_info, held(), &info);
        return info;
    }
    /* Which prompts lie in a bin, in their order: a view that lives as long as the plan. */
    span<const int32_t> bin(int64_t i) const &
    {
        const int32_t *prompts = nullptr;
        int64_t n = 0;
        call(pp_plan_get_bin, held(), i, &prompts, &n, nullptr);
        return {prompts, static_cast<size_t>(n)};
    }
    span<const int32_t> bin(int64_t i) const && = delete;
    pp_bin_info bin_info(int64_t i) const
    {
        auto info = defaults<pp_bin_info>();
        call(pp_plan_get_bin_info, held(), i, &info);
        return info;
    }
    pp_segment segment(int64_t i) const
    {
        pp_segment segment{};
        call(pp_plan_get_segment, held(), i, &segment);
        return segment;
    }
    /* The segment that holds each prompt's last token. */
    std::vector<int64_t> ends() const
    {
        std::vector<int64_t> segments(static_cast<size_t>(info().n_prompts));
        call(pp_plan_get_ends, held(), segments.data(), count(segments.size()));
        return segments;
    }
    /* A worker in [0, n_workers) for every bin; figures, where wanted, go to *info. */
    std::vector<int32_t> partition(int64_t n_workers, pp_partition_info *info = nullptr) const
    {
        std::vector<int32_t> workers(static_cast<size_t>(this->info().n_bins));
        auto figures = defaults<pp_partition_info>();
        call(pp_plan_partition, held(), n_workers, workers.data(), count(workers.size()), &figures);
        if (info)
            *info = figures;
        return workers;
    }
    std::string to_json() const
    {
        size_t bytes = 0;
        call(pp_plan_to_json, held(), nullptr, size_t{0}, &bytes);
        std::string text(bytes + 1, '\0');
        call(pp_plan_to_json, held(), text.data(), text.size(), &bytes);
        text.resize(bytes);
        return text;
    }
};

/* Limits and policy. Immutable; may be shared by threads. */
class Packer : public Handle<pp_packer, pp_packer_destroy> {
  public:
    using Handle::Handle;
    /* What params point to is only read during the call. Without params: the rule of the paper,
     * bins as large as the longest prompt of each plan, by first-fit decreasing. */
    explicit Packer(const pp_packer_params &params)
    {
        pp_packer *packer = nullptr;
        call(pp_packer_create, &params, &packer);
        reset(packer);
    }
    static Packer with_defaults()
    {
        return Packer(defaults<pp_packer_params>());
    }

    Plan plan(span<const int64_t> lengths) const
    {
        pp_plan *plan = nullptr;
        call(pp_packer_plan, held(), lengths.data(), count(lengths.size()), &plan);
        return Plan(plan);
    }
    /* With what is known of the prompts besides their lengths: prefixes, together, apart. */
    Plan plan(const pp_plan_input &input) const
    {
        pp_plan *plan = nullptr;
        call(pp_packer_plan_input, held(), &input, &plan);
        return Plan(plan);
    }
    /* Of prompts (see prompts_of), whose ids are looked at where prefixes are shared. */
    template <class Prompts> Plan plan_prompts(const Prompts &prompts) const
    {
        const std::vector<pp_prompt> views = prompts_of(prompts);
        auto input = defaults<pp_plan_input>();
        input.n = count(views.size());
        input.prompts = views.data();
        return plan(input);
    }
};

/* The arrays of bins. Immutable; may be shared by threads; depends on no plan and no prompt once it
 * is made. */
class Batch : public Handle<pp_batch, pp_batch_destroy> {
  public:
    using Handle::Handle;
    template <class Prompts>
    Batch(const Plan &plan, const Prompts &prompts,
          const pp_batch_params &params = defaults<pp_batch_params>())
    {
        const std::vector<pp_prompt> views = prompts_of(prompts);
        pp_batch *batch = nullptr;
        call(pp_batch_build, plan.get(), views.data(), count(views.size()), &params, &batch);
        reset(batch);
    }

    /* Arrays of the batch, which live as long as it does. */
    pp_batch_view view() const
    {
        auto view = defaults<pp_batch_view>();
        call(pp_batch_get_view, held(), &view);
        return view;
    }
    /* The dense independent mask, [n_rows, row_len, row_len] elements of dtype. */
    std::vector<unsigned char> mask(int32_t dtype, int64_t window_left = -1) const
    {
        size_t bytes = 0;
        call(pp_batch_mask_bytes, held(), dtype, &bytes);
        std::vector<unsigned char> mask(bytes);
        call(pp_batch_mask, held(), dtype, window_left, mask.data(), mask.size());
        return mask;
    }
};

} // namespace prepack
#endif
