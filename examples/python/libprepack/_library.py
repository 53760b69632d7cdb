"""The shared libraries: where they are, their functions with types, and statuses that become exceptions.

`libprepack.so.0` and `libprepack-tokenizer.so.0` are looked for in this order: PREPACK_LIBRARY and
PREPACK_TOKENIZER_LIBRARY of the environment, the folder of this package (where a wheel has them), the loader's
own places.
"""
from __future__ import annotations

import ctypes
import logging
import os
import re
import threading
from typing import Any, TypeVar

from . import _abi
from .errors import BY_STATUS, MisuseError, PrepackError

# The C function that failed, or the struct of a parameter, which say nothing to who called from Python.
_C_NAME = re.compile(r"^pp_\w+: |\bpp_\w+\.")
logger = logging.getLogger("libprepack")
_lock = threading.Lock()
_loaded: dict[str, ctypes.CDLL] = {}


def _load(name: str, variable: str, functions: dict[str, tuple[Any, ...]]) -> ctypes.CDLL:
    with _lock:
        library = _loaded.get(name)
        if library is None:
            beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
            path = os.environ.get(variable) or (beside if os.path.exists(beside) else name)
            try:
                library = ctypes.CDLL(path)
            except OSError as error:
                raise ImportError(f"{name} could not be loaded ({error}); {variable} may name its file") from None
            for function, (result, *parameters) in functions.items():
                declared = getattr(library, function, None)
                if declared is None:
                    raise ImportError(f"{path} has no {function}: it is older than this package, or no {name}")
                declared.restype, declared.argtypes = result, parameters
            _loaded[name] = library
    return library


def core() -> ctypes.CDLL:
    """libprepack."""
    return _loaded.get("libprepack.so.0") or _load("libprepack.so.0", "PREPACK_LIBRARY", _abi.FUNCTIONS)


def text() -> ctypes.CDLL:
    """libprepack-tokenizer."""
    return (_loaded.get("libprepack-tokenizer.so.0") or
            _load("libprepack-tokenizer.so.0", "PREPACK_TOKENIZER_LIBRARY", _abi.TOKENIZER_FUNCTIONS))


def error_of(error: _abi.pp_error) -> PrepackError:
    """The exception for a call that failed."""
    kind = BY_STATUS.get(error.code, PrepackError)
    return kind(_C_NAME.sub("", error.message.decode("utf-8", "replace")), error.index if error.index >= 0 else None,
                error.native_code, error.code)


def call(function: Any, *arguments: Any) -> int:
    """Calls a function whose last parameter is `pp_error *`; raises for a negative status, else returns it."""
    error = _abi.pp_error(struct_size=ctypes.sizeof(_abi.pp_error))
    status: int = function(*arguments, ctypes.byref(error))
    if status < 0:
        if error.code != status:  # nothing filled it
            error.code, error.index = status, -1
            error.message = core().pp_strerror(status)
        raise error_of(error)
    return status


S = TypeVar("S", bound=ctypes.Structure)


def sized(struct: type[S], **fields: Any) -> S:
    """A struct of the given fields, with its struct_size; the others are zero."""
    return struct(struct_size=ctypes.sizeof(struct), **fields)


def path_bytes(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bytes:
    """A path for the library. Raises ValueError for one with a NUL, where C would see its end."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"the path {path!r} has a NUL character, which no name of a file has")
    return name


def _log(_user: int | None, level: int, message: bytes) -> None:
    """The library's log, as records of the logger "libprepack"."""
    logger.log(logging.WARNING if level == _abi.PP_LOG_WARNING else logging.INFO, "%s",
               message.decode("utf-8", "replace"))


log_to_logging: Any = _abi.pp_log_fn(_log)


class Handle:
    """An object of the library: closed once, by `close`, `with` or the collector; not used after that, nor in a
    child of the process that made it."""

    def __init__(self, address: int | None, destroy: Any) -> None:
        self._address = address
        self._destroy = destroy
        self._process = os.getpid()

    @property
    def handle(self) -> int:
        """The address of the C object, for calls of the C library. Raises MisuseError when it is not to be used."""
        address = self._address  # once: another thread may close it
        if address is None:
            raise MisuseError(f"this {type(self).__name__} is closed")
        if self._process != os.getpid():
            raise MisuseError(f"this {type(self).__name__} belongs to process {self._process}, and this is its "
                              f"child {os.getpid()}: make a new one after fork")
        return address

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._address is None

    @property
    def _unusable(self) -> str:
        """What a repr says instead of the rest; "" where the object can be asked."""
        if self._address is None:
            return f"<libprepack.{type(self).__name__}: closed>"
        if self._process != os.getpid():
            return f"<libprepack.{type(self).__name__} of process {self._process}>"
        return ""

    def close(self) -> None:
        """Gives back what it holds. Calling it again does nothing."""
        address, self._address = self._address, None
        if address is not None:
            self._destroy(address)

    def __enter__(self: H) -> H:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_address", None) is not None:
            self.close()

    def __getstate__(self) -> object:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: it lives in one process")


H = TypeVar("H", bound=Handle)
