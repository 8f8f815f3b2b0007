"""The processes of a run: who this one is, and the few things that all of them agree on."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from qvl.pipeline.base.errors import ContractError


@dataclass(frozen=True)
class ProcessGroup:
    """This process among ``world``. ``device`` is where its tensors compute."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def first_here(self) -> bool:
        """The first process of its machine."""
        return os.environ.get("LOCAL_RANK", "0") == "0"

    def gather(self, numbers: list[float]) -> list[list[float]]:
        """The numbers of every rank, in the order of ranks."""
        mine = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        if self.world == 1:
            return [mine.tolist()]
        everyone = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(everyone, mine)
        return [tensor.tolist() for tensor in everyone]

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over ranks."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def objects(self, value: Any) -> list[Any]:
        """A small picklable value of every rank."""
        everyone: list[Any] = [None] * self.world
        if self.world == 1:
            return [value]
        dist.all_gather_object(everyone, value)
        return everyone

    def from_first(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        return self.objects(value)[0]

    def barrier(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()


def start_ranks() -> ProcessGroup:
    """Join the processes that torchrun or Ray started; alone, a world of one."""
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("MASTER_ADDR", "127.0.0.1")):
        os.environ.setdefault(name, value)
    if os.environ["WORLD_SIZE"] == "1":
        os.environ.setdefault("MASTER_PORT", "0")
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), device)


def stop_ranks() -> None:
    """Leave the group, so that no process waits for this one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def agree(step: int, signatures: list[float], what: str) -> None:
    """Every rank must be at the same place with the same plan. Raises ContractError that names the ranks that are not."""
    odd = [rank for rank, signature in enumerate(signatures) if signature != signatures[0]]
    if odd:
        raise ContractError(
            f"step {step}: ranks {odd} have another {what} than rank 0; do all machines see the same files?"
        )


class StopSignal:
    """SIGTERM and SIGINT ask for a stop at the end of the step; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        inside = threading.current_thread() is threading.main_thread()  # Ray Train runs its workers in other threads
        for number in (signal.SIGTERM, signal.SIGINT) if inside else ():
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
