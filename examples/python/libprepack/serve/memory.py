"""How much memory for keys and values there is, and who has been promised some of it.

A sequence is let in when all that it may ever need is free, so that none of those that run can run out of it: what
does not fit waits.
"""
from __future__ import annotations

from ..devices import devices, get_device
from ..model import Model
from ..results import SessionInfo
from .jobs import Job

# Rotary angles are tables on the device, made for the longest prompt so far: cosines and sines in f32.
_ANGLE_BYTES = 4
# What the library keeps beside the pages: of each page, of each cache, and of a run, rounded up.
_BYTES_OF_PAGE, _BYTES_OF_CACHE, _BYTES_OF_RUN = 256, 1024, 1 << 16


def available_bytes(device: str) -> int:
    """Memory that a device has free now; 0: not known. device: as of Session."""
    if device.startswith("cpu"):
        return get_device(0).available_bytes
    parts = device.split(":")
    name = f"cuda:{parts[1] if len(parts) > 1 and parts[1].isdigit() else 0}"
    return next((one.available_bytes for one in devices() if one.device == name), 0)


class Memory:
    """Bytes for keys and values, promised to sequences. The engine's thread alone, but for `need` and `budget`.

    budget: bytes that there are. room: those that may be promised; fewer after a shortage, until it has grown again.
    """

    def __init__(self, limit: int, model: Model, info: SessionInfo, max_length: int, shares: bool) -> None:
        """limit: bytes that the session may hold, weights and all. shares: whether runs share prefixes."""
        self._page_tokens, self._page_bytes = info.page_tokens, info.page_bytes + _BYTES_OF_PAGE
        layers = [model.layer(i) for i in range(model.config.n_layers)]
        kinds = {(layer.rope_type, layer.rope_theta, layer.rotary_dim, layer.rope_factor) for layer in layers}
        angles = sum(_ANGLE_BYTES * kind[2] * max_length for kind in kinds)
        # a cache whose angles change with its length is computed anew beside the old one
        self._copies = 2 if any(layer.rope_type in ("longrope", "dynamic") for layer in layers) else 1
        self._state_bytes, self._pass_tokens = info.state_bytes, info.max_pass_tokens
        self._extra_pages = int(shares)  # a shared prefix keeps its last page until the last one has copied it
        self.budget = self.room = max(limit - info.memory_bytes - angles - _BYTES_OF_RUN, 0)
        self.promised = 0

    def _pages(self, n_tokens: int) -> int:
        return -(-n_tokens // self._page_tokens)

    def _states(self, job: Job) -> int:
        """States of linear layers that each of its caches takes: two, and one that a run writes. A prompt that goes
        through in one piece leaves no cache: it has one while there are passes to come."""
        if job.is_whole:
            return int(int(job.tokens.size) > self._pass_tokens)
        return 3

    def need(self, job: Job) -> int:
        """The most that a job may need: choices share the pages that the prompt fills."""
        pages, n_caches = self._pages(job.longest), job.n_choices if job.is_forked else 1
        if job.is_forked:
            shared = (int(job.tokens.size) - 1) // self._page_tokens
            pages = shared + job.n_choices * (pages - shared)
        return self._copies * (pages + self._extra_pages) * self._page_bytes + self._copies * (
            self._states(job) * n_caches + self._extra_pages) * self._state_bytes + n_caches * _BYTES_OF_CACHE

    def promise(self, n_bytes: int) -> bool:
        """Sets bytes aside; False where there are not so many. Who is alone always gets them."""
        if self.promised and self.promised + n_bytes > self.room:
            return False
        self.promised += n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        """They are free again; after a shortage there may be a page more each time."""
        self.promised -= n_bytes
        self.room = min(self.room + self._page_bytes, self.budget)

    def shrink(self, n_bytes: int) -> None:
        """Memory that was promised was not there: these are free again, and no more than the others is promised."""
        self.promised -= n_bytes
        self.room = self.promised
