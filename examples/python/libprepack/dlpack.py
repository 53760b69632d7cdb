"""Memory shared with other libraries of arrays by DLPack, without a copy: pages of caches, among them bf16 and
memory of a GPU, which NumPy has no words for, as capsules; and where the tensors of others lie.

    page = cache.page(layer, "keys", 0)
    torch.from_dlpack(page)                          # a torch.bfloat16 tensor of the page's memory

A capsule is one of NumPy's, whose memory it counts; what it says of device, dtype and writing is put right here.
"""
from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._views import Memory, read_only

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # DLDeviceType
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6  # DLDataTypeCode
_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY
DTYPES = {"f32": (_FLOAT, 32), "f16": (_FLOAT, 16), "bf16": (_BFLOAT, 16), "i32": (_INT, 32), "i64": (_INT, 64),
          "u8": (_UINT, 8), "u16": (_UINT, 16), "bool": (_BOOL, 8)}
_PAGES = {"f32": _abi.PP_DTYPE_F32, "f16": _abi.PP_DTYPE_F16, "bf16": _abi.PP_DTYPE_BF16}
_NUMPY = {"f32": np.float32, "f16": np.float16, "bf16": np.uint16}  # bf16: its bits


class _Tensor(Structure):
    """DLTensor."""

    _fields_ = [("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32),
                ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)),
                ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class _Versioned(Structure):
    """DLManagedTensorVersioned; DLManagedTensor begins with its tensor."""

    _fields_ = [("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p),
                ("flags", c_uint64), ("tensor", _Tensor)]


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = [ctypes.py_object, c_char_p], ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = [ctypes.py_object, c_char_p], c_void_p


def unpack(capsule: object) -> tuple[Any, Any]:
    """The DLTensor of a capsule, and the DLManagedTensorVersioned if it is one; they live as long as the capsule."""
    if _is_valid(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        if managed.major != 1:
            raise BufferError(f"a DLPack capsule of version {managed.major}; 1 is known here")
        return managed.tensor, managed
    return _Tensor.from_address(_pointer(capsule, b"dltensor")), None


class Export:
    """Memory of the library, to be read: an array for NumPy (`numpy`, `np.asarray`) and for libraries that know
    DLPack (torch.from_dlpack, jax.dlpack.from_dlpack). Each array that comes of it, and the export itself, keeps the
    memory's owner alive.

    shape; strides: in elements; dtype: "f32", "f16", "bf16"; device: as `__dlpack_device__` says it.
    """

    def __init__(self, owner: object, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str,
                 device: tuple[int, int] = (CPU, 0), synchronize: Callable[[], object] | None = None) -> None:
        """synchronize: waits for the memory's contents, where a device still writes them."""
        self._array, self.memory = read_only(owner, address, shape, _NUMPY[dtype], self._bytes(strides, dtype))
        self._address = address
        self._synchronize = synchronize
        self.shape, self.strides, self.dtype, self.device = shape, strides, dtype, device

    @staticmethod
    def _bytes(strides: tuple[int, ...], dtype: str) -> tuple[int, ...]:
        size = np.dtype(_NUMPY[dtype]).itemsize
        return tuple(stride * size for stride in strides)

    def numpy(self) -> NDArray[Any]:
        """A read-only array of the memory; bf16, which NumPy does not have, as uint16.

        Raises BufferError for memory of a GPU."""
        if self.device[0] == CUDA:
            raise BufferError("the memory is a GPU's, where NumPy cannot read it; torch.from_dlpack can")
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"{self.dtype} as {np.dtype(dtype)} is a copy")
            return array.astype(dtype)
        return np.array(array) if copy else array

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLDeviceType (1: CPU, 2: CUDA) and the device's number."""
        return self.device

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> object:
        """A capsule: "dltensor_versioned", flagged read-only, for max_version from (1, 0) on and where NumPy makes
        such (2.1), else "dltensor", which cannot say that the memory is not to be written.

        stream: -1: what the device still writes is not waited for. Raises BufferError for a copy or another device.
        """
        if copy:
            raise BufferError("a view is exported without a copy; numpy().copy() is one")
        if dl_device is not None and tuple(dl_device) != self.device:
            raise BufferError(f"the memory is on the device {self.device}, not on {tuple(dl_device)}")
        if self._synchronize is not None and stream != -1:
            self._synchronize()
        interface: dict[str, Any] = {"version": 3, "shape": self.shape, "typestr": self._array.dtype.str,
                     "strides": self._bytes(self.strides, self.dtype), "data": (self._address, False)}
        array: Any = np.asarray(Memory(self.memory, interface))
        capsule = _capsule(array, max_version is not None and max_version[0] >= 1)
        tensor, managed = unpack(capsule)
        tensor.code, tensor.bits = DTYPES[self.dtype]
        tensor.device_type, tensor.device_id = self.device
        if managed is not None:
            managed.flags |= _READ_ONLY
        return capsule

    def __repr__(self) -> str:
        where = "CPU" if self.device[0] == CPU else f"CUDA {self.device[1]}"
        return f"<libprepack memory: {self.dtype} {list(self.shape)}, {where}>"


def page(owner: object, struct: _abi.pp_kvcache_page, n_kv_heads: int, head_dim: int, device_number: int = 0,
         synchronize: Callable[[], object] | None = None) -> Export:
    """The tokens of a cache's page, [n_tokens, n_kv_heads, head_dim]. Where pairs of tokens are neighbours in
    memory, the first dimension is two, [pairs, 2]; where pairs of a head's elements are, the last one is,
    [head_dim / 2, 2]: array.reshape(-1, n_kv_heads, head_dim)[:n_tokens] has the tokens in any case, and copies
    in these.

    owner: the cache; struct: of pp_kvcache_get_page."""
    def grouped(n: int, stride: int, group: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return ((n,), (stride,)) if group == 1 else ((-(-n // group), group), (stride, 1))

    tokens = grouped(struct.n_tokens, struct.slot_stride, struct.slot_group)
    elements = grouped(head_dim, struct.dim_stride, struct.dim_group)
    dtype = next(name for name, number in _PAGES.items() if number == struct.dtype)
    return Export(owner, struct.data or 0, (*tokens[0], n_kv_heads, *elements[0]),
                  (*tokens[1], struct.head_stride, *elements[1]), dtype,
                  (CUDA, device_number) if struct.on_device else (CPU, 0), synchronize if struct.on_device else None)


def _capsule(array: Any, versioned: bool) -> object:
    if versioned:
        try:
            return array.__dlpack__(max_version=(1, 0))
        except TypeError:  # a NumPy before 2.1
            pass
    return array.__dlpack__()


class Tensor(NamedTuple):
    """Where a tensor of another library lies. strides: in elements; dtype: "f32", ...; keep: what keeps it there."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: tuple[int, int]
    keep: object


def borrow(array: Any, name: str) -> Tensor:
    """Where an array with `__dlpack__` or `__array_interface__` lies, its contents as they are.

    Raises TypeError for anything else, and for dtypes that are not among DTYPES."""
    if isinstance(array, np.ndarray):
        given = cast("NDArray[Any]", array)
        dtype = "bool" if given.dtype == bool else f"{given.dtype.kind}{given.itemsize * 8}"
        strides = tuple(stride // max(given.itemsize, 1) for stride in given.strides)
        found = Tensor(given.ctypes.data, given.shape, strides, dtype, (CPU, 0), given)
    elif hasattr(array, "__dlpack__"):
        kind, number = array.__dlpack_device__()
        capsule = array.__dlpack__(stream=-1) if kind == CUDA else array.__dlpack__()
        tensor, _ = unpack(capsule)
        shape = tuple(tensor.shape[:tensor.ndim])
        strides = tuple(tensor.strides[:tensor.ndim]) if tensor.strides else packed(shape)
        names = {code: key for key, code in DTYPES.items()}
        dtype = names.get((tensor.code, tensor.bits), "?") if tensor.lanes == 1 else "?"
        found = Tensor((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, (int(kind), int(number)),
                       (capsule, array))
    else:
        raise TypeError(f"{name} is a {type(array).__name__}; it is a NumPy array or has __dlpack__, as a tensor of "
                        f"PyTorch does")
    if found.dtype not in DTYPES:
        raise TypeError(f"{name} is of a dtype that is not known here; known are {', '.join(DTYPES)}")
    return found


def packed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array without gaps."""
    strides = [1]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return tuple(reversed(strides)) if shape else ()
