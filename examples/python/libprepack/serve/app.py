"""The server as an ASGI application: which path is whose, who is let in, what is counted."""
from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..errors import PrepackError
from .answers import Service
from .api_errors import ApiError, of_library
from .chat import chat
from .completions import completions
from .embeddings import embeddings
from .engine import Engine
from .exchange import Exchange, encoded
from .mailbox import ClientGone
from .metrics import CONTENT_TYPE, Number
from .settings import is_loopback

logger = logging.getLogger("libprepack.serve")

Handler = Callable[[Exchange, Service], Awaitable[None]]
# How the metrics call the answer to a client that has gone.
GONE = 499


class Endpoint:
    """Runs a handler, and answers in its place where it fails."""

    def __init__(self, name: str, handler: Handler, service: Service, is_timed: bool = True) -> None:
        self._name, self._handler, self._service, self._is_timed = name, handler, service, is_timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        begin = time.monotonic()
        status = GONE
        try:
            _check_host(exchange, self._service)
            await self._answer(exchange)
            status = exchange.status or GONE
        except ClientGone:
            pass  # nobody is left to answer
        except ApiError as error:
            status = error.status
            await _fail(exchange, error)
        finally:
            await exchange.close()
            self._service.metrics.requests.add(endpoint=self._name, status=str(status))
            if self._is_timed:
                self._service.metrics.request_seconds.observe(time.monotonic() - begin)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange, self._service)
        except (ApiError, ClientGone):
            raise
        except Exception as error:
            logger.error("%s failed: %s", self._name, error, exc_info=not isinstance(error, PrepackError))
            raise of_library(error) from error


async def _fail(exchange: Exchange, error: ApiError) -> None:
    try:
        await exchange.fail(error)
    except (ApiError, ClientGone):
        pass  # it does not read what it is told either


def _check_host(exchange: Exchange, service: Service) -> None:
    """A server of this machine alone answers to this machine's names alone: a page that a browser has from elsewhere
    could otherwise have its own name lead here."""
    settings = service.settings
    if not settings.is_loopback or "*" in settings.allowed_hosts:
        return
    host = exchange.header(b"host").lower()
    name = host[1:].split("]")[0] if host.startswith("[") else host.split(":")[0]
    if name and not is_loopback(name) and name not in settings.allowed_hosts:
        raise ApiError(403, f"the Host is {name!r}; allowed: names of this machine, and those of --allowed-host",
                       code="host_not_allowed")


async def models(exchange: Exchange, service: Service) -> None:
    """GET /v1/models and /v1/models/NAME."""
    loaded = service.engine.check()
    name = service.settings.name
    asked = exchange.scope.get("path_params", {}).get("name", name)
    if asked != name:
        raise ApiError(404, f"the model {asked!r} is not served here; allowed: {name!r}", param="model",
                       code="model_not_found")
    model = {"id": name, "object": "model", "created": service.created, "owned_by": "libprepack",
             "max_model_len": loaded.max_length}
    is_list = "name" not in exchange.scope.get("path_params", {})
    await exchange.answer(200, {"object": "list", "data": [model]} if is_list else model)


async def health(exchange: Exchange, service: Service) -> None:
    """GET /health: 200 while requests are taken."""
    state = service.engine.state
    value: dict[str, Any] = {"status": state}
    if service.engine.failure is not None:
        value["reason"] = str(service.engine.failure)
    await exchange.answer(200 if state == "ready" else 503, value)


async def metrics(exchange: Exchange, service: Service) -> None:
    """GET /metrics, for Prometheus."""
    await exchange.answer_bytes(200, service.metrics.text(gauges(service.engine)).encode(), CONTENT_TYPE)


def gauges(engine: Engine) -> dict[str, tuple[str, str, Number]]:
    """What queue and session say of themselves."""
    now = engine.snapshot
    values: dict[str, tuple[str, str, Number]] = {
        "prepack_ready": ("gauge", "1 while requests are taken.", int(engine.state == "ready")),
        "prepack_running_sequences": ("gauge", "Sequences that hold memory.", now.n_running),
        "prepack_held_sequences": ("gauge", "Sequences that wait for memory.", now.n_held),
        "prepack_kv_promised_bytes": ("gauge", "Memory for keys and values that is set aside.", now.promised),
        "prepack_kv_budget_bytes": ("gauge", "Memory for keys and values that there is.", now.budget)}
    info = now.info
    if info is not None:
        values.update({
            "prepack_kv_bytes": ("gauge", "Pages of keys and values in use.", info.kv_bytes),
            "prepack_memory_bytes": ("gauge", "Memory that the session holds, weights included.", info.memory_bytes),
            "prepack_peak_memory_bytes": ("gauge", "The most that it has held.", info.peak_memory_bytes),
            "prepack_passes_total": ("counter", "Forward passes.", info.passes),
            "prepack_computed_tokens_total": ("counter", "Tokens that went through the model.", info.tokens_computed)})
    stats = engine.queue_stats()
    if stats is not None:
        values.update({
            "prepack_queue_waiting": ("gauge", "Prompts that wait for a step.", stats.waiting),
            "prepack_queue_waiting_tokens": ("gauge", "Their tokens.", stats.waiting_tokens),
            "prepack_queue_oldest_age_seconds": ("gauge", "How long the oldest of them waits.", stats.oldest_age),
            "prepack_queue_mean_age_seconds": ("gauge", "Mean wait of those handed out.", stats.mean_age),
            "prepack_queue_p50_age_seconds": ("gauge", "Their median wait.", stats.p50_age),
            "prepack_queue_p99_age_seconds": ("gauge", "99 of 100 waited at most so long.", stats.p99_age),
            "prepack_queue_longest_age_seconds": ("gauge", "Their longest wait.", stats.longest_age),
            "prepack_queue_waste_ratio": ("gauge", "Unused share of the steps' token budget.", stats.waste),
            "prepack_queue_added_total": ("counter", "Prompts that were let wait.", stats.added),
            "prepack_queue_handed_out_total": ("counter", "Prompts that left for a step.", stats.handed_out),
            "prepack_queue_cancelled_total": ("counter", "Prompts whose clients went first.", stats.cancelled),
            "prepack_queue_refused_total": ("counter", "Prompts that found the queue full.", stats.refused),
            "prepack_queue_steps_total": ("counter", "Steps that the queue has formed.", stats.steps)})
    return values


def _shown(path: str) -> str:
    return path.replace("{name:path}", "NAME")


async def _not_found(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = "no such path" if status == 404 else "the path does not take this method" if status == 405 else str(error)
    answer = ApiError(status, f"{what}; allowed: {', '.join(f'{method} {_shown(path)}' for method, path, *_ in ROUTES)}",
                      code="not_found" if status == 404 else None)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return Response(encoded(answer.body()), status, headers, "application/json")


ROUTES: tuple[tuple[str, str, Handler, bool], ...] = (
    ("POST", "/v1/completions", completions, True),
    ("POST", "/v1/chat/completions", chat, True),
    ("POST", "/v1/embeddings", embeddings, True),
    ("GET", "/v1/models", models, False),
    ("GET", "/v1/models/{name:path}", models, False),
    ("GET", "/health", health, False),
    ("GET", "/metrics", metrics, False),
)


def create_app(engine: Engine) -> Starlette:
    """The application in front of an engine, which it starts where nobody has, and ends when it ends itself."""
    service = Service(engine, engine.settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        if not engine.has_started:
            engine.start()
        yield
        engine.abort(ApiError(503, "the server is being stopped", code="draining", retry_after=5))
        await asyncio.get_running_loop().run_in_executor(None, engine.join)

    routes = [Route(path, Endpoint(_shown(path), handler, service, is_timed), methods=[method])
              for method, path, handler, is_timed in ROUTES]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _not_found})
