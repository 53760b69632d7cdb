"""The figures of libprepack.paper at tiny settings: their files, and what must hold in their numbers."""
from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
import unittest
from typing import Any

import numpy as np

from libprepack import Packer, Session
from libprepack.paper import command, published, timing
from libprepack.paper import prompts as data
from libprepack.paper.gain import fit
from libprepack.paper.generation import demo_model
from libprepack.paper.lengths import padded_share
from libprepack.paper.memory import largest
from libprepack.paper.pictures import library

HAS_LISTS = any(os.path.isfile(os.path.join(folder, "mmlu.txt")) for folder in data.folders())
TINY = ["--model", "tiny", "--rounds", "2", "--threads", "1"]


def some_prompts() -> list[data.Ids]:
    return [np.full(n, n, np.int32) for n in (5, 40, 7, 12, 33, 3, 9, 21, 2, 16)]


class TestTiming(unittest.TestCase):
    def layout(self, method: str) -> timing.Layout:
        return timing.lay_out(method, some_prompts(), 4, Packer())

    def test_full_batching_pads_to_the_longest_of_each_batch(self) -> None:
        steps = self.layout(timing.FULL).steps
        self.assertEqual([[len(prompt) for prompt in step.prompts] for step in steps], [[40] * 4, [33] * 4, [16] * 2])
        self.assertEqual([step.n_tokens for step in steps], [64, 66, 18])
        self.assertEqual(steps[0].prompts[0].tolist(), [5] * 5 + [timing.PAD_ID] * 35)

    def test_length_ordered_pads_less(self) -> None:
        steps = self.layout(timing.ORDERED).steps
        self.assertEqual([[len(prompt) for prompt in step.prompts] for step in steps], [[7] * 4, [21] * 4, [40] * 2])
        self.assertEqual(sum(step.n_tokens for step in steps), 148)

    def test_prepacking_keeps_prompts_and_batches(self) -> None:
        steps = self.layout(timing.PREPACKING).steps
        self.assertEqual([len(prompt) for step in steps for prompt in step.prompts],
                         [len(prompt) for prompt in some_prompts()])
        self.assertTrue(all(step.packed for step in steps))

    def test_dataset_prepacking_has_every_prompt_once(self) -> None:
        layout = self.layout(timing.DATASET)
        self.assertEqual(sorted(len(prompt) for step in layout.steps for prompt in step.prompts),
                         sorted(len(prompt) for prompt in some_prompts()))
        self.assertLessEqual(len(layout.steps), 3)
        self.assertGreater(layout.seconds, 0)

    def test_speedup_is_of_the_least_times_and_spread_of_rounds(self) -> None:
        step = timing.Step(some_prompts()[:1], 5, False)
        fast = timing.Times(timing.Layout("a", [step, step]), [[1.0, 2.0], [2.0, 1.0]])
        slow = timing.Times(timing.Layout("b", [step, step]), [[4.0, 5.0], [5.0, 10.0]])
        self.assertEqual(fast.total, 2.0)
        self.assertEqual(fast.speedup(slow), (4.5, 3.0, 5.0))
        used = timing.Times(timing.Layout("c", [step]), [[9.0, 9.0]], [[0.5, 0.25]], clock="processor")
        self.assertEqual((used.total, used.of_round(0)), (0.25, 0.5))


class TestData(unittest.TestCase):
    def test_few_prompts_stand_for_many(self) -> None:
        dataset = data.Dataset("made up", np.arange(1, 1001))
        chosen = dataset.lengths[data.choose(dataset, 10, 0)]
        self.assertEqual(sorted(chosen.tolist()), list(range(51, 1000, 100)))
        self.assertNotEqual(chosen.tolist(), sorted(chosen.tolist()))
        self.assertEqual(sorted(data.choose(dataset, 2000, 0).tolist()), list(range(1000)))

    def test_even_lengths(self) -> None:
        lengths = data.load("uniform:3-9").lengths
        self.assertEqual(sorted(set(lengths.tolist())), list(range(3, 10)))
        for name in ("uniform:9-3", "uniform:0-4", "uniform:x", "no-such-set"):
            with self.assertRaisesRegex(ValueError, name):
                data.load(name)

    def test_files(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lengths.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write("3\n14\n15\n")
            self.assertEqual(data.load(path).lengths.tolist(), [3, 14, 15])
            path = os.path.join(folder, "texts.jsonl")
            with open(path, "w", encoding="utf-8") as file:
                file.write('{"prompt": "one", "answer": "x"}\n"two"\n{"text": "three"}\n')
            self.assertEqual(data.read_texts(path), ["one", "two", "three"])
            with self.assertRaisesRegex(ValueError, "tokenizer"):
                data.load(path)
            with open(path, "a", encoding="utf-8") as file:
                file.write("[1]\n")
            with self.assertRaisesRegex(ValueError, "line 4"):
                data.read_texts(path)

    def test_padded_share(self) -> None:
        self.assertAlmostEqual(padded_share(np.array([10, 10, 10, 10]), 2, 0), 0)
        self.assertAlmostEqual(padded_share(np.array([30, 10]), 2, 0), 20 / 60)
        self.assertAlmostEqual(padded_share(np.array([30, 10, 30, 10, 12]), 2, None), 18 / 110)

    def test_largest(self) -> None:
        for answer in (0, 1, 2, 5, 8, 31, 100):
            asked: list[int] = []

            def fits(n: int) -> bool:
                asked.append(n)
                return n <= answer

            self.assertEqual(largest(100, fits), answer)
            self.assertLessEqual(max(asked), 100)

    def test_fit(self) -> None:
        x = np.array([1.0, 2.0, 4.0])
        self.assertEqual([round(value, 9) for value in fit(x, 3 * x + 1)], [3, 1, 1])
        self.assertEqual(fit(x, np.ones(3))[2], 0)

    def test_published_speedups(self) -> None:
        """The bars of one of the authors' figures and the points of another say the same at batch size 16."""
        for model, by_dataset in published.BY_BATCH_SIZE.items():
            for dataset, points in by_dataset.items():
                bars = published.speedup("prefill", dataset, model)
                assert bars is not None
                self.assertAlmostEqual(bars, points[published.BATCH_SIZES.index(16)], delta=0.02)
        self.assertIsNone(published.speedup("prefill", "rlhf", "Llama2-13B"))


class TestFigures(unittest.TestCase):
    def make(self, *arguments: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """Makes a figure; gives the lines of its CSV and its JSON, after the checks that are the same for all."""
        name = arguments[0]
        with tempfile.TemporaryDirectory() as folder:
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status = command.main([*arguments, "--out", folder, "--quiet"])
            self.assertEqual(status, 0, said.getvalue())
            with open(os.path.join(folder, name + ".csv"), encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            with open(os.path.join(folder, name + ".json"), encoding="utf-8") as file:
                document: dict[str, Any] = json.load(file)
            self.assertEqual(len(rows), len(document["rows"]))
            self.assertEqual(document["command"], [*arguments, "--out", folder, "--quiet"])
            for key in ("machine", "versions", "options", "source", "command", "made"):
                self.assertTrue(document[key], key)
            pictures = {name + ".png", name + ".svg"} & set(os.listdir(folder))
            if library() is None:
                self.assertIn("matplotlib is not installed", said.getvalue())
            self.assertEqual(len(pictures), 0 if library() is None else 2)
        return rows, document

    def check_tokens(self, rows: list[dict[str, Any]], *keys: str) -> None:
        """Packing computes every token once; padding all places of its rows; all methods have the same prompts."""
        groups: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[key] for key in keys), {})[row["method"]] = row
        for found in groups.values():
            for row in found.values():
                self.assertEqual(row["tokens"], found[timing.FULL]["tokens"])
                self.assertGreaterEqual(row["tokens_computed"], row["tokens"])
                self.assertLessEqual(row["tokens_computed"], found[timing.FULL]["tokens_computed"])
                self.assertLessEqual(row["speedup_low"], row["speedup"])
                self.assertLessEqual(row["speedup"], row["speedup_high"])
            self.assertEqual(found[timing.PREPACKING]["tokens_computed"], found[timing.PREPACKING]["tokens"])
            self.assertEqual(found[timing.FULL]["speedup"], 1)

    def test_datasets(self) -> None:
        _, document = self.make("datasets", *TINY, "--dataset", "uniform:1-30", "uniform:5-9", "--prompts", "12",
                                "--batch-size", "4")
        rows = document["rows"]
        self.assertEqual(len(rows), 2 * 2 * 3)
        self.check_tokens(rows, "dataset", "metric")
        self.assertEqual({row["paper_speedup_1.3b"] for row in rows}, {None})

    def test_full_batching_computes_n_times_the_longest(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("30\n4\n11\n25\n")
            file.flush()
            _, document = self.make("datasets", *TINY, "--dataset", file.name, "--batch-size", "4")
        for row in document["rows"]:
            self.assertEqual(row["tokens"], 70)
            self.assertEqual(row["tokens_computed"], 70 if row["method"] == timing.PREPACKING else 4 * 30)

    def test_batch_sizes(self) -> None:
        _, document = self.make("batch-sizes", *TINY, "--dataset", "uniform:1-30", "--prompts", "8", "--batch-size",
                                "2", "8")
        self.check_tokens(document["rows"], "batch_size")
        padded = {row["batch_size"]: row["tokens_computed"] for row in document["rows"]
                  if row["method"] == timing.FULL}
        self.assertLessEqual(padded[2], padded[8])

    def test_dataset_level(self) -> None:
        _, document = self.make("dataset-level", *TINY, "--dataset", "uniform:1-30", "--prompts", "16",
                                "--batch-size", "4")
        rows = document["rows"]
        self.check_tokens(rows, "batch_size")
        self.assertEqual([row["method"] for row in rows],
                         [timing.PREPACKING, timing.DATASET, timing.FULL, timing.ORDERED])
        self.assertEqual(rows[1]["tokens_computed"], rows[1]["tokens"])

    def test_resources(self) -> None:
        _, document = self.make("resources", *TINY, "--dataset", "uniform:1-200", "--prompts", "32", "--batch-size",
                                "32")
        rows = {row["method"]: row for row in document["rows"]}
        self.check_tokens(document["rows"], "batch_size")
        self.assertLessEqual(rows[timing.PREPACKING]["peak_mb"], rows[timing.FULL]["peak_mb"])
        self.assertEqual(rows[timing.FULL]["paper_seconds"], 2.299)

    def test_memory(self) -> None:
        _, document = self.make("memory", *TINY, "--dataset", "uniform:1-2000", "--prompts", "32", "--batch-size",
                                "8", "--memory-mb", "18")
        found = {(row["kind"], row["method"]): row for row in document["rows"]}
        self.assertGreaterEqual(found["peak", timing.FULL]["megabytes"],
                                found["peak", timing.PREPACKING]["megabytes"])
        sizes = [found["largest batch", method]["batch_size"] for method in (timing.FULL, timing.PREPACKING)]
        self.assertLessEqual(*sizes)
        self.assertGreater(sizes[0], 0)

    def test_gain(self) -> None:
        _, document = self.make("gain", *TINY, "--dataset", "uniform:1-60", "--prompts", "30", "--batch-size", "8",
                                "--clock", "processor")
        self.assertEqual(len(document["rows"]), 3)
        self.assertEqual([row["speedup"] for row in document["rows"]],
                         [row["processor_speedup"] for row in document["rows"]])
        for row in document["rows"]:
            self.assertGreaterEqual(row["bins"] * row["longest"], row["tokens"])
            self.assertAlmostEqual(row["k m / L"], 8 * row["longest"] / row["tokens"])
        self.assertEqual(document["fits"]["r/k"]["paper_r_squared"], 0.92)

    def test_gain_without_a_batch(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(command.main(["gain", *TINY, "--dataset", "uniform:1-9", "--prompts", "3", "--quiet"]), 1)
        self.assertIn("no batch of 16", said.getvalue())

    def test_batching(self) -> None:
        _, document = self.make("batching", *TINY, "--batch-size", "1", "2")
        self.assertEqual([row["tokens"] for row in document["rows"]], [50, 100, 100, 200, 200, 400, 400, 800])
        for row in document["rows"]:
            self.assertLessEqual(row["seconds"], row["seconds_median"])

    @unittest.skipUnless(HAS_LISTS, "no lists of lengths here")
    def test_lengths(self) -> None:
        rows, document = self.make("lengths")
        self.assertEqual([row["dataset"] for row in rows], list(data.LABELS))
        for row in document["rows"]:
            self.assertEqual(sum(map(int, row["histogram"].split())), row["prompts"])
            self.assertLess(row["pad_share_16"], 1)

    @unittest.skipUnless(HAS_LISTS, "no lists of lengths here")
    def test_packing(self) -> None:
        _, document = self.make("packing", "--dataset", "alpaca", "--batch-size", "16", "64", "--rounds", "1")
        bins = {(row["prompts"], row["policy"]): row for row in document["rows"]}
        for n in (16, 64):
            exact = bins[n, "exact"]
            self.assertLessEqual(exact["lower_bound"], exact["bins"])
            self.assertLessEqual(exact["bins"], bins[n, "ffd"]["bins"])
            self.assertEqual(exact["proven_optimal"], exact["batches"])

    def test_generation(self) -> None:
        with Session(demo_model()) as session:
            if not session.has_tokenizer:
                self.skipTest("libprepack-tokenizer is not here")
        rows, document = self.make("generation", "--max-new-tokens", "4", "--prompts", "4", "--threads", "1")
        self.assertTrue(document["all_same"])
        self.assertEqual(rows[0]["packed"], rows[0]["alone"])

    def test_what_is_refused(self) -> None:
        for arguments, words in ((["datasets", "--model", "no-such-model"], "no-such-model"),
                                 (["datasets", "--model", "tiny", "--dataset", "no-such-set"], "no-such-set"),
                                 (["generation", "--dataset", "no-such-file"], "no-such-file"),
                                 (["generation", "--model", "tiny"], "tokenizer")):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                self.assertEqual(command.main([*arguments, "--quiet"]), 1)
            self.assertIn(words, said.getvalue())
            self.assertEqual(said.getvalue().count("\n"), 1)
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            command.main(["no-such-figure"])


if __name__ == "__main__":
    unittest.main()
