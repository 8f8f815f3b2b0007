"""The processes of one run: which of them this one is, and the few values that they exchange or decide together.

Training and evaluation use the same class. torchrun or Ray starts the processes; a process that was started alone is a group
of one, and every method then works without `torch.distributed`.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from qvl.pipeline.base.errors import ContractError, QvlError, RecipeError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Numbers = TypeVar("Numbers", bound=DataclassInstance)

Result = TypeVar("Result")
EVALUATION_TIMEOUT = timedelta(days=7)
"""A slow process is waited for this long; torchrun ends all processes as soon as one of them dies."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Process ``rank`` of ``size``, the ``local_rank``-th on its machine. Its tensors are computed on ``device``."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def is_first_on_machine(self) -> bool:
        return self.local_rank == 0

    def decide(self, function: Callable[[], Result]) -> Result:
        """The result of ``function``, which rank 0 alone calls. A QvlError that it raises is raised on every rank."""
        if self.size == 1:
            return function()
        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome = [function(), None]
            except QvlError as error:
                outcome = [None, error]
        dist.broadcast_object_list(outcome, src=0)
        result, failure = outcome
        if failure is not None:
            raise failure
        decided: Result = result
        return decided

    def gather_numbers(self, record: Numbers) -> list[Numbers]:
        """Every rank's record of numbers, in the order of ranks, in one exchange.

        The fields of ``record`` are int, float or bool. They travel as float64, which holds integers up to 2**53 exactly.
        """
        fields = dataclasses.astuple(record)
        own = torch.tensor(fields, dtype=torch.float64, device=self.device)
        gathered = [torch.empty_like(own) for _ in range(self.size)] if self.size > 1 else [own]
        if self.size > 1:
            dist.all_gather(gathered, own)
        kinds = [type(value) for value in fields]
        return [
            type(record)(*(kind(number) for kind, number in zip(kinds, tensor.tolist(), strict=True)))
            for tensor in gathered
        ]

    def gather_objects(self, value: Result) -> list[Result]:
        """A small picklable value of every rank, in the order of ranks."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def sum_over_ranks(self, tensor: Tensor) -> Tensor:
        """Replace the tensor by its sum over all ranks, and return it."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        if self.size > 1:
            dist.barrier()


def environment_number(name: str, default: int) -> int:
    """A number that torchrun or Ray sets in the environment. Raises RecipeError if it is none."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise RecipeError(f"{name}={text} in the environment is not a number; torchrun sets it, so unset it elsewhere")
    return int(text)


def _join(backend: str, timeout: timedelta | None) -> None:
    """Join the group that the environment describes. Raises RecipeError if it describes none."""
    try:
        dist.init_process_group(backend, timeout=timeout)
    except ValueError as error:
        raise RecipeError(
            f"no process group: {error}; torchrun sets RANK, WORLD_SIZE and MASTER_ADDR, so unset them elsewhere"
        ) from None


def start_training_group() -> ProcessGroup:
    """Join the processes that torchrun or Ray started, over NCCL on GPUs and Gloo on CPUs.

    DeepSpeed needs an initialised group, so a single process gets one of size 1.
    """
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("MASTER_ADDR", "127.0.0.1")):
        os.environ.setdefault(name, value)
    if environment_number("WORLD_SIZE", 1) == 1:
        os.environ.setdefault("MASTER_PORT", "0")
    local_rank = environment_number("LOCAL_RANK", 0)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        _join("nccl" if cuda else "gloo", None)
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), local_rank, device)


def stop_training_group() -> None:
    """Leave the group, so that no other process waits for this one."""
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def evaluation_group() -> Iterator[ProcessGroup]:
    """The processes of torchrun, or this one alone.

    They talk over Gloo, whatever they compute on: they exchange a few values before and after the work.
    """
    size = environment_number("WORLD_SIZE", 1)
    if size == 1:
        yield ProcessGroup()
        return
    _join("gloo", EVALUATION_TIMEOUT)
    try:
        yield ProcessGroup(dist.get_rank(), size, environment_number("LOCAL_RANK", 0))
    finally:
        dist.destroy_process_group()


def require_same_plan(step: int, fingerprints: list[int]) -> None:
    """Check that every rank has planned the same samples for a step; ``fingerprints`` are in the order of ranks.

    Raises ContractError that names the ranks that differ from rank 0.
    """
    differing = [rank for rank, fingerprint in enumerate(fingerprints) if fingerprint != fingerprints[0]]
    if differing:
        raise ContractError(
            f"step {step}: ranks {differing} planned other samples than rank 0; do all machines see the same files?"
        )


class StopSignal:
    """Inside it the first SIGTERM or SIGINT requests a stop after the current step; a second one stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        in_main_thread = (
            threading.current_thread() is threading.main_thread()
        )  # Ray Train's workers run in other threads
        for number in (signal.SIGTERM, signal.SIGINT) if in_main_thread else ():
            self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
