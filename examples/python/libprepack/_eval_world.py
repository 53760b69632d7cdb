"""The processes among which lm-evaluation-harness shares out requests: those that torchrun or `accelerate launch`
started, each with a session of its own."""
from __future__ import annotations

import importlib
import os
from typing import Any


class World:
    """rank: this process, of `size`. One process alone needs nothing of torch."""

    def __init__(self) -> None:
        self.rank, self.size = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            self._torch: Any = importlib.import_module("torch")
            self._group: Any = importlib.import_module("torch.distributed")
            if not self._group.is_initialized():
                self._group.init_process_group("gloo")
            self.rank, self.size = self._group.get_rank(), self._group.get_world_size()

    def all_gather(self, tensor: Any) -> Any:
        """One tensor of those of all processes, in their order."""
        if self.size == 1:
            return tensor
        parts = [self._torch.empty_like(tensor) for _ in range(self.size)]
        self._group.all_gather(parts, tensor)
        return self._torch.stack(parts) if tensor.dim() == 0 else self._torch.cat(parts)

    def gather_object(self, obj: Any, dst: int) -> list[Any] | None:
        """Everybody's object for process dst; None for the others."""
        if self.size == 1:
            return [obj]
        objects: list[Any] | None = [None] * self.size if self.rank == dst else None
        self._group.gather_object(obj, objects, dst)
        return objects

    def barrier(self) -> None:
        """Waits for the others."""
        if self.size > 1:
            self._group.barrier()
