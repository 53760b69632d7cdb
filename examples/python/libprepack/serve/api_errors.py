"""Errors as clients of OpenAI's API expect them: a status, and a JSON object with a sentence in it."""
from __future__ import annotations

from typing import Any, Optional

from .. import errors as library


class ApiError(Exception):
    """A request is answered with `status` and this sentence.

    param: the parameter that is to blame. code: a word that programs compare. retry_after: seconds after which
    the same request may be let in.
    """

    def __init__(self, status: int, message: str, *, param: Optional[str] = None, code: Optional[str] = None,
                 retry_after: Optional[int] = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @property
    def kind(self) -> str:
        """What OpenAI calls the type of an error."""
        if self.status == 429:
            return "rate_limit_error"
        if self.status == 503:
            return "service_unavailable_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer, or of an event of a stream."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that go with the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def refused(param: str, message: str, code: Optional[str] = None) -> ApiError:
    """400: this parameter cannot be what it is."""
    return ApiError(400, message, param=param, code=code)


def of_library(error: Exception) -> ApiError:
    """What a client is told when the library, or this server, fails at its request."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, library.TooLongError):
        return ApiError(400, str(error), code="context_length_exceeded")
    if isinstance(error, library.UnsupportedError):
        return ApiError(400, str(error), code="unsupported")
    if isinstance(error, MemoryError):
        return ApiError(503, f"there is not enough memory for this request now: {error}", code="out_of_memory",
                        retry_after=1)
    if isinstance(error, library.PrepackError):
        return ApiError(500, str(error), code=type(error).__name__)
    return ApiError(500, f"the server failed at this request ({type(error).__name__}: {error})", code="internal_error")
