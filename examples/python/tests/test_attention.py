"""AttentionPlan on arrays of NumPy, tensors of PyTorch and bare addresses, against attention as it is defined."""
from __future__ import annotations

import math
import unittest
from typing import Any

import libprepack
import numpy as np

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

HEADS, KV_HEADS, DIM = 4, 2, 16
CU = [0, 5, 6, 15]


def reference(q: Any, k: Any, v: Any, window: int = -1) -> tuple[Any, Any]:
    """One prompt in float64: out [n_q, heads, dim] and lse [heads, n_q]."""
    n_q, n_k = len(q), len(k)
    k, v = (np.repeat(x.astype(np.float64), HEADS // KV_HEADS, axis=1) for x in (k, v))
    scores = np.einsum("qhd,khd->hqk", q.astype(np.float64), k) / math.sqrt(DIM)
    i, j = np.arange(n_q)[:, None] + n_k - n_q, np.arange(n_k)
    scores = np.where((j <= i) & ((i - j <= window) | (window < 0)), scores, -np.inf)
    lse = np.log(np.exp(scores).sum(axis=2))
    return np.einsum("hqk,khd->qhd", np.exp(scores - lse[:, :, None]), v), lse


class AttentionTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = libprepack.Session(None, threads=2)
        random = np.random.default_rng(1)
        qkv = random.standard_normal((CU[-1], HEADS + 2 * KV_HEADS, DIM), np.float32)
        self.q, self.k, self.v = np.split(qkv, (HEADS, HEADS + KV_HEADS), axis=1)  # views of one buffer

    def plan(self, **options: Any) -> libprepack.AttentionPlan:
        options = {"dtype": "f32", "n_heads": HEADS, "n_kv_heads": KV_HEADS, "head_dim": DIM, **options}
        plan = libprepack.AttentionPlan(self.session, options.pop("cu", CU), **options)
        plan.upload()
        return plan

    def check(self, out: Any, lse: Any, window: int = -1) -> None:
        for begin, end in zip(CU, CU[1:]):
            expected = reference(self.q[begin:end], self.k[begin:end], self.v[begin:end], window)
            np.testing.assert_allclose(out[begin:end], expected[0], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(lse[:, begin:end], expected[1], rtol=1e-5, atol=1e-5)

    def test_arrays(self) -> None:
        plan = self.plan()
        self.assertEqual((plan.info.total_q, plan.info.max_seqlen_q, plan.info.dtype, plan.info.workspace_bytes),
                         (15, 9, "f32", 0))
        lse = np.empty((HEADS, CU[-1]), np.float32)
        out = plan.run(self.q, self.k, self.v, lse=lse)
        self.check(out, lse)
        wide = np.zeros((CU[-1], HEADS, 2 * DIM), np.float32)
        given = plan.run(self.q, self.k, self.v, wide[:, :, :DIM])
        np.testing.assert_array_equal(given, out)
        self.assertFalse(wide[:, :, DIM:].any())

    def test_windows(self) -> None:
        lse = np.empty((HEADS, CU[-1]), np.float32)
        self.check(self.plan(window_left=2).run(self.q, self.k, self.v, lse=lse), lse, window=2)

    def test_addresses(self) -> None:
        q, k, v = (np.ascontiguousarray(x) for x in (self.q, self.k, self.v))
        out = np.empty_like(q)
        plan = self.plan()
        plan.run(q.ctypes.data, k.ctypes.data, v.ctypes.data, out.ctypes.data)
        np.testing.assert_array_equal(out, plan.run(self.q, self.k, self.v))
        plan.run(self.q.ctypes.data, k.ctypes.data, v.ctypes.data, out.ctypes.data,
                 q_row_stride=self.q.strides[0] // 4, q_head_stride=self.q.strides[1] // 4)
        np.testing.assert_array_equal(out, plan.run(self.q, self.k, self.v))

    def test_half_precision_and_bits(self) -> None:
        half = [x.astype(np.float16) for x in (self.q, self.k, self.v)]
        out = self.plan(dtype="f16").run(*half)
        self.assertEqual(out.dtype, np.float16)
        bits = [(np.ascontiguousarray(x).view(np.uint32) >> 16).astype(np.uint16) for x in (self.q, self.k, self.v)]
        plain = [(x.astype(np.uint32) << 16).view(np.float32) for x in bits]
        out = (self.plan(dtype="bf16").run(*bits).astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_allclose(out, self.plan().run(*plain), atol=2e-2)

    def test_pages(self) -> None:
        pages = np.zeros((2, 8, 4, KV_HEADS, DIM), np.float32)  # k and v; pages of 4 tokens, in no order
        table = np.full((3, 3), -1, np.int32)
        free = iter((6, 0, 3, 7, 1, 5))
        for i, (begin, end) in enumerate(zip(CU, CU[1:])):
            for token in range(begin, end):
                entry = (token - begin) // 4
                if table[i, entry] < 0:
                    table[i, entry] = next(free)
                for half, rows in enumerate((self.k, self.v)):
                    pages[half, table[i, entry], (token - begin) % 4] = rows[token]
        plan = self.plan(page_size=4, block_table_stride=3)
        out = plan.run(self.q, pages[0], pages[1], block_table=table)
        np.testing.assert_array_equal(out, self.plan().run(self.q, self.k, self.v))
        with self.assertRaisesRegex(libprepack.ArgumentError, "block_table"):
            plan.run(self.q, pages[0], pages[1], block_table=table[:, :2])

    def test_what_is_wrong_is_named(self) -> None:
        plan, frozen = self.plan(), np.empty_like(self.q)
        frozen.flags.writeable = False
        doubled = np.empty((CU[-1], HEADS, 2 * DIM), np.float32)
        cases: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"q": self.q[1:]}, ValueError, r"q is of shape \[14, 4, 16\], not \[15, 4, 16\]"),
            ({"k": self.k.astype(np.float16)}, ValueError, "k is f16; f32"), ({"v": "x"}, TypeError, "v is a str"),
            ({"out": frozen}, ValueError, "out is not to be written"), ({"q": doubled[:, :, ::2]}, ValueError, "gaps"),
            ({"lse": np.empty((HEADS, 3), np.float32)}, ValueError, "lse is of shape"), ({"q": None}, TypeError, "out"),
            ({"x_stride": 3}, TypeError, "x_stride"), ({"softmax_scale": -1.0}, ValueError, "softmax_scale"),
            ({"q": self.q.ctypes.data + 4, "out": frozen.ctypes.data}, ValueError, "q is 0x")]
        for case, kind, words in cases:
            with self.subTest(words=words), self.assertRaisesRegex(kind, words):
                plan.run(**{"q": self.q, "k": self.k, "v": self.v, **case})
        for options, words in (({"cu": []}, "n_prompts"), ({"cu": [0, 5, 3]}, "cu_seqlens"), ({"dtype": "f64"}, "'bf16'"),
                               ({"seqlens_q": [1]}, "seqlens_q has 1"), ({"head_dim": 7}, "head_dim"),
                               ({"n_heads": 3}, "n_heads")):
            with self.subTest(words=words), self.assertRaisesRegex(libprepack.ArgumentError, words):
                self.plan(**options)
        not_uploaded = libprepack.AttentionPlan(self.session, CU, n_heads=HEADS, n_kv_heads=KV_HEADS, head_dim=DIM, dtype="f32")
        with self.assertRaises(libprepack.ArgumentError):
            not_uploaded.run(self.q, self.k, self.v)
        self.session.acquire()
        with self.assertRaises(libprepack.MisuseError):
            plan.run(self.q, self.k, self.v)
        self.session.release()
        plan.close()
        with self.assertRaises(libprepack.MisuseError):
            plan.run(self.q, self.k, self.v)

    @unittest.skipIf(torch is None, "PyTorch is not installed")
    def test_tensors_of_pytorch(self) -> None:
        expected = self.plan().run(self.q, self.k, self.v)
        q, k, v = (torch.from_numpy(np.ascontiguousarray(x)) for x in (self.q, self.k, self.v))
        np.testing.assert_array_equal(self.plan().run(q, k, v).numpy(), expected)
        fused = torch.cat((q, k, v), dim=1).bfloat16()
        parts = fused.split((HEADS, KV_HEADS, KV_HEADS), dim=1)
        out = self.plan(dtype="bf16").run(*parts)
        self.assertEqual(out.dtype, torch.bfloat16)
        np.testing.assert_allclose(out.float().numpy(), expected, atol=5e-2)
        with self.assertRaises((BufferError, RuntimeError)):
            self.plan().run(q.requires_grad_(), k, v)


if __name__ == "__main__":
    unittest.main()
