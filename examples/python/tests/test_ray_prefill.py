"""What libprepack.ray.Prefill makes of a batch, without Ray around it."""
from __future__ import annotations

import tempfile
import unittest
from typing import Any

import libprepack
import numpy as np
from libprepack.ray import OPTIONS, Prefill
from support import DEMO, TEXTS, demo


def column(*values: Any) -> Any:
    """A column as Ray gives it: of objects, and not to be written to."""
    array = np.empty(len(values), object)
    array[:] = values
    array.setflags(write=False)
    return array


class RayPrefillTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo(dtype="f32")
        self.addCleanup(self.session.close)

    def make(self, output: str, **options: Any) -> Prefill:
        return Prefill(DEMO, output, dtype="f32", **options)

    def test_a_row_that_fails_leaves_the_others_alone(self) -> None:
        config = self.session.model.config
        prompts = column(TEXTS[1], "", 7, [5, 6], "x " * config.max_position, [config.vocab_size], None, 1.5)
        wanted = ["", "empty text", "a prompt is a str", "", "the model has positions", "is outside [0", "is None", "1.5"]
        got = self.make("logits")({"prompt": prompts})
        for error, words in zip(got["error"], wanted):
            self.assertEqual(bool(error), bool(words), error)
            self.assertIn(words, error)
        for i in (0, 3):
            np.testing.assert_array_equal(got["logits"][i], self.session.prefill([prompts[i]])[0].logits)
        self.assertTrue(np.isnan(got["logits"][[1, 2, 4, 5, 6, 7]]).all())
        self.assertEqual(got["logits"].dtype, np.float32)

    def test_batches_do_not_matter(self) -> None:
        for output, options in (("logits", {}), ("logprobs", {}), ("embed", {"pooling": "mean"}),
                                ("generate", {"temperature": 1.0, "max_new_tokens": 6})):
            prefill = self.make(output, **options)
            together = prefill({"prompt": column(*TEXTS, *TEXTS[::-1])})[output]
            for i, text in enumerate(TEXTS):
                alone = prefill({"prompt": column(text)})[output][0]
                np.testing.assert_array_equal(together[i], alone)
                np.testing.assert_array_equal(together[-1 - i], alone)

    def test_scores_and_what_is_wrong_with_them(self) -> None:
        contexts = column(TEXTS[1], "a", [5], [5], "")
        continuations = column(" and", [7], [6, 7], [], " b")
        got = self.make("score", into="sum")({"prompt": contexts, "continuation": continuations, "id": np.arange(5)})
        expected = self.session.score([TEXTS[1], [5], ""], [" and", [6, 7], " b"])
        np.testing.assert_array_equal(got["sum"][[0, 2, 4]], [one.logprob for one in expected])
        self.assertEqual(list(got["is_greedy"][[0, 2, 4]]), [one.is_greedy for one in expected])
        self.assertIn("two texts, or ids twice", got["error"][1])
        self.assertEqual(got["error"][3], "continuation has no tokens that are not the context's")
        np.testing.assert_array_equal(got["id"], np.arange(5))

    def test_caches_are_files(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            prompts = column(TEXTS[1], "", TEXTS[1], TEXTS[2])
            got = self.make("caches", folder=folder)({"prompt": prompts})["caches"]
            self.assertEqual((got[0], got[1]), (got[2], ""))
            cache, (alone,) = self.session.load_cache(got[3]), self.session.prefill([TEXTS[2]])
            np.testing.assert_array_equal(cache.keys(0), alone.cache.keys(0))

    def test_no_row_and_no_good_row(self) -> None:
        for output in OPTIONS:
            if output in ("classify", "caches"):
                continue
            for prompts in (column(), column("", None)):
                got = self.make(output)({"prompt": prompts, "continuation": column(*[3] * len(prompts))})
                self.assertEqual(len(got[output]), len(prompts))
                self.assertTrue(all(got["error"]))

    def test_what_is_no_rows_fault_is_raised(self) -> None:
        self.assertRaisesRegex(KeyError, "no column 'prompt'; the batch has 'text'", self.make("logits"),
                               {"text": column("a")})
        self.assertRaises(libprepack.UnsupportedError, self.make("classify"), {"prompt": column("a", "b")})
        self.assertRaisesRegex(ValueError, "output is 'tokens'", self.make, "tokens")
        self.assertRaisesRegex(ValueError, "no option 'pooling'", self.make, "logits", pooling="mean")
        self.assertRaisesRegex(ValueError, "give `folder`", self.make, "caches")


if __name__ == "__main__":
    unittest.main()
