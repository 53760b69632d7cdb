"""Starting and stopping: the session, the engine, uvicorn, and what signals do."""
from __future__ import annotations

import asyncio
import logging
import socket
from types import FrameType
from typing import Optional

import uvicorn

from ..session import Session
from .api_errors import ApiError
from .app import create_app
from .engine import Engine
from .memory import available_bytes
from .settings import Settings

logger = logging.getLogger("libprepack.serve")

_BACKLOG = 2048
_LOOK = 0.05  # seconds between two looks at whether all is done
LAST_SECONDS = 5.0  # that clients have to read their last answer


def open_session(settings: Settings) -> tuple[Session, int]:
    """The session, and the bytes that it may hold; 0: not known."""
    limit = settings.memory_limit or available_bytes(settings.device) // 10 * 9
    session = Session(settings.model, device=settings.device, dtype=settings.dtype, weights=settings.weights,
                      threads=settings.threads, max_pass_tokens=settings.max_pass_tokens, memory_limit=limit,
                      tokenizer=settings.tokenizer or None)
    return session, limit


class Server(uvicorn.Server):
    """uvicorn that, when it is told to stop, first lets running requests finish. Further requests get 503 meanwhile,
    and /health says so to a balancer before it. A second signal ends their time, a third one everything."""

    def __init__(self, engine: Engine, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.engine = engine
        self._stopping: Optional[asyncio.Task[None]] = None
        self._n_signals = 0

    def handle_exit(self, sig: int, frame: Optional[FrameType]) -> None:
        """Called for SIGTERM and SIGINT."""
        self._n_signals += 1
        if self._n_signals > 2:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if self.engine.state == "failed" and not self.engine.has_loaded:
            self.should_exit = True
        if self._n_signals and self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        return await super().on_tick(counter)

    async def _stop(self) -> None:
        """Running requests finish, or are ended when the time for that is over."""
        logger.info("stopping: running requests have %g s to finish", self.engine.settings.grace)
        self.engine.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + self.engine.settings.grace
        while (self.engine.is_alive or self.server_state.tasks) and loop.time() < end and self._n_signals < 2:
            await asyncio.sleep(_LOOK)
        if self.engine.is_alive:
            logger.warning("the time is over: requests that are not finished are ended")
            self.engine.abort(ApiError(503, "the server was stopped before this request was finished", code="draining",
                                       retry_after=5))
        self.should_exit = True
        loop.call_later(LAST_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        """Who does not read the last answer has had the time to."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def make_server(settings: Settings, engine: Optional[Engine] = None) -> Server:
    """A server that is not yet running. engine: None: one with a session by the settings."""
    if engine is None:
        engine = Engine(lambda: open_session(settings), settings)
    config = uvicorn.Config(create_app(engine), settings.host, settings.port, log_level="warning", access_log=False,
                            limit_concurrency=settings.max_connections, server_header=False, lifespan="on",
                            timeout_keep_alive=30)
    return Server(engine, config)


def serve(settings: Settings) -> int:
    """Serves until a signal; returns the exit status of the process."""
    server = make_server(settings)
    if not settings.is_loopback:
        logger.warning("listening on %s: whoever reaches this address can use the model, for there is no "
                       "authentication; put a proxy before it", settings.host)
    host = settings.host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, settings.port))
        listener.listen(_BACKLOG)  # who connects from now on waits for its answer
    except OSError as error:
        listener.close()
        logger.error("%s port %d cannot be listened on: %s", settings.host, settings.port, error.strerror)
        return 1
    logger.info("http://%s:%d/v1, model %s", f"[{host}]" if ":" in host else host, listener.getsockname()[1], settings.name)
    server.run(sockets=[listener])
    if server.engine.failure is not None:
        logger.error("%s", server.engine.failure)
        return 1
    return 0


