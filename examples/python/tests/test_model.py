"""Models and tokenizers: what they say, what they refuse, and how."""
from __future__ import annotations

import ctypes
import gc
import logging
import os
import subprocess
import sys
import tempfile
import unittest

import libprepack
import numpy as np
from support import DEMO, TEXTS, WINDOW, demo, demo_model


class ModelTest(unittest.TestCase):
    def test_the_configuration(self) -> None:
        config = demo_model().config
        self.assertEqual((config.architecture, config.n_layers, config.eos_tokens, config.bos_token, config.dtype),
                         ("llama", 6, (2,), 1, "bf16"))
        self.assertEqual((config.pooling, config.normalize, config.has_lm_head), (None, None, True))
        layer = demo_model().layer(5)
        self.assertEqual((layer.rope_type, layer.sliding_window, layer.head_dim), ("default", 0, 32))
        self.assertRaises(IndexError, demo_model().layer, 6)
        self.assertEqual(libprepack.Model(DEMO).identity, demo_model().identity)
        with self.assertRaises(AttributeError):
            config.n_layers = 7

    def test_experts_and_linear_layers(self) -> None:
        model = libprepack.Model.random({
            "model_type": "qwen3_next", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 4, "num_experts": 8,
            "num_experts_per_tok": 3, "moe_intermediate_size": 16, "linear_num_key_heads": 2,
            "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 16})
        config, linear, attention = model.config, model.layer(0), model.layer(3)
        self.assertEqual((config.n_experts, config.n_experts_per_token, config.expert_size, config.shared_expert_size),
                         (8, 3, 16, 512))
        self.assertEqual((config.n_linear_layers, config.linear_rule, config.linear_key_heads,
                          config.linear_value_heads, config.linear_key_dim, config.linear_value_dim,
                          config.linear_kernel), (3, "delta", 2, 4, 8, 16, 4))
        self.assertEqual((linear.kind, linear.kv_layer, linear.head_dim, linear.rope_type, linear.has_experts),
                         ("linear", None, 0, "none", True))
        self.assertEqual((attention.kind, attention.kv_layer, attention.head_dim, attention.intermediate_size),
                         ("attention", 3, 256, 0))
        self.assertEqual((demo_model().config.n_experts, demo_model().config.linear_rule), (0, None))
        self.assertEqual((demo_model().layer(5).kind, demo_model().layer(5).has_experts), ("attention", False))

    def test_random_models(self) -> None:
        self.assertIn("tiny", libprepack.presets())
        one, two = (libprepack.Model.random("tiny", seed=seed) for seed in (1, 2))
        self.assertTrue(one.is_random)
        self.assertIsNone(one.path)
        self.assertNotEqual(one.identity, two.identity)
        self.assertEqual(libprepack.Model.random(WINDOW).config.architecture, "gemma2")
        self.assertRaisesRegex(ValueError, "one of tiny", libprepack.Model.random, "no such shape")
        self.assertRaises(libprepack.FormatError, libprepack.Model.random, "{")

    def test_paths_that_are_no_models(self) -> None:
        with self.assertRaises(OSError) as caught:
            libprepack.Model("/no/such/folder")
        self.assertIsInstance(caught.exception, libprepack.FileError)
        self.assertEqual(caught.exception.errno, 2)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
                file.write("{")
            self.assertRaisesRegex(libprepack.FormatError, "config.json", libprepack.Model, folder)
            self.assertRaises(libprepack.FileError, libprepack.Tokenizer, folder)

    def test_conversion(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path, seen = os.path.join(folder, "int8"), []
            made = demo_model().convert(path, weights="int8", progress=lambda done, total: seen.append(done / total))
            self.assertEqual((made.path, seen[-1]), (path, 1))
            session = libprepack.Session(made, threads=2)
            self.assertEqual(session.info.weights, "int8")
            direct = libprepack.Session(demo_model(), threads=2, weights="int8")
            np.testing.assert_array_equal(session.prefill([[5, 6, 7]])[0].logits,
                                          direct.prefill([[5, 6, 7]])[0].logits)
            self.assertRaises(libprepack.FileError, demo_model().convert, path)

            def fail(done: int, total: int) -> None:
                raise ZeroDivisionError

            self.assertRaises(ZeroDivisionError, demo_model().convert, os.path.join(folder, "x"), progress=fail)
            self.assertEqual(os.listdir(folder), ["int8"])

    def test_sessions_are_refused_in_a_sentence(self) -> None:
        for options, kind in (({"device": "abacus"}, libprepack.PrepackError), ({"dtype": "f8"}, ValueError),
                              ({"weights": "int3"}, ValueError), ({"threads": 10000}, libprepack.ArgumentError),
                              ({"threads": 2 ** 40}, libprepack.ArgumentError), ({"threads": 1.5}, TypeError),
                              ({"memory_limit": 1000}, libprepack.OutOfMemoryError),
                              ({"max_pass_tokens": 3}, libprepack.ArgumentError)):
            with self.subTest(options=options), self.assertRaises(kind) as caught:
                libprepack.Session(demo_model(), **options)
            self.assertNotIn("pp_", str(caught.exception))

    def test_the_log_goes_to_logging(self) -> None:
        data = demo(device="cpu:ref").prefill([[5, 6]])[0].cache.export()
        with self.assertLogs("libprepack", logging.INFO) as logs:
            demo().import_cache(data)
        self.assertIn("cpu:ref", logs.records[0].getMessage())
        with self.assertRaises(AssertionError), self.assertLogs("libprepack", logging.INFO):
            demo(log=False).import_cache(data)

    def test_devices_and_versions(self) -> None:
        first = libprepack.devices()[0]
        self.assertEqual(first.device, "cpu")
        said = subprocess.run([sys.executable, "-m", "libprepack"], capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).stdout
        for word in (libprepack.version(), first.kernels, np.__version__, "libprepack-tokenizer"):
            self.assertIn(word, said)

    def test_numpy_sees_the_structs_as_c_does(self) -> None:
        from libprepack import _abi
        from libprepack._call import ITEM, SCORE
        for dtype, struct in ((ITEM, _abi.pp_item), (SCORE, _abi.pp_score)):
            self.assertEqual(dtype.itemsize, ctypes.sizeof(struct))
            for name, _ in struct._fields_:
                self.assertEqual(dtype.fields[name][1], getattr(struct, name).offset)


class TokenizerTest(unittest.TestCase):
    def setUp(self) -> None:
        self.tokenizer = libprepack.Tokenizer(DEMO)

    def test_what_it_says(self) -> None:
        one = self.tokenizer
        self.assertEqual((one.kind, one.vocab_size, one.bos_token, one.eos_token, one.adds_bos, one.adds_eos),
                         ("bpe", 1024, 1, 2, True, False))
        self.assertIn("</s>", [token.text for token in one.special_tokens])
        self.assertEqual([ids.tolist() for ids in one.edges], [[1], []])
        self.assertEqual(one.id(one.token(300)), 300)
        self.assertEqual((one.token(5000), one.id("no such token")), (None, None))

    def test_there_and_back(self) -> None:
        texts = TEXTS + ["", "Grüße, 世界 \U0001f600", "a\0b", "</s> is text"]
        lists = self.tokenizer.encode(texts, special="text", edges=False, threads=2)
        for text, ids in zip(texts, lists):
            self.assertEqual(self.tokenizer.decode(ids), text)
            np.testing.assert_array_equal(self.tokenizer.encode(text, special="text", edges=False), ids)
        self.assertEqual(self.tokenizer.encode("</s>", edges=False).tolist()[-1:], [2])
        self.assertEqual(self.tokenizer.decode([1, 2, 9]), self.tokenizer.decode([9]))
        self.assertIn("</s>", self.tokenizer.decode([1, 2], keep_special=True))
        self.assertEqual(self.tokenizer.decode([]), "")

    def test_offsets_are_bytes_of_the_text(self) -> None:
        text = "Grüße Tom"
        encoded = self.tokenizer.encode_with_offsets(text, edges=False)
        self.assertEqual((len(encoded), encoded.offsets.shape), (encoded.ids.size, (encoded.ids.size, 2)))
        self.assertEqual(encoded.offsets[-1, 1], len(text.encode()))

    def test_streams_give_what_decode_gives(self) -> None:
        for text in ["Grüße, 世界 \U0001f600!"] + TEXTS:
            ids = self.tokenizer.encode(text)
            stream = self.tokenizer.stream()
            pieces = [stream.push(id) for id in ids.tolist()] + [stream.finish()]
            self.assertEqual("".join(pieces), self.tokenizer.decode(ids))
            for piece in pieces:
                piece.encode()

    def test_streams_and_tokenizers_end_in_any_order(self) -> None:
        for first in ("stream", "tokenizer", "cycle"):
            tokenizer = libprepack.Tokenizer(DEMO)
            stream = tokenizer.stream()
            stream.push(300)
            if first == "stream":
                stream.close()
                tokenizer.close()
            elif first == "tokenizer":
                tokenizer.close()
                stream.close()
            else:
                tokenizer.mine = stream  # the two refer to one another
            del stream, tokenizer
            gc.collect()

    def test_what_is_no_text_is_refused(self) -> None:
        self.assertRaises(libprepack.ArgumentError, self.tokenizer.encode, "\ud800")
        with self.assertRaises(libprepack.ArgumentError) as caught:
            self.tokenizer.encode(["fine", "\ud800"])
        self.assertEqual(caught.exception.index, 1)
        self.assertRaises(TypeError, self.tokenizer.encode, [b"bytes"])
        self.assertRaises(TypeError, self.tokenizer.encode, [5])
        self.assertRaises(ValueError, self.tokenizer.encode, "a", special="perhaps")
        self.assertRaises(TypeError, self.tokenizer.decode, "a")


if __name__ == "__main__":
    unittest.main()
