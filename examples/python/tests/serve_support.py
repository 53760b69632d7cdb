"""What the tests of the server share: a server in this process, and a client of the standard library."""
from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import libprepack
from libprepack.serve.engine import Engine
from libprepack.serve.server import make_server, open_session
from libprepack.serve.settings import Settings
from support import DEMO

LONG = "one two three four five six seven eight nine ten " * 30
PATIENCE = 60.0  # seconds after which a test gives up waiting


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.005)


class Answer:
    """A status, headers, and bytes."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.data = response.read()

    def json(self) -> Any:
        return json.loads(self.data)

    def error(self) -> dict[str, Any]:
        """The object of an error, whose form is checked."""
        value = self.json()["error"]
        assert set(value) == {"message", "type", "param", "code"} and value["message"], value
        return value

    def events(self) -> list[Any]:
        """The objects of a stream, which ends in [DONE] or an error."""
        lines = [line for line in self.data.decode().split("\n\n") if line]
        assert all(line.startswith("data: ") for line in lines), lines
        events = [line[6:] for line in lines]
        if events[-1] == "[DONE]":
            events.pop()
        return [json.loads(event) for event in events]


class Client:
    """Requests to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            kind = {} if data is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, {**kind, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path: str, body: object = None, **members: object) -> Answer:
        return self.request("POST", "/v1/" + path, members if body is None else body)

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def start(self, path: str, **members: object) -> socket.socket:
        """Sends a request and hands the connection out."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        data = json.dumps(members).encode()
        connection.sendall(f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return connection

    def figures(self) -> dict[str, float]:
        """The samples of /metrics."""
        return dict(samples(self.get("/metrics").data.decode()))


def samples(text: str) -> Iterator[tuple[str, float]]:
    """Name with labels, and value, of each sample of Prometheus's text, whose lines are checked."""
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in kinds and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            name, value = line.rsplit(" ", 1)
            family = name.split("{")[0]
            assert any(family == known or kind == "histogram" and family in (
                known + "_bucket", known + "_sum", known + "_count") for known, kind in kinds.items()), line
            yield name, float(value)


class Gate:
    """Lets an engine's steps through one by one, or all."""

    def __init__(self, engine: Engine) -> None:
        self._open = threading.Event()
        self.n_waiting = 0
        stepper = engine._stepper  # type: ignore[attr-defined]
        step = stepper.step

        def gated(parts: Any) -> Any:
            self.n_waiting += 1
            assert self._open.wait(PATIENCE)
            return step(parts)

        stepper.step = gated

    def wait(self) -> None:
        """Until a step stands before it."""
        until(lambda: self.n_waiting, "a step")

    def open(self) -> None:
        self._open.set()


class Running(Client):
    """A server in this process, until `close`."""

    def __init__(self, opener: Callable[[Settings], tuple[libprepack.Session, int]] = open_session, loads: bool = True,
                 **options: Any) -> None:
        self.settings = Settings(DEMO, **{"port": 0, "threads": 2, **options})
        self.engine = Engine(lambda: opener(self.settings), self.settings)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        super().__init__(self._listener.getsockname()[1])
        self.server = make_server(self.settings, self.engine)
        self._thread = threading.Thread(target=self.server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        until(lambda: self.server.started, "the server")
        if loads:
            assert self.engine.wait_until_loaded(PATIENCE)

    def stop(self) -> None:
        """What SIGTERM does."""
        self.server.handle_exit(15, None)

    def close(self) -> None:
        if self._thread.is_alive():
            self.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
