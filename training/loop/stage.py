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
from qvl.training.data.schedule import State, Step
from qvl.training.loop.checkpoint import Checkpoints, read_checkpoint, read_tensors
from qvl.training.loop.engine import DeepSpeedEngine, Stepped
from qvl.training.loop.logs import StageLog
from qvl.training.loop.optimizer import learning_rate
from qvl.training.process_group import ProcessGroup, StopSignal, agree
from qvl.training.recipe import StageSpec

SMOOTHING = 0.95
SETTLED = 20
ALLOWED_DAMAGED = 10


@dataclass
class Progress:
    """What a checkpoint keeps beside tensors: where the stream stands and what the policies remember."""

    state: State
    loss: float | None = None  # running mean of the steps that counted
    counted: int = 0
    skipped: int = 0  # steps skipped one after another
    samples: int = 0
    damaged: int = 0

    def content(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(content: dict[str, Any]) -> "Progress":
        return Progress(**{**content, "state": State(**content["state"])})


@dataclass
class Totals:
    """A step's numbers over all ranks, before the first forward pass."""

    learnt: int
    samples: int
    tokens: int
    positions: int
    images: int
    damaged: int
    lost: int  # damaged and unusable ones
    wait: float
    stop: bool


Evaluate = Callable[[int], list[dict[str, Any]]]
Cost = Callable[[list[Batch]], float]


class Stage:
    """Runs the steps of a stage that are left."""

    def __init__(
        self,
        spec: StageSpec,
        folder: Path,
        ranks: ProcessGroup,
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
        self.spec, self.folder, self.ranks, self.engine = spec, folder, ranks, engine
        self.fingerprint, self.seed, self.wandb = fingerprint, seed, wandb
        self.evaluate, self.export, self.flops, self.peak = evaluate, export, flops, peak
        self.labels = [part.label for part in spec.mix]
        self.checkpoints = Checkpoints(folder / "checkpoints", spec.save.keep, ranks.rank, ranks.world)
        self.attempt = ranks.from_first(f"{time.time_ns():x}")
        self.progress = self._resumed()
        self.log: StageLog | None = None

    def run(self, loader: StepLoader) -> bool:
        """Train to the end; False where a signal stopped it (a checkpoint is saved then)."""
        if self.ranks.first:
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

    def synchronize_step(self, loaded: LoadedStep, signal: StopSignal) -> Totals:
        """One exchange before the step: sums, the longest wait, a wish to stop, and whether all have the same plan."""
        batches = loaded.batches
        signature = float(int(loaded.step.after.receipt[:12] or "0", 16))
        mine = [
            sum(batch.learnt for batch in batches),
            sum(batch.samples for batch in batches),
            sum(batch.tokens for batch in batches),
            sum(batch.ids.numel() for batch in batches),
            sum(0 if batch.pixels is None else len(batch.pixels) for batch in batches),
            sum(len(batch.damaged) for batch in batches),
            sum(len(batch.damaged) + len(batch.unusable) for batch in batches),
            loaded.wait,
            float(signal.asked),
            signature,
        ]
        everyone = self.ranks.gather(mine)
        agree(loaded.step.number, [numbers[9] for numbers in everyone], "plan")
        learnt, samples, tokens, positions, images, damaged, lost = (
            int(sum(n[at] for n in everyone)) for at in range(7)
        )
        longest, stop = max(numbers[7] for numbers in everyone), any(numbers[8] for numbers in everyone)
        return Totals(learnt, samples, tokens, positions, images, damaged, lost, longest, stop)

    def _quarantine(self, loaded: LoadedStep, totals: Totals) -> None:
        """Note damaged samples by id. Raises DataError beyond the recipe's cap."""
        step, progress = loaded.step, self.progress
        damaged = [entry for batch in loaded.batches for entry in batch.damaged]
        lost = damaged + [entry for batch in loaded.batches for entry in batch.unusable]
        if totals.lost:
            lost = [entry for part in self.ranks.objects(lost) for entry in part]
        progress.samples += totals.samples
        progress.damaged += totals.damaged
        if self.log is not None:
            for key, shard, reason in [*lost, *step.left_out]:
                name = shard.rpartition("/")[2]
                self.log.quarantine.write({"step": step.number, "id": key, "shard": name, "reason": reason})
        allowed = max(ALLOWED_DAMAGED, self.spec.tolerance.damaged * progress.samples)
        if progress.damaged > allowed:
            raise DataError(
                f"stage {self.spec.label}: {progress.damaged} damaged samples of {progress.samples} read, over the "
                f"tolerance of {self.spec.tolerance.damaged:.2%} (and {ALLOWED_DAMAGED}); the last: {lost[-1]}; "
                f"all are in {self.folder / 'quarantine.jsonl'}"
            )

    def _optimize(self, loaded: LoadedStep, totals: Totals) -> tuple[Stepped, float | None, Tensor]:
        """Forward and backward over the micro-batches, and the update, unless the loss is no good."""
        torch.manual_seed((self.seed * 1_000_003 + loaded.step.number) * 65_537 + self.ranks.rank)  # dropout
        sums = torch.zeros(len(self.labels) + len(CLASSES), 2, dtype=torch.float64, device=self.ranks.device)
        total = torch.zeros((), dtype=torch.float64, device=self.ranks.device)
        mean: float | None = None
        for number, batch in enumerate(loaded.batches):
            last = number == len(loaded.batches) - 1
            loss, losses_N = self.engine.forward(batch.ids, batch.labels, batch.positions, batch.pixels)
            total += loss.detach().double()
            self._sort(sums, losses_N.double(), batch)
            if last:
                mean = self.ranks.total(total).item() / max(1, totals.learnt)
                if self._bad(mean):
                    loss = self.engine.invalidate_loss(loss)
            self.engine.backward(loss, totals.learnt, last)
        stepped = self.engine.step(learning_rate(self.spec.optimizer, loaded.step.number, self.spec.steps))
        self.ranks.total(sums)
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
        self, loaded: LoadedStep, totals: Totals, stepped: Stepped, loss: float | None, sums: Tensor, seconds: float
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
        flops = self.flops(loaded.batches) * self.ranks.world if self.flops is not None else None
        mfu = flops / seconds / (self.peak * self.ranks.world) if flops is not None and self.peak else None
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
                "learnt": totals.learnt,
                "images": totals.images,
                "seconds": seconds,
                "data_wait": totals.wait,
                "mfu": mfu,
                "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
                "world": self.ranks.world,
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
        latest = self.ranks.from_first(self.checkpoints.latest())
        if latest is None:
            return Progress(State())
        content = read_checkpoint(latest)
        for name, tensors in read_tensors(latest):
            self.engine.load(name, tensors)
        self.engine.set_updates(content["updates"])
        return Progress.of(content["progress"])
