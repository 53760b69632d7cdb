"""The README's lines of Python, run as they stand there."""
from __future__ import annotations

import contextlib
import io
import os
import re
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


if __name__ == "__main__":
    unittest.main()
