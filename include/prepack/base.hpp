/*
 * prepack/base.hpp: what every class of the C++ interface shares: the exception, structs with their
 * defaults, and the owner of a C handle.
 *
 *     try {
 *         auto params = prepack::defaults<pp_session_params>();
 *         params.n_threads = 4;
 *         prepack::Session session(prepack::Model("model-dir"), params);
 *     } catch (const prepack::Error &error) {
 *         std::cerr << error.what() << "\n";           one sentence; error.status() is PP_ERR_*
 *     }
 *
 * Conventions of the C++ headers:
 *  - They are a thin layer over the C headers, and nothing but headers: structs and constants are
 *    those of C (pp_session_info, PP_OUTPUT_TOKEN), and get() gives the C handle for all that has
 *    no member here.
 *  - A call that fails throws prepack::Error, and objects are as before the call; std::bad_alloc
 *    comes from the vectors and strings that are made here alone.
 *  - Objects own their handle and can be moved, not copied. One that was moved from, released or
 *    made without arguments is empty: it may be destroyed, assigned to and asked by
 *    `if (object)`; anything else throws PP_ERR_ARG.
 *  - What is a view says how long it lives.
 *  - Threads: as the C handle.
 */
#ifndef PREPACK_BASE_HPP
#define PREPACK_BASE_HPP

#if __cplusplus < 201703L
#error "prepack's C++ headers need C++17 or newer (-std=c++17); prepack.h alone needs C++11"
#endif

#include "common.h"
#include "span.hpp"

#include <stdexcept>
#include <string>

namespace prepack {

/* A call that failed. what() is the library's sentence. */
class Error : public std::runtime_error {
  public:
    Error(pp_status status, const std::string &sentence, int64_t index = -1,
          int32_t native_code = 0)
        : std::runtime_error(sentence), index_(index), status_(status), native_code_(native_code)
    {
    }
    /* PP_ERR_*. */
    pp_status status() const noexcept
    {
        return status_;
    }
    /* The offending prompt, item, cache, bin or layer, or -1. */
    int64_t index() const noexcept
    {
        return index_;
    }
    /* errno or the device's code, 0 if none. */
    int32_t native_code() const noexcept
    {
        return native_code_;
    }

  private:
    int64_t index_;
    pp_status status_;
    int32_t native_code_;
};

/* How a struct gets its defaults: its size and zeros, unless the library has a function for it,
 * which the header of each class names by a specialisation. */
template <class T> struct Defaults {
    static T make() noexcept
    {
        T value{};
        value.struct_size = sizeof value;
        return value;
    }
};

template <class T, void (*init)(T *, size_t)> struct DefaultsBy {
    static T make() noexcept
    {
        T value;
        init(&value, sizeof value);
        return value;
    }
};

/* A struct of the C headers, struct_size set and every field at its default. */
template <class T> T defaults() noexcept
{
    return Defaults<T>::make();
}

/* Calls a C function whose last parameter is the pp_error, and throws what it says. Its status, not
 * negative, is returned. For functions that have no member here:
 *     prepack::call(pp_cost_measure, session.get(), nullptr, &cost); */
template <class Function, class... Arguments>
pp_status call(Function *function, Arguments... arguments)
{
    pp_error error = defaults<pp_error>();
    pp_status status = function(arguments..., &error);
    if (status < 0)
        throw Error(status, error.message, error.index, error.native_code);
    return status;
}

/* A text for C, which sees its end at the first NUL. */
inline const char *c_text(const std::string &text)
{
    if (text.find('\0') != std::string::npos)
        throw Error(PP_ERR_ARG, "a NUL character in \"" + std::string(text.c_str()) +
                                    "...\": C would see the end of the text there");
    return text.c_str();
}

/* Owns one C handle. */
template <class T, void (*destroy)(T *)> class Handle {
  public:
    using handle_type = T;

    Handle() noexcept = default;
    /* Takes over what somebody else made. */
    explicit Handle(T *handle) noexcept : handle_(handle) {}
    Handle(Handle &&other) noexcept : handle_(other.release()) {}
    Handle &operator=(Handle &&other) noexcept
    {
        reset(other.release());
        return *this;
    }
    ~Handle()
    {
        destroy(handle_);
    }

    /* The C handle, still owned by this object; nullptr when that is empty. */
    T *get() const noexcept
    {
        return handle_;
    }
    /* The C handle, which is the caller's to destroy now. */
    T *release() noexcept
    {
        return std::exchange(handle_, nullptr);
    }
    /* Destroys what it owns and owns `handle` instead. */
    void reset(T *handle = nullptr) noexcept
    {
        destroy(std::exchange(handle_, handle));
    }
    explicit operator bool() const noexcept
    {
        return handle_ != nullptr;
    }

  protected:
    /* The C handle of an object that must not be empty. */
    T *held() const
    {
        if (!handle_)
            throw Error(PP_ERR_ARG, "an empty object was used: it was moved from, released or "
                                    "made without arguments");
        return handle_;
    }

  private:
    T *handle_ = nullptr;
};

/* Sizes of C++ are unsigned, counts of the library are int64_t. */
inline int64_t count(size_t n) noexcept
{
    return static_cast<int64_t>(n);
}

} // namespace prepack
#endif
