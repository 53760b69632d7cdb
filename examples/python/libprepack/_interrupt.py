"""Ctrl-C while the library computes: the signal handlers of Python run between forward passes, what they raise is
kept until the library has returned."""
from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = tuple(sorted(signal.valid_signals()))


class Interruptible:
    """Around a call of the library whose callback runs Python code. In the main thread the handlers that are
    functions are wrapped, so that none raises inside a callback, which could not pass it on: what one raises becomes
    `failure`, and `cancel` is called. They are as before when the block ends."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.failure: BaseException | None = None
        self._cancel = cancel
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def fail(self, failure: BaseException) -> None:
        """Cancels the call because of what was raised in a callback; the first failure counts."""
        if self.failure is None:
            self.failure = failure
        self._cancel()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        try:
            self._handlers[number](number, frame)
        except BaseException as failure:
            self.fail(failure)

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, signal.Handlers):
                    self._handlers[number] = handler
            try:
                for number in self._handlers:
                    signal.signal(number, self._handle)
            except ValueError:  # the main thread of another interpreter than the first
                self._handlers = {}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._handle:  # a handler may have put another in its place
                signal.signal(number, handler)
