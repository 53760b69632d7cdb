"""Progress of long calls: a function of the caller's, a bar by tqdm where that is installed, or nothing."""
from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Union

# False: none. True: a bar by tqdm where it is installed. A function is called with the tokens done, and all.
Progress = Union[bool, Callable[[int, int], object]]


class Meter:
    """Shows progress; closed when its call is over."""

    def __init__(self, progress: Progress) -> None:
        self._report: Callable[[int, int], object] | None = None
        self._bar: Any = None
        if callable(progress):
            self._report = progress
        elif progress:
            try:
                tqdm: Any = importlib.import_module("tqdm.auto")
            except ImportError:
                return
            self._bar = tqdm.tqdm(unit=" tokens", unit_scale=True)

    @property
    def is_shown(self) -> bool:
        """Whether anybody looks at it."""
        return self._report is not None or self._bar is not None

    def show(self, done: int, total: int) -> None:
        """`done` of `total` tokens are done."""
        if self._report is not None:
            self._report(done, total)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
