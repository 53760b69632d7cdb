"""A token with which calls are ended early, from any thread."""
from __future__ import annotations

import ctypes

from ._library import call, core
from ._views import SharedHandle


class Cancel(SharedHandle):
    """Ends the calls that it is given to, now or later, before their next layer: they raise CancelledError.

        stop = libprepack.Cancel()
        threading.Timer(10, stop.request).start()
        session.generate(prompts, cancel=stop)

    It may be used from any thread and from signal handlers.
    """

    def __init__(self) -> None:
        address = ctypes.c_void_p()
        call(core().pp_cancel_create, ctypes.byref(address))
        super().__init__(address.value, core().pp_cancel_destroy)

    def request(self) -> None:
        """Ends the calls. There is no way back: the next calls need another token."""
        with self.in_use() as handle:
            core().pp_cancel_request(handle)

    @property
    def is_requested(self) -> bool:
        """Whether `request` was called."""
        with self.in_use() as handle:
            return bool(core().pp_cancel_is_requested(handle))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "requested" if self.is_requested else "not requested"
        return f"<libprepack.Cancel: {state}>"
