"""Several processes for one evaluation, as torchrun starts them: who does what, and one decision for all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

from qvl.pipeline.base.errors import QvlError

Result = TypeVar("Result")
PATIENCE = timedelta(days=7)  # torchrun ends all processes when one dies; a slow one is waited for


@dataclass(frozen=True)
class World:
    """``rank`` of ``size`` processes, ``local`` on its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    def decide(self, function: Callable[[], Result]) -> Result:
        """The result of ``function``, run by the first process alone. Its QvlError is raised in all of them."""
        if self.size == 1:
            return function()
        said: list[Any] = [None, None]
        if self.rank == 0:
            try:
                said = [function(), None]
            except QvlError as error:
                said = [None, error]
        dist.broadcast_object_list(said, src=0)
        if said[1] is not None:
            raise said[1]
        result: Result = said[0]
        return result

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined() -> Iterator[World]:
    """The processes of torchrun, or this one alone. They talk over gloo: a few words before and after the work."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()
