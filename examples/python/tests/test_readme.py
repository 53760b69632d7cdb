"""The Python of README.md and of docs/first-steps.md, run as it stands there."""
from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")


class Readme(unittest.TestCase):
    def test_five_lines(self) -> None:
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            [block] = re.findall(r"```python\n(.*?)```", file.read(), re.S)
        before, printed = os.getcwd(), io.StringIO()
        try:
            os.chdir(ROOT)
            with contextlib.redirect_stdout(printed):
                exec(compile(block, "README.md", "exec"), {})
        finally:
            os.chdir(before)
        generated, scores, shape, lengths = printed.getvalue().splitlines()
        self.assertEqual(generated, " Berlin.")
        likely, unlikely = map(float, re.findall(r"logprob=(-?[\d.e-]+)", scores))
        self.assertGreater(likely, unlikely + 5)
        self.assertEqual(shape, "(2, 192)")
        self.assertEqual(lengths, "[7, 7]")


class FirstSteps(unittest.TestCase):
    def setUp(self) -> None:
        with open(os.path.join(ROOT, "docs/first-steps.md"), encoding="utf-8") as file:
            self.page = file.read()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(ROOT)

    def test_sessions_of_python(self) -> None:
        shown = "".join(re.findall(r"```pycon\n(.*?)```", self.page, re.S))
        test = doctest.DocTestParser().get_doctest(shown, {}, "docs/first-steps.md", None, None)
        self.assertGreater(len(test.examples), 5)
        said = io.StringIO()
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.write)
        self.assertEqual(result.failed, 0, said.getvalue())

    def test_the_source_is_not_the_package(self) -> None:
        tried = subprocess.run([sys.executable, "-S", "-c", "import libprepack; libprepack.Session"], text=True,
                               stderr=subprocess.PIPE, check=False, env={**os.environ, "PYTHONPATH": ""})
        self.assertIn(tried.stderr.splitlines()[-1], self.page)

    def test_no_library(self) -> None:
        tried = subprocess.run([sys.executable, "-c", "import libprepack; libprepack.version()"], text=True,
                               stderr=subprocess.PIPE, check=False,
                               env={**os.environ, "PYTHONPATH": "examples/python", "PREPACK_LIBRARY": "/no/library"})
        self.assertRegex(tried.stderr, r"libprepack.so.0 could not be loaded .*; PREPACK_LIBRARY may name its file")
        self.assertIn("libprepack.so.0 could not be loaded", self.page)


if __name__ == "__main__":
    unittest.main()
