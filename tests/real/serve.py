#!/usr/bin/env python3
"""The server in front of real clients: PyPI's `openai`, sync and async, and 64 of them at once.

Every answer of the load, to its log-probabilities, is compared with what a session of its own gives the same request
alone. On the way clients go in the middle of a stream, one is killed, and the queue is too short for all, so that some
requests have to be sent again. The server's memory and files are looked at from outside.

usage: serve.py LIBRARY [--model DIR] [--clients 64] [--requests 480] [--chat] [--gunicorn]

LIBRARY: libprepack.so.0 of a build. --chat needs transformers, --gunicorn gunicorn. Prints TAP and, behind #, figures;
ends with status 0 and a sentence where a package is missing. Bounded by the number of requests and by 300 s."""
from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import dataclasses
import faulthandler
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "../../examples/python")
DEMO = os.path.join(HERE, "../../examples/demo-model")
try:
    import httpx
    import numpy as np
    import openai
    import uvicorn  # noqa: F401
except ImportError as missing:
    print(f"1..0 # SKIP {missing}; install openai, httpx, uvicorn, starlette, numpy")
    sys.exit(0)

TEXT = ("Anna has 3 apples and buys 4 more. Tom works as a farmer. The capital of Germany is Berlin. What is 3 plus 4? "
        "Colours are red, green and blue; a week has seven days. ") * 12
results: list[bool] = []


def report(name: str, problems: list[str]) -> None:
    results.append(not problems)
    print("ok" if not problems else "not ok", len(results), "-", name, flush=True)
    for problem in problems[:10]:
        print("#", problem[:400], flush=True)


class Server:
    """The server as a process of its own."""

    def __init__(self, model: str, *options: str, command: list[str] | None = None) -> None:
        arguments = command or [sys.executable, "-m", "libprepack.serve", model, "--port", "0", "--threads", "1",
                                "--served-model-name", "demo-model", *options]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(arguments, stderr=self.log, stdout=self.log,
                                        env={**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])])})
        self.url = self._wait(r"http://127\.0\.0\.1:\d+")
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url + "/health").status_code == 200 or command:
                    return
            time.sleep(0.05)
        raise SystemExit(f"no model after 30 s: {self.said()}")

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def _wait(self, pattern: str) -> str:
        for _ in range(600):
            found = re.search(pattern, self.said())
            if found:
                return found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"no server: {self.said()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -1

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()

    @property
    def other_bytes(self) -> int:
        """What is resident beside the session's own memory, whose pool of pages grows up to its limit."""
        return self._resident_bytes - int(self.figure("prepack_memory_bytes"))

    @property
    def _resident_bytes(self) -> int:
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def n_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def figure(self, name: str) -> float:
        lines = httpx.get(self.url + "/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def client(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url + "/v1", api_key="none", **options)


# ---- the client, call by call ----

def differences(pairs: dict[str, tuple[Any, Any]]) -> list[str]:
    return [f"{name}: {given!r}, wanted {wanted!r}" for name, (given, wanted) in pairs.items() if given != wanted]


def client_calls(server: Server, session: Any) -> Iterator[tuple[str, list[str]]]:
    client, model = server.client(max_retries=0), "demo-model"
    prompt = "Anna has 3 apples"
    plain, = session.generate([prompt], max_new_tokens=12, ignore_eos=True, n_logprobs=3)
    done = client.completions.create(model=model, prompt=prompt, max_tokens=12, temperature=0, logprobs=3,
                                     extra_body={"ignore_eos": True})
    yield "completions.create", differences({
        "text": (done.choices[0].text, plain.text), "usage": (done.usage.completion_tokens, 12),
        "logprobs": (done.choices[0].logprobs.token_logprobs, plain.logprobs.logprobs.tolist()),
        "top": ([max(top.values()) for top in done.choices[0].logprobs.top_logprobs],
                plain.logprobs.top_logprobs[:, 0].tolist())})
    chunks = list(client.completions.create(model=model, prompt=prompt, max_tokens=12, temperature=0, stream=True,
                                            stream_options={"include_usage": True}, extra_body={"ignore_eos": True}))
    yield "completions.create(stream=True)", differences({
        "text": ("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), plain.text),
        "usage": (chunks[-1].usage.completion_tokens, 12), "end": (chunks[-2].choices[0].finish_reason, "length")})
    ids = session.tokenizer.encode("2 + 2 = 4").tolist()
    score, = session.score_tokens([(ids, 5)])
    scored = client.completions.create(model=model, prompt=[ids], max_tokens=0, echo=True, logprobs=0)
    yield "completions.create(echo=True, logprobs=0, max_tokens=0)", differences({
        "sum": (sum(scored.choices[0].logprobs.token_logprobs[5:]), score.logprob),
        "first": (scored.choices[0].logprobs.token_logprobs[0], None)})
    vectors = session.embed(["one text", "another"])
    for encoding in (openai.NOT_GIVEN, "float", "base64"):
        got = client.embeddings.create(model=model, input=["one text", "another"], encoding_format=encoding)
        rows = [np.frombuffer(base64.b64decode(one.embedding), "<f4") if isinstance(one.embedding, str) else
                np.array(one.embedding, np.float32) for one in got.data]
        yield f"embeddings.create, {encoding}", differences({"bits": (np.stack(rows).tobytes(), vectors.tobytes())})
    yield "models.list and retrieve", differences({
        "list": ([one.id for one in client.models.list()], [model]), "one": (client.models.retrieve(model).id, model)})
    for kind, create, members in (
            (openai.BadRequestError, client.completions.create, {"model": model, "prompt": "x", "temperature": 9}),
            (openai.BadRequestError, client.completions.create, {"model": model, "prompt": "x", "suffix": "y"}),
            (openai.BadRequestError, client.embeddings.create, {"model": model, "input": "x", "dimensions": 8}),
            (openai.NotFoundError, client.completions.create, {"model": "other", "prompt": "x"}),
            (openai.BadRequestError, client.completions.create, {"model": model, "prompt": "x", "stream": True, "n": 99})):
        try:
            create(**members)
            problems = ["no exception"]
        except openai.APIStatusError as error:
            named = isinstance(error.body, dict) and error.body.get("message")
            problems = [] if type(error) is kind and named else [repr(error)]
        yield f"{kind.__name__} for {members}", problems


# ---- the load ----

@dataclasses.dataclass
class Request:
    """What a client asks, and what a session gives alone."""

    kind: str
    prompt: str
    n_tokens: int
    seed: int
    wanted: Any = None

    def ask_alone(self, session: Any) -> None:
        if self.kind == "embeddings":
            self.wanted = session.embed([self.prompt])[0].tobytes()
        elif self.kind == "scores":
            one, = session.logprobs([self.prompt], top=1)
            self.wanted = (one.logprobs[1:].tolist(), one.top_logprobs[1:, 0].tolist())
        else:
            options = {"temperature": 0.0} if self.kind == "greedy" else {"temperature": 1.0, "top_p": 0.95}
            n = 2 if self.kind == "choices" else 1
            alone = [session.generate([self.prompt], max_new_tokens=self.n_tokens, seed=self.seed + i, n_logprobs=1,
                                      **options)[0] for i in range(n)]
            self.wanted = [(one.text, one.finish_reason, one.logprobs.logprobs.tolist()) for one in alone]

    async def ask(self, client: openai.AsyncOpenAI) -> Any:
        if self.kind == "embeddings":
            got = await client.embeddings.create(model="demo-model", input=self.prompt, encoding_format="base64")
            return base64.b64decode(got.data[0].embedding)
        if self.kind == "scores":
            got = await client.completions.create(model="demo-model", prompt=self.prompt, max_tokens=1, temperature=0,
                                                  echo=True, logprobs=1)
            given = got.choices[0].logprobs
            return given.token_logprobs[1:-1], [max(top.values()) for top in given.top_logprobs[1:-1]]
        options: dict[str, Any] = {"temperature": 0} if self.kind == "greedy" else {"temperature": 1, "top_p": 0.95}
        options.update(model="demo-model", prompt=self.prompt, max_tokens=self.n_tokens, seed=self.seed, logprobs=1)
        if self.kind == "choices":
            got = await client.completions.create(n=2, **options)
            return [(one.text, one.finish_reason, one.logprobs.token_logprobs) for one in got.choices]
        if self.kind != "streams":
            got = await client.completions.create(**options)
            return [(got.choices[0].text, got.choices[0].finish_reason, got.choices[0].logprobs.token_logprobs)]
        text, logprobs, reason = "", [], None
        async for chunk in await client.completions.create(stream=True, **options):
            text += chunk.choices[0].text
            logprobs += chunk.choices[0].logprobs.token_logprobs
            reason = chunk.choices[0].finish_reason
        return [(text, reason, logprobs)]


def requests(n: int) -> list[Request]:
    chance = random.Random(20260101)
    made = []
    for i in range(n):
        kind = ("greedy", "sampled", "streams", "choices", "scores", "embeddings")[i % 6]
        begin, length = chance.randrange(400), chance.choice((10, 40, 120, 400, 1200))
        made.append(Request(kind, TEXT[begin:begin + length], chance.choice((1, 8, 32, 64)), chance.randrange(1 << 40)))
    return made


async def leave(client: openai.AsyncOpenAI) -> None:
    """A client that goes in the middle of a stream."""
    stream = await client.completions.create(model="demo-model", prompt="Tom", max_tokens=900, stream=True,
                                             extra_body={"ignore_eos": True})
    async for _ in stream:
        break
    await stream.close()


async def load(server: Server, asked: list[Request], n_clients: int) -> list[str]:
    """All requests by so many clients, each with connections of its own; every tenth goes away in between."""
    left, problems = list(reversed(asked)), []
    base = server.url + "/v1"

    async def work(i: int) -> None:
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=100, timeout=120) as client:
            if i % 10 == 0:
                await leave(client)
            while left:
                request = left.pop()
                try:
                    given = await request.ask(client)
                except Exception as error:
                    problems.append(f"{request.kind}: {error!r}")
                    continue
                if given != request.wanted:
                    problems.append(f"{request.kind} of {request.prompt[:30]!r}, {request.n_tokens} tokens: {given!r:.150} is "
                                    f"not {request.wanted!r:.150}")

    await asyncio.gather(*(work(i) for i in range(n_clients)))
    return problems


KILLED = """
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
for chunk in client.completions.create(model="demo-model", prompt=["Tom"] * 8, max_tokens=1000, stream=True,
                                       extra_body={"ignore_eos": True}):
    print("a piece", flush=True)
"""


def kill_a_client(server: Server) -> None:
    client = subprocess.Popen([sys.executable, "-c", KILLED, server.url + "/v1"], stdout=subprocess.PIPE)
    assert client.stdout is not None
    client.stdout.readline()
    client.kill()
    client.wait()
    client.stdout.close()


def settled(server: Server) -> list[str]:
    """What is left in the server when everybody has gone."""
    for _ in range(200):
        left = {name: server.figure(name) for name in ("prepack_kv_bytes", "prepack_running_sequences",
                                                       "prepack_held_sequences", "prepack_queue_waiting ",
                                                       "prepack_kv_promised_bytes")}
        if not any(left.values()):
            return []
        time.sleep(0.05)
    return [f"left over: {left}"]


def load_test(session: Any, model: str, n_clients: int, n_requests: int) -> None:
    asked = requests(n_requests)
    begin = time.monotonic()
    for request in asked:
        request.ask_alone(session)
    print(f"# {n_requests} requests one by one in a session: {time.monotonic() - begin:.1f} s")
    page = session.info.page_bytes
    limit = session.info.memory_bytes + (1 << 20) + 600 * page  # less than all would like to have
    few = str(max(n_clients * 3 // 8, 2))  # too few for all clients, so that some are told to come again
    options = ("--max-waiting", few, "--max-running", few, "--memory-limit", str(limit), "--step-tokens", "256",
               "--min-shared-prefix", "16", "--request-timeout", "120")
    with Server(model, *options) as server:
        kill_a_client(server)
        report("a load that warms up", asyncio.run(load(server, asked[:n_requests // 3], n_clients)))
        before = server.other_bytes, server.n_files
        for i in range(2):
            begin = time.monotonic()
            problems = asyncio.run(load(server, asked, n_clients))
            kill_a_client(server)
            print(f"# {n_requests} requests by {n_clients} clients: {time.monotonic() - begin:.1f} s")
            report(f"round {i + 1}: every answer is there, and the bits are those of the request alone", problems)
        report("nothing is left over", settled(server))
        time.sleep(0.5)
        after = server.other_bytes, server.n_files
        print(f"# beside the session {before[0] >> 20} MiB, then {after[0] >> 20} MiB; files {before[1]}, then {after[1]}")
        report("memory and files are stable", [f"{before} became {after}"] * (
            after[0] > before[0] + (24 << 20) or after[1] > before[1] + 4))
        figures = {name: server.figure(f"prepack_{name}") for name in (
            'requests_total{endpoint="/v1/completions",status="429"}', 'requests_total{endpoint="/v1/completions",status="499"}',
            "passes_total", "queue_waste_ratio", "queue_p99_age_seconds", "generated_tokens_total", "prompt_tokens_total",
            "step_seconds_count", "step_seconds_sum")}
        print("#", ", ".join(f"{name} {value:g}" for name, value in figures.items()))
        report("some were told to come again", [] if figures['requests_total{endpoint="/v1/completions",status="429"}']
               else ["no 429: the load was too light"])
        report("clients that went were noticed", [] if figures['requests_total{endpoint="/v1/completions",status="499"}']
               >= 3 else [str(figures)])
        report("no errors of the server's", [line for line in server.said().splitlines() if " ERROR " in line
                                             or "Traceback" in line])
        report("it ends with status 0", differences({"status": (server.stop(), 0)}))


# ---- a server that forks ----

PREFORK = """
from libprepack.serve.app import create_app
from libprepack.serve.engine import Engine
from libprepack.serve.server import open_session
from libprepack.serve.settings import Settings

settings = Settings({model!r}, threads=1)
engine = Engine(lambda: open_session(settings), settings)
{start}
app = create_app(engine)
"""


def gunicorn(model: str) -> None:
    """Loaded before gunicorn forks its workers, an engine says what is wrong; loaded in the worker it serves."""
    for name, start, preload, status in (
            ("before", "engine.start(); assert engine.wait_until_loaded(60)", True, 500), ("after", "", False, 200)):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "prefork.py"), "w", encoding="utf-8") as file:
                file.write(PREFORK.format(model=os.path.abspath(model), start=start))
            command = [sys.executable, "-m", "gunicorn", "prefork:app", "-b", "127.0.0.1:0", "-w", "1", "--chdir", folder,
                       "-k", "uvicorn_worker.UvicornWorker", *(["--preload"] if preload else [])]
            with Server(model, command=command) as server:
                answer = None
                for _ in range(100):
                    with contextlib.suppress(httpx.HTTPError):
                        answer = httpx.post(server.url + "/v1/completions", json={"prompt": "x", "max_tokens": 1}, timeout=10)
                        if answer.status_code != 503:
                            break
                    time.sleep(0.1)
                text = answer.text if answer is not None else server.said()[-300:]
                print(f"# {text[:300]}")
                problems = [] if answer is not None and answer.status_code == status else [text]
                if status == 500 and "after fork" not in text:
                    problems.append(text)
                report(f"an engine made {name} gunicorn forks", problems)


# ---- chats ----

TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
            "{% if wordy %}Use many words.\n{% endif %}{% if add_generation_prompt %}assistant:{% endif %}")


def chats(model: str) -> None:
    import json
    import libprepack
    import transformers
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, "demo-model")
        shutil.copytree(model, home)
        with open(os.path.join(home, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True,
                       "chat_template": TEMPLATE}, file)
        session = libprepack.Session(home, threads=1)
        plain_messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Who is Tom?"}]
        ids = transformers.AutoTokenizer.from_pretrained(home).apply_chat_template(plain_messages, add_generation_prompt=True)
        anchor = int(session.tokenizer.encode("a", edges=False)[-1])
        plain, = session.generate([ids["input_ids"]], max_new_tokens=12, n_logprobs=2, ignore_eos=True)
        messages = [{"role": "system", "content": "Be kind."},
                    {"role": "user", "content": [{"type": "text", "text": "Who is "}, {"type": "text", "text": "Tom?"}]}]
        with Server(home) as server:
            client = server.client(max_retries=0)
            options: dict[str, Any] = {"model": "demo-model", "messages": messages, "max_tokens": 12, "temperature": 0,
                                       "extra_body": {"ignore_eos": True}}
            done = client.chat.completions.create(logprobs=True, top_logprobs=2, **options)
            report("chat.completions.create", differences({
                "text": (done.choices[0].message.content, plain.text), "role": (done.choices[0].message.role, "assistant"),
                "logprobs": ([one.logprob for one in done.choices[0].logprobs.content], plain.logprobs.logprobs.tolist()),
                "bytes": (b"".join(bytes(one.bytes or []) for one in done.choices[0].logprobs.content).decode(),
                          "".join(session.tokenizer.decode([anchor, int(id)], keep_special=True)[1:] for id in plain.tokens)),
                "prompt": (done.usage.prompt_tokens, len(ids["input_ids"]))}))
            wordy = client.chat.completions.create(**{**options, "extra_body": {"chat_template_kwargs": {"wordy": True}}})
            report("chat_template_kwargs", differences({
                "prompt": (wordy.usage.prompt_tokens > len(ids["input_ids"]), True)}))
            chunks = list(client.chat.completions.create(stream=True, **options))
            report("chat.completions.create(stream=True)", differences({
                "text": ("".join(chunk.choices[0].delta.content or "" for chunk in chunks), plain.text),
                "role": (chunks[0].choices[0].delta.role, "assistant")}))
            for members in ({"extra_body": {"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}}, {"messages": []}, {"messages": [{"role": "user"}]}, {"tools": [{"type": "function"}]},
                            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}):
                try:
                    client.chat.completions.create(**{**options, **members})
                    problems = ["no exception"]
                except openai.BadRequestError as error:
                    problems = []
                    print("#", error.message[:200])
                report(f"a chat with {members}", problems)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--model", default=DEMO)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=480)
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--gunicorn", action="store_true")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(300, exit=True)
    library = os.path.abspath(given.library)
    os.environ["PREPACK_LIBRARY"] = library
    os.environ.setdefault("PREPACK_TOKENIZER_LIBRARY",
                          os.path.join(os.path.dirname(library), "tokenizer/libprepack-tokenizer.so.0"))
    sys.path.insert(0, PACKAGE)
    import libprepack
    if given.chat:
        chats(given.model)
    elif given.gunicorn:
        gunicorn(given.model)
    else:
        session = libprepack.Session(given.model, threads=2)
        with Server(given.model) as server:
            for name, problems in client_calls(server, session):
                report(name, problems)
        load_test(session, given.model, given.clients, given.requests)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
