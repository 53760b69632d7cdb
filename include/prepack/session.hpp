/*
 * prepack/session.hpp: Model and Session: weights, and a device that runs them. (model.h, session.h
 * and run.h say what all of it means.)
 *
 *     prepack::Model model("Llama-3.2-1B");
 *     prepack::Session session(model);
 *     session.run(items);                                      run.hpp
 *     std::vector<prepack::Cache> caches = prepack::prefill(session, prompts);      tasks.hpp
 *
 * A session holds a reference to its model, and a cache keeps the memory of its session: objects
 * may be destroyed in any order.
 */
#ifndef PREPACK_SESSION_HPP
#define PREPACK_SESSION_HPP

#include "device.h"
#include "run.hpp"

namespace prepack {

template <> struct Defaults<pp_model_params> : DefaultsBy<pp_model_params, pp_model_params_init> {
};
template <>
struct Defaults<pp_convert_params> : DefaultsBy<pp_convert_params, pp_convert_params_init> {
};
template <>
struct Defaults<pp_session_params> : DefaultsBy<pp_session_params, pp_session_params_init> {
};

/* The devices of this machine, the CPU first. */
inline std::vector<pp_device_info> devices()
{
    std::vector<pp_device_info> all(static_cast<size_t>(pp_device_count()),
                                    defaults<pp_device_info>());
    for (size_t i = 0; i < all.size(); i++)
        call(pp_device_get, count(i), &all[i]);
    return all;
}

/* One reference to a model. Immutable; may be used by threads and sessions at once. */
class Model : public Handle<pp_model, pp_model_unref> {
  public:
    using Handle::Handle;
    /* A directory or a GGUF file. */
    explicit Model(const std::string &path,
                   const pp_model_params &params = defaults<pp_model_params>())
    {
        pp_model *model = nullptr;
        call(pp_model_open, c_text(path), &params, &model);
        reset(model);
    }
    /* Pseudo-random weights of the shape that the text of a config.json gives. */
    static Model random(const std::string &config_json, uint64_t seed = 0,
                        const pp_model_params &params = defaults<pp_model_params>())
    {
        pp_model *model = nullptr;
        call(pp_model_create_random, c_text(config_json), seed, &params, &model);
        return Model(model);
    }
    /* Another reference to the same model. */
    Model ref() const
    {
        return Model(pp_model_ref(held()));
    }

    pp_model_config config() const
    {
        auto config = defaults<pp_model_config>();
        call(pp_model_get_config, held(), &config);
        return config;
    }
    pp_layer_config layer(int32_t i) const
    {
        auto layer = defaults<pp_layer_config>();
        call(pp_model_get_layer, held(), i, &layer);
        return layer;
    }
    int64_t n_parameters() const
    {
        return pp_model_n_parameters(held());
    }
    /* The number by which saved caches know the model. */
    uint64_t identity() const
    {
        uint64_t identity = 0;
        call(pp_model_identity, held(), &identity);
        return identity;
    }
    /* Writes it as a directory with matrices in params.weights. */
    void convert(const std::string &directory, const pp_convert_params &params) const
    {
        call(pp_model_convert, held(), c_text(directory), &params);
    }
};

/* A device with its threads or stream. One thread at a time, but for cancel(). */
class Session : public Handle<pp_session, pp_session_destroy> {
  public:
    using Handle::Handle;
    explicit Session(const Model &model,
                     const pp_session_params &params = defaults<pp_session_params>())
    {
        if (!model)
            throw Error(PP_ERR_ARG, "a session of an empty Model");
        create(model.get(), params);
    }
    /* Without a model: for pp_attention_varlen alone. */
    static Session for_attention(const pp_session_params &params = defaults<pp_session_params>())
    {
        Session session;
        session.create(nullptr, params);
        return session;
    }
    /* What a session with these params would hold, without reading a weight. */
    static pp_session_info estimate(const Model &model,
                                    const pp_session_params &params = defaults<pp_session_params>())
    {
        auto info = defaults<pp_session_info>();
        call(pp_session_estimate, model.get(), &params, &info);
        return info;
    }

    /* Appends the tokens of each item to its cache and gives what it asks for. After an error every
     * cache is as it was and none was made. An exception of a function of the options is thrown as
     * it was; one of progress() at the very end finds the run done. */
    void run(span<Item> items, const RunOptions &options = {})
    {
        detail::RunCallbacks callbacks(options, held());
        auto error = defaults<pp_error>();
        const pp_status status =
            pp_run(get(), options.plan ? options.plan->get() : nullptr, items.data(),
                   count(items.size()), callbacks.params(), &error);
        callbacks.rethrow();
        if (status < 0)
            throw Error(status, error.message, error.index, error.native_code);
    }
    void run(Item &item, const RunOptions &options = {})
    {
        run(span<Item>(&item, 1), options);
    }
    /* Makes the call that is running throw PP_ERR_CANCELLED. Safe from any thread, and from a
     * signal handler. */
    void cancel() const noexcept
    {
        if (get())
            pp_session_cancel(get());
    }
    /* Waits until all that the session has enqueued is done. */
    void synchronize() const
    {
        call(pp_session_synchronize, held());
    }
    /* Gives free KV pages back to the device; returns their bytes. */
    int64_t trim()
    {
        return pp_session_trim(held());
    }
    pp_session_info info() const
    {
        auto info = defaults<pp_session_info>();
        call(pp_session_get_info, held(), &info);
        return info;
    }
    /* Another reference to its model; empty for one without. */
    Model model() const
    {
        pp_model *model = pp_session_model(held());
        return model ? Model(pp_model_ref(model)) : Model();
    }

  private:
    void create(pp_model *model, const pp_session_params &params)
    {
        pp_session *session = nullptr;
        call(pp_session_create, model, &params, &session);
        reset(session);
    }
};

inline Cache Cache::zeros(const Session &session, int64_t n_tokens, span<const int32_t> tokens)
{
    if (!tokens.empty() && count(tokens.size()) != n_tokens)
        throw Error(PP_ERR_ARG, std::to_string(tokens.size()) + " token ids for a cache of " +
                                    std::to_string(n_tokens) + " tokens");
    pp_kvcache *cache = nullptr;
    call(pp_kvcache_create, session.get(), n_tokens, tokens.data(), &cache);
    return Cache(cache);
}

inline Cache Cache::load(const Session &session, const std::string &path)
{
    pp_kvcache *cache = nullptr;
    call(pp_kvcache_load, session.get(), c_text(path), &cache);
    return Cache(cache);
}

inline Cache Cache::from_bytes(const Session &session, span<const unsigned char> bytes)
{
    pp_kvcache *cache = nullptr;
    call(pp_kvcache_import, session.get(), static_cast<const void *>(bytes.data()), bytes.size(),
         &cache);
    return Cache(cache);
}

} // namespace prepack
#endif
