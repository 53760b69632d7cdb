"""How texts become what lm-evaluation-harness asks, without the harness."""
from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from libprepack._eval_tokens import HarnessTokenizer
from libprepack._score import split
from support import TEXTS, demo


class EvalTokensTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo()
        self.addCleanup(self.session.close)
        self.bos = self.session.tokenizer.bos_token
        self.spelled = self.session.tokenizer.decode([self.bos], keep_special=True)

    def make(self, add_bos: bool | None = None, prefix: int | None = None, **chat: Any) -> HarnessTokenizer:
        return HarnessTokenizer(self.session.tokenizer, self.session.model.config, add_bos, prefix, chat)

    def test_pairs_are_split_as_scores_are(self) -> None:
        pairs = [(TEXTS[0], " Tom"), ("Tom ", "has"), ("", TEXTS[1]), (" ", "a"), ("What is 3 ", " plus 4?")]
        expected = split(self.session, [a for a, _ in pairs], [b for _, b in pairs])
        for (context, rest), (tokens, n_context) in zip(self.make().encode_pairs(pairs), expected):
            np.testing.assert_array_equal(np.concatenate([context, rest]), tokens)
            self.assertEqual(context.size, n_context)

    def test_texts_begin_once(self) -> None:
        text = TEXTS[0]
        plain = self.session.tokenizer.encode(text, edges=False)
        for add_bos, begins in ((None, self.session.tokenizer.adds_bos), (True, True), (False, False)):
            tokenizer = self.make(add_bos)
            alone, spelled = tokenizer.encode([text, self.spelled + text], None)
            self.assertEqual(alone.tolist(), [self.bos] * begins + plain.tolist())
            self.assertEqual(np.count_nonzero(spelled == self.bos), 1)
            np.testing.assert_array_equal(tokenizer.encode([text], False)[0], plain)
            (context, rest), = tokenizer.encode_pairs([(self.spelled + text, " a")])
            self.assertEqual(np.count_nonzero(np.concatenate([context, rest]) == self.bos), 1)

    def test_what_stands_for_an_empty_context(self) -> None:
        (context, rest), (spelled, after) = self.make().encode_pairs([("", "Tom"), ("", self.spelled + "Tom")])
        self.assertEqual((context.tolist(), spelled.tolist()), ([self.bos], [self.bos]))
        self.assertEqual(rest.size > 0, after.size > 0)
        (context, _), = self.make(prefix=7).encode_pairs([("", "Tom")])
        self.assertEqual(context.tolist(), [7])
        self.assertRaisesRegex(ValueError, "prefix_token_id is 100000; the model has ids 0", self.make, None, 100000)

    def test_names_that_the_harness_writes_down(self) -> None:
        tokenizer = self.make()
        self.assertEqual((tokenizer.bos_token, tokenizer.bos_token_id), (self.spelled, self.bos))
        self.assertEqual(tokenizer.eos_token_id, self.session.tokenizer.eos_token)


if __name__ == "__main__":
    unittest.main()
