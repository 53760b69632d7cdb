"""What objects say of themselves, and the sentences for what is missing."""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
import unittest
from typing import Any
from unittest import mock

import libprepack
from support import demo

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def said_by_child(things: list[Any]) -> str:
    """The reprs of things in a child after fork."""
    out, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(end, "\n".join(map(repr, things)).encode())
        finally:
            os._exit(0)
    os.close(end)
    os.waitpid(child, 0)
    with os.fdopen(out, encoding="utf-8") as file:
        return file.read()


class SaysTest(unittest.TestCase):
    def test_version(self) -> None:
        self.assertEqual(libprepack.__version__, libprepack.version())
        with self.assertRaisesRegex(AttributeError, "has no attribute 'no_such_name'"):
            getattr(libprepack, "no_such_name")

    def test_reprs(self) -> None:
        session = demo(dtype="f32")
        [prefilled] = session.prefill([[1, 5, 9]])
        queue = libprepack.Queue(64)
        queue.add(7, 3)
        plan = libprepack.Packer(8).plan([2, 3])
        batch = plan.batch([[1, 5], [1, 5, 9]])
        stream = session.tokenizer.stream()
        attention = libprepack.AttentionPlan(session, [0, 2, 5], n_heads=2, n_kv_heads=1, head_dim=8)
        things = [session, prefilled.cache, queue, batch, stream, attention]
        for thing, words in zip(things, ("on cpu:", "3 tokens", "1 prompts wait", "ragged: 2 prompts, 5 tokens",
                                         "TextStream of <libprepack.Tokenizer", "f32, 5 rows on 5 keys")):
            self.assertTrue(repr(thing).startswith(f"<libprepack.{type(thing).__name__}"), repr(thing))
            self.assertIn(words, repr(thing))
        wanted = f"of process {os.getpid()}>"
        for thing, said in zip(things, said_by_child(things).splitlines()):
            self.assertEqual(said, repr(thing) if thing is batch else f"<libprepack.{type(thing).__name__} {wanted}")
        queue.close()
        self.assertIn("closed, 1 prompts wait", repr(queue))
        queue.destroy()
        for thing in (attention, stream, batch, prefilled.cache, session):
            thing.close()
        for thing in things:
            self.assertEqual(repr(thing), f"<libprepack.{type(thing).__name__}: closed>")

    def test_numbers_that_are_none(self) -> None:
        for value, kind in (("2048", "str"), (2048.0, "float")):
            with self.assertRaisesRegex(TypeError, f"capacity has the type {kind}; a whole number is needed"):
                libprepack.Packer(value)  # type: ignore[arg-type]
        with demo() as session, self.assertRaisesRegex(TypeError, "lengths are texts; integers are needed"):
            session.predict(["a prompt"])  # type: ignore[list-item]

    def test_conversations_are_looked_at_before_transformers_is(self) -> None:
        message = {"role": "user", "content": "Hello"}
        with demo() as session, mock.patch.dict(sys.modules, {"transformers": None}):
            self.assertRaisesRegex(TypeError, "conversations is a single str", session.chat, "Hello")
            self.assertRaisesRegex(TypeError, "list of lists of messages", session.chat, [message])
            self.assertRaisesRegex(ImportError, "filled in by the package transformers", session.chat, [[message]])

    def test_a_tokenizer_that_transformers_cannot_read(self) -> None:
        transformers = mock.Mock()
        transformers.AutoTokenizer.from_pretrained.side_effect = ValueError("no such magic")
        with demo() as session, mock.patch.dict(sys.modules, {"transformers": transformers}):
            self.assertRaisesRegex(libprepack.UnsupportedError, "cannot read the tokenizer of .*: no such magic",
                                   session.chat, [[]])

    def test_without_the_harness(self) -> None:
        with mock.patch.dict(sys.modules, {"lm_eval": None, "lm_eval.api.model": None}):
            sys.modules.pop("libprepack.lm_eval", None)
            with self.assertRaisesRegex(ModuleNotFoundError, "needs lm-evaluation-harness: .*pip install lm-eval"):
                importlib.import_module("libprepack.lm_eval")
        program = "import runpy, sys; sys.modules['lm_eval'] = None; runpy.run_module('libprepack.lm_eval', run_name='__main__')"
        run = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False,
                             env={**os.environ, "PYTHONPATH": SOURCES})
        self.assertEqual((run.returncode, len(run.stderr.splitlines())), (1, 1), run.stderr)
        self.assertIn("pip install lm-eval", run.stderr)

    def test_a_wheel_that_cannot_be_built(self) -> None:
        meson = types.ModuleType("mesonpy")
        setattr(meson, "build_wheel", mock.Mock(side_effect=SystemExit(1)))
        program = os.path.join(SOURCES, "wheel_backend.py")
        spec = importlib.util.spec_from_file_location("wheel_backend", program)
        assert spec is not None and spec.loader is not None
        backend = importlib.util.module_from_spec(spec)
        with mock.patch.dict(sys.modules, {"mesonpy": meson}), mock.patch("sys.stderr") as stderr:
            spec.loader.exec_module(backend)
            self.assertRaises(SystemExit, backend.build_wheel, "/nowhere")
        said = "".join(call.args[0] for call in stderr.write.call_args_list)
        self.assertIn("sh examples/install-packages.sh", said)


if __name__ == "__main__":
    unittest.main()
