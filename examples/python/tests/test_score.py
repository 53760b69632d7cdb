"""Scores, log-probabilities, embeddings and hidden states, against logits and against docs/scoring.md."""
from __future__ import annotations

import unittest

import libprepack
import numpy as np
from support import TEXTS, demo


def log_softmax(logits: np.ndarray) -> np.ndarray:
    rows = logits.astype(np.float64)
    rows -= rows.max(axis=-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True))


class ScoreTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo()
        self.tokenizer = self.session.tokenizer
        self.addCleanup(self.session.close)

    # ---- continuations ----

    def by_hand(self, tokens: np.ndarray, n_context: int) -> tuple[float, bool]:
        """A continuation's score from all logits."""
        logits = self.session.prefill([tokens], logits="all")[0].logits
        rows = log_softmax(logits)[n_context - 1:-1]
        targets = tokens[n_context:]
        return (float(rows[np.arange(targets.size), targets].sum()),
                bool((logits[n_context - 1:-1].argmax(axis=1) == targets).all()))

    def test_texts_are_split_as_the_harness_does(self) -> None:
        pairs = [("Anna has 3 apples", " and"), ("Anna has 3 apples ", "and"), ("2 + 2 =", " 4"), ("What is", "."),
                 ("", "Tom"), ("  ", "Tom"), ("Tom\n\t", " x")]
        scores = self.session.score(*zip(*pairs))
        for (context, continuation), score in zip(pairs, scores):
            stripped = context.rstrip()
            whole = self.tokenizer.encode(context + continuation)
            n_context = self.tokenizer.encode(stripped).size
            logprob, is_greedy = self.by_hand(whole, n_context)
            self.assertAlmostEqual(score.logprob, logprob, delta=1e-4)
            self.assertEqual((score.is_greedy, score.n_tokens, score.n_context),
                             (is_greedy, whole.size - n_context, n_context))
        self.assertEqual(scores[0].logprob, scores[1].logprob)

    def test_ids_are_taken_as_they_are(self) -> None:
        ids = self.tokenizer.encode(TEXTS[0])
        one, two = self.session.score([ids[:6], ids[:6].tolist()], [ids[6:], tuple(ids[6:8].tolist())])
        self.assertAlmostEqual(one.logprob, self.by_hand(ids, 6)[0], delta=1e-4)
        self.assertEqual((two.n_tokens, two.n_context), (2, 6))
        empty, = self.session.score([[]], [ids[1:]])
        self.assertEqual(empty.logprob, self.session.score_tokens([(ids, 1)])[0].logprob)  # BOS stands for it

    def test_the_last_tokens_count(self) -> None:
        n_most = self.session.model.config.max_position
        ids = (np.arange(n_most + 200) * 31 % 900 + 5).astype(np.int32)
        long, = self.session.score([ids[:-3]], [ids[-3:]])
        self.assertEqual((long.n_tokens, long.n_context), (3, n_most - 2))
        cut, = self.session.score_tokens([(ids[-n_most - 1:], n_most - 2)])
        self.assertEqual(long, cut)
        with self.assertRaisesRegex(libprepack.ArgumentError, "continuation 1 has") as caught:
            self.session.score([[5], [5]], [[5], ids])
        self.assertEqual(caught.exception.index, 1)

    def test_company_and_sharing_change_nothing(self) -> None:
        contexts = [TEXTS[0] * 4] * 4 + TEXTS
        answers = [" Tom", " Anna", " 4", " 7"] * 2
        together = self.session.score(contexts, answers)
        for i, alone in enumerate(zip(contexts, answers)):
            self.assertEqual(self.session.score([alone[0]], [alone[1]], min_shared_prefix=0), [together[i]])

    def test_what_has_no_score_is_refused(self) -> None:
        for contexts, continuations, kind, words in (
                ("a", ["b"], TypeError, "single str"), (["a"], "b", TypeError, "single str"),
                (["a"], ["b", "c"], ValueError, "1 contexts and 2"), (["a"], [[5]], TypeError, "a text and ids"),
                (["a"], [""], ValueError, "continuation 0"), ([[5]], [[]], ValueError, "continuation 0"),
                ([[5]], [[5000]], ValueError, "5000")):
            with self.subTest(words=words), self.assertRaisesRegex(kind, words):
                self.session.score(contexts, continuations)
        self.assertRaises(libprepack.ArgumentError, self.session.score_tokens, [([5, 6], 0)])
        self.assertRaises(libprepack.ArgumentError, self.session.score_tokens, [([5, 6], 2)])

    # ---- every token ----

    def test_logprobs_are_those_of_the_logits(self) -> None:
        given = self.session.logprobs(TEXTS, top=3)
        for one, all_logits in zip(given, self.session.prefill(TEXTS, logits="all")):
            rows = log_softmax(all_logits.logits)[:-1]
            targets = one.tokens[1:]
            self.assertTrue(np.isnan(one.logprobs[0]))
            self.assertEqual((one.ranks[0], one.top_tokens[0].tolist()), (-1, [-1] * 3))
            np.testing.assert_allclose(one.logprobs[1:], rows[np.arange(targets.size), targets], atol=1e-5)
            np.testing.assert_array_equal(one.ranks[1:] == 0, one.top_tokens[1:, 0] == targets)
            np.testing.assert_allclose(one.top_logprobs[1:], -np.sort(-rows, axis=1)[:, :3], atol=1e-5)
            self.assertAlmostEqual(one.sum, float(one.logprobs[1:].sum()))
        alone, = self.session.logprobs([[5]])
        self.assertEqual((alone.tokens.tolist(), alone.sum), ([5], 0.0))
        self.assertRaises(libprepack.ArgumentError, self.session.logprobs, TEXTS, top=257)

    # ---- vectors ----

    def test_embeddings_pool_hidden_states(self) -> None:
        states = self.session.hidden(TEXTS)
        poolings = {"last": [state[-1] for state in states], "first": [state[0] for state in states],
                    "mean": [state.mean(axis=0) for state in states]}
        for pooling, expected in poolings.items():
            given = self.session.embed(TEXTS, pooling=pooling, normalize=False)
            np.testing.assert_allclose(given, expected, atol=1e-5)
            normalized = self.session.embed(TEXTS, pooling=pooling)
            np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(self.session.embed(TEXTS), self.session.embed(TEXTS, pooling="last"))
        for text, state in zip(TEXTS, states):
            np.testing.assert_array_equal(self.session.hidden([text])[0], state)
        self.assertRaises(ValueError, self.session.embed, TEXTS, pooling="max")

    def test_classification(self) -> None:
        self.assertRaises(libprepack.UnsupportedError, self.session.classify, TEXTS)
        config = {"architectures": ["LlamaForSequenceClassification"], "model_type": "llama", "vocab_size": 64,
                  "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                  "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
                  "pad_token_id": 0, "dtype": "float32", "id2label": {"0": "no", "1": "yes", "2": "perhaps"}}
        session = libprepack.Session(libprepack.Model.random(config), threads=2)
        scores = session.classify([[5, 6, 7], [8]])
        self.assertEqual((scores.shape, scores.dtype), ((2, 3), np.float32))
        np.testing.assert_array_equal(session.classify([[8]])[0], scores[1])
        self.assertRaises(libprepack.UnsupportedError, session.generate, [[5]])

    # ---- items ----

    def test_items_of_every_kind_in_one_run(self) -> None:
        session, Item = self.session, libprepack.Item
        cache = session.prefill([TEXTS[1]])[0].cache
        n = len(cache)
        results = session.run([
            Item(TEXTS[0], output="last_logits"), Item([5, 6, 7], output="all_logits", discard_cache=True),
            Item([5], cache=cache, output="token"), Item(TEXTS[2], output="hidden", hidden_tokens=[0, 2]),
            Item(TEXTS[2], output="pooled", pooling="mean", normalize=True), Item([5, 6]),
            Item([5, 6, 7], output="token", temperature=1.0, seed=3, scores=[(2, -2), (0, 6), (2, -1)], n_top=2)])
        np.testing.assert_array_equal(results[0].logits, session.prefill([TEXTS[0]])[0].logits)
        self.assertEqual((results[1].cache, results[1].logits.shape), (None, (3, 1024)))
        self.assertIs(results[2].cache, cache)
        self.assertEqual(len(cache), n + 1)
        np.testing.assert_array_equal(results[3].hidden, session.hidden([TEXTS[2]])[0][[0, 2]])
        np.testing.assert_array_equal(results[4].pooled, session.embed([TEXTS[2]], pooling="mean")[0])
        self.assertEqual(len(results[5].cache), 2)
        drawn = results[6]
        scored = session.logprobs([[5, 6, 7, drawn.token]], top=2)[0]
        np.testing.assert_array_equal(drawn.logprobs, [scored.logprobs[3], scored.logprobs[1], 0])
        np.testing.assert_array_equal(drawn.top_tokens[0], scored.top_tokens[3])
        self.assertEqual(drawn.ranks[2], -1)

    def test_items_that_are_wrong(self) -> None:
        Item = libprepack.Item
        for item, kind in (("text", TypeError), (Item("a", output="nothing"), ValueError),
                           (Item("a", output="token", top_k=2 ** 40), ValueError), (Item("a", n_top=1.5), TypeError),
                           (Item("a", scores=[1, 2, 3]), ValueError), (Item("a", scores=[(9, 1)]), ValueError),
                           (Item("a", scores=[(1, -2)]), ValueError), (Item("a", cache="x"), TypeError),
                           (Item("a", output="hidden", hidden_tokens=[7]), ValueError)):
            with self.subTest(item=item), self.assertRaises(kind):
                self.session.run([item])

    def test_a_sink_gets_the_logits_in_pieces(self) -> None:
        session, seen = self.session, []
        ids = (np.arange(150) * 7 % 900 + 5).tolist()
        items = [libprepack.Item(ids, output="all_logits"), libprepack.Item(ids[:3], output="last_logits")]
        results = session.run(items, sink=lambda i, first, rows: seen.append((i, first, rows)))
        self.assertEqual([one.logits for one in results], [None, None])
        whole = np.concatenate([rows for i, _, rows in sorted(seen, key=lambda one: one[:2]) if i == 0])
        np.testing.assert_array_equal(whole, session.prefill([ids], logits="all")[0].logits)
        self.assertEqual([first for i, first, _ in seen if i == 1], [2])

    def test_shared_prefixes_and_plans_change_nothing(self) -> None:
        prompts = [TEXTS[0] * 3 + text for text in TEXTS]
        expected = self.session.prefill(prompts)
        before = self.session.info.tokens_computed
        shared = self.session.prefill(prompts, min_shared_prefix=16)
        self.assertLess(self.session.info.tokens_computed - before, sum(one.tokens.size for one in expected))
        packed = self.session.prefill(prompts, plan=libprepack.Packer(min_shared_prefix=16))
        for one, two, three in zip(expected, shared, packed):
            np.testing.assert_array_equal(one.logits, two.logits)
            np.testing.assert_array_equal(one.logits, three.logits)
        predicted = self.session.predict([one.tokens.size for one in expected])
        self.assertEqual(predicted.passes, 1)
        self.assertEqual(predicted.kv_bytes, sum(one.cache.n_bytes for one in expected))


if __name__ == "__main__":
    unittest.main()
