"""Generation: the same text alone and together, whatever stops it, and however short memory is."""
from __future__ import annotations

import unittest
from unittest import mock

import libprepack
import numpy as np
from libprepack import _generate
from support import TEXTS, demo


class GenerateTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo()
        self.addCleanup(self.session.close)

    def test_greedy_is_the_argmax_of_logits(self) -> None:
        prefilled, = self.session.prefill([TEXTS[1]])
        generated, = self.session.generate([TEXTS[1]], max_new_tokens=6, ignore_eos=True)
        logits = prefilled.logits
        for token in generated.tokens.tolist():
            self.assertEqual(token, int(np.argmax(logits)))
            logits = self.session.decode([prefilled.cache], [token])[0]
        self.assertEqual(generated.finish_reason, "length")

    def test_a_prompt_does_not_depend_on_the_others(self) -> None:
        options = {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 20, "n_logprobs": 3}
        together = self.session.generate(TEXTS * 3, seed=list(range(12)), **options)
        for i in (0, 5, 11):
            alone, = self.session.generate([(TEXTS * 3)[i]], seed=[i], **options)
            self.assertEqual(alone.text, together[i].text)
            np.testing.assert_array_equal(alone.tokens, together[i].tokens)
            np.testing.assert_array_equal(alone.logprobs.logprobs, together[i].logprobs.logprobs)
            np.testing.assert_array_equal(alone.logprobs.top_tokens, together[i].logprobs.top_tokens)
        self.assertEqual(len({one.text for one in together[1::4]}), 3)  # a seed each

    def test_rows_that_wait_for_memory_give_the_same(self) -> None:
        prompts = [f"{text} {i}" for i in range(8) for text in TEXTS]
        expected = self.session.generate(prompts, max_new_tokens=24, temperature=0.7)
        with mock.patch.object(_generate, "MAX_ROWS", 5):
            few = self.session.generate(prompts, max_new_tokens=24, temperature=0.7)
        info = self.session.info
        small = demo(memory_limit=info.memory_bytes - info.kv_pool_bytes + 20 * info.page_bytes)
        self.assertRaises(libprepack.OutOfMemoryError, small.prefill, prompts)
        with mock.patch.object(_generate, "_free_bytes", lambda session: 2 ** 40):  # so that it must run out
            short = small.generate(prompts, max_new_tokens=24, temperature=0.7)
        for one, two, three in zip(expected, few, short):
            np.testing.assert_array_equal(one.tokens, two.tokens)
            np.testing.assert_array_equal(one.tokens, three.tokens)
            self.assertEqual(one.text, three.text)
        self.assertEqual(small.info.kv_bytes, 0)

    def test_a_plan_is_of_the_first_run_alone(self) -> None:
        prompts = [[5 + i] * 150 for i in range(32)]
        expected = self.session.generate(prompts, max_new_tokens=20, ignore_eos=True)
        plan = libprepack.Packer(2048).plan([150] * len(prompts))
        info = self.session.info
        small = demo(memory_limit=info.memory_bytes - info.kv_pool_bytes + 100 * info.page_bytes)
        self.assertRaises(libprepack.OutOfMemoryError, small.prefill, prompts, plan=plan)
        short = small.generate(prompts, max_new_tokens=20, ignore_eos=True, plan=plan)
        for one, two in zip(expected, short):
            np.testing.assert_array_equal(one.tokens, two.tokens)
        self.assertEqual(small.info.kv_bytes, 0)
        with self.assertRaisesRegex(libprepack.ArgumentError, "31 prompts given"):
            self.session.generate(prompts[1:], plan=plan)

    def test_what_fits_nowhere_is_out_of_memory(self) -> None:
        info = self.session.info
        small = demo(memory_limit=info.memory_bytes + 20 * info.page_bytes)
        with self.assertRaises(libprepack.OutOfMemoryError) as caught:
            small.generate(["x", [5] * 900], max_new_tokens=4)
        self.assertEqual(caught.exception.index, 1)
        self.assertEqual(small.info.kv_bytes, 0)

    def test_stop_strings_cut_the_text_wherever_tokens_end(self) -> None:
        whole, = self.session.generate([TEXTS[1]], max_new_tokens=24)
        for begin in range(1, len(whole.text) - 3):
            stop = whole.text[begin:begin + 3]
            pieces: list[str] = []
            one, = self.session.generate([TEXTS[1]], max_new_tokens=24, stop=[stop, "never seen"],
                                         stream=lambda i, piece: pieces.append(piece))
            self.assertEqual(one.text, whole.text[:whole.text.index(stop)])
            self.assertEqual("".join(pieces), one.text)
            self.assertEqual(one.finish_reason, "stop")
        unstopped, = self.session.generate([TEXTS[1]], max_new_tokens=24, stop="\0")
        self.assertEqual(unstopped.text, whole.text)

    def test_stop_tokens(self) -> None:
        whole, = self.session.generate([TEXTS[1]], max_new_tokens=24)
        self.assertEqual(whole.tokens[-1], self.session.model.config.eos_tokens[0])
        self.assertEqual(whole.finish_reason, "stop")
        stopped, = self.session.generate([TEXTS[1]], max_new_tokens=24, stop_tokens=whole.tokens[2:3])
        np.testing.assert_array_equal(stopped.tokens, whole.tokens[:3])
        self.assertEqual(stopped.text.strip(), self.session.tokenizer.decode(whole.tokens[:2]))
        self.assertTrue(whole.text.startswith(stopped.text))
        on, = self.session.generate([TEXTS[1]], max_new_tokens=24, ignore_eos=True)
        self.assertEqual(on.tokens.size, 24)
        np.testing.assert_array_equal(on.tokens[:whole.tokens.size], whole.tokens)

    def test_positions_end(self) -> None:
        n_most = self.session.model.config.max_position
        one, two = self.session.generate([[5] * (n_most - 2), [5] * n_most], max_new_tokens=50, ignore_eos=True)
        self.assertEqual((one.tokens.size, one.finish_reason), (3, "length"))
        self.assertEqual((two.tokens.size, two.finish_reason), (1, "length"))

    def test_logprobs_are_those_of_scoring(self) -> None:
        one, = self.session.generate([TEXTS[0]], max_new_tokens=8, temperature=1.5, n_logprobs=4, ignore_eos=True)
        ids = np.concatenate([self.session.tokenizer.encode(TEXTS[0]), one.tokens])
        scored, = self.session.logprobs([ids], top=4)
        n = one.tokens.size
        np.testing.assert_array_equal(one.logprobs.logprobs, scored.logprobs[-n:])
        np.testing.assert_array_equal(one.logprobs.ranks, scored.ranks[-n:])
        np.testing.assert_array_equal(one.logprobs.top_logprobs, scored.top_logprobs[-n:])

    def test_logprobs_without_others(self) -> None:
        alone, = self.session.generate([TEXTS[0]], max_new_tokens=5, n_logprobs=0)
        more, = self.session.generate([TEXTS[0]], max_new_tokens=5, n_logprobs=2)
        self.assertEqual(alone.logprobs.top_tokens.shape, (alone.tokens.size, 0))
        np.testing.assert_array_equal(alone.logprobs.logprobs, more.logprobs.logprobs)

    def test_caches_are_kept_and_go_on(self) -> None:
        one, = self.session.generate([TEXTS[0]], max_new_tokens=8, keep_caches=True, ignore_eos=True)
        ids = self.session.tokenizer.encode(TEXTS[0])
        self.assertEqual(len(one.cache), ids.size + 7)
        logits = self.session.decode([one.cache], one.tokens[-1:])
        whole, = self.session.prefill([np.concatenate([ids, one.tokens])])
        np.testing.assert_array_equal(logits[0], whole.logits)

    def test_a_packer_changes_nothing(self) -> None:
        expected = self.session.generate(TEXTS, max_new_tokens=6)
        lengths = [ids.size for ids in self.session.tokenizer.encode(TEXTS)]
        for plan in (libprepack.Packer(64), libprepack.Packer(64).plan(lengths)):
            for one, two in zip(expected, self.session.generate(TEXTS, max_new_tokens=6, plan=plan)):
                np.testing.assert_array_equal(one.tokens, two.tokens)

    def test_ids_alone_need_no_tokenizer(self) -> None:
        session = libprepack.Session(libprepack.Model.random("tiny"), threads=2)
        one, = session.generate([[1, 2, 3]], max_new_tokens=4, ignore_eos=True)
        self.assertEqual((one.text, one.tokens.size), ("", 4))
        with self.assertRaisesRegex(libprepack.MisuseError, "no tokenizer"):
            session.generate(["text"])
        with self.assertRaisesRegex(libprepack.MisuseError, "no tokenizer"):
            session.generate([[1]], stop="x")

    def test_parameters_are_refused_in_a_sentence(self) -> None:
        for options, kind in (({"max_new_tokens": 0}, ValueError), ({"temperature": -1}, ValueError),
                              ({"top_p": 2}, ValueError), ({"seed": [1, 2]}, ValueError), ({"stop": ""}, ValueError),
                              ({"n_logprobs": 257}, ValueError), ({"n_logprobs": -1}, ValueError),
                              ({"max_new_tokens": "4"}, TypeError),
                              ({"max_new_tokens": 2.5}, TypeError), ({"top_k": 2 ** 40}, ValueError),
                              ({"stop": [1]}, ValueError), ({"stop_tokens": [1.5]}, TypeError),
                              ({"temperature": float("nan")}, ValueError)):
            with self.subTest(options=options), self.assertRaises(kind):
                self.session.generate(TEXTS[:1], **options)
        self.assertEqual(len(self.session.generate(TEXTS[:1], max_new_tokens=2)), 1)


if __name__ == "__main__":
    unittest.main()
