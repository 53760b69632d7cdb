"""One request and its answer, as ASGI has them."""
from __future__ import annotations

import asyncio
import json
from typing import Optional

from starlette.types import Message, Receive, Scope, Send

from .api_errors import ApiError
from .mailbox import ClientGone, Patience
from .parameters import Body, parse

# Seconds in which a request has to be there.
_BODY_SECONDS = 60.0
# Seconds that a client may take to read what is sent to it at the end.
_SEND_SECONDS = 10.0


def encoded(value: object) -> bytes:
    """JSON without spaces. Lone surrogates, which UTF-8 does not have, become JSON's escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


class Exchange:
    """Reads a request, and writes one answer. status: of the answer, once it has begun; None before."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._patience: Optional[Patience] = None
        self.status: Optional[int] = None
        self.is_complete = False

    def header(self, name: bytes) -> str:
        """A header of the request; "" where there is none."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    async def body(self, limit: int) -> Body:
        """The JSON object that was sent. Raises ApiError 400, 408, 413, 415."""
        kind = self.header(b"content-type").split(";")[0].strip().lower()
        if kind != "application/json":  # what a page of another site may send without being asked is not that
            raise ApiError(415, f"the Content-Type is {kind or 'missing'!r}; allowed: application/json")
        length = self.header(b"content-length")
        if length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        try:
            return parse(await asyncio.wait_for(self._read(limit), _BODY_SECONDS))
        except asyncio.TimeoutError:
            raise ApiError(408, f"the request did not come within {_BODY_SECONDS:g} s") from None

    async def _read(self, limit: int) -> bytes:
        data = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            data += message.get("body", b"")
            if len(data) > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                return bytes(data)

    def begin(self, seconds: float) -> Patience:
        """The request has been read: from now on its client may go, and its time runs."""
        self._patience = Patience(self._receive, seconds)
        return self._patience

    async def answer(self, status: int, value: object, headers: Optional[dict[str, str]] = None) -> None:
        """Answers with JSON."""
        data = encoded(value)
        await self.answer_bytes(status, data, "application/json", headers)

    async def answer_bytes(self, status: int, data: bytes, kind: str,
                           headers: Optional[dict[str, str]] = None) -> None:
        """Answers with these bytes."""
        await self._start(status, kind, {"Content-Length": str(len(data)), **(headers or {})})
        await self._put({"type": "http.response.body", "body": data, "more_body": False})
        self.is_complete = True

    async def _start(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.status = status
        pairs = [(b"content-type", kind.encode())]
        pairs += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._put({"type": "http.response.start", "status": status, "headers": pairs})

    async def start_events(self) -> None:
        """Answers with server-sent events."""
        await self._start(200, "text/event-stream; charset=utf-8",
                          {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def event(self, value: object) -> None:
        """One event; [DONE] is a str."""
        data = value.encode() if isinstance(value, str) else encoded(value)
        await self._put({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})

    async def end_events(self) -> None:
        """The last one was sent."""
        await self._put({"type": "http.response.body", "body": b"", "more_body": False})
        self.is_complete = True

    async def fail(self, error: ApiError) -> None:
        """Answers with an error: as an event where events have begun."""
        if self.is_complete:
            return
        await self.close()  # its time may be over
        if self.status is None:
            await self.answer(error.status, error.body(), error.headers())
        else:
            await self.event(error.body())
            await self.end_events()

    async def _put(self, message: Message) -> None:
        """Sends, as long as the client reads. Raises ClientGone, and ApiError 504 when time is over."""
        try:
            if self._patience is not None:
                await self._patience.wait(self._send(message))
            else:
                await asyncio.wait_for(self._send(message), _SEND_SECONDS)
        except (OSError, asyncio.TimeoutError):
            raise ClientGone from None

    async def close(self) -> None:
        """Nothing is to be sent any more."""
        patience, self._patience = self._patience, None
        if patience is not None:
            await patience.close()


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body of the request is too large; allowed: {limit} bytes")
