"""What users give for numbers, made what the library takes: checked integers and contiguous arrays of them."""
from __future__ import annotations

import operator
from typing import Any, Iterable, Mapping, Protocol, Sequence, SupportsIndex, Union

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._ids import to_ids, to_list
from .errors import ArgumentError


class SupportsArray(Protocol):
    """Anything with `__array__`: tensors of PyTorch on the CPU, columns of pandas."""

    def __array__(self) -> NDArray[Any]: ...


class SupportsDLPack(Protocol):
    """Anything with `__dlpack__`: arrays of most libraries."""

    def __dlpack__(self) -> object: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


# Token ids, or other integers: a sequence of int, or anything that NumPy makes an array of.
Integers = Union[Sequence[int], NDArray[np.integer[Any]], SupportsArray, SupportsDLPack]


def integer(name: str, value: SupportsIndex, bits: int = 64) -> int:
    """An int that fits into so many bits; ctypes would cut off what does not."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} has the type {type(value).__name__}; a whole number is needed") from None
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ArgumentError(f"{name} is {number}, which {bits} bits cannot hold")
    return number


def integers(name: str, values: Any, dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    """A contiguous array [n] of dtype. Raises TypeError for what are no integers, ArgumentError for more dimensions
    than one, or what does not fit."""
    if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
        values = np.from_dlpack(values)
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} are {'texts' if array.dtype.kind == 'U' else array.dtype}; integers are needed")
    if array.ndim != 1:
        raise ArgumentError(f"{name} have the shape {list(array.shape)}; one dimension is needed")
    narrow = np.ascontiguousarray(array, dtype)
    if narrow.dtype.itemsize < array.dtype.itemsize or array.dtype.kind == "u":
        wrong = np.flatnonzero((narrow != array) | (narrow < 0) & (array > 0))
        if wrong.size:
            raise ArgumentError(f"{name}: number {wrong[0]} is {array[wrong[0]]}, which {narrow.dtype} cannot hold",
                                int(wrong[0]))
    return narrow


def choice(name: str, value: str, allowed: Mapping[str, int]) -> int:
    """The library's number for a name."""
    if value not in allowed:
        raise ArgumentError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
    return allowed[value]


def name_of(value: int, names: Mapping[str, int]) -> str:
    """The name for a number of the library; one of a later version stays a number."""
    return next((name for name, number in names.items() if number == value), str(value))


def is_lengths(prompts: Any) -> bool:
    """Whether these are lengths of prompts, not prompts."""
    if hasattr(prompts, "ndim"):
        return bool(prompts.ndim == 1) and getattr(prompts, "dtype", None) != object
    return len(prompts) == 0 or isinstance(prompts[0], (int, np.integer))


class Prompts:
    """Token ids of prompts as the library takes them. address: of `pp_prompt` [n]; the arrays live as long."""

    def __init__(self, prompts: Iterable[Integers]) -> None:
        self.tokens = [to_ids(prompt, f"prompt {i}") for i, prompt in enumerate(to_list(prompts, "prompts"))]
        self.array = (_abi.pp_prompt * len(self.tokens))()
        for record, tokens in zip(self.array, self.tokens):
            record.tokens, record.n_tokens = tokens.ctypes.data, tokens.size

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each prompt."""
        return np.fromiter((tokens.size for tokens in self.tokens), np.int64, len(self.tokens))
