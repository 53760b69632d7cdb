"""Pages of caches as NumPy and PyTorch see them: the same memory, the same numbers, and who keeps it alive."""
from __future__ import annotations

import ctypes
import gc
import sys
import unittest
import weakref
from typing import Any

import libprepack
import numpy as np
from libprepack import dlpack
from support import demo

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

PROMPT = list(range(1, 38))  # three pages, the last one with an odd number of tokens


def tokens_of(page: dlpack.Export, heads: int, dim: int) -> Any:
    """[n_tokens, heads, dim], also where pairs are neighbours in memory."""
    return page.numpy().reshape(-1, heads, dim)


class PageTest(unittest.TestCase):
    def test_numbers(self) -> None:
        for dtype in ("f32", "bf16"):
            session = demo(dtype=dtype)
            cache = session.prefill([PROMPT])[0].cache
            for layer in (0, session.model.config.n_layers - 1):
                config = session.model.layer(layer)
                for half, copy in (("keys", cache.keys(layer, dtype=dtype)), ("values", cache.values(layer, dtype=dtype))):
                    for token in (0, 17, 36):
                        first = cache.first_token_of_page(layer, token)
                        expected = copy[first:first + session.info.page_tokens]
                        page = cache.page(layer, half, token)
                        with self.subTest(dtype=dtype, layer=layer, half=half, token=token):
                            self.assertEqual((page.dtype, page.__dlpack_device__()), (dtype, (1, 0)))
                            seen = tokens_of(page, config.n_kv_heads, config.head_dim)
                            np.testing.assert_array_equal(seen[:len(expected)], expected)
                            self.assertFalse(page.numpy().flags.writeable)
                            self.assertTrue(np.shares_memory(np.asarray(page), page.numpy()))

    def test_a_page_keeps_its_cache_as_it_is(self) -> None:
        session = demo(dtype="f32")
        cache = session.prefill([PROMPT])[0].cache
        page = cache.page(0, "keys", 0).numpy()[1:]
        for change in (cache.close, lambda: cache.truncate(3), lambda: session.append([cache], [[1]]),
                       lambda: cache.write_keys(0, cache.keys(0))):
            with self.assertRaises(BufferError):
                change()
        before = page.copy()
        ghost = weakref.ref(cache)
        del cache, change
        gc.collect()
        self.assertIsNotNone(ghost())
        np.testing.assert_array_equal(page, before)
        del page
        gc.collect()
        self.assertIsNone(ghost())

    def test_capsules_nobody_takes(self) -> None:
        cache = demo(dtype="bf16").prefill([PROMPT])[0].cache
        page = cache.page(0, "values", 0)
        for version in (None, (0, 8), (1, 0), (1, 3)):
            capsule = page.__dlpack__(max_version=version)
            name = b"dltensor_versioned" if b"versioned" in repr(capsule).encode() else b"dltensor"
            new = version is not None and version[0] == 1 and np.lib.NumpyVersion(np.__version__) >= "2.1.0"
            self.assertEqual(name, b"dltensor_versioned" if new else b"dltensor")
            tensor, managed = dlpack.unpack(capsule)
            self.assertEqual((tensor.code, tensor.bits, tensor.lanes, tensor.device_type), (4, 16, 1, 1))
            if managed is not None:
                self.assertEqual((managed.major, managed.flags & 1), (1, 1))
            del tensor, managed, capsule
        for arguments in ({"copy": True}, {"dl_device": (2, 0)}):
            with self.assertRaises(BufferError):
                page.__dlpack__(**arguments)  # type: ignore[arg-type]
        del page
        gc.collect()
        cache.close()

    def test_numpy_by_dlpack(self) -> None:
        cache = demo(dtype="f32").prefill([PROMPT])[0].cache
        page = cache.page(0, "keys", 0)
        array = np.from_dlpack(page)  # type: ignore[arg-type]
        self.assertEqual(array.ctypes.data, page.numpy().ctypes.data)
        np.testing.assert_array_equal(array, page.numpy())
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
            self.assertFalse(array.flags.writeable)

    def test_arrays(self) -> None:
        page = demo(dtype="f32").prefill([PROMPT])[0].cache.page(0, "keys", 0)
        self.assertEqual(np.asarray(page, np.float64).dtype, np.float64)
        copy = np.array(page)
        self.assertFalse(np.shares_memory(copy, page.numpy()))
        copy[0] = 1


class DeviceTest(unittest.TestCase):
    """What is said of memory of a GPU, without one: nothing reads it."""

    def test_a_page_of_a_gpu(self) -> None:
        waits: list[int] = []
        struct = libprepack._abi.pp_kvcache_page(dtype=3, data=0x7f0000000000, n_tokens=16, head_stride=1024, slot_stride=64,
                                                 dim_stride=1, slot_group=1, dim_group=1, on_device=1)
        page = dlpack.page(self, struct, 4, 64, 3, lambda: waits.append(1))
        self.assertEqual((page.shape, page.strides, page.__dlpack_device__()), ((16, 4, 64), (64, 1024, 1), (2, 3)))
        with self.assertRaisesRegex(BufferError, "GPU"):
            page.numpy()
        capsule = page.__dlpack__(stream=-1)
        self.assertEqual(waits, [])
        tensor, _ = dlpack.unpack(capsule)
        self.assertEqual((tensor.data, tensor.device_type, tensor.device_id, tensor.code), (0x7f0000000000, 2, 3, 4))
        self.assertEqual(tuple(tensor.shape[:3]), (16, 4, 64))
        page.__dlpack__(stream=1)
        self.assertEqual(waits, [1])


class BorrowTest(unittest.TestCase):
    def test_numpy(self) -> None:
        array = np.zeros((4, 6), np.float32)[::2, ::3]
        seen = dlpack.borrow(array, "x")
        self.assertEqual((seen.address, seen.shape, seen.strides, seen.dtype, seen.device),
                         (array.ctypes.data, (2, 2), (12, 3), "f32", (1, 0)))
        for odd in (np.zeros(2, complex), "text", [1]):
            with self.assertRaisesRegex(TypeError, "x is"):
                dlpack.borrow(odd, "x")

    def test_capsules(self) -> None:
        class Hidden:
            """An array that only DLPack sees."""

            def __init__(self, array: Any) -> None:
                self.array = array

            def __dlpack__(self) -> object:
                return self.array.__dlpack__()

            def __dlpack_device__(self) -> tuple[int, int]:
                return (1, 0)

        array = np.zeros((3, 4), np.int32)[1:]
        seen = dlpack.borrow(Hidden(array), "x")
        self.assertEqual((seen.address, seen.shape, seen.strides, seen.dtype), (array.ctypes.data, (2, 4), (4, 1), "i32"))
        n = sys.getrefcount(array)
        del seen
        gc.collect()
        self.assertLess(sys.getrefcount(array), n)
        with self.assertRaises((ValueError, BufferError)):
            dlpack.unpack(ctypes.py_object(3).value)


@unittest.skipIf(torch is None, "PyTorch is not installed")
class TorchTest(unittest.TestCase):
    def test_the_same_memory(self) -> None:
        for dtype, kind in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            cache = demo(dtype=dtype).prefill([PROMPT])[0].cache
            config = cache.session.model.layer(0)
            page = cache.page(0, "values", 0)
            tensor = torch.from_dlpack(page)
            self.assertEqual((tensor.dtype, tensor.data_ptr()), (kind, page.numpy().ctypes.data))
            expected = torch.from_numpy(cache.values(0, n_tokens=16))
            self.assertTrue(torch.equal(tensor.reshape(16, config.n_kv_heads, config.head_dim).float(), expected))
            del page
            part = tensor[1:]
            del tensor
            gc.collect()
            with self.assertRaises(BufferError):
                cache.close()
            del part
            gc.collect()
            cache.close()

    def test_a_tensor_is_borrowed(self) -> None:
        tensor = torch.zeros(4, 6, dtype=torch.bfloat16)[::2]
        seen = dlpack.borrow(tensor, "x")
        self.assertEqual((seen.address, seen.shape, seen.strides, seen.dtype), (tensor.data_ptr(), (2, 6), (12, 1), "bf16"))


if __name__ == "__main__":
    unittest.main()
