"""Caches of models with linear layers, which can go back to a few lengths alone."""
from __future__ import annotations

import dataclasses
import os
import tempfile
import unittest
from typing import Any

import libprepack
import numpy as np
from libprepack.serve.jobs import Event, Job
from libprepack.serve.memory import Memory

HYBRID = """{"model_type": "qwen3_5_text", "num_hidden_layers": 2, "full_attention_interval": 2,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4, "max_position_embeddings": 128,
    "vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "dtype": "bfloat16"}"""


class Nobody:
    def receive(self, job: Job, events: list[Event]) -> None:
        """It is never called."""


class StatesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = libprepack.Session(libprepack.Model.random(HYBRID), dtype="f32")
        self.addCleanup(self.session.close)

    def cache(self, n_prompt: int, n_decoded: int) -> libprepack.Cache:
        cache = self.session.prefill([list(range(n_prompt))])[0].cache
        for i in range(n_decoded):
            self.session.decode([cache], [i])
        return cache

    def test_a_cut_that_would_go_further_raises_and_changes_nothing(self) -> None:
        cache = self.cache(9, 3)
        before = cache.states(0)
        self.assertEqual([cache.kept(n) for n in (-1, 0, 8, 9, 11, 12, 13)], [-1, 0, 0, 9, 9, 12, -1])
        for cut in (cache.truncate, cache.fork):
            self.assertRaisesRegex(libprepack.ArgumentError, "at 9 tokens and not at 11: Cache.kept", cut, 11)
            self.assertRaisesRegex(libprepack.ArgumentError, "at 0 tokens and not at 8", cut, 8)
        self.assertEqual(len(cache), 12)
        for mine, theirs in zip(cache.states(0), before):
            np.testing.assert_array_equal(mine, theirs)
        cache.truncate(cache.kept(11))
        for mine, theirs in zip(cache.states(0), self.cache(9, 0).states(0)):
            np.testing.assert_array_equal(mine, theirs)

    def test_states_carry_a_cache(self) -> None:
        cache = self.cache(9, 1)
        copy = self.session.create_cache(10)
        recurrent, inputs = cache.states(0)
        self.assertEqual((recurrent.shape, inputs.shape), ((4, 8, 8), (3, 64)))
        copy.write_states(0, recurrent, inputs)
        copy.write_keys(1, cache.keys(1))
        copy.write_values(1, cache.values(1))
        expected, got = self.session.decode([cache, copy], [7, 7])
        np.testing.assert_array_equal(got, expected)

    def test_what_a_layer_lacks(self) -> None:
        cache = self.cache(9, 0)
        recurrent, inputs = cache.states(0)
        self.assertRaisesRegex(libprepack.ArgumentError, "layer 0 is linear", cache.keys, 0)
        self.assertRaisesRegex(libprepack.ArgumentError, "layer 1 attends", cache.states, 1)
        self.assertRaises(IndexError, cache.states, 2)
        self.assertRaisesRegex(ValueError, "a part of the state", cache.write_states, 0, inputs, recurrent)

    def test_what_there_is_is_said(self) -> None:
        info = self.session.info
        self.assertEqual(info.state_bytes, 4 * (4 * 8 * 8 + 3 * 64))
        self.assertEqual(self.session.predict([3, 4]).state_bytes, 2 * info.state_bytes)
        cache = self.cache(9, 0)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "cache")
            cache.save(path)
            file = libprepack.inspect_cache(path)
        self.assertEqual((file.n_layers, file.n_linear, file.state_bytes), (2, 1, info.state_bytes))

    def test_generating_takes_states_into_account(self) -> None:
        model, info = self.session.model, self.session.info
        small = libprepack.Session(model, dtype="f32", memory_limit=info.memory_bytes + (1 << 21))
        self.addCleanup(small.close)
        prompts = [[i % 90, 2, 3] for i in range(40)]
        expected = self.session.generate(prompts, max_new_tokens=6, ignore_eos=True)
        got = small.generate(prompts, max_new_tokens=6, ignore_eos=True)
        self.assertEqual([list(one.tokens) for one in got], [list(one.tokens) for one in expected])

    def test_a_server_promises_states_to_those_that_have_any(self) -> None:
        model, info = self.session.model, self.session.info
        without = dataclasses.replace(info, state_bytes=0)
        few, many = [0] * 20, [0] * (info.max_pass_tokens + 1)

        def states(tokens: list[int], shares: bool = False, **wanted: Any) -> float:
            job = Job(np.array(tokens, np.int32), Nobody(), **wanted)
            need, rest = (Memory(1 << 40, model, each, 128, shares).need(job) for each in (info, without))
            return (need - rest) / info.state_bytes

        self.assertEqual(states(few, max_new_tokens=5), 3)
        self.assertEqual(states(few, max_new_tokens=5, n_choices=4, seeds=(1, 2, 3, 4)), 12)
        self.assertEqual(states(few, vector=("last", True)), 3)  # which steps may cut
        self.assertEqual(states(few, vector=("mean", True)), 0)
        self.assertEqual(states(few, True, vector=("mean", True)), 1)
        self.assertEqual(states(many, vector=("mean", True)), 1)


if __name__ == "__main__":
    unittest.main()
