/*
 * prepack/prepack.hpp: all of libprepack for C++17: classes that own the C handles, exceptions in
 * the place of statuses, vectors and spans. Headers alone; each opens with its use:
 *
 *   base.hpp     Error, defaults, Handle: read first      span.hpp   a view of elements
 *   planner.hpp  Packer, Plan, Batch                      queue.hpp  Queue, Step
 *   session.hpp  Model, Session                           run.hpp    Item, Cancel, RunOptions
 *   kvcache.hpp  Cache                                    tasks.hpp  prefill, generate, score,
 * embed
 *
 *     prepack::Model model("Llama-3.2-1B");
 *     prepack::Session session(model);
 *     auto caches = prepack::prefill(session, prompts);        vector<vector<int32_t>>
 *
 * What has no class here (cost models, measuring, attention on a host's tensors, llama.cpp's
 * caches) is called as in C, with get() for the handles and prepack::call for the exceptions.
 * tokenizer.hpp is the tokenizer library's.
 */
#ifndef PREPACK_PREPACK_HPP
#define PREPACK_PREPACK_HPP

#include "prepack.h"

#include "base.hpp"
#include "kvcache.hpp"
#include "planner.hpp"
#include "queue.hpp"
#include "run.hpp"
#include "session.hpp"
#include "span.hpp"
#include "tasks.hpp"

namespace prepack {

template <> struct Defaults<pp_cost_params> : DefaultsBy<pp_cost_params, pp_cost_params_init> {
};
template <>
struct Defaults<pp_measure_params> : DefaultsBy<pp_measure_params, pp_measure_params_init> {
};
template <>
struct Defaults<pp_llamacpp_params> : DefaultsBy<pp_llamacpp_params, pp_llamacpp_params_init> {
};
template <>
struct Defaults<pp_attention_plan_params>
    : DefaultsBy<pp_attention_plan_params, pp_attention_plan_params_init> {
};
template <>
struct Defaults<pp_attention_params> : DefaultsBy<pp_attention_params, pp_attention_params_init> {
};

} // namespace prepack
#endif
