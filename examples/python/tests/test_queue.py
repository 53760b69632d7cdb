"""Queue: what goes in comes out once, from any thread; closing wakes who waits."""
from __future__ import annotations

import os
import signal
import sys
import threading
import time
import unittest

import libprepack


class QueueTest(unittest.TestCase):
    def test_a_step(self) -> None:
        with libprepack.Queue(100, max_age=0.0) as queue:
            self.assertTrue(queue.add(7, 60))
            self.assertTrue(queue.add(-8, 40))
            self.assertEqual(len(queue), 2)
            step = queue.next()
            assert step is not None
            self.assertEqual((step.ids, len(step)), ([7, -8], 2))
            self.assertEqual((step.tokens, step.used, step.capacity, step.n_waiting, step.cost), (100, 100, 100, 0, 100.0))
            second = list(step)[1]
            self.assertEqual((second.id, second.first_token, second.n_tokens, second.start, second.continues),
                             (-8, 0, 40, 60, False))
            self.assertGreaterEqual(second.age, 0.0)
            self.assertIsNone(queue.next(0))
            stats = queue.stats
            self.assertEqual((stats.added, stats.handed_out, stats.waiting, stats.steps, stats.waste, stats.closed),
                             (2, 2, 0, 1, 0.0, False))
        self.assertTrue(queue.closed)

    def test_priorities_and_deadlines(self) -> None:
        queue = libprepack.Queue(10, max_age=60.0)
        queue.add(1, 10)
        queue.add(2, 10, priority=100)
        queue.add(3, 10, deadline=1e-6)
        order = []
        while len(queue):
            step = queue.next(1.0)
            order += step.ids if step else []
        self.assertEqual(order[0], 2)
        self.assertEqual(sorted(order), [1, 2, 3])

    def test_a_full_queue(self) -> None:
        queue = libprepack.Queue(10, max_waiting=2)
        self.assertEqual([queue.add(i, 5) for i in range(3)], [True, True, False])
        self.assertEqual(queue.stats.refused, 1)
        self.assertEqual(sorted(queue.next(1.0) or ())[0].id, 0)
        self.assertTrue(queue.add(2, 5))

    def test_split_prompts(self) -> None:
        queue = libprepack.Queue(10, oversize="split", max_age=0.0)
        queue.add(1, 25)
        parts = [part for _ in range(3) for part in queue.next(1.0) or ()]
        self.assertEqual([(p.first_token, p.n_tokens, p.continues) for p in parts],
                         [(0, 10, True), (10, 10, True), (20, 5, False)])

    def test_cancel(self) -> None:
        queue = libprepack.Queue(10, max_age=60.0)
        queue.add(1, 5)
        self.assertTrue(queue.cancel(1))
        self.assertFalse(queue.cancel(1))
        self.assertFalse(queue.cancel(2))
        self.assertIsNone(queue.next(0.0))

    def test_what_is_wrong_is_named(self) -> None:
        queue = libprepack.Queue(10)
        queue.add(1, 5)
        for arguments, kind in (((2, 11), libprepack.TooLongError), ((2, 0), libprepack.ArgumentError),
                                ((1, 5), libprepack.ArgumentError), ((2 ** 63, 1), libprepack.ArgumentError),
                                ((2, 1, 2 ** 31), libprepack.ArgumentError), ((2, 1, 0, -1.0), libprepack.ArgumentError),
                                ((2, 1.5), TypeError), (("a", 1), TypeError)):
            with self.subTest(arguments=arguments), self.assertRaises(kind):
                queue.add(*arguments)
        with self.assertRaises(libprepack.ArgumentError) as caught:
            queue.add(1, 5)
        self.assertEqual(caught.exception.index, 1)
        with self.assertRaises(libprepack.ArgumentError):
            queue.next(-1.0)
        for settings in ({"capacity": 0}, {"capacity": 8, "oversize": "x"}, {"capacity": 8, "max_waiting": 0},
                         {"capacity": 8, "prompt_alignment": -1}, {"capacity": 8, "max_age": -1.0}):
            with self.subTest(settings=settings), self.assertRaises(libprepack.ArgumentError):
                libprepack.Queue(**settings)  # type: ignore[arg-type]

    def test_closing_hands_out_what_waits_and_then_says_so(self) -> None:
        queue = libprepack.Queue(10, max_age=60.0)
        queue.add(1, 3)
        queue.close()
        queue.close()
        with self.assertRaises(libprepack.QueueClosed) as caught:
            queue.add(2, 3)
        self.assertEqual(caught.exception.index, 2)
        step = queue.next()
        self.assertEqual(step.ids if step else None, [1])
        with self.assertRaises(libprepack.QueueClosed):
            queue.next()
        queue.destroy()
        queue.destroy()
        queue.close()
        self.assertTrue(queue.closed)
        with self.assertRaises(libprepack.MisuseError):
            queue.next(0)


class ThreadsTest(unittest.TestCase):
    def test_closing_wakes_who_waits(self) -> None:
        queue, ends = libprepack.Queue(10), []

        def wait() -> None:
            try:
                queue.next()
            except libprepack.QueueClosed:
                ends.append(1)
        threads = [threading.Thread(target=wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        with self.assertRaisesRegex(libprepack.MisuseError, "in use"):
            queue.destroy()
        self.assertEqual(ends, [])  # nobody was woken
        queue.close()
        for thread in threads:
            thread.join(10)
        self.assertEqual(len(ends), 4)
        queue.destroy()

    def test_waiting_leaves_other_threads_running(self) -> None:
        queue, got = libprepack.Queue(10, max_age=0.0), []
        thread = threading.Thread(target=lambda: got.append(queue.next(10.0)))
        thread.start()
        count = sum(range(100_000))  # with the GIL
        queue.add(count, 4)
        thread.join(10)
        self.assertEqual(got[0].ids, [count])

    def test_many_threads_get_every_prompt_once(self) -> None:
        queue, n = libprepack.Queue(64, max_waiting=100, max_age=0.001), 400
        steps: list[libprepack.Step] = []

        def produce(first: int) -> None:
            for i in range(first, first + n):
                while not queue.add(i, 1 + i % 50):
                    time.sleep(0.0005)

        def consume() -> None:
            try:
                while True:
                    step = queue.next(1.0)
                    if step is not None:
                        steps.append(step)
            except libprepack.QueueClosed:
                pass
        consumers = [threading.Thread(target=consume) for _ in range(3)]
        producers = [threading.Thread(target=produce, args=(i * n,)) for i in range(3)]
        for thread in consumers + producers:
            thread.start()
        for thread in producers:
            thread.join()
        queue.close()
        for thread in consumers:
            thread.join(10)
        self.assertEqual(sorted(i for step in steps for i in step.ids), list(range(3 * n)))
        self.assertLessEqual(max(step.tokens for step in steps), 64)
        stats = queue.stats
        self.assertEqual((stats.added, stats.handed_out, stats.waiting, stats.closed), (3 * n, 3 * n, 0, True))

    def test_ctrl_c_ends_a_wait(self) -> None:
        queue = libprepack.Queue(10)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            queue.next()
        self.assertLess(time.monotonic() - began, 5.0)
        timer.join()
        queue.destroy()

    @unittest.skipUnless(hasattr(os, "fork"), "no fork here")
    def test_a_child_is_told_and_does_not_hang(self) -> None:
        queue = libprepack.Queue(10)
        thread = threading.Thread(target=lambda: queue.next(10.0))
        thread.start()
        time.sleep(0.02)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                queue.add(1, 1)
            except libprepack.MisuseError as error:
                status = int("child" not in str(error))
            queue.__del__()
            os._exit(status)
        for _ in range(200):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.05)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            status = -1
        queue.add(1, 1, deadline=1e-6)
        thread.join(20)
        self.assertEqual(status, 0)


if __name__ == "__main__":
    unittest.main()
