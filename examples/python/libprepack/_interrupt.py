"""Ctrl-C while the library computes: Python's signal handlers run between forward passes, and what they raise is kept
until the library has returned. A long pass does not have to end first."""
from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS: tuple[int, ...] = tuple(int(number) for number in sorted(signal.valid_signals()))


class _Watcher:
    """A thread that cancels as soon as Ctrl-C arrives, which Python itself learns when the library calls back or
    returns. Not where another (asyncio) is told of signals by the same way already."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._thread = threading.Thread(target=self._watch, name="libprepack-interrupt", daemon=True)
        other = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._is_ours = other == -1
        if self._is_ours:
            self._thread.start()
        else:
            signal.set_wakeup_fd(other)

    def _watch(self) -> None:
        again: float | None = None  # seconds; a call that had not begun yet did not hear the first time
        while True:
            if not select.select([self._read], [], [], again)[0]:
                self._cancel()
                continue
            for number in os.read(self._read, 64):
                if number == signal.SIGINT:
                    self._cancel()
                    again = 0.05
                elif number == 0:  # from `close`: no signal has it
                    return

    def close(self) -> None:
        if self._is_ours:
            signal.set_wakeup_fd(-1)
            os.set_blocking(self._write, True)
            os.write(self._write, b"\0")
            self._thread.join()
        os.close(self._read)
        os.close(self._write)


class Interruptible:
    """Around a call of the library whose callback runs Python code. In the main thread the handlers that are
    functions are wrapped, so that none raises inside a callback, which could not pass it on: what one raises becomes
    `failure`, and `cancel` is called. They are as before when the block ends.

    is_long: one forward pass may take a second and more.
    """

    def __init__(self, cancel: Callable[[], object], is_long: bool = False) -> None:
        self.failure: BaseException | None = None
        self._cancel = cancel
        self._is_long = is_long
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._watcher: _Watcher | None = None

    def fail(self, failure: BaseException) -> None:
        """Cancels the call because of what was raised in a callback; the first failure counts."""
        if self.failure is None:
            self.failure = failure
        self._cancel()

    def insist(self) -> None:
        """Cancels once more after a failure: the call may not have begun when it came."""
        if self.failure is not None:
            self._cancel()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        try:
            self._handlers[number](number, frame)
        except BaseException as failure:
            self.fail(failure)

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, signal.Handlers):
                self._handlers[number] = handler
        try:
            for number in self._handlers:
                signal.signal(number, self._handle)
            if self._is_long and self._handlers.get(signal.SIGINT) is signal.default_int_handler:
                self._watcher = _Watcher(self._cancel)
        except ValueError:  # the main thread of another interpreter than the first
            self._handlers = {}
        except BaseException:  # a handler that was not wrapped yet
            self._restore()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self._restore()

    def _restore(self) -> None:
        for number in sorted(self._handlers, key=lambda number: number == signal.SIGINT):  # which may raise at once
            if signal.getsignal(number) == self._handle:  # else a handler put another in its place
                signal.signal(number, self._handlers[number])
