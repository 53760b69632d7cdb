"""Cache: what it holds, what becomes of it, and how long."""
from __future__ import annotations

import gc
import os
import tempfile
import unittest

import libprepack
import numpy as np
from support import TEXTS, WINDOW, demo


class CacheTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo(dtype="f32")
        self.addCleanup(self.session.close)

    def cache(self, prompt: object = TEXTS[0]) -> libprepack.Cache:
        return self.session.prefill([prompt])[0].cache

    def test_append_is_prefill_of_both(self) -> None:
        ids = self.session.tokenizer.encode(TEXTS[0])
        first, = self.session.prefill([ids[:5]])
        rest, = self.session.append([first.cache], [ids[5:]])
        whole, = self.session.prefill([ids])
        self.assertIs(rest.cache, first.cache)
        np.testing.assert_array_equal(rest.logits, whole.logits)
        np.testing.assert_array_equal(rest.cache.keys(3), whole.cache.keys(3))

    def test_text_that_is_appended_has_no_beginning(self) -> None:
        cache = self.cache("Anna")
        n = len(cache)
        tokens = self.session.append([cache], [" has"])[0].tokens
        np.testing.assert_array_equal(tokens, self.session.tokenizer.encode(" has", edges=False))
        self.assertEqual(len(cache), n + tokens.size)

    def test_fork_and_truncate(self) -> None:
        cache = self.cache()
        n, keys = len(cache), cache.keys(1)
        fork = cache.fork(4)
        fork.write_keys(1, np.ones((4, 2, 32), np.float32))
        np.testing.assert_array_equal(cache.keys(1), keys)
        cache.truncate(4)
        self.assertEqual((len(cache), len(cache.fork())), (4, 4))
        np.testing.assert_array_equal(cache.keys(1), keys[:4])
        for bad in (-1, n + 1):
            self.assertRaises(libprepack.ArgumentError, cache.truncate, bad)
            self.assertRaises(libprepack.ArgumentError, cache.fork, bad)

    def test_what_is_written_is_read(self) -> None:
        cache = self.session.create_cache(20)
        self.assertFalse(cache.keys(0).any())
        rng = np.random.default_rng(1)
        keys = rng.standard_normal((20, 2, 32), np.float32)
        cache.write_keys(0, keys)
        cache.write_values(5, keys[3:7], first_token=3)
        np.testing.assert_array_equal(cache.keys(0), keys)
        np.testing.assert_array_equal(cache.values(5, first_token=3, n_tokens=4), keys[3:7])
        self.assertFalse(cache.values(5, n_tokens=3).any())
        self.assertRaises(TypeError, cache.write_keys, 0, keys.astype(np.float64))
        self.assertRaises(ValueError, cache.write_keys, 0, keys[:, :1])
        self.assertRaises(libprepack.ArgumentError, cache.write_keys, 0, np.concatenate([keys, keys]))
        self.assertRaises(IndexError, cache.keys, 6)
        self.assertRaises(IndexError, cache.keys, -1)
        self.assertRaises(ValueError, cache.keys, 0, dtype="bf17")

    def test_the_bits_of_bf16(self) -> None:
        cache = demo(dtype="bf16").prefill([TEXTS[0]])[0].cache
        bits, floats = cache.values(2, dtype="bf16"), cache.values(2)
        self.assertEqual(bits.dtype, np.uint16)
        np.testing.assert_array_equal((bits.astype(np.uint32) << 16).view(np.float32), floats)
        cache.write_values(2, bits[::-1])
        np.testing.assert_array_equal(cache.values(2), floats[::-1])

    def test_saved_caches_go_on_bit_for_bit(self) -> None:
        ids = self.session.tokenizer.encode(TEXTS[0])
        cache = self.cache(ids)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "cache.safetensors")
            cache.save(path, ids)
            with open(path, "rb") as file:
                data = file.read()
            said = libprepack.inspect_cache(path)
            loaded = self.session.load_cache(path)
        self.assertEqual(said.n_tokens, ids.size)
        self.assertEqual(said.model, self.session.model.identity)
        np.testing.assert_array_equal(said.tokens, ids)
        self.assertEqual(cache.export(ids), data)
        logits = self.session.decode([cache, loaded, self.session.import_cache(data)], [7, 7, 7])
        np.testing.assert_array_equal(logits[0], logits[1])
        np.testing.assert_array_equal(logits[0], logits[2])
        self.assertRaises(libprepack.FormatError, self.session.import_cache, data[:-9])
        self.assertRaises(libprepack.FormatError, self.session.import_cache, b"")
        self.assertRaises(libprepack.FileError, self.session.load_cache, path)
        self.assertRaises(ValueError, cache.save, path, ids)
        self.assertRaises(libprepack.ArgumentError, demo(dtype="bf16").import_cache, data)

    def test_views_keep_a_cache_as_it_is(self) -> None:
        cache = self.cache()
        values = np.asarray(cache.page(2, "values", 3))
        self.assertFalse(values.flags.writeable)
        np.testing.assert_array_equal(values, cache.values(2)[:len(values)])
        part = values[1:]
        del values
        for change in (lambda: cache.truncate(1), cache.close, lambda: self.session.decode([cache], [1]),
                       lambda: cache.write_keys(0, np.ones((1, 2, 32), np.float32))):
            self.assertRaises(BufferError, change)
        fork = cache.fork()
        self.session.decode([fork], [1])
        np.testing.assert_array_equal(part, cache.values(2)[1:1 + len(part)])
        del part
        gc.collect()
        cache.truncate(1)

    def test_a_view_outlives_the_names_of_its_owners(self) -> None:
        session = demo(dtype="f32")
        values = np.asarray(session.prefill([TEXTS[0]])[0].cache.page(0, "values", 0))
        expected = values.copy()
        session.close()
        del session
        gc.collect()
        np.testing.assert_array_equal(values, expected)

    def test_a_closed_session_leaves_its_caches_readable(self) -> None:
        session = demo(dtype="f32")
        cache = session.prefill([TEXTS[0]])[0].cache
        keys = cache.keys(0)
        session.close()
        np.testing.assert_array_equal(cache.keys(0), keys)
        np.testing.assert_array_equal(cache.fork(3).keys(0), keys[:3])
        self.assertGreater(len(cache.export()), keys.nbytes)
        self.assertRaisesRegex(libprepack.MisuseError, "closed", session.decode, [cache], [1])
        cache.close()
        cache.close()
        self.assertRaisesRegex(libprepack.MisuseError, "closed", len, cache)

    def test_caches_of_another_session_are_refused(self) -> None:
        other = demo(dtype="f32")
        self.assertRaisesRegex(libprepack.MisuseError, "another session", other.decode, [self.cache()], [1])
        self.assertRaises(TypeError, libprepack.Cache)
        for wrong in (None, "cache", 7):
            self.assertRaisesRegex(TypeError, "it is a Cache", self.session.append, [wrong], ["x"])
        self.assertRaises(libprepack.ArgumentError, self.session.decode, [self.cache()] * 1 + [self.cache()], [5, 5000])
        cache = self.cache()
        self.assertRaises(libprepack.ArgumentError, self.session.decode, [cache, cache], [5, 6])

    def test_memory_comes_back(self) -> None:
        caches = [one.cache for one in self.session.prefill(TEXTS)]
        self.assertEqual(self.session.info.kv_bytes, sum(cache.n_bytes for cache in caches))
        del caches
        self.assertEqual(self.session.info.kv_bytes, 0)
        self.assertGreater(self.session.trim(), 0)
        self.assertEqual(self.session.info.kv_pool_bytes, 0)


class WindowTest(unittest.TestCase):
    def test_layers_with_a_window_hold_its_tokens(self) -> None:
        model = libprepack.Model.random(WINDOW)
        n = 300
        ids = np.arange(n) % 256
        cache = libprepack.Session(model, threads=2).prefill([ids])[0].cache
        layers = [model.layer(i).sliding_window for i in range(2)]
        self.assertIn(16, layers)
        i, other = layers.index(16), layers.index(0)
        first = cache.first_token(i)
        self.assertGreater(first, 0)
        self.assertEqual(cache.first_token(other), 0)
        self.assertEqual((len(cache.keys(i)), len(cache.keys(other))), (n - first, n))
        self.assertRaises(libprepack.ArgumentError, cache.keys, i, first_token=0)
        self.assertRaises(libprepack.ArgumentError, cache.truncate, 20)
        kept = libprepack.Session(model, threads=2, keep_window_pages=True).prefill([ids])[0].cache
        self.assertEqual(kept.first_token(i), 0)
        kept.truncate(20)
        np.testing.assert_array_equal(kept.keys(other), cache.keys(other, n_tokens=20))


if __name__ == "__main__":
    unittest.main()
