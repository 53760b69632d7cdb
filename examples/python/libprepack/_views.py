"""Objects of the library that threads share, and NumPy arrays of their memory, without a copy.

An array keeps the object that it shows alive; the object is not closed while one does.
"""
from __future__ import annotations

import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._library import Handle, call
from .errors import MisuseError


class Memory:
    """What an array refers to as its base: memory, and whose it is."""

    __slots__ = ("__array_interface__", "_owner", "__weakref__")

    def __init__(self, owner: object, interface: dict[str, Any]) -> None:
        self._owner = owner
        self.__array_interface__ = interface


def read_only(memory_of: object, address: int | None, shape: tuple[int, ...], dtype: DTypeLike,
              strides: tuple[int, ...] | None = None) -> tuple[NDArray[Any], Memory]:
    """An array of memory at an address, strides in bytes, and what it refers to."""
    kind = np.dtype(dtype)
    memory = Memory(memory_of, {"version": 3, "shape": shape, "typestr": kind.str, "strides": strides,
                                "data": (address or 0, True)})
    if address is None or 0 in shape:
        array: NDArray[Any] = np.empty(shape, kind)
        array.flags.writeable = False
        return array, memory
    return np.asarray(memory), memory


class SharedHandle(Handle):
    """An object that any number of threads may use at once. It can be closed when none of them is inside a call
    and no array shows its memory. What is immutable can be used in a child after fork, too."""

    _of_one_process = False

    # Threads meet without a lock, which a fork could leave locked: whoever calls is on the list before it reads
    # the address, and close takes the address away before it looks at the list.
    def __init__(self, address: int | None, destroy: Any) -> None:
        super().__init__(address, destroy)
        self._calls: list[None] = []
        self._memory: weakref.WeakSet[Memory] = weakref.WeakSet()
        self._to_free = [address]

    @property
    def handle(self) -> int:
        """The address of the C object, for calls of the C library. Raises MisuseError when it is closed."""
        address = self._address
        return super().handle if self._of_one_process or address is None else address

    def hold(self) -> int:
        """Its address; it cannot be closed until `let_go`."""
        self._calls.append(None)
        try:
            return self.handle
        except BaseException:
            self._calls.pop()
            raise

    def let_go(self) -> None:
        """Ends a `hold`."""
        self._calls.pop()

    @contextmanager
    def in_use(self) -> Generator[int, None, None]:
        """Its address for a block, in which it cannot be closed."""
        handle = self.hold()
        try:
            yield handle
        finally:
            self.let_go()

    def invoke(self, function: Any, *arguments: Any) -> int:
        """Calls a function whose first parameter is this object."""
        self._calls.append(None)
        try:
            return call(function, self.handle, *arguments)
        finally:
            self._calls.pop()

    def _view(self, address: int | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A read-only array of memory that lives as long as this object."""
        array, memory = read_only(self, address, shape, dtype)
        self._memory.add(memory)
        if self._address is None:
            raise MisuseError(f"this {type(self).__name__} was closed by another thread")
        return array

    def close(self) -> None:
        """Gives its memory back. Calling it again does nothing. Raises BufferError while an array shows its
        memory, MisuseError while another thread is inside a call."""
        address, self._address = self._address, None
        if address is None:
            return
        if self._calls or len(self._memory):
            self._address = address
            if self._calls:
                raise MisuseError(f"this {type(self).__name__} is in use by another thread, or by the call whose "
                                  "callback this is")
            raise BufferError(f"this {type(self).__name__} has views: arrays that show its memory")
        self._free()

    def _free(self) -> None:
        try:
            address = self._to_free.pop()
        except IndexError:  # another thread was first
            return
        self._destroy(address)

    def __del__(self) -> None:
        if getattr(self, "_address", None) is not None:
            self._address = None
            self._free()
