"""One stage: the loop over steps, with resume, skipped steps, quarantine and a clean stop."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qvl.pipeline.base.errors import DataError
from qvl.training.data.encode import CLASSES
from qvl.training.data.loader import Batch, LoadedStep, StepLoader
from qvl.training.data.steps import Step, StreamState
from qvl.training.loop.checkpoint import Checkpoints, read_checkpoint, read_tensors
from qvl.training.loop.engine import DeepSpeedEngine, Stepped
from qvl.training.loop.logs import StageLog
from qvl.training.loop.optimizer import learning_rate
from qvl.training.process_group import ProcessGroup, StopSignal, require_same_plan
from qvl.training.recipe import StageSpec

SMOOTHING = 0.95
SETTLED = 20
ALLOWED_DAMAGED = 10


@dataclass
class Progress:
    """What a checkpoint keeps beside tensors: where the stream stands and what the policies remember."""

    state: StreamState
    loss: float | None = None  # running mean of the steps that counted
    counted: int = 0
    skipped: int = 0  # steps skipped one after another
    samples: int = 0
    damaged: int = 0

    def content(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(content: dict[str, Any]) -> "Progress":
        return Progress(**{**content, "state": StreamState(**content["state"])})


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What a step holds before its first forward pass: of one rank, or summed over all of them.

    ``wait``: seconds spent waiting for data, the longest of any rank. ``stop``: whether any rank was asked to stop.
    ``plan``: the first 48 bits of the data receipt, equal on all ranks that planned the same samples.
    """

    supervised: int
    samples: int
    tokens: int
    positions: int
    images: int
    damaged: int
    unusable: int
    wait: float
    stop: bool
    plan: int

    @staticmethod
    def of(loaded: LoadedStep, stop: bool) -> "StepCounts":
        """The counts of this rank's micro-batches."""
        batches = loaded.batches
        return StepCounts(
            supervised=sum(batch.supervised for batch in batches),
            samples=sum(batch.samples for batch in batches),
            tokens=sum(batch.tokens for batch in batches),
            positions=sum(batch.ids.numel() for batch in batches),
            images=sum(0 if batch.pixels is None else len(batch.pixels) for batch in batches),
            damaged=sum(len(batch.damaged) for batch in batches),
            unusable=sum(len(batch.unusable) for batch in batches),
            wait=loaded.wait,
            stop=stop,
            plan=int(loaded.step.after.receipt[:12] or "0", 16),
        )

    @staticmethod
    def over_ranks(reports: "list[StepCounts]") -> "StepCounts":
        """The counts of a step from those of its ranks."""
        return StepCounts(
            supervised=sum(report.supervised for report in reports),
            samples=sum(report.samples for report in reports),
            tokens=sum(report.tokens for report in reports),
            positions=sum(report.positions for report in reports),
            images=sum(report.images for report in reports),
            damaged=sum(report.damaged for report in reports),
            unusable=sum(report.unusable for report in reports),
            wait=max(report.wait for report in reports),
            stop=any(report.stop for report in reports),
            plan=reports[0].plan,
        )


Evaluate = Callable[[int], list[dict[str, Any]]]
Cost = Callable[[list[Batch]], float]


class Stage:
    """Runs the steps of a stage that are left."""

    def __init__(
        self,
        spec: StageSpec,
        folder: Path,
        group: ProcessGroup,
        engine: DeepSpeedEngine,
        fingerprint: str,
        seed: int,
        *,
        evaluate: Evaluate | None = None,
        export: Callable[[Path], None] | None = None,
        flops: Cost | None = None,
        peak: float | None = None,
        wandb: bool = False,
    ) -> None:
        self.spec, self.folder, self.group, self.engine = spec, folder, group, engine
        self.fingerprint, self.seed, self.wandb = fingerprint, seed, wandb
        self.evaluate, self.export, self.flops, self.peak = evaluate, export, flops, peak
        self.labels = [part.label for part in spec.mix]
        self.checkpoints = Checkpoints(folder / "checkpoints", spec.save.keep, group.rank, group.size)
        self.attempt = group.decide(lambda: f"{time.time_ns():x}")
        self.progress = self._resumed()
        self.log: StageLog | None = None

    def run(self, loader: StepLoader) -> bool:
        """Train to the end; False where a signal stopped it (a checkpoint is saved then)."""
        if self.group.is_first:
            self.log = StageLog(self.folder, self.spec.label, self.progress.state.step, self.spec.steps, self.wandb)
        try:
            with StopSignal() as signal:
                finished = self._steps(loader, signal)
            self.checkpoints.wait()
        finally:
            if self.log is not None:
                self.log.close()
        return finished

    def _steps(self, loader: StepLoader, signal: StopSignal) -> bool:
        if self.progress.state.step >= self.spec.steps:
            return True
        start = time.perf_counter()
        for loaded in loader:
            totals = self.synchronize_step(loaded, signal)
            self._quarantine(loaded, totals)
            stepped, loss, parts = self._optimize(loaded, totals)
            now = time.perf_counter()
            self._account(loaded, totals, stepped, loss, parts, now - start)
            start = now
            done = self.progress.state.step
            if done % self.spec.save.every == 0 or done == self.spec.steps or totals.stop:
                self._save()
            if self.evaluate is not None and self.spec.evaluate and done % self.spec.evaluate.every == 0:
                self._scores(done)
                start = time.perf_counter()
            if totals.stop or done == self.spec.steps:
                return done == self.spec.steps
        raise AssertionError("a schedule has no end")

    def synchronize_step(self, loaded: LoadedStep, signal: StopSignal) -> StepCounts:
        """Exchange the counts of a step before its first forward pass. Raises ContractError where the plans differ."""
        reports = self.group.gather_numbers(StepCounts.of(loaded, signal.requested))
        require_same_plan(loaded.step.number, [report.plan for report in reports])
        return StepCounts.over_ranks(reports)

    def _quarantine(self, loaded: LoadedStep, totals: StepCounts) -> None:
        """Note damaged samples by id. Raises DataError beyond the recipe's cap."""
        step, progress = loaded.step, self.progress
        damaged = [entry for batch in loaded.batches for entry in batch.damaged]
        lost = damaged + [entry for batch in loaded.batches for entry in batch.unusable]
        if totals.damaged + totals.unusable:
            lost = [entry for part in self.group.gather_objects(lost) for entry in part]
        progress.samples += totals.samples
        progress.damaged += totals.damaged
        if self.log is not None:
            for sample in [*lost, *step.left_out]:
                name = sample.shard.rpartition("/")[2]
                self.log.quarantine.write(
                    {"step": step.number, "id": sample.key, "shard": name, "reason": sample.reason}
                )
        allowed = max(ALLOWED_DAMAGED, self.spec.tolerance.damaged * progress.samples)
        if progress.damaged > allowed:
            raise DataError(
                f"stage {self.spec.label}: {progress.damaged} damaged samples of {progress.samples} read, over the "
                f"tolerance of {self.spec.tolerance.damaged:.2%} (and {ALLOWED_DAMAGED}); the last: {lost[-1]}; "
                f"all are in {self.folder / 'quarantine.jsonl'}"
            )

    def _optimize(self, loaded: LoadedStep, totals: StepCounts) -> tuple[Stepped, float | None, Tensor]:
        """Forward and backward over the micro-batches, and the update, unless the loss is no good."""
        torch.manual_seed((self.seed * 1_000_003 + loaded.step.number) * 65_537 + self.group.rank)  # dropout
        sums = torch.zeros(len(self.labels) + len(CLASSES), 2, dtype=torch.float64, device=self.group.device)
        total = torch.zeros((), dtype=torch.float64, device=self.group.device)
        mean: float | None = None
        for number, batch in enumerate(loaded.batches):
            last = number == len(loaded.batches) - 1
            loss, losses_N = self.engine.forward(batch.ids, batch.labels, batch.positions, batch.pixels)
            total += loss.detach().double()
            self._sort(sums, losses_N.double(), batch)
            if last:
                mean = self.group.sum_over_ranks(total).item() / max(1, totals.supervised)
                if self._bad(mean):
                    loss = self.engine.invalidate_loss(loss)
            self.engine.backward(loss, totals.supervised, last)
        stepped = self.engine.step(learning_rate(self.spec.optimizer, loaded.step.number, self.spec.steps))
        self.group.sum_over_ranks(sums)
        return stepped, mean if mean is not None and math.isfinite(mean) else None, sums

    def _sort(self, sums: Tensor, losses_N: Tensor, batch: Batch) -> None:
        """Add the losses to their part of the mix and to their token class."""
        offset = len(self.labels)
        for column, values in ((0, losses_N), (1, torch.ones_like(losses_N))):
            sums[:, column].index_add_(0, batch.parts.to(sums.device, torch.int64), values)
            sums[:, column].index_add_(0, batch.classes.to(sums.device, torch.int64) + offset, values)

    def _bad(self, loss: float) -> bool:
        progress = self.progress
        known = progress.loss is not None and progress.counted >= SETTLED
        return not math.isfinite(loss) or (known and loss > self.spec.tolerance.spike * (progress.loss or 0.0))

    def _account(
        self, loaded: LoadedStep, totals: StepCounts, stepped: Stepped, loss: float | None, sums: Tensor, seconds: float
    ) -> None:
        step, progress = loaded.step, self.progress
        if stepped.skipped:
            self._skipped(step, loss)
        else:
            assert loss is not None
            progress.loss = loss if progress.loss is None else SMOOTHING * progress.loss + (1 - SMOOTHING) * loss
            progress.counted += 1
            progress.skipped = 0
        progress.state = step.after
        if self.log is None:
            return
        flops = self.flops(loaded.batches) * self.group.size if self.flops is not None else None
        mfu = flops / seconds / (self.peak * self.group.size) if flops is not None and self.peak else None
        by_part, by_class = sums[: len(self.labels)].tolist(), sums[len(self.labels) :].tolist()
        self.log.step(
            {
                "step": step.number,
                "stage": self.spec.label,
                "loss": loss,
                "lr": learning_rate(self.spec.optimizer, step.number, self.spec.steps),
                "grad_norm": stepped.norm,
                "skipped": stepped.skipped,
                "samples": totals.samples,
                "positions": totals.positions,
                "tokens": totals.tokens,
                "learnt": totals.supervised,
                "images": totals.images,
                "seconds": seconds,
                "data_wait": totals.wait,
                "mfu": mfu,
                "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
                "world": self.group.size,
                "attempt": self.attempt,
                "receipt": step.after.receipt,
                "loss_by_source": dict(zip(self.labels, by_part, strict=True)),
                "loss_by_class": dict(zip(CLASSES, by_class, strict=True)),
            }
        )

    def _skipped(self, step: Step, loss: float | None) -> None:
        """Note a step that moved nothing, with the ids of its samples. Raises DataError after too many in a row."""
        self.progress.skipped += 1
        if self.log is not None:
            self.log.spikes.write(
                {"step": step.number, "loss": loss, "mean": self.progress.loss, "ids": list(step.ids)}
            )
        if self.progress.skipped > self.spec.tolerance.skipped:
            raise DataError(
                f"stage {self.spec.label}: {self.progress.skipped} steps in a row without a usable loss (last {loss}); "
                f"their samples are in {self.folder / 'spikes.jsonl'}; lower the learning rate or look at the samples"
            )

    def _save(self) -> None:
        content = {
            "fingerprint": self.fingerprint,
            "attempt": self.attempt,
            "updates": self.engine.updates,
            "progress": self.progress.content(),
        }
        self.checkpoints.save(self.progress.state.step, content, self.engine.state())
        if self.spec.save.export and self.export is not None:
            self.export(self.folder / "exports" / f"step-{self.progress.state.step:08d}")

    def _scores(self, done: int) -> None:
        assert self.evaluate is not None
        for line in self.evaluate(done):
            if self.log is not None:
                self.log.scores.write({"step": done - 1, **line})

    def _resumed(self) -> Progress:
        """From the newest checkpoint, or from the beginning."""
        latest = self.group.decide(self.checkpoints.latest)
        if latest is None:
            return Progress(StreamState())
        content = read_checkpoint(latest)
        for name, tensors in read_tensors(latest):
            self.engine.load(name, tensors)
        self.engine.set_updates(content["updates"])
        return Progress.of(content["progress"])
