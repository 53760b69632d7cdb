/*
 * prepack/queue.hpp: Queue: the planner for prompts that arrive one by one. (queue.h says which
 * prompts go into which step.)
 *
 *     auto params = prepack::defaults<pp_queue_params>();
 *     params.capacity = 2048;
 *     prepack::Queue queue(params);
 *
 *     bool taken = queue.add(7, 312);                  any thread: id, tokens; false: full
 *
 *     prepack::Step step(256);                         the thread that runs the model
 *     while (queue.wait(step))
 *         run(step.prompts());
 *
 * Every member may be called by any thread at any time; moving and destroying are the caller's to
 * keep apart from all else. close() ends the loop of every thread that waits.
 */
#ifndef PREPACK_QUEUE_HPP
#define PREPACK_QUEUE_HPP

#include "base.hpp"
#include "queue.h"

#include <limits>
#include <vector>

namespace prepack {

template <> struct Defaults<pp_queue_params> : DefaultsBy<pp_queue_params, pp_queue_params_init> {
};

/* One step, and room for the prompts of it. One thread at a time. */
class Step {
  public:
    /* max_prompts: at least 1; a step has no more than this. */
    explicit Step(size_t max_prompts) : prompts_(max_prompts) {}
    Step(Step &&) noexcept = default; /* a copy would show the prompts of the first */
    Step &operator=(Step &&) noexcept = default;
    /* A view that lives until the next step is taken into this object, or its end. */
    span<const pp_step_prompt> prompts() const noexcept
    {
        if (prompts_.empty()) /* moved from */
            return {};
        return {prompts_.data(), static_cast<size_t>(step_.n_prompts)};
    }
    /* The other figures: tokens, cost, n_waiting. `prompts` in it is a view as above. */
    const pp_step &info() const noexcept
    {
        return step_;
    }

  private:
    friend class Queue;
    std::vector<pp_step_prompt> prompts_;
    pp_step step_ = defaults<pp_step>();
};

class Queue : public Handle<pp_queue, pp_queue_destroy> {
  public:
    using Handle::Handle;
    explicit Queue(const pp_queue_params &params)
    {
        pp_queue *queue = nullptr;
        call(pp_queue_create, &params, &queue);
        reset(queue);
    }

    /* Lets a prompt wait. false: so many wait already; try again after the next step. */
    bool add(const pp_waiting_prompt &prompt) const
    {
        return call(pp_queue_add, held(), &prompt) == PP_OK;
    }
    /* deadline: seconds from now until it is due; 0: the queue's max_age. */
    bool add(int64_t id, int64_t n_tokens, int32_t priority = 0, double deadline = 0) const
    {
        auto prompt = defaults<pp_waiting_prompt>();
        prompt.id = id;
        prompt.n_tokens = n_tokens;
        prompt.priority = priority;
        prompt.deadline = deadline;
        return add(prompt);
    }
    /* Takes the next step, waiting at most max_wait seconds for one. PP_OK; PP_AGAIN: there is none
     * yet; PP_GONE: the queue is closed and nothing waits any more. */
    pp_status next(double max_wait, Step &step) const
    {
        pp_step taken = defaults<pp_step>();
        taken.prompts = step.prompts_.data();
        taken.room = count(step.prompts_.size());
        const pp_status status = call(pp_queue_next, held(), max_wait, &taken);
        if (status == PP_OK)
            step.step_ = taken;
        return status;
    }
    /* Takes the next step, however long it takes to come. false: there is none any more. */
    bool wait(Step &step) const
    {
        pp_status status = PP_AGAIN;
        while (status == PP_AGAIN)
            status = next(std::numeric_limits<double>::infinity(), step);
        return status == PP_OK;
    }
    /* false: it does not wait: a step holds it, or it was never added. */
    bool cancel(int64_t id) const
    {
        return call(pp_queue_cancel, held(), id) == PP_OK;
    }
    void close() const
    {
        call(pp_queue_close, held());
    }
    pp_queue_stats stats() const
    {
        auto stats = defaults<pp_queue_stats>();
        call(pp_queue_get_stats, held(), &stats);
        return stats;
    }
};

} // namespace prepack
#endif
