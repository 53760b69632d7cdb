"""How the server and its requests end that do not end by themselves: full queues, gone clients, too little time and memory,
failures, signals, forks."""
from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest
import unittest.mock
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libprepack
from support import DEMO, demo

try:
    import serve_support as serve
    from libprepack.serve.app import create_app
    from libprepack.serve.settings import Settings
except ModuleNotFoundError as missing:
    if missing.name not in ("uvicorn", "starlette"):
        raise
    raise unittest.SkipTest(f"{missing.name} is not installed") from None


class EndsTest(unittest.TestCase):
    """How requests end that do not end by themselves."""

    def run_server(self, **options: Any) -> serve.Running:
        server = serve.Running(**options)
        self.addCleanup(server.close)
        return server

    def assert_idle(self, server: serve.Running) -> None:
        serve.until(lambda: server.engine.snapshot.info.kv_bytes == 0 and not server.engine.snapshot.promised, "an idle engine")

    def test_a_full_queue_refuses_and_recovers(self) -> None:
        server = self.run_server(max_waiting=2, max_age=0)
        gate = serve.Gate(server.engine)
        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(server.post, "completions", prompt="first", max_tokens=2)
            gate.wait()
            waiting = pool.submit(server.post, "completions", prompt=["second", "third"], max_tokens=2)
            serve.until(lambda: server.engine.queue_stats().waiting == 2, "two prompts that wait")
            answer = server.post("completions", prompt="fourth", max_tokens=2)
            self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "1"))
            self.assertEqual(answer.error()["code"], "queue_full")
            gate.open()
            self.assertEqual([first.result().status, waiting.result().status], [200, 200])
        self.assertEqual(server.post("completions", prompt="fourth", max_tokens=2).status, 200)
        self.assertEqual(server.post("completions", prompt=["a", "b", "c"], max_tokens=1).error()["code"], "too_large")
        self.assert_idle(server)

    def test_whose_client_goes_is_cancelled(self) -> None:
        server = self.run_server(max_running=1, max_n=1)
        gate = serve.Gate(server.engine)
        running = [server.start("completions", prompt="runs", max_tokens=900, ignore_eos=True, stream=is_streamed)
                   for is_streamed in (True, False)]
        gate.wait()
        running.append(server.start("completions", prompt="waits", max_tokens=900, ignore_eos=True))
        serve.until(lambda: server.engine.queue_stats().added == 3, "the request that waits")
        for connection in running:
            connection.close()
        counted = 'prepack_requests_total{endpoint="/v1/completions",status="499"}'
        serve.until(lambda: server.figures().get(counted) == 3, "three clients that went")
        gate.open()
        cancelled = 'prepack_sequences_total{reason="cancelled"}'
        serve.until(lambda: server.figures().get(cancelled) == 3, "three sequences that are over")
        self.assert_idle(server)
        self.assertLess(server.figures()["prepack_generated_tokens_total"], 1000)
        self.assertEqual(server.post("completions", prompt="next", max_tokens=1).status, 200)

    def test_time_is_limited(self) -> None:
        server = self.run_server(request_timeout=0.3)
        gate = serve.Gate(server.engine)
        answer = server.post("completions", prompt="x")
        self.assertEqual((answer.status, answer.error()["code"]), (504, "timeout"))
        gate.open()
        self.assert_idle(server)
        late = server.post("completions", prompt="x", max_tokens=1000, n=16, ignore_eos=True, stream=True)
        if late.status == 200 and "error" in late.events()[-1]:  # a fast machine is done before
            self.assertEqual(late.events()[-1]["error"]["code"], "timeout")
        self.assert_idle(server)

    def test_what_memory_does_not_hold_waits(self) -> None:
        plain_session = demo()
        self.addCleanup(plain_session.close)
        prompts = [serve.LONG[i:i + 300] for i in range(0, 160, 10)]
        plain = [one.text for one in plain_session.generate(prompts, max_new_tokens=100, ignore_eos=True)]
        page_bytes = plain_session.info.page_bytes
        for name, is_known in (("known", True), ("less than was thought", False)):
            with self.subTest(name):
                limit = 0

                def opener(settings: Settings) -> tuple[libprepack.Session, int]:
                    nonlocal limit
                    probe = demo()
                    limit = probe.info.memory_bytes + (1 << 18) + 40 * page_bytes
                    probe.close()
                    session = libprepack.Session(DEMO, threads=2, memory_limit=limit)
                    return session, limit if is_known else 1 << 40

                server = self.run_server(opener=opener)
                too_large = server.post("completions", prompt=serve.LONG, n=16, max_tokens=500)
                if is_known:
                    self.assertEqual((too_large.status, too_large.error()["code"]), (400, "too_large"))
                with ThreadPoolExecutor(16) as pool:
                    answers = list(pool.map(lambda prompt: server.post(
                        "completions", prompt=prompt, max_tokens=100, temperature=0, ignore_eos=True), prompts))
                self.assertEqual([answer.status for answer in answers], [200] * 16)
                self.assertEqual([answer.json()["choices"][0]["text"] for answer in answers], plain)
                self.assert_idle(server)
                server.close()

    def test_one_failure_takes_no_other_request_along(self) -> None:
        server = self.run_server()
        session = server.engine._session
        run = session.run
        n_failures = 1

        def failing(items: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal n_failures
            if n_failures:
                n_failures -= 1
                raise RuntimeError("a failure of the test's")
            if any(item.tokens[-1] == 9 for item in items):
                raise libprepack.NotFiniteError("logits are not numbers")
            return run(items, *arguments, **options)

        session.run = failing  # type: ignore[method-assign]
        with self.assertLogs("libprepack.serve", "ERROR"):
            answer = server.post("completions", prompt="x")
        self.assertEqual(answer.status, 500)
        self.assertIn("a failure of the test's", answer.error()["message"])
        answer = server.post("completions", prompt=[[5], [6, 9], [7]], max_tokens=1)
        self.assertEqual((answer.status, answer.error()["code"]), (500, "NotFiniteError"))
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda id: server.post("completions", prompt=[id], max_tokens=1).status, range(5, 10)))
        self.assertEqual(answers, [200, 200, 200, 200, 500])
        self.assert_idle(server)

        def lost(*_: Any, **__: Any) -> Any:
            raise libprepack.DeviceError("the device is gone")

        session.run = lost  # type: ignore[method-assign]
        with self.assertLogs("libprepack.serve", "ERROR"):
            self.assertEqual(server.post("completions", prompt="x").status, 500)
            serve.until(lambda: server.engine.state == "failed", "the end of the engine")
        answer = server.get("/health")
        self.assertEqual((answer.status, answer.json()), (503, {"status": "failed", "reason": "the device is gone"}))
        self.assertEqual(server.post("completions", prompt="x").status, 503)

    def test_before_the_model_is_loaded(self) -> None:
        may_load = threading.Event()

        def opener(settings: Settings) -> tuple[libprepack.Session, int]:
            assert may_load.wait(serve.PATIENCE)
            return demo(), 0

        server = self.run_server(opener=opener, loads=False)
        for answer in (server.get("/health"), server.get("/v1/models"), server.post("completions", prompt="x")):
            self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["Retry-After"], "5")
        self.assertEqual(server.figures()["prepack_ready"], 0)
        may_load.set()
        serve.until(lambda: server.get("/health").status == 200, "the model")
        self.assertEqual(server.post("completions", prompt="x").status, 200)

    def test_a_stopped_server_finishes_what_runs(self) -> None:
        server = self.run_server(grace=serve.PATIENCE)
        gate = serve.Gate(server.engine)
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(server.post, "completions", prompt="x", max_tokens=50, ignore_eos=True, stream=stream)
                       for stream in (True, False)]
            gate.wait()
            serve.until(lambda: server.engine.queue_stats().added == 2, "two requests")
            server.stop()
            serve.until(lambda: server.get("/health").status == 503, "a server that is stopped")
            answer = server.post("completions", prompt="y")
            self.assertEqual((answer.status, answer.error()["code"]), (503, "draining"))
            gate.open()
            streamed, whole = (one.result() for one in running)
        self.assertTrue(streamed.data.endswith(b"data: [DONE]\n\n"))
        self.assertEqual(whole.json()["usage"]["completion_tokens"], 50)
        server.close()
        self.assertEqual(server.engine.state, "stopped")

    def test_what_is_not_finished_in_time_is_told_so(self) -> None:
        server = self.run_server(grace=0.1)
        gate = serve.Gate(server.engine)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(server.post, "completions", prompt="x", max_tokens=900, ignore_eos=True)
            gate.wait()
            server.stop()
            serve.until(lambda: server.engine._aborted, "the end of its time")
            gate.open()
            self.assertEqual((running.result().status, running.result().error()["code"]), (503, "draining"))

    def test_who_does_not_read_holds_no_server_up(self) -> None:
        server = self.run_server(grace=0.1)
        counted = 'prepack_requests_total{endpoint="/v1/embeddings",status="200"}'
        with unittest.mock.patch("libprepack.serve.server.LAST_SECONDS", 0.1):
            with server.start("embeddings", input=["x"] * 2000):  # 8 MB come back, more than lies between two sockets
                serve.until(lambda: server.figures().get(counted), "the answer")
                server.close()

    def test_after_fork_there_is_a_sentence(self) -> None:
        server = self.run_server()
        app = create_app(server.engine)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # as a worker of a server that loads the application and then forks
            try:
                signal.alarm(20)
                sent: list[Any] = []

                async def receive() -> dict[str, Any]:
                    return {"type": "http.request", "body": b'{"prompt": "x"}'}

                async def send(message: Any) -> None:
                    sent.append(message)

                scope = {"type": "http", "method": "POST", "path": "/v1/completions", "root_path": "", "query_string": b"",
                         "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")]}
                asyncio.run(app(scope, receive, send))
                os.write(writer, json.dumps([sent[0]["status"], sent[1]["body"].decode()]).encode())
            finally:
                os._exit(0)
        os.close(writer)  # and what it logs is the worker's own
        _, status = os.waitpid(child, 0)
        with open(reader, "rb") as pipe:
            code, body = json.loads(pipe.read())
        self.assertEqual((status, code, json.loads(body)["error"]["code"]), (0, 500, "MisuseError"))
        self.assertIn("after fork", json.loads(body)["error"]["message"])
        self.assertEqual(server.post("completions", prompt="x").status, 200)


class ProgramTest(unittest.TestCase):
    def program(self, *arguments: str) -> subprocess.Popen[str]:
        package = os.path.dirname(os.path.dirname(libprepack.__file__))
        program = subprocess.Popen([sys.executable, "-m", "libprepack.serve", *arguments], stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "PYTHONPATH": package})
        self.addCleanup(program.stderr.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def test_it_ends_with_status_0(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            program = self.program(DEMO, "--port", "0", "--threads", "1")
            line = next(line for line in program.stderr if "http://" in line)
            client = serve.Client(int(line.split("http://127.0.0.1:")[1].split("/")[0]))
            serve.until(lambda: client.get("/health").status == 200, "the model")
            self.assertEqual(client.post("completions", prompt="x").status, 200)
            program.send_signal(number)
            self.assertEqual(program.wait(serve.PATIENCE), 0)

    def test_what_is_wrong_is_said(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            for arguments, status, word in (
                    (["/nowhere", "--port", "0"], 1, "/nowhere"), ([DEMO, "--port", "70000"], 2, "65535"),
                    ([DEMO, "--port", str(taken.getsockname()[1])], 1, "cannot be listened on")):
                program = self.program(*arguments)
                _, said = program.communicate(timeout=serve.PATIENCE)
                self.assertEqual(program.returncode, status, said)
                self.assertIn(word, said)


if __name__ == "__main__":
    unittest.main()
