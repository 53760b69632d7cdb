"""Misuse and interruption: two threads, a child after fork, Ctrl-C, callbacks that raise. Afterwards all is as before."""
from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import libprepack
import numpy as np
from support import DEMO, TEXTS, demo

PROMPTS = [[5, 6, 7] * 300] * 12


class Interrupted(Exception):
    pass


class MisuseTest(unittest.TestCase):
    def setUp(self) -> None:
        self.session = demo(max_pass_tokens=256)  # many passes
        self.addCleanup(self.session.close)

    def assert_as_before(self) -> None:
        """The session is usable, and nothing is left of what was interrupted."""
        self.assertEqual(self.session.info.kv_bytes, 0)
        self.assertEqual(len(self.session.prefill(["a"])[0].cache), 2)

    # ---- threads and processes ----

    def test_threads_that_close_what_others_use(self) -> None:
        session, errors, before = self.session, [], sys.getswitchinterval()
        caches = [each.cache for each in session.prefill([[5, 6, 7] * 5] * 2)]

        def use(number: int) -> None:
            for i in range(60):
                cache = caches[(number + i) % len(caches)]
                calls = (cache.close, lambda: cache.keys(0), lambda: len(cache), lambda: session.append([cache], [[5]]),
                         lambda: caches.__setitem__((number + i) % len(caches), session.prefill([[5]])[0].cache))
                try:
                    calls[(number + 3 * i) % len(calls)]()
                except libprepack.MisuseError:  # closed, or in use
                    pass
                except Exception as error:
                    errors.append(error)

        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
        self.assertEqual(errors, [])
        caches.clear()
        self.assert_as_before()

    def test_threads_that_share_a_stream_of_text(self) -> None:
        streams, errors, before = [self.session.tokenizer.stream()], [], sys.getswitchinterval()

        def use(number: int) -> None:
            for i in range(200):
                stream = streams[0]
                try:
                    if (number + i) % 3 == 0:
                        stream.close()
                        streams[0] = self.session.tokenizer.stream()
                    stream.push(5 + i)
                    stream.finish()
                except libprepack.MisuseError:  # closed, or in use
                    pass
                except Exception as error:
                    errors.append(error)

        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
        self.assertEqual(errors, [])

    def test_a_stream_whose_tokenizer_is_closed(self) -> None:
        tokenizer = libprepack.Tokenizer(DEMO)
        stream, other = tokenizer.stream(), tokenizer.stream()
        other.close()
        tokenizer.close()
        self.assertRaisesRegex(libprepack.MisuseError, "closed", stream.push, 5)
        stream.close()
        self.assertTrue(stream.closed)

    def test_a_cache_is_not_closed_between_its_address_and_its_run(self) -> None:
        from libprepack import _call
        cache, params = self.session.prefill(["a"])[0].cache, _call.Call._params

        def close_first(*arguments: Any) -> Any:
            self.assertRaisesRegex(libprepack.MisuseError, "in use", cache.close)
            return params(*arguments)

        with mock.patch.object(_call.Call, "_params", close_first):
            self.session.append([cache], [[5]])
        self.assertEqual(len(cache), 3)
        cache.close()

    def test_an_exception_that_is_kept_keeps_no_cache(self) -> None:
        def fail(*_: Any) -> None:
            raise Interrupted

        for call in (lambda: self.session.generate(["a b"], stream=fail),
                     lambda: self.session.prefill(["a b"], progress=fail),
                     lambda: self.session.generate(["a b"] * 3, progress=fail)):
            kept: list[BaseException] = []
            try:
                call()
            except Interrupted as error:
                kept.append(error)
            self.assertEqual(len(kept), 1)
            self.assertEqual(self.session.info.kv_bytes, 0)

    def test_two_threads_at_once(self) -> None:
        inside, go_on, seen = threading.Event(), threading.Event(), []
        cache = self.session.prefill(["a b c"])[0].cache

        def wait(done: int, total: int) -> None:
            inside.set()
            go_on.wait(20)

        thread = threading.Thread(target=lambda: seen.append(self.session.decode([cache], [5])))
        runner = threading.Thread(target=lambda: self.session.prefill(["a b c"], progress=wait))
        runner.start()
        self.assertTrue(inside.wait(20))
        start = time.monotonic()
        for use in (lambda: self.session.prefill(["b"]), lambda: self.session.info, self.session.trim,
                    self.session.close, lambda: cache.keys(0), cache.fork, lambda: cache.truncate(1),
                    lambda: self.session.create_cache(3)):
            self.assertRaisesRegex(libprepack.MisuseError, "one thread at a time", use)
        self.assertLess(time.monotonic() - start, 10)  # nobody waited
        self.assertIn("in use", repr(self.session))
        go_on.set()
        runner.join()
        thread.start()
        thread.join()
        self.assertEqual(len(seen), 1)

    def test_a_callback_may_not_use_the_session(self) -> None:
        with self.assertRaisesRegex(libprepack.MisuseError, "callback"):
            self.session.generate(["a"], stream=lambda i, piece: self.session.prefill(["b"]))
        self.assert_as_before()

    def test_a_cache_in_a_run_is_not_closed(self) -> None:
        cache = self.session.prefill(["a"])[0].cache
        with self.assertRaisesRegex(libprepack.MisuseError, "call whose callback"):
            self.session.append([cache], [[5] * 20], progress=lambda done, total: cache.close())
        self.assertEqual(len(cache), 2)
        cache.close()

    def test_a_child_after_fork(self) -> None:
        session, cache = self.session, self.session.prefill(["a"])[0].cache
        child = os.fork()
        if child == 0:
            status = 1
            try:
                uses = (lambda: session.prefill(["a"]), lambda: len(cache), lambda: session.info, lambda: cache.keys(0))
                for use in uses:
                    try:
                        use()
                        break
                    except libprepack.MisuseError as error:
                        if "after fork" not in str(error):
                            break
                else:
                    new = libprepack.Session(session.model, threads=2, tokenizer=session.tokenizer)
                    cache.close()
                    session.close()
                    del cache, session
                    status = 0 if new.prefill(["a"]) and new.model.identity else 1
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(len(cache), 2)
        self.session.decode([cache], [5])

    def test_nothing_is_pickled(self) -> None:
        for thing in (self.session, self.session.model, libprepack.Cancel()):
            self.assertRaisesRegex(TypeError, "pickled", pickle.dumps, thing)

    # ---- what is no argument ----

    def test_wrong_arguments(self) -> None:
        session, cache = self.session, self.session.prefill(["a b"])[0].cache
        item = libprepack.Item
        wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
            (TypeError, "cancel is a int", lambda: session.prefill(["a"], cancel=5)),
            (TypeError, "plan is a int", lambda: session.prefill(["a"], plan=5)),
            (TypeError, "stream is a int", lambda: session.generate(["a"], stream=5)),
            (TypeError, "seed is 1.5", lambda: session.generate(["a"], seed=1.5)),
            (TypeError, "seed is .'1'", lambda: session.generate(["a"], seed=["1"])),
            (ValueError, "stop is 5", lambda: session.generate(["a"], stop=5)),
            (ValueError, "first_token is .* 64 bits", lambda: cache.keys(0, first_token=2 ** 70, n_tokens=1)),
            (ValueError, "first_token is", lambda: cache.write_keys(0, cache.keys(0), first_token=2 ** 64)),
            (ValueError, "n_context is .* 64 bits", lambda: session.score_tokens([([5, 6], 2 ** 64 + 1)])),
            (TypeError, "pair 0 is None", lambda: session.score_tokens([None])),
            (ValueError, "4294967296, which int32", lambda: session.run([item([5], scores=[(0, 2 ** 32)])])),
            (TypeError, "hidden_tokens are float64",
             lambda: session.run([item([5], output="hidden", hidden_tokens=[.5])])),
            (TypeError, "integer", lambda: session.run([item([5], output="token", seed=1.5)])),
            (TypeError, "cost is a int", lambda: session.predict([5], 5)),
            (TypeError, "made by Packer.plan", lambda: libprepack.Plan()),
            (TypeError, "made by Plan.batch", lambda: libprepack.Batch()),
            (TypeError, "1 positional", lambda: libprepack.Plan(5)),  # no address of anything
            (ValueError, "NUL", lambda: libprepack.Model.random("tiny\0x")),
            (TypeError, "cost is a int", lambda: libprepack.Queue(5, cost=5)),
            (TypeError, "token is a int", lambda: session.tokenizer.id(5)),
            (libprepack.TooLongError, "prompt 1 has", lambda: session.predict([5, 2 ** 62])),
            (libprepack.TooLongError, "of the plan has",
             lambda: session.predict(libprepack.Packer(2 ** 50).plan([2 ** 50]))),
            (TypeError, "device is a NoneType", lambda: libprepack.Session(session.model, device=None)),
            (ValueError, "NUL", lambda: libprepack.Session(session.model, device="cpu\0x"))]
        for kind, sentence, call in wrong:
            with self.assertRaisesRegex(kind, sentence):
                call()
        cache.close()
        self.assert_as_before()

    def test_paths_do_not_end_at_a_nul(self) -> None:
        cache = self.session.prefill(["a b"])[0].cache
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "name")
            for call in (cache.save, self.session.load_cache, libprepack.inspect_cache, libprepack.Model,
                         libprepack.Tokenizer):
                self.assertRaisesRegex(ValueError, "NUL", call, path + "\0x")
            self.assertEqual(os.listdir(folder), [])

    def test_a_tokenizer_that_was_named_is_needed(self) -> None:
        session = libprepack.Session(self.session.model, threads=1, tokenizer="/nowhere")
        self.assertRaises(libprepack.FileError, session.generate, [[5]])
        self.assertEqual(session.info.kv_bytes, 0)

    # ---- ends of runs ----

    def test_ctrl_c(self) -> None:
        for call in (lambda: self.session.prefill(PROMPTS * 20), lambda: self.session.embed(PROMPTS * 20),
                     lambda: self.session.score_tokens([([5] * 800, 2)] * 200, min_shared_prefix=0),
                     lambda: self.session.generate(PROMPTS, max_new_tokens=100, ignore_eos=True)):
            before = signal.getsignal(signal.SIGINT)
            timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
            with self.assertRaises(KeyboardInterrupt):  # wherever in it the signal comes
                timer.start()
                call()
            timer.join()
            self.assertIs(signal.getsignal(signal.SIGINT), before)
            self.assert_as_before()

    def test_ctrl_c_before_a_run_has_begun(self) -> None:
        from libprepack import _call
        params = _call.Call._params

        def interrupted(*args: object) -> object:
            os.kill(os.getpid(), signal.SIGINT)
            return params(*args)

        def enter(interrupts: _call.Interruptible) -> _call.Interruptible:
            result = entered(interrupts)
            os.kill(os.getpid(), signal.SIGINT)
            return result

        entered, before = _call.Interruptible.__enter__, self.session.info.tokens_computed
        with mock.patch.object(_call.Call, "_params", interrupted):
            self.assertRaises(KeyboardInterrupt, self.session.prefill, PROMPTS)
        with mock.patch.object(_call.Interruptible, "__enter__", enter):
            self.assertRaises(KeyboardInterrupt, self.session.prefill, PROMPTS)
        self.assertLessEqual(self.session.info.tokens_computed - before, 512)
        self.assert_as_before()

    def test_what_another_handler_raises(self) -> None:
        def handler(number: int, frame: object) -> None:
            raise Interrupted(number)

        before = signal.signal(signal.SIGALRM, handler)
        try:
            with self.assertRaises(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                self.session.prefill(PROMPTS * 20)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assert_as_before()

    def test_a_handler_that_does_not_raise_ends_nothing(self) -> None:
        numbers: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda number, frame: numbers.append(number))
        try:
            run = self.session.prefill(PROMPTS, logits="none",
                                       progress=lambda done, total: os.kill(os.getpid(), signal.SIGUSR1))
        finally:
            signal.signal(signal.SIGUSR1, before)
        self.assertEqual(len(run), len(PROMPTS))
        self.assertTrue(numbers)

    def test_a_long_pass_does_not_delay_ctrl_c(self) -> None:
        from libprepack._interrupt import Interruptible
        cancelled = threading.Event()
        with Interruptible(cancelled.set, is_long=True) as interrupts:
            lock = threading.Lock()
            timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
            timer.start()
            with lock:
                self.assertTrue(cancelled.wait(20))
            timer.join()
        self.assertIsInstance(interrupts.failure, KeyboardInterrupt)
        self.assertEqual(signal.set_wakeup_fd(-1), -1)

    def test_callbacks_that_raise(self) -> None:
        def fail(*_: object) -> None:
            raise Interrupted

        cache = self.session.prefill(["a"])[0].cache
        item = libprepack.Item([5] * 300, output="all_logits")
        for call in (lambda: self.session.prefill(PROMPTS, progress=fail),
                     lambda: self.session.append([cache], [[5] * 900], progress=fail),
                     lambda: self.session.run([item], sink=fail),
                     lambda: self.session.generate(PROMPTS[:2], stream=fail, ignore_eos=True),
                     lambda: self.session.score(["a"], ["b"], progress=fail)):
            self.assertRaises(Interrupted, call)
            self.assertEqual(len(cache), 2)
        cache.close()
        self.assert_as_before()

    def test_a_failure_behind_the_last_pass_undoes_the_run(self) -> None:
        def fail_at_last(done: int, total: int) -> None:
            if done == total:
                raise Interrupted

        cache = self.session.prefill([[5, 6, 7]])[0].cache
        expected = self.session.decode([cache.fork()], [8])
        for prompts in ([[5] * 20], [[5] * 500]):
            self.assertRaises(Interrupted, self.session.append, [cache], prompts, progress=fail_at_last)
            self.assertEqual(len(cache), 3)
        np.testing.assert_array_equal(self.session.decode([cache], [8]), expected)

    def test_cancel(self) -> None:
        def from_a_thread(request: Callable[[], None]) -> Callable[[int, int], None]:
            def progress(done: int, total: int) -> None:
                thread = threading.Thread(target=request)
                thread.start()
                thread.join()
            return progress

        token = libprepack.Cancel()
        self.assertFalse(token.is_requested)
        self.assertRaises(libprepack.CancelledError, self.session.prefill, PROMPTS, cancel=token,
                          progress=from_a_thread(token.request))
        self.assertTrue(token.is_requested)
        self.assertRaises(libprepack.CancelledError, self.session.generate, ["a"], cancel=token)
        self.assertRaises(libprepack.CancelledError, self.session.prefill, PROMPTS,
                          progress=from_a_thread(self.session.cancel))
        self.assertRaises(libprepack.CancelledError, self.session.generate, ["a"], ignore_eos=True,
                          stream=lambda i, piece: self.session.cancel())
        self.session.cancel()  # nothing runs
        self.assert_as_before()

    def test_progress(self) -> None:
        seen: list[tuple[int, int]] = []
        self.session.prefill(PROMPTS[:3], progress=lambda done, total: seen.append((done, total)))
        self.assertEqual(seen[-1], (2700, 2700))
        self.assertEqual(seen, sorted(seen))
        seen.clear()
        self.session.generate(PROMPTS[:2], max_new_tokens=3, ignore_eos=True,
                              progress=lambda done, total: seen.append((done, total)))
        self.assertEqual(seen[-1], (1804, 1804))

    # ---- closed ----

    def test_closed(self) -> None:
        with demo() as session:
            tokenizer = session.tokenizer
        self.assertTrue(session.closed)
        session.close()
        for use in (lambda: session.prefill(["a"]), lambda: session.info, session.cancel, session.trim):
            self.assertRaisesRegex(libprepack.MisuseError, "Session is closed", use)
        stream = tokenizer.stream()
        tokenizer.close()
        self.assertRaisesRegex(libprepack.MisuseError, "Tokenizer is closed", stream.push, 5)
        self.assertRaisesRegex(libprepack.MisuseError, "Tokenizer is closed", tokenizer.encode, "a")
        for thing in (session, tokenizer):
            self.assertIn("closed", repr(thing))
        self.assertIsInstance(libprepack.MisuseError("x"), ValueError)

    def test_models_may_be_closed_before_sessions(self) -> None:
        with libprepack.Model(DEMO) as model:
            session = libprepack.Session(model, threads=2)
        self.assertEqual(len(session.prefill([TEXTS[0]])), 1)
        np.testing.assert_array_equal(session.embed(["a"]), session.embed(["a"]))


if __name__ == "__main__":
    unittest.main()
