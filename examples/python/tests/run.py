#!/usr/bin/env python3
"""Runs the tests of the package and prints TAP: a line for each method, and the reason of those that are skipped.

usage: run.py [NAME...]        NAME: test modules (test_session), or parts of what a line says; all without one

The libraries are those of PREPACK_LIBRARY and PREPACK_TOKENIZER_LIBRARY, as for any program that uses the package.
"""
from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import unittest
from collections.abc import Iterator
from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Tap(unittest.TestResult):
    """A result that is printed while it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0
        self.is_open = False

    def _line(self, test: unittest.TestCase, is_good: bool, note: str = "") -> None:
        self.n += 1
        name = test.id().split(".", 1)[-1] if test.id().startswith("test_") else test.id()
        module = test.id().split(".", 1)[0]
        print(f"{'ok' if is_good else 'not ok'} {self.n} - {module}: {name}{note}", flush=True)

    def _failed(self, test: unittest.TestCase, error: Any) -> None:
        self._line(test, False)
        for line in "".join(traceback.format_exception(*error)).splitlines():
            print("#", line)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._line(test, True)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._failed(test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._line(test, True, f" # SKIP {reason}")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._failed(subtest, err)


def methods(suite: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    """The tests of a suite, one by one."""
    if isinstance(suite, unittest.TestCase):
        yield suite
    else:
        for part in suite:
            yield from methods(part)


def main(names: list[str]) -> int:
    if importlib.util.find_spec("numpy") is None:
        print("1..0 # SKIP NumPy is not installed")
        return 0
    sys.path[:0] = [FOLDER, os.path.dirname(FOLDER)]
    found = unittest.defaultTestLoader.discover(FOLDER, pattern="test_*.py", top_level_dir=FOLDER)
    tests = [test for test in methods(found) if not names or any(name in test.id() for name in names)]
    tap = Tap()
    unittest.TestSuite(tests).run(tap)
    print(f"1..{tap.n}")
    if not tests:
        print("# no test has this name")
    return 0 if tests and tap.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
