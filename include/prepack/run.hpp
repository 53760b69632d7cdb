/*
 * prepack/run.hpp: Item, Cancel and RunOptions: what goes into Session::run. (run.h and outputs.h
 * say what an item may ask for.)
 *
 *     std::vector<prepack::Item> items;
 *     items.emplace_back(ids);                                 std::vector<int32_t>, which stays
 *     items.back().output = PP_OUTPUT_TOKEN;
 *     session.run(items);
 *     int32_t next = items[0].next;
 *     prepack::Cache cache = items[0].take_cache();
 */
#ifndef PREPACK_RUN_HPP
#define PREPACK_RUN_HPP

#include "kvcache.hpp"
#include "planner.hpp"
#include "run.h"

#include <array>
#include <exception>
#include <functional>

namespace prepack {

template <> struct Defaults<pp_run_params> : DefaultsBy<pp_run_params, pp_run_params_init> {
};
template <>
struct Defaults<pp_sample_params> : DefaultsBy<pp_sample_params, pp_sample_params_init> {
};

/*
 * A pp_item, all its fields by their own names, that owns its cache: the one it is given and the
 * one that a run puts there. Arrays that the fields point to stay the caller's, tokens too: they
 * are looked at by run() alone and must be there then.
 */
class Item : public pp_item {
  public:
    Item() noexcept : pp_item(defaults<pp_item>()) {}
    /* Tokens to append to `onto`, or to begin a new cache with. */
    explicit Item(span<const int32_t> ids, Cache onto = Cache()) noexcept : Item()
    {
        set_tokens(ids);
        cache = onto.release();
    }
    Item(Item &&other) noexcept : pp_item(other)
    {
        other.cache = nullptr;
    }
    Item &operator=(Item &&other) noexcept
    {
        if (this != &other) {
            pp_kvcache_destroy(cache);
            pp_item::operator=(other);
            other.cache = nullptr;
        }
        return *this;
    }
    ~Item()
    {
        pp_kvcache_destroy(cache);
    }
    /* Nobody would own these tokens. */
    explicit Item(const std::vector<int32_t> &&ids, Cache onto = Cache()) = delete;
    template <size_t n>
    explicit Item(const std::array<int32_t, n> &&ids, Cache onto = Cache()) = delete;

    void set_tokens(span<const int32_t> ids) noexcept
    {
        tokens = ids.data();
        n_tokens = count(ids.size());
    }
    void set_tokens(const std::vector<int32_t> &&ids) = delete;
    template <size_t n> void set_tokens(const std::array<int32_t, n> &&ids) = delete;

    /* The cache, which the item does not have any more; empty where it had none. */
    Cache take_cache() noexcept
    {
        return Cache(std::exchange(cache, nullptr));
    }
    void set_cache(Cache onto) noexcept
    {
        pp_kvcache_destroy(std::exchange(cache, onto.release()));
    }
};
static_assert(sizeof(Item) == sizeof(pp_item), "items are an array of pp_item to pp_run");

/* A token with which calls can be ended early, from any thread and from a signal handler: they
 * throw PP_ERR_CANCELLED. */
class Cancel : public Handle<pp_cancel, pp_cancel_destroy> {
  public:
    using Handle::Handle;
    Cancel()
    {
        pp_cancel *cancel = nullptr;
        call(pp_cancel_create, &cancel);
        reset(cancel);
    }
    void request() const noexcept
    {
        if (get())
            pp_cancel_request(get());
    }
    bool is_requested() const noexcept
    {
        return get() && pp_cancel_is_requested(get()) != 0;
    }
};

/* How a run goes. What it points to and its functions are used during the call alone. */
struct RunOptions {
    const Plan *plan = nullptr; /* made from the items' numbers of tokens; none: in their order */
    /* Receives logits of items without an array of their own, a few rows at a time; the rows are
     * there for the call. false ends the run with PP_ERR_CANCELLED. */
    std::function<bool(const pp_logits &)> sink;
    /* Told after each forward pass: tokens computed so far, and in all. */
    std::function<void(int64_t, int64_t)> progress;
    const Cancel *cancel = nullptr;
    int64_t min_shared_prefix = 0; /* 0: no prefix is shared */
};

namespace detail {

/* The functions of RunOptions behind the pointers of pp_run_params. What they throw must not go
 * through C: it ends the run and is thrown when that is over. */
class RunCallbacks {
  public:
    RunCallbacks(const RunOptions &options, pp_session *session)
        : options_(options), session_(session)
    {
        if ((options.plan && !*options.plan) || (options.cancel && !*options.cancel))
            throw Error(PP_ERR_ARG, "the options of a run point to an empty Plan or Cancel");
        params_.cancel = options.cancel ? options.cancel->get() : nullptr;
        params_.min_shared_prefix = options.min_shared_prefix;
        params_.sink = options.sink ? sink : nullptr;
        params_.progress = options.progress ? progress : nullptr;
        params_.sink_user = params_.progress_user = this;
    }
    RunCallbacks(const RunCallbacks &) = delete;
    RunCallbacks &operator=(const RunCallbacks &) = delete;

    const pp_run_params *params() const noexcept
    {
        return &params_;
    }
    void rethrow() const
    {
        if (thrown_)
            std::rethrow_exception(thrown_);
    }

  private:
    static int32_t sink(void *user, const pp_logits *piece) noexcept
    {
        auto *self = static_cast<RunCallbacks *>(user);
        try {
            return self->options_.sink(*piece) ? 0 : 1;
        } catch (...) {
            self->thrown_ = std::current_exception();
            return 1;
        }
    }
    static void progress(void *user, int64_t n_tokens, int64_t n_all) noexcept
    {
        auto *self = static_cast<RunCallbacks *>(user);
        if (self->thrown_)
            return;
        try {
            self->options_.progress(n_tokens, n_all);
        } catch (...) {
            self->thrown_ = std::current_exception();
            pp_session_cancel(self->session_);
        }
    }

    const RunOptions &options_;
    pp_session *session_;
    pp_run_params params_ = defaults<pp_run_params>();
    std::exception_ptr thrown_;
};

} // namespace detail
} // namespace prepack
#endif
