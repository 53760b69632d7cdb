"""Events on their way from the engine's thread to the event loop, and the end of a request whose client has gone or
whose time is over."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.types import Receive

from .api_errors import ApiError, of_library
from .engine import Engine
from .jobs import Event, Failed, Finished, Job, Vector

T = TypeVar("T")


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Mailbox:
    """The events of a request's jobs, in the order in which they came. Made on the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[Job, list[Event]]] = asyncio.Queue()
        self._open: dict[int, Job] = {}
        self._left: dict[int, int] = {}

    def receive(self, job: Job, events: list[Event]) -> None:
        """Called on the engine's thread."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, (job, events))
        except RuntimeError:  # the loop has ended: nobody is left to tell
            pass

    def submit(self, jobs: list[Job]) -> None:
        """Gives the jobs to the engine. Raises what it raises."""
        self._engine.submit(jobs)
        self._open = {job.id: job for job in jobs}
        self._left = {job.id: 1 if job.vector is not None else job.n_choices for job in jobs}

    @property
    def is_open(self) -> bool:
        """Whether events are to come."""
        return bool(self._open)

    async def next(self) -> tuple[Job, list[Event]]:
        """The next events of a job. Raises the ApiError of a job that failed."""
        job, events = await self._events.get()
        for event in events:
            if isinstance(event, Failed):
                raise of_library(event.error)
            if isinstance(event, (Finished, Vector)):
                self._left[job.id] -= 1
                if not self._left[job.id]:
                    del self._open[job.id]
        return job, events

    def close(self) -> None:
        """Cancels what is not finished."""
        jobs, self._open = list(self._open.values()), {}
        self._engine.cancel(jobs)


class Patience:
    """How long a request is worked at: until its client has gone, or its time is over."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._gone: asyncio.Task[None] = asyncio.ensure_future(_disconnected(receive))

    async def wait(self, work: Awaitable[T]) -> T:
        """The work's result. Raises ClientGone, and ApiError 504 when time is over."""
        task: asyncio.Future[T] = asyncio.ensure_future(work)
        waiting: set[asyncio.Future[Any]] = {task, self._gone}
        try:
            await asyncio.wait(waiting, timeout=max(self._end - time.monotonic(), 0),
                               return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._gone.done():
                raise ClientGone
            raise ApiError(504, f"the request took longer than {self._seconds:g} s, which is all that this server allows",
                           code="timeout")
        finally:
            if not task.done():
                await _end(task)

    async def close(self) -> None:
        """Stops listening for the client."""
        await _end(self._gone)


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancels a task and waits until it has ended."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # nobody asks for it any more


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


