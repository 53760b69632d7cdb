"""Caches to transformers and back: either goes on where the other stopped. Chat templates. Skipped without torch and
transformers."""
from __future__ import annotations

import inspect
import json
import os
import shutil
import tempfile
import unittest
from collections.abc import Callable
from typing import Any

import libprepack
import numpy as np
from support import DEMO, demo

try:
    import torch
    import transformers
except ImportError as error:
    raise unittest.SkipTest(f"needs torch and transformers: {error}") from None

SHAPE: dict[str, Any] = {"vocab_size": 211, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
                         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
                         "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("Llama", {}), ("Qwen3", {}), ("Gemma2", {"sliding_window": 24, "query_pre_attn_scalar": 16}),
    ("Mistral", {"sliding_window": 16})]
# Newer classes: full layers with larger heads, the last two layers see the keys of others; experts, and a sink for each head.
FAMILIES += [(name, more) for name, more in (
    ("Gemma4", {"sliding_window": 24, "num_hidden_layers": 5, "num_kv_shared_layers": 2, "global_head_dim": 24,
                "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 211,
                "layer_types": ["sliding_attention", "full_attention"] * 2 + ["full_attention"]}),
    ("GptOss", {"sliding_window": 24, "num_local_experts": 4, "num_experts_per_tok": 2}))
    if hasattr(transformers, f"{name}ForCausalLM")]
# The parameter for a cache, which has another name from 5.2 on.
CACHE = "cache" if "cache" in inspect.signature(transformers.LlamaForCausalLM.forward).parameters else "past_key_values"
TEMPLATE = ("{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}[assistant]{% endif %}")


class TransformersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.models: dict[str, tuple[Any, libprepack.Session]] = {}
        for name, more in FAMILIES:
            torch.manual_seed(7)
            torch.set_num_threads(1)
            text = getattr(transformers, f"{name}TextConfig", None) or getattr(transformers, f"{name}Config")
            config = text(**{**SHAPE, **more})
            model = getattr(transformers, f"{name}ForCausalLM")(config).eval().float()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.normal_(0, 0.1)
            model.set_attn_implementation("eager")  # sdpa of 4.57 leaves Gemma 2's softcapping out
            path = os.path.join(cls.folder, name)
            model.save_pretrained(path)
            cls.models[name] = model, libprepack.Session(path, dtype="f32", threads=2)

    def each(self, check: Callable[[Any, libprepack.Session, list[int]], None]) -> None:
        """Of each family, with prompts within and beyond its window."""
        for name, (model, session) in self.models.items():
            for n_tokens in (9, 130):
                with self.subTest(family=name, n_tokens=n_tokens), torch.no_grad():
                    check(model, session, (np.arange(n_tokens) * 37 % 200 + 3).tolist())

    def test_transformers_goes_on(self) -> None:
        def check(model: Any, session: libprepack.Session, ids: list[int]) -> None:
            more = [5, 6, 7]
            cache = session.prefill([ids])[0].cache
            ours, = session.prefill([ids + more], logits="all")
            theirs = model(torch.tensor([more]), **{CACHE: cache.to_transformers()}).logits[0]
            np.testing.assert_allclose(theirs.numpy(), ours.logits[-3:], atol=1e-4)
            generated = model.generate(torch.tensor([ids + [5]]), **{CACHE: cache.to_transformers()},
                                       max_new_tokens=12, do_sample=False, eos_token_id=None)
            expected, = session.generate([ids + [5]], max_new_tokens=12, ignore_eos=True)
            self.assertEqual(generated[0, len(ids) + 1:].tolist(), expected.tokens.tolist())

        self.each(check)

    def test_the_library_goes_on(self) -> None:
        def check(model: Any, session: libprepack.Session, ids: list[int]) -> None:
            past = transformers.DynamicCache(config=model.config)
            model(torch.tensor([ids]), use_cache=True, **{CACHE: past})
            cache = libprepack.Cache.from_transformers(session, past)
            self.assertEqual(len(cache), len(ids))
            ours, = session.append([cache], [[5, 6, 7]], logits="all")
            theirs = model(torch.tensor([ids + [5, 6, 7]])).logits[0, -3:]
            np.testing.assert_allclose(ours.logits, theirs.numpy(), atol=1e-4)
            if len(ids) > 24 and any(session.model.layer(i).sliding_window for i in range(session.model.config.n_layers)):
                self.assertRaisesRegex(libprepack.ArgumentError, "cannot be cut", cache.truncate, len(ids) - 1)
                self.assertRaisesRegex(libprepack.ArgumentError, "cannot be cut", cache.fork().fork, 3)
            else:
                cache.truncate(4)

        self.each(check)

    def test_there_and_back(self) -> None:
        def check(_: Any, session: libprepack.Session, ids: list[int]) -> None:
            cache = session.prefill([ids])[0].cache
            back = libprepack.Cache.from_transformers(session, cache.to_transformers())
            np.testing.assert_array_equal(*session.decode([cache, back], [5, 5]))

        self.each(check)

    def test_plain_layers_hold_what_a_window_needs(self) -> None:
        model, session = self.models["Gemma2"]
        ids = (np.arange(130) * 37 % 200 + 3).tolist()
        past = transformers.DynamicCache()
        with torch.no_grad():
            model(torch.tensor([ids]), use_cache=True, **{CACHE: past})
        pairs = [(layer.keys, layer.values) for layer in past.layers]
        whole = session.prefill([ids])[0].cache
        cache = libprepack.Cache.from_transformers(session, pairs)
        first, second = session.decode([whole, cache], [5, 5])
        np.testing.assert_allclose(first, second, atol=1e-4)
        cache.truncate(128)

    def test_the_bits_of_bf16(self) -> None:
        cache = demo(dtype="bf16").prefill([[5, 6, 7]])[0].cache
        there = cache.to_transformers()
        self.assertEqual(there.layers[0].keys.dtype, torch.bfloat16)
        np.testing.assert_array_equal(there.layers[2].values[0].transpose(0, 1).float().numpy(), cache.values(2))
        back = libprepack.Cache.from_transformers(cache.session, there)
        np.testing.assert_array_equal(back.keys(1, dtype="bf16"), cache.keys(1, dtype="bf16"))
        self.assertEqual(cache.to_transformers(dtype=torch.float32).layers[0].keys.dtype, torch.float32)

    def test_other_caches_are_refused(self) -> None:
        session = self.models["Llama"][1]
        tensor = torch.zeros(1, 2, 5, 16)
        for source, kind, words in ((7, TypeError, "int"), ([(tensor, tensor)], ValueError, "1 layers"),
                                    ([(tensor[:, :1], tensor)] * 3, ValueError, "shape"),
                                    ([(tensor.expand(2, 2, 5, 16),) * 2] * 3, ValueError, "one prompt"),
                                    ([(tensor,) * 2, (tensor[:, :, :3],) * 2, (tensor,) * 2], ValueError, "holds 3")):
            with self.subTest(words=words), self.assertRaisesRegex(kind, words):
                libprepack.Cache.from_transformers(session, source)
        self.assertEqual(session.info.kv_bytes, 0)


class ChatTest(unittest.TestCase):
    def test_templates(self) -> None:
        ours = libprepack.Tokenizer(DEMO)
        vocabulary = {ours.token(i): i for i in range(ours.vocab_size)}
        with tempfile.TemporaryDirectory() as folder:
            for name in ("config.json", "model.safetensors"):
                shutil.copy(os.path.join(DEMO, name), folder)
            special = [{"id": i, "content": ours.token(i), "special": True, "single_word": False, "lstrip": False,
                        "rstrip": False, "normalized": False} for i in (0, 1, 2)]
            model = {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": ours.token(0),
                     "byte_fallback": True}
            bos = {"SpecialToken": {"id": ours.token(1), "type_id": 0}}
            post = {"type": "TemplateProcessing", "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {ours.token(1): {"id": ours.token(1), "ids": [1], "tokens": [ours.token(1)]}}}
            decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
            with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
                json.dump({"version": "1.0", "added_tokens": special, "model": model, "post_processor": post,
                           "decoder": decoder}, file)
            with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
                json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": ours.token(1),
                           "eos_token": ours.token(2), "chat_template": TEMPLATE}, file)
            session = libprepack.Session(folder, threads=2)
            talk = [{"role": "user", "content": "Tom"}]
            ids, = session.chat_tokens([talk])
            self.assertEqual((session.tokenizer.adds_bos, ids.tolist().count(1), ids[0]), (True, 1, 1))
            text = session.tokenizer.decode(ids)
            self.assertTrue(text.endswith("[assistant]"), text)
            self.assertLess(session.chat_tokens([talk], add_generation_prompt=False)[0].size, ids.size)
            spoken, = session.chat([talk], max_new_tokens=4, ignore_eos=True)
            expected, = session.generate([ids], max_new_tokens=4, ignore_eos=True)
            np.testing.assert_array_equal(spoken.tokens, expected.tokens)
            self.assertRaisesRegex(TypeError, "list of lists", session.chat, talk)

    def test_without_a_template(self) -> None:
        session = libprepack.Session(libprepack.Model.random("tiny"), threads=2)
        self.assertRaisesRegex(libprepack.UnsupportedError, "chat template", session.chat, [[]])


if __name__ == "__main__":
    unittest.main()
