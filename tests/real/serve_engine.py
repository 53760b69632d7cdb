#!/usr/bin/env python3
"""The server's engine under random jobs, without HTTP: prompts, choices, scores and vectors of all lengths, of which many
are cancelled, in memory that is too little for them, of whose size the engine knows, or does not.

Every answer is compared with what a session gives alone, to the bits of its log-probabilities. At the end nothing is left.

usage: serve_engine.py LIBRARY [--seconds 10] [--seeds 8] [--first-seed 0]

Needs numpy, uvicorn and starlette. Prints TAP; each seed takes a few seconds more than it was given, and at most 60."""
from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import threading
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../examples/python"), os.path.join(HERE, "../../examples/python/tests")]

PENDING = 30  # jobs at a time


class Receiver:
    """The answer of one job, as it comes."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.scores: Any = None
        self.vector: Any = None
        self.error: Exception | None = None
        self.text: dict[int, str] = {}
        self.tokens: dict[int, list[Any]] = {}
        self.reasons: dict[int, str] = {}

    def receive(self, job: Any, events: list[Any]) -> None:
        for event in events:
            kind = type(event).__name__
            if kind == "PromptScores":
                self.scores = event
            elif kind == "Piece":
                self.text[event.choice] = self.text.get(event.choice, "") + event.text
                self.tokens.setdefault(event.choice, []).extend(event.tokens)
            elif kind == "Finished":
                assert event.choice not in self.reasons
                self.reasons[event.choice] = event.reason
            else:
                self.vector, self.error = getattr(event, "values", None), getattr(event, "error", None)
        if self.error is not None or self.vector is not None or len(self.reasons) == job.n_choices:
            self.done.set()


class Trial:
    """One engine, and the jobs of one seed."""

    def __init__(self, seed: int) -> None:
        import libprepack
        from libprepack.serve.engine import Engine
        from libprepack.serve.settings import Settings
        from support import DEMO, WINDOW
        self.chance = chance = random.Random(seed)
        model = libprepack.Model.random(WINDOW, log=False) if seed % 2 else libprepack.Model(DEMO)
        self.plain = libprepack.Session(model, threads=1)
        self.has_text = model.path is not None
        info = self.plain.info
        limit = info.memory_bytes + (1 << 18) + chance.choice((12, 30, 80)) * info.page_bytes
        known = limit if chance.random() < 0.5 else 1 << 40
        settings = Settings("model", step_tokens=chance.choice((16, 64, 300)), max_running=chance.choice((4, 40)),
                            max_waiting=PENDING, min_shared_prefix=chance.choice((0, 16)))
        self.engine = Engine(lambda: (libprepack.Session(model, threads=1, memory_limit=limit), known), settings)
        self.eos = frozenset(model.config.eos_tokens)
        self.ids = [chance.randrange(3, 250) for _ in range(400)]
        self.n = {"done": 0, "cancelled": 0, "429": 0, "400": 0, "503": 0}

    def job(self) -> tuple[Receiver, Any]:
        """A job of any kind."""
        import numpy as np
        from libprepack.serve.jobs import Draw, Job
        chance, receiver = self.chance, Receiver()
        begin = chance.choice((0, 0, chance.randrange(100)))
        ids = np.array(self.ids[begin:begin + chance.choice((1, 2, 5, 17, 60, 150))], np.int32)
        kind = chance.randrange(4)
        if kind == 0:
            return receiver, Job(ids, receiver, vector=(chance.choice(("last", "mean", "first")), chance.random() < 0.5))
        if kind == 1:
            return receiver, Job(ids, receiver, prompt_top=chance.choice((0, 3)))
        n = chance.choice((1, 1, 2, 3))
        return receiver, Job(
            ids, receiver, 0, n, chance.choice((1, 2, 20, 60)), Draw(chance.choice((0.0, 1.0, 2.0)), chance.choice((0, 5)), 0.95),
            tuple(chance.randrange(99) for _ in range(n)), (), self.eos, chance.choice((None, 1, 2)), chance.choice((None, 1)),
            is_streamed=chance.random() < 0.5)

    def check(self, given: Receiver, job: Any) -> None:
        """What was given is what a session gives alone."""
        if given.error is not None:
            if getattr(given.error, "status", 0) != 503:
                raise given.error
            self.n["503"] += 1
            return
        if job.vector is not None:
            alone = self.plain.embed([job.tokens], pooling=job.vector[0], normalize=job.vector[1])[0]
            assert alone.tobytes() == given.vector.tobytes()
            return
        if job.prompt_top is not None:
            one, = self.plain.logprobs([job.tokens], top=job.prompt_top)
            assert one.logprobs[1:].tolist() == given.scores.logprobs and one.ranks[1:].tolist() == given.scores.ranks
            assert one.top_tokens[1:].tolist() == [[id for id, _ in top] for top in given.scores.top]
        for choice in range(job.n_choices if job.max_new_tokens else 0):
            draw = job.draw
            one, = self.plain.generate(
                [job.tokens], max_new_tokens=job.max_new_tokens, temperature=draw.temperature, top_k=draw.top_k,
                top_p=draw.top_p, min_p=draw.min_p, seed=job.seeds[choice], n_logprobs=job.n_top)
            assert one.tokens.tolist() == [token.id for token in given.tokens[choice]]
            assert one.finish_reason == given.reasons[choice]
            assert not self.has_text or one.text == given.text[choice]
            if job.n_top is not None:
                assert one.logprobs.logprobs.tolist() == [token.logprob for token in given.tokens[choice]]

    def run(self, seconds: float) -> str:
        """Jobs for so many seconds; returns what came of them."""
        from libprepack.serve.api_errors import ApiError
        engine, chance = self.engine, self.chance
        engine.start()
        assert engine.wait_until_loaded(60) and engine.failure is None, engine.failure
        pending: list[tuple[Receiver, Any]] = []
        end = time.monotonic() + seconds
        while pending or time.monotonic() < end:
            if time.monotonic() > end:
                time.sleep(0.002)
                assert time.monotonic() < end + 40, "jobs do not end"
            elif len(pending) < PENDING:
                made = [self.job() for _ in range(chance.choice((1, 1, 3)))]
                try:
                    engine.submit([job for _, job in made])
                    pending += made
                except ApiError as error:
                    self.n[str(error.status)] += 1
                    time.sleep(0.002)
            if pending and chance.random() < 0.15:
                engine.cancel([pending.pop(chance.randrange(len(pending)))[1]])
                self.n["cancelled"] += 1
            for one in [one for one in pending if one[0].done.is_set()]:
                pending.remove(one)
                self.check(*one)
                self.n["done"] += 1
        engine.drain()
        assert engine.join(20), "the engine does not end"
        now = engine.snapshot
        assert now.info is not None and (now.info.kv_bytes, now.promised, now.n_held, now.n_running) == (0, 0, 0, 0), now
        return ", ".join(f"{n} {what}" for what, n in self.n.items())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    library = os.path.abspath(given.library)
    os.environ["PREPACK_LIBRARY"] = library
    os.environ.setdefault("PREPACK_TOKENIZER_LIBRARY",
                          os.path.join(os.path.dirname(library), "tokenizer/libprepack-tokenizer.so.0"))
    try:
        import libprepack.serve.app  # noqa: F401
    except ModuleNotFoundError as missing:
        print(f"1..0 # SKIP {missing}; install numpy, uvicorn, starlette")
        return 0
    logging.getLogger("libprepack.serve").setLevel(logging.ERROR)  # shortages of memory are what is wanted here
    n_failed = 0
    for i in range(given.seeds):
        seed = given.first_seed + i
        try:
            print(f"# {Trial(seed).run(given.seconds)}")
            print(f"ok {i + 1} - seed {seed}", flush=True)
        except AssertionError:
            n_failed += 1
            print(f"not ok {i + 1} - seed {seed}", flush=True)
            logging.exception("seed %d", seed)
    print(f"1..{given.seeds}")
    return int(n_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
