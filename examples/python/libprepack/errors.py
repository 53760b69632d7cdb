"""What is raised when a call of the library fails: one class for each status, with the library's own sentence.

Every class is a `PrepackError`; those that have a close relative among Python's own exceptions are that, too: a
`FormatError` is a `ValueError`, an `OutOfMemoryError` a `MemoryError`.
"""
from __future__ import annotations

from . import _abi


class PrepackError(Exception):
    """A call of the library failed.

    str(error) is one sentence: what, where, what was allowed.
    status: the negative `pp_status`.
    index: the prompt, cache, bin or layer that is to blame, or None.
    native_code: errno or the device's own code, 0 if there is none.
    """

    status: int = _abi.PP_ERR_INTERNAL

    def __init__(self, message: str, index: int | None = None, native_code: int = 0,
                 status: int | None = None) -> None:
        super().__init__(message)
        self.index = index
        self.native_code = native_code
        if status is not None:
            self.status = status


class ArgumentError(PrepackError, ValueError):
    """An argument is out of the range that its declaration gives."""

    status = _abi.PP_ERR_ARG


class OutOfMemoryError(PrepackError, MemoryError):
    """Host memory, or a memory limit that was set, is exhausted."""

    status = _abi.PP_ERR_NOMEM


class DeviceMemoryError(PrepackError, MemoryError):
    """Device memory is exhausted."""

    status = _abi.PP_ERR_DEVICE_NOMEM


class DeviceError(PrepackError, RuntimeError):
    """The device or its driver reported an error."""

    status = _abi.PP_ERR_DEVICE


class UnsupportedError(PrepackError, NotImplementedError):
    """Well-formed, but this library cannot do it."""

    status = _abi.PP_ERR_UNSUPPORTED


class FormatError(PrepackError, ValueError):
    """A file breaks its format."""

    status = _abi.PP_ERR_FORMAT


class FileError(PrepackError, OSError):
    """A file could not be opened, read or written; `errno` says why."""

    status = _abi.PP_ERR_IO

    def __init__(self, message: str, index: int | None = None, native_code: int = 0,
                 status: int | None = None) -> None:
        super().__init__(message, index, native_code, status)
        if native_code:
            self.errno = native_code


class LimitError(PrepackError, ValueError):
    """A count or size in a file is above what the library accepts."""

    status = _abi.PP_ERR_LIMIT


class PathError(PrepackError, ValueError):
    """A file name in a checkpoint would leave its directory."""

    status = _abi.PP_ERR_PATH


class TooLongError(PrepackError, ValueError):
    """A prompt does not fit: a bin's capacity or a model's positions."""

    status = _abi.PP_ERR_TOO_LONG


class CancelledError(PrepackError):
    """The run was cancelled, or the queue closed."""

    status = _abi.PP_ERR_CANCELLED


class NoBackendError(PrepackError, RuntimeError):
    """No such device here, or its backend is not installed."""

    status = _abi.PP_ERR_NO_BACKEND


class StructSizeError(PrepackError):
    """The loaded library cannot read a struct of this package: the two do not belong together."""

    status = _abi.PP_ERR_STRUCT_SIZE


class InternalError(PrepackError, RuntimeError):
    """An invariant of the library broke; please report."""

    status = _abi.PP_ERR_INTERNAL


class NotFiniteError(PrepackError, ArithmeticError):
    """A result is not a number: logits that a token was to be drawn from."""

    status = _abi.PP_ERR_NOT_FINITE


class MisuseError(ArgumentError, RuntimeError):
    """An object is used in a way that could not work: closed, by two threads at once, or in a child after fork."""


BY_STATUS: dict[int, type[PrepackError]] = {
    kind.status: kind for kind in (
        ArgumentError, OutOfMemoryError, DeviceMemoryError, DeviceError, UnsupportedError, FormatError, FileError,
        LimitError, PathError, TooLongError, CancelledError, NoBackendError, StructSizeError, InternalError,
        NotFiniteError)}
