"""What a server is started with: the model and its session, the address, and the limits."""
from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Everything that `python -m libprepack.serve` takes, with its defaults.

    The session: model (a path), device, dtype, weights, threads, max_pass_tokens, memory_limit (bytes; 0: nine
        tenths of what is free), tokenizer (a path; "": beside the model).
    Scheduling: step_tokens, prompt tokens of a step (0: as many as a pass has room for beside the sequences that
        run), max_running sequences that hold memory, max_waiting prompts in the queue, max_age seconds that a prompt
        waits for company, min_shared_prefix (0: never; see Session.run).
    Limits of a request: max_length, tokens of a prompt and its continuation (0: the model's positions), max_tokens
        (0: max_length), max_n, max_prompts, max_body_bytes, request_timeout in seconds.
    Stopping: grace, the seconds that running requests get to finish.
    """

    model: str
    served_model_name: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = field(default=())

    device: str = "cpu"
    dtype: str = "auto"
    weights: str = "auto"
    threads: int = 0
    max_pass_tokens: int = 0
    memory_limit: int = 0
    tokenizer: str = ""

    step_tokens: int = 0
    max_running: int = 256
    max_waiting: int = 4096
    max_age: float = 0.002
    min_shared_prefix: int = 0

    max_length: int = 0
    max_tokens: int = 0
    max_n: int = 16
    max_prompts: int = 2048
    max_body_bytes: int = 16 << 20
    max_connections: int = 1000
    request_timeout: float = 600.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        """Raises ValueError for a setting out of its range."""
        for name, low in (("port", 0), ("threads", 0), ("max_pass_tokens", 0), ("memory_limit", 0),
                          ("step_tokens", 0), ("max_running", 1), ("max_waiting", 1), ("max_age", 0),
                          ("min_shared_prefix", 0), ("max_length", 0), ("max_tokens", 0), ("max_n", 1),
                          ("max_prompts", 1), ("max_body_bytes", 1024), ("max_connections", 1), ("grace", 0)):
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {low} and up")
        if not self.request_timeout > 0:
            raise ValueError(f"request_timeout is {self.request_timeout}; allowed: more than 0")
        if self.port > 65535:
            raise ValueError(f"port is {self.port}; allowed: 0 (any that is free) to 65535")
        if self.max_running > self.max_waiting:
            object.__setattr__(self, "max_running", self.max_waiting)

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.served_model_name or os.path.basename(os.path.normpath(self.model))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
