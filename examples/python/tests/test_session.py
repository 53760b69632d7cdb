"""Session: prompts in, caches, logits, vectors and scores out; the same bits alone and together."""
from __future__ import annotations

import unittest

import libprepack
import numpy as np
from support import DEMO, TEXTS, demo


class SessionTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo()
        self.addCleanup(self.session.close)

    def test_texts_begin_where_there_is_no_cache(self) -> None:
        tokenizer, item = self.session.tokenizer, libprepack.Item
        [held] = self.session.prefill(["Tom"])
        results = self.session.run([item(" and", cache=held.cache), item("Anna"), item([5, 6])])
        self.assertEqual(results[0].tokens.tolist(), tokenizer.encode(" and", edges=False).tolist())
        self.assertEqual(results[1].tokens.tolist(), tokenizer.encode("Anna").tolist())
        self.assertEqual(results[2].tokens.tolist(), [5, 6])
        with self.assertRaises(libprepack.ArgumentError) as caught:
            self.session.run([item([5]), item(" and", cache=held.cache), item("a" + chr(0xD800))])
        self.assertEqual(caught.exception.index, 2)

    def test_five_lines(self) -> None:
        session = libprepack.Session(DEMO)
        generated, = session.generate(["Anna has 3 apples"], max_new_tokens=8)
        self.assertEqual(generated.text, session.tokenizer.decode(generated.tokens))
        right, wrong = session.score(["2 + 2 =", "2 + 2 ="], [" 4", " 5"])
        self.assertTrue(right.is_greedy)
        self.assertGreater(right.logprob, wrong.logprob)
        self.assertEqual(session.embed(["one text", "another"]).shape, (2, session.model.config.hidden_size))
        first, second = session.prefill(["a prompt", "another one"])
        self.assertEqual(len(first.cache), first.tokens.size)
        self.assertEqual(second.logits.shape, (session.model.config.vocab_size,))

    def test_prompts_of_every_kind_are_the_same_prompt(self) -> None:
        ids = self.session.tokenizer.encode(TEXTS[0])
        prompts = [TEXTS[0], ids, ids.tolist(), tuple(ids.tolist()), ids.astype(np.int64), ids.astype(np.uint16),
                   np.repeat(ids, 2)[::2], range(3)]
        given = self.session.prefill(prompts)
        for one in given[1:-1]:
            np.testing.assert_array_equal(one.tokens, ids)
            np.testing.assert_array_equal(one.logits, given[0].logits)
        np.testing.assert_array_equal(given[-1].tokens, [0, 1, 2])

    def test_what_is_no_prompt_is_refused_in_a_sentence(self) -> None:
        for prompts, kind, words in (
                ("a text", TypeError, "single str"), (7, TypeError, "int"), ([1, 2], TypeError, "single prompt"),
                ([[True, False]], TypeError, "bool"), ([[1.0]], TypeError, "float64"), ([b"x"], TypeError, "bytes"),
                ([np.zeros((2, 2), int)], ValueError, "shape"), ([[2 ** 40]], ValueError, "32 bits"),
                ([[None]], TypeError, "object"), ([None], TypeError, "None"),
                ({"a": 1}, TypeError, "dict")):
            with self.subTest(prompts=prompts), self.assertRaisesRegex(kind, words):
                self.session.prefill(prompts)

    def test_the_library_names_the_prompt(self) -> None:
        for bad, kind in (([], libprepack.ArgumentError), ([1, 5000], libprepack.ArgumentError),
                          ([1] * 2000, libprepack.TooLongError)):
            for function in (self.session.prefill, self.session.generate, self.session.embed, self.session.logprobs):
                with self.subTest(bad=bad[:3], function=function.__name__):
                    with self.assertRaises(kind) as caught:
                        function(["fine", bad])
                    self.assertEqual(caught.exception.index, 1)
        self.assertEqual(self.session.info.kv_bytes, 0)

    def test_no_prompts_give_nothing(self) -> None:
        self.assertEqual(self.session.prefill([]), [])
        self.assertEqual(self.session.generate([]), [])
        self.assertEqual(self.session.score([], []), [])
        self.assertEqual(self.session.logprobs([]), [])
        self.assertEqual(self.session.run([]), [])
        self.assertEqual(self.session.embed([]).shape, (0, self.session.model.config.hidden_size))


if __name__ == "__main__":
    unittest.main()
