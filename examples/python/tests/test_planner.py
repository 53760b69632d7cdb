"""Packer, Plan and CostModel: what comes in and goes out, views and their lifetimes, threads, copies by pickle."""
from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import threading
import unittest
from typing import Any

import libprepack
import numpy as np

LENGTHS = [6, 1, 2, 3, 4]
PROMPTS = [[7, 7, 7, 1], [7, 7, 7, 2, 2], [9, 9]]


def bins(plan: libprepack.Plan) -> list[list[int]]:
    return [prompts.tolist() for prompts in plan]


class PlanTest(unittest.TestCase):
    def test_bins_and_figures(self) -> None:
        plan = libprepack.Packer(8).plan(LENGTHS)
        self.assertEqual(bins(plan), [[0, 2], [4, 3, 1]])
        self.assertEqual(len(plan), 2)
        info = plan.info
        self.assertEqual((info.policy, info.objective, info.proven_optimal, info.limit_reached),
                         ("ffd", "fewest_bins", True, ""))
        self.assertEqual((info.n_prompts, info.n_bins, info.capacity, info.tokens), (5, 2, 8, 16))
        self.assertEqual((info.waste, info.gap, info.mean_bin_prompts), (0.0, 0.0, 2.5))
        self.assertEqual(plan.bin_info(-1), libprepack.BinInfo(-1, 2, 3, 8, 8, 8, 8.0))
        self.assertEqual(plan.segments["start"].tolist(), [0, 6, 0, 4, 7])
        self.assertEqual(plan.segments["after"].tolist(), [-1] * 5)
        self.assertEqual(plan.segments["prompt"][plan.ends].tolist(), [0, 1, 2, 3, 4])
        self.assertIn("2 bins", repr(plan))
        for i in (2, -3):
            with self.assertRaises(IndexError):
                plan[i]
            with self.assertRaises(IndexError):
                plan.bin_info(i)

    def test_lengths_of_every_kind(self) -> None:
        packer, expected = libprepack.Packer(8), [[0, 2], [4, 3, 1]]
        for lengths in (tuple(LENGTHS), iter(LENGTHS), np.array(LENGTHS, np.int8), np.array(LENGTHS, np.uint64),
                        np.repeat(LENGTHS, 2)[::2], [[1] * n for n in LENGTHS], [np.zeros(n, np.int16) for n in LENGTHS],
                        (range(n) for n in LENGTHS)):
            self.assertEqual(bins(packer.plan(lengths)), expected)
        self.assertEqual(len(packer.plan([])), 0)
        self.assertEqual(len(packer.plan(np.zeros(0))), 0)

    def test_what_is_wrong_is_named(self) -> None:
        packer = libprepack.Packer(8)
        cases: list[tuple[Any, type[Exception], str]] = [
            ([3, 9], libprepack.TooLongError, "prompt 1 has 9 tokens"), ([3, 0], libprepack.ArgumentError, "prompt 1"),
            ([1.5], TypeError, "1.5"), ([3, 1.5], TypeError, "float64"), ([True], TypeError, "bool"),
            (np.ones((2, 2, 2), int), ValueError, "shape"),
            ([2 ** 63], libprepack.ArgumentError, "number 0"), (["text"], TypeError, "str"), ("text", TypeError, "single"),
            ([[1], 2], TypeError, "prompt 1"), ([[1 << 40]], ValueError, "32 bits"), (7, TypeError, "int")]
        for lengths, kind, words in cases:
            with self.subTest(lengths=lengths), self.assertRaisesRegex(kind, words):
                packer.plan(lengths)
        with self.assertRaises(libprepack.TooLongError) as caught:
            packer.plan([3, 9])
        self.assertEqual(caught.exception.index, 1)

    def test_settings(self) -> None:
        plan = libprepack.Packer(objective="balanced", n_bins=2).plan(LENGTHS)
        self.assertEqual((len(plan), plan.info.max_cost, plan.info.objective), (2, 8.0, "balanced"))
        plan = libprepack.Packer(objective="cheapest", row_lens=[4, 8]).plan(LENGTHS)
        self.assertEqual({plan.bin_info(i).capacity for i in range(len(plan))}, {8})
        plan = libprepack.Packer(capacities=[4, 6, 8]).plan([6, 4, 3])
        self.assertEqual(sorted(plan.bin_info(i).choice for i in range(len(plan))), [1, 2])
        self.assertEqual(bins(libprepack.Packer(8, policy="arrival").plan(LENGTHS)), [[0, 1], [2, 3], [4]])
        self.assertEqual(len(libprepack.Packer(8, max_prompts=1).plan(LENGTHS)), 5)
        self.assertEqual(libprepack.Packer().plan(LENGTHS).info.capacity, 6)
        self.assertEqual(len(libprepack.Packer(4, oversize="own_bin").plan([9, 2])), 2)
        apart = libprepack.Packer(8).plan([1, 1, 1], apart=[0, 0, -1])
        self.assertEqual(len(apart), 2)
        together = libprepack.Packer(8).plan([4, 4, 4], together=[1, -1, 1])
        self.assertIn([0, 2], bins(together))

    def test_settings_that_are_wrong(self) -> None:
        for settings, words in (
                ({"policy": "x"}, "'first_fit'"), ({"capacity": 0}, "at least 1"), ({"capacity": -3}, "at least 1"),
                ({"objective": "balanced"}, "n_bins|balanced"), ({"row_lens": [4]}, "CHEAPEST"),
                ({"capacities": []}, "at least one"), ({"capacity": 2 ** 63}, "64 bits"), ({"max_prompts": -1}, "max_prompts"),
                ({"max_seconds": float("nan")}, "max_seconds"), ({"oversize": "maybe"}, "'own_bin'")):
            with self.subTest(settings=settings), self.assertRaisesRegex(libprepack.ArgumentError, words):
                libprepack.Packer(**settings)
        with self.assertRaisesRegex(libprepack.ArgumentError, "2 numbers for 3"):
            libprepack.Packer(8).plan([1, 1, 1], apart=[0, 0])

    def test_shared_prefixes(self) -> None:
        packer = libprepack.Packer(8, min_shared_prefix=3)
        plan = packer.plan(PROMPTS)
        self.assertEqual(plan.info.placed_tokens, 8)
        self.assertEqual(len(plan), 2)
        with self.assertRaisesRegex(libprepack.ArgumentError, "tokens"):
            packer.plan([4, 5, 2])
        with self.assertRaises(libprepack.UnsupportedError):
            plan.batch(PROMPTS)

    def test_parts_of_prompts(self) -> None:
        plan = libprepack.Packer(4, oversize="split").plan([9, 2])
        segments = plan.segments
        i, last = int(plan.ends[0]), 9
        while i >= 0:
            self.assertEqual(segments["first_token"][i] + segments["n_tokens"][i], last)
            last, i = int(segments["first_token"][i]), int(segments["after"][i])
        self.assertEqual(last, 0)

    def test_partition(self) -> None:
        plan = libprepack.Packer(8).plan([8, 8, 8, 4, 4, 4])
        partition = plan.partition(2)
        self.assertEqual((partition.n_workers, partition.max_cost, partition.proven_optimal), (2, 20.0, True))
        together = np.concatenate([partition.bins(worker) for worker in range(2)])
        self.assertEqual(sorted(together.tolist()), list(range(len(plan))))
        self.assertFalse(partition.worker_of_bin.flags.writeable)
        with self.assertRaises(libprepack.ArgumentError):
            plan.partition(0)

    def test_json(self) -> None:
        plan = libprepack.Packer(8, cost=libprepack.CostModel(1, 2, 3, 4)).plan(LENGTHS)
        text = plan.to_json()
        self.assertEqual(json.loads(text)["bins"], bins(plan))
        for given in (text, text.encode()):
            self.assertEqual(libprepack.Plan.from_json(given).to_json(), text)
        with self.assertRaises(libprepack.FormatError) as caught:
            libprepack.Plan.from_json(text.replace("[0,2]", "[0,0]"))
        self.assertIsNotNone(caught.exception.index)
        for broken in ("", "{", b"\xff\x00", text[:-5]):
            with self.assertRaises(libprepack.FormatError):
                libprepack.Plan.from_json(broken)

    def test_copies_by_pickle(self) -> None:
        packer = libprepack.Packer(8, policy="bfd", cost=libprepack.CostModel(tile=4))
        plan = packer.plan(LENGTHS)
        self.assertEqual(pickle.loads(pickle.dumps(plan)).to_json(), plan.to_json())
        self.assertEqual(repr(pickle.loads(pickle.dumps(packer))), repr(packer))
        self.assertEqual(bins(pickle.loads(pickle.dumps(packer)).plan(LENGTHS)), bins(plan))

    def test_a_million_prompts(self) -> None:
        lengths = np.random.default_rng(1).integers(1, 2000, 1_000_000)
        plan = libprepack.Packer(2048).plan(lengths)
        self.assertEqual(plan.info.tokens, int(lengths.sum()))
        self.assertLessEqual(int(lengths[plan[0]].sum()), 2048)


class ViewTest(unittest.TestCase):
    def setUp(self) -> None:
        self.plan = libprepack.Packer(8).plan(LENGTHS)

    def test_a_view_shows_the_plan_and_is_not_written(self) -> None:
        first, again = self.plan[0], self.plan[0]
        self.assertEqual(first.ctypes.data, again.ctypes.data)
        self.assertEqual(first.dtype, np.int32)
        with self.assertRaises(ValueError):
            first[0] = 1
        with self.assertRaises(ValueError):
            first.flags.writeable = True

    def test_a_view_outlives_the_name_of_its_plan(self) -> None:
        view = self.plan[1][1:]
        del self.plan
        gc.collect()
        self.assertEqual(view.tolist(), [3, 1])

    def test_a_plan_with_views_is_not_closed(self) -> None:
        view = self.plan[0]
        part = view[:1]
        del view
        with self.assertRaisesRegex(BufferError, "views"):
            self.plan.close()
        self.assertEqual(bins(self.plan), [[0, 2], [4, 3, 1]])
        del part
        gc.collect()
        self.plan.close()
        self.plan.close()
        self.assertTrue(self.plan.closed)
        with self.assertRaisesRegex(libprepack.MisuseError, "closed"):
            self.plan[0]

    def test_a_packer_may_go_first(self) -> None:
        with libprepack.Packer(8) as packer:
            plan = packer.plan(LENGTHS)
        with self.assertRaises(libprepack.MisuseError):
            packer.plan(LENGTHS)
        self.assertEqual(len(plan), 2)

    def test_nothing_is_left(self) -> None:
        packer, lengths = libprepack.Packer(2048), np.full(100_000, 1024)

        def resident() -> int:
            with open("/proc/self/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def use() -> None:
            for _ in range(20):
                view = packer.plan(lengths)[5]
                del view
        use()
        before = resident()
        use()
        self.assertLess(resident() - before, 8 << 20)  # a plan has 5 MB

    def test_threads_share_a_packer_and_a_plan(self) -> None:
        packer, wrong = libprepack.Packer(8), []

        def work() -> None:
            for _ in range(200):
                if bins(packer.plan(LENGTHS)) != [[0, 2], [4, 3, 1]] or len(self.plan[1]) != 3:
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_close_waits_for_nobody_in_a_call(self) -> None:
        """close either finds nobody inside a call, or raises; a caller finds the plan, or that it is closed."""
        odd: list[BaseException] = []

        def look(plan: libprepack.Plan) -> None:
            try:
                for _ in range(100):
                    plan.to_json()
            except libprepack.MisuseError:
                pass
            except BaseException as problem:
                odd.append(problem)
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)
        for _ in range(10):
            plan = libprepack.Packer(8).plan(LENGTHS)
            threads = [threading.Thread(target=look, args=(plan,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            while not plan.closed:
                try:
                    plan.close()
                except (BufferError, libprepack.MisuseError):
                    pass
            for thread in threads:
                thread.join()
        self.assertEqual(odd, [])

    @unittest.skipUnless(hasattr(os, "fork"), "no fork here")
    def test_a_child_has_plans_of_its_own(self) -> None:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                plan = libprepack.Packer(8).plan(LENGTHS)
                os._exit(int(bins(self.plan) != bins(plan)))
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


class CostTest(unittest.TestCase):
    def test_prediction_by_the_formula(self) -> None:
        cost = libprepack.CostModel(per_pass=1.0, per_token=0.5, per_square=0.25, per_prompt=2.0, tile=16)
        self.assertEqual(cost.predict([10, 7]), 1.0 + 0.5 * 32 + 0.25 * (100 + 49) + 2.0 * 2)
        self.assertEqual(cost.predict([]), 0.0)
        self.assertEqual(libprepack.CostModel().predict([3, 4]), 7.0)
        with self.assertRaises(libprepack.ArgumentError):
            cost.predict([0])
        with self.assertRaises(libprepack.ArgumentError):
            libprepack.CostModel(per_token=-1.0).predict([1])

    def test_json(self) -> None:
        cost = libprepack.CostModel(0.1, 1 / 3, 1e-300, 2.0, 8, 0.25, "cpu:ref, f32", "modèle", 4096)
        self.assertEqual(libprepack.CostModel.from_json(cost.to_json()), cost)
        self.assertEqual(libprepack.CostModel.from_json(cost.to_json().encode()), cost)
        with self.assertRaisesRegex(libprepack.FormatError, "tile"):
            libprepack.CostModel.from_json(cost.to_json().replace('"tile"', '"tiles"'))
        with self.assertRaises(libprepack.UnsupportedError):
            libprepack.CostModel.from_json(cost.to_json().replace('"version": 1', '"version": 99'))
        for device in ("x" * 64, "a\0b"):
            with self.assertRaisesRegex(libprepack.ArgumentError, "63"):
                libprepack.CostModel(device=device).to_json()

    def test_measured(self) -> None:
        from support import demo
        session = demo(max_pass_tokens=128)
        cost = libprepack.measure_cost(session, seconds=0.05, max_tokens=64)
        self.assertGreater(cost.predict([64]), 0.0)
        self.assertEqual(cost.max_tokens, 64)
        self.assertIn("cpu", cost.device)
        with self.assertRaises(libprepack.ArgumentError):
            libprepack.measure_cost(session, max_tokens=1)
        with self.assertRaises(libprepack.ArgumentError):
            libprepack.measure_cost(libprepack.Session(None))
        session.acquire()
        with self.assertRaises(libprepack.MisuseError):
            libprepack.measure_cost(session)
        session.release()

    def test_ctrl_c_ends_a_measurement(self) -> None:
        import signal
        from support import demo
        session = demo()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            libprepack.measure_cost(session, seconds=60.0)
        timer.join()
        self.assertEqual(session.prefill([[1, 2]])[0].tokens.tolist(), [1, 2])


if __name__ == "__main__":
    unittest.main()
