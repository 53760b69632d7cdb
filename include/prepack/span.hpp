/*
 * prepack/span.hpp: a view of elements that lie one behind the other, for C++17, which has no
 * std::span.
 *
 *     void look(prepack::span<const int32_t> ids);
 *     std::vector<int32_t> ids = {1, 15, 27};
 *     look(ids);   look({ids.data() + 1, 2});   look(std::span(ids).subspan(1));    the last: C++20
 *
 * It owns nothing: it lives as long as what it was made of, and elements must not move meanwhile.
 * Whatever has data() and size() becomes one: vector, array, string, std::span.
 */
#ifndef PREPACK_SPAN_HPP
#define PREPACK_SPAN_HPP

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

namespace prepack {

template <class T> class span {
    /* As std::span: from U to T only const may be added, so that no base class is cut out of an
     * array of derived ones. */
    template <class U> static constexpr bool fits = std::is_convertible_v<U (*)[], T (*)[]>;
    template <class C>
    using element = std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>;
    template <class C>
    using if_container =
        std::enable_if_t<!std::is_same_v<std::remove_cv_t<std::remove_reference_t<C>>, span> &&
                         fits<element<std::remove_reference_t<C>>> &&
                         std::is_convertible_v<decltype(std::size(std::declval<C &>())), size_t>>;

  public:
    using value_type = std::remove_cv_t<T>;

    constexpr span() noexcept = default;
    constexpr span(T *data, size_t size) noexcept : data_(data), size_(size) {}
    /* Of a temporary only a view of const elements can be made; it is for the call alone. */
    template <class C, class = if_container<C>,
              class = std::enable_if_t<std::is_lvalue_reference_v<C> || std::is_const_v<T>>>
    constexpr span(C &&container) noexcept
        : data_(std::data(container)), size_(std::size(container))
    {
    }

    constexpr T *data() const noexcept
    {
        return data_;
    }
    constexpr size_t size() const noexcept
    {
        return size_;
    }
    constexpr bool empty() const noexcept
    {
        return size_ == 0;
    }
    constexpr T *begin() const noexcept
    {
        return data_;
    }
    constexpr T *end() const noexcept
    {
        return data_ + size_;
    }
    /* i below size(), which is not checked. */
    constexpr T &operator[](size_t i) const noexcept
    {
        return data_[i];
    }
    /* The n elements from `first` on, which must be there. */
    constexpr span subspan(size_t first, size_t n) const noexcept
    {
        return {data_ + first, n};
    }

  private:
    T *data_ = nullptr;
    size_t size_ = 0;
};

} // namespace prepack
#endif
