"""Batch: the arrays of bins, ragged and padded, and their masks."""
from __future__ import annotations

import gc
import unittest

import libprepack
import numpy as np

PROMPTS = [[1, 2, 3, 4, 5, 6], [7], [8, 9], [10, 11, 12], [13, 14, 15, 16]]


class BatchTest(unittest.TestCase):
    def setUp(self) -> None:
        self.plan = libprepack.Packer(8).plan(PROMPTS)

    def test_ragged(self) -> None:
        batch = self.plan.batch(PROMPTS, first_bin=1)
        self.assertEqual(batch.tokens.tolist(), [13, 14, 15, 16, 10, 11, 12, 7])
        self.assertEqual(batch.positions.tolist(), [0, 1, 2, 3, 0, 1, 2, 0])
        self.assertEqual(batch.cu_seqlens.tolist(), [0, 4, 7, 8])
        self.assertEqual((batch.starts.tolist(), batch.last_rows.tolist()), ([0, 4, 7], [3, 6, 7]))
        self.assertEqual(batch.prompts.tolist(), [4, 3, 1])
        self.assertEqual((batch.layout, batch.n_rows, batch.row_len, batch.n_prompts, batch.n_tokens, batch.max_seqlen),
                         ("ragged", 1, 8, 3, 8, 4))
        self.assertEqual({a.dtype.name for a in (batch.tokens, batch.positions, batch.cu_seqlens, batch.prompts)}, {"int32"})
        self.assertEqual(self.plan.batch(PROMPTS).n_tokens, 16)

    def test_padded(self) -> None:
        batch = self.plan.batch(PROMPTS, layout="padded", pad_token=99, row_len=9)
        self.assertEqual(batch.tokens.tolist(), [[1, 2, 3, 4, 5, 6, 8, 9, 99], [13, 14, 15, 16, 10, 11, 12, 7, 99]])
        self.assertEqual(batch.positions[:, -1].tolist(), [0, 0])
        self.assertEqual((batch.n_rows, batch.row_len, batch.n_tokens), (2, 9, 16))
        self.assertEqual(batch.tokens.reshape(-1)[batch.last_rows].tolist(), [6, 9, 16, 12, 7])

    def test_prompts_of_every_kind(self) -> None:
        expected = self.plan.batch(PROMPTS).tokens.tolist()
        mixed = [np.array(PROMPTS[0]), tuple(PROMPTS[1]), range(8, 10), np.array(PROMPTS[3], np.uint8), PROMPTS[4]]
        self.assertEqual(self.plan.batch(mixed).tokens.tolist(), expected)

    def test_one_bin_after_the_other(self) -> None:
        batches = list(self.plan.batches(PROMPTS))
        self.assertEqual([batch.prompts.tolist() for batch in batches], [bin_.tolist() for bin_ in self.plan])
        self.assertEqual([batch.n_rows for batch in self.plan.batches(PROMPTS, layout="padded")], [1, 1])

    def test_masks(self) -> None:
        batch = self.plan.batch(PROMPTS, layout="padded", row_len=9)
        self.assertEqual(batch.n_rows, 2)
        prompt_of = np.full((2, 9), -1)
        for start, last, prompt in zip(batch.starts, batch.last_rows, batch.prompts):
            prompt_of.reshape(-1)[start:last + 1] = prompt
        i, j = np.arange(9)[:, None], np.arange(9)
        same = (prompt_of[:, :, None] == prompt_of[:, None, :]) & (prompt_of[:, :, None] >= 0)
        for window in (-1, 0, 1, 100):
            expected = same & (j <= i) & ((i - j <= window) | (window < 0)) | (i == j) & (prompt_of < 0)[:, :, None]
            np.testing.assert_array_equal(batch.mask(window_left=window), expected)
            for dtype, kind in (("f32", np.float32), ("f16", np.float16)):
                mask = batch.mask(dtype, window)
                self.assertEqual(mask.dtype, kind)
                np.testing.assert_array_equal(mask, np.where(expected, 0, -np.inf))
            np.testing.assert_array_equal(batch.mask("bf16", window), np.where(expected, 0, 0xff80))
        for arguments in (("f64",), ("bool", -2)):
            with self.assertRaises(libprepack.ArgumentError):
                batch.mask(*arguments)

    def test_what_is_wrong_is_named(self) -> None:
        for arguments, kind, words in (
                ({"layout": "wide"}, libprepack.ArgumentError, "'padded'"), ({"first_bin": 3}, libprepack.ArgumentError, "bin"),
                ({"pad_token": 2 ** 31}, libprepack.ArgumentError, "32 bits"),
                ({"layout": "padded", "row_len": 7}, libprepack.TooLongError, "7")):
            with self.subTest(arguments=arguments), self.assertRaisesRegex(kind, words):
                self.plan.batch(PROMPTS, **arguments)
        with self.assertRaises(libprepack.ArgumentError):
            self.plan.batch(PROMPTS[:4])
        with self.assertRaises(libprepack.ArgumentError) as caught:
            self.plan.batch([*PROMPTS[:4], [1]])
        self.assertEqual(caught.exception.index, 4)

    def test_lifetimes(self) -> None:
        batch = self.plan.batch(PROMPTS)
        self.plan.close()  # a batch does not need its plan
        tokens = batch.tokens
        with self.assertRaises(BufferError):
            batch.close()
        with self.assertRaises(ValueError):
            tokens[0] = 1
        del batch
        gc.collect()
        self.assertEqual(tokens[:6].tolist(), PROMPTS[0])

    def test_nothing(self) -> None:
        batch = libprepack.Packer(8).plan([]).batch([])
        self.assertEqual((batch.tokens.tolist(), batch.cu_seqlens.tolist(), batch.prompts.tolist()), ([], [0], []))
        self.assertEqual(batch.mask().size, 0)


if __name__ == "__main__":
    unittest.main()
