/*
 * prepack/kvcache.hpp: Cache: one prompt's KV cache. (kvcache.h and kvcache_save.h say what all of
 * it means; llama.cpp's form and a host's own blocks are reached through get().)
 *
 *     prepack::Cache branch = cache.fork();                    shares every page
 *     cache.save("prefix.safetensors");
 *     auto same = prepack::Cache::load(session, "prefix.safetensors");
 *     std::vector<float> keys = cache.read(0, PP_KV_K);        [tokens, n_kv_heads, head_dim]
 *
 * A cache keeps the memory of its session alive, and may outlive the Session object. One thread at
 * a time for a session and its caches; destroying is safe from any thread.
 */
#ifndef PREPACK_KVCACHE_HPP
#define PREPACK_KVCACHE_HPP

#include "base.hpp"
#include "kvcache.h"
#include "kvcache_save.h"
#include "model.h"
#include "session.h"

#include <vector>

namespace prepack {

template <>
struct Defaults<pp_kvcache_save_params>
    : DefaultsBy<pp_kvcache_save_params, pp_kvcache_save_params_init> {
};

class Session;

class Cache : public Handle<pp_kvcache, pp_kvcache_destroy> {
  public:
    using Handle::Handle;
    /* n_tokens tokens whose keys and values are zeros, to be written to with write(). */
    static Cache zeros(const Session &session, int64_t n_tokens, span<const int32_t> tokens = {});
    static Cache load(const Session &session, const std::string &path);
    /* From what to_bytes() gave, which is only read. */
    static Cache from_bytes(const Session &session, span<const unsigned char> bytes);

    int64_t length() const
    {
        return pp_kvcache_length(held());
    }
    /* Bytes of the pages it refers to; shared pages count fully. */
    int64_t bytes() const
    {
        return pp_kvcache_bytes(held());
    }
    /* The first token whose keys and values a layer holds. */
    int64_t first_token(int32_t layer) const
    {
        return pp_kvcache_first_token(held(), layer);
    }
    /* The length that a cut to n_tokens would leave, where a model has linear layers; -1: it cannot
     * be cut so. cache.truncate(cache.kept(n)) goes back to n, or as little further as it must. */
    int64_t kept(int64_t n_tokens) const
    {
        return pp_kvcache_kept(held(), n_tokens);
    }
    /* A new cache that holds the first n_tokens tokens of this one; PP_ERR_ARG where it would be
     * shorter. */
    Cache fork(int64_t n_tokens) const
    {
        pp_kvcache *fork = nullptr;
        check_kept(n_tokens);
        call(pp_kvcache_fork, held(), n_tokens, &fork);
        return Cache(fork);
    }
    Cache fork() const
    {
        return fork(length());
    }
    /* Drops all tokens from n_tokens on; PP_ERR_ARG, and nothing is dropped, where more would have
     * to go. */
    void truncate(int64_t n_tokens)
    {
        check_kept(n_tokens);
        call(pp_kvcache_truncate, held(), n_tokens);
    }

    /* Copies keys (PP_KV_K) or values (PP_KV_V) of all tokens that a layer holds, from
     * first_token(layer) on, as f32. */
    std::vector<float> read(int32_t layer, int32_t which, int32_t layout = PP_KV_NHD) const
    {
        auto shape = defaults<pp_layer_config>();
        call(pp_model_get_layer, pp_session_model(pp_kvcache_session(held())), layer, &shape);
        const int64_t first = first_token(layer), n = length() - first;
        std::vector<float> copy(static_cast<size_t>(n * shape.n_kv_heads * shape.head_dim));
        read(layer, which, layout, PP_DTYPE_F32, first, n, copy.data(),
             copy.size() * sizeof(float));
        return copy;
    }
    /* Any part of it and any dtype, as pp_kvcache_read and pp_kvcache_write. */
    void read(int32_t layer, int32_t which, int32_t layout, int32_t dtype, int64_t first_token,
              int64_t n_tokens, void *memory, size_t bytes) const
    {
        call(pp_kvcache_read, held(), layer, which, layout, dtype, first_token, n_tokens, memory,
             bytes);
    }
    void write(int32_t layer, int32_t which, int32_t layout, int32_t dtype, int64_t first_token,
               int64_t n_tokens, const void *memory, size_t bytes)
    {
        call(pp_kvcache_write, held(), layer, which, layout, dtype, first_token, n_tokens, memory,
             bytes);
    }
    /* The page of a layer that holds a token: a view of the session's memory, to be read only, that
     * stays as it is until the cache is run, written to, truncated or destroyed. */
    pp_kvcache_page page(int32_t layer, int32_t which, int64_t token) const
    {
        auto page = defaults<pp_kvcache_page>();
        call(pp_kvcache_get_page, held(), layer, which, token, &page);
        return page;
    }

    /* A part of a linear layer's state, PP_STATE_*, and to overwrite it: exactly as many numbers as
     * it has. */
    void read_state(int32_t layer, int32_t which, span<float> numbers) const
    {
        call(pp_kvcache_read_state, held(), layer, which, numbers.data(),
             numbers.size() * sizeof(float));
    }
    void write_state(int32_t layer, int32_t which, span<const float> numbers)
    {
        call(pp_kvcache_write_state, held(), layer, which, numbers.data(),
             numbers.size() * sizeof(float));
    }

    /* To a file, or to memory in the same form. tokens: the ids of the cache's tokens, all of them,
     * to be saved with it; or none. */
    void save(const std::string &path, span<const int32_t> tokens = {}) const
    {
        const pp_kvcache_save_params params = saving(tokens);
        call(pp_kvcache_save, held(), c_text(path), &params);
    }
    std::vector<unsigned char> to_bytes(span<const int32_t> tokens = {}) const
    {
        const pp_kvcache_save_params params = saving(tokens);
        size_t n = 0;
        call(pp_kvcache_export_size, held(), &params, &n);
        std::vector<unsigned char> memory(n);
        call(pp_kvcache_export, held(), &params, memory.data(), memory.size());
        return memory;
    }

  private:
    void check_kept(int64_t n_tokens) const
    {
        const int64_t left = kept(n_tokens);
        if (left >= 0 && left < n_tokens)
            throw Error(PP_ERR_ARG, "the cache has states of linear layers at " +
                                        std::to_string(left) + " tokens and not at " +
                                        std::to_string(n_tokens) +
                                        ": kept() says where it can be cut");
    }
    pp_kvcache_save_params saving(span<const int32_t> tokens) const
    {
        auto params = defaults<pp_kvcache_save_params>();
        if (tokens.empty())
            return params;
        if (count(tokens.size()) != length())
            throw Error(PP_ERR_ARG, std::to_string(tokens.size()) + " token ids for a cache of " +
                                        std::to_string(length()) + " tokens");
        params.tokens = tokens.data();
        return params;
    }
};

} // namespace prepack
#endif
