/*
 * prepack/tokenizer.hpp: Tokenizer and TextStream: text to token ids and back. libprepack-tokenizer
 * is a library of its own: this header needs it, prepack.hpp does not. (tokenizer.h says what all
 * of it means.)
 *
 *     prepack::Tokenizer tokenizer("Qwen3-0.6B");
 *     std::vector<int32_t> ids = tokenizer.encode("Hello");
 *     std::string text = tokenizer.decode(ids);
 *
 *     prepack::TextStream stream(tokenizer);
 *     std::cout << stream.push(token) << stream.finish();
 */
#ifndef PREPACK_TOKENIZER_HPP
#define PREPACK_TOKENIZER_HPP

#include "base.hpp"
#include "tokenizer.h"

#include <string_view>
#include <vector>

namespace prepack {

template <>
struct Defaults<pp_tokenizer_params> : DefaultsBy<pp_tokenizer_params, pp_tokenizer_params_init> {
};
template <>
struct Defaults<pp_encode_params> : DefaultsBy<pp_encode_params, pp_encode_params_init> {
};
template <>
struct Defaults<pp_decode_params> : DefaultsBy<pp_decode_params, pp_decode_params_init> {
};

/* The tokens of texts. Immutable; does not depend on the tokenizer that made it. */
class Encoding : public Handle<pp_encoding, pp_encoding_destroy> {
  public:
    using Handle::Handle;
    /* The number of texts. */
    size_t size() const
    {
        return static_cast<size_t>(pp_encoding_count(held()));
    }
    /* The tokens of text i: views that live as long as the encoding. */
    span<const int32_t> operator[](size_t i) const
    {
        const pp_encoded encoded = get_text(i);
        return {encoded.ids, static_cast<size_t>(encoded.n)};
    }
    /* Where in its text each of them came from; empty unless asked for. */
    span<const pp_text_range> offsets(size_t i) const
    {
        const pp_encoded encoded = get_text(i);
        return {encoded.offsets, encoded.offsets ? static_cast<size_t>(encoded.n) : 0};
    }

  private:
    pp_encoded get_text(size_t i) const
    {
        auto encoded = defaults<pp_encoded>();
        call(pp_encoding_get, held(), count(i), &encoded);
        return encoded;
    }
};

/* Immutable; may be used by any number of threads at once. */
class Tokenizer : public Handle<pp_tokenizer, pp_tokenizer_destroy> {
  public:
    using Handle::Handle;
    /* A model's directory, a GGUF file or a tokenizer's file. */
    explicit Tokenizer(const std::string &path,
                       const pp_tokenizer_params &params = defaults<pp_tokenizer_params>())
    {
        pp_tokenizer *tokenizer = nullptr;
        call(pp_tokenizer_open, c_text(path), &params, &tokenizer);
        reset(tokenizer);
    }

    pp_tokenizer_info info() const
    {
        auto info = defaults<pp_tokenizer_info>();
        call(pp_tokenizer_get_info, held(), &info);
        return info;
    }
    /* The i-th of info().n_special_tokens. Its text is the tokenizer's and lives as long. */
    pp_special_token special(int32_t i) const
    {
        auto special = defaults<pp_special_token>();
        call(pp_tokenizer_get_special, held(), i, &special);
        return special;
    }
    /* The token as its file spells it, a view that lives as long as the tokenizer; empty for an id
     * that no token has. */
    std::string_view token(int32_t id) const
    {
        size_t n = 0;
        const char *text = pp_tokenizer_token(held(), id, &n);
        return text ? std::string_view(text, n) : std::string_view();
    }
    /* The id of a token, spelled that way; -1 where there is none. */
    int32_t id(std::string_view token) const
    {
        return pp_tokenizer_id(held(), token.data(), token.size());
    }

    std::vector<int32_t> encode(std::string_view text,
                                const pp_encode_params &params = defaults<pp_encode_params>()) const
    {
        const Encoding encoding = encode_all(span<const std::string_view>(&text, 1), params);
        return std::vector<int32_t>(encoding[0].begin(), encoding[0].end());
    }
    /* Many texts at once, each by itself: any range of what a std::string_view can be made of. */
    template <class Texts>
    Encoding encode_all(const Texts &texts,
                        const pp_encode_params &params = defaults<pp_encode_params>()) const
    {
        std::vector<pp_text> views;
        views.reserve(std::size(texts));
        for (const auto &text : texts) {
            const std::string_view view(text);
            views.push_back({view.data(), view.size()});
        }
        pp_encoding *encoding = nullptr;
        call(pp_tokenizer_encode, held(), views.data(), count(views.size()), &params, &encoding);
        return Encoding(encoding);
    }
    std::string decode(span<const int32_t> ids,
                       const pp_decode_params &params = defaults<pp_decode_params>()) const
    {
        size_t n = 0;
        call(pp_tokenizer_decode, held(), ids.data(), count(ids.size()), &params, nullptr,
             size_t{0}, &n);
        std::string text(n + 1, '\0');
        call(pp_tokenizer_decode, held(), ids.data(), count(ids.size()), &params, text.data(),
             text.size(), &n);
        text.resize(n);
        return text;
    }
};

/* Text from tokens that come one by one. The tokenizer must outlive it. One thread at a time. */
class TextStream : public Handle<pp_text_stream, pp_text_stream_destroy> {
  public:
    using Handle::Handle;
    explicit TextStream(const Tokenizer &tokenizer,
                        const pp_decode_params &params = defaults<pp_decode_params>())
    {
        pp_text_stream *stream = nullptr;
        call(pp_text_stream_create, tokenizer.get(), &params, &stream);
        reset(stream);
    }
    /* Nobody would keep this tokenizer. */
    explicit TextStream(const Tokenizer &&tokenizer,
                        const pp_decode_params &params = defaults<pp_decode_params>()) = delete;
    /* What the id completes: whole characters, often none. */
    std::string push(int32_t id)
    {
        pp_text piece{};
        call(pp_text_stream_push, held(), id, &piece);
        return std::string(piece.bytes ? piece.bytes : "", piece.n_bytes);
    }
    /* What was held back; the stream begins anew. */
    std::string finish()
    {
        pp_text piece{};
        call(pp_text_stream_finish, held(), &piece);
        return std::string(piece.bytes ? piece.bytes : "", piece.n_bytes);
    }
};

} // namespace prepack
#endif
