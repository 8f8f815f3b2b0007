"""One stage: the loop over its steps, with resuming, skipped steps, quarantined samples and a clean stop."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from qvl.training.data.encode import CLASSES
from qvl.training.data.loader import Batch, LoadedStep, StepLoader
from qvl.training.data.steps import Step
from qvl.training.loop.checkpoint import Checkpoints, read_checkpoint, read_tensors
from qvl.training.loop.counts import StepCounts
from qvl.training.loop.engine import DeepSpeedEngine, Stepped
from qvl.training.loop.logs import StageLog
from qvl.training.loop.optimizer import learning_rate
from qvl.training.loop.policies import check_damaged, check_skipped, count_loss, loss_is_usable
from qvl.training.loop.records import CheckpointManifest, Progress, QuarantineLine, ScoreLine, SpikeLine, StepLine
from qvl.training.process_group import ProcessGroup, StopSignal, require_same_plan
from qvl.training.recipe import StageSpec

Evaluate = Callable[[int], list[ScoreLine]]
"""The scores after a step, by its number. A collective call."""
CountFlops = Callable[[list[Batch]], float]


class Stage:
    """Runs the steps of a stage that are not done yet.

    ``export`` writes a model folder. ``flops`` counts the operations of a rank's micro-batches and ``peak`` is what the GPU
    can do per second, both for MFU.
    """

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
        flops: CountFlops | None = None,
        peak: float | None = None,
        wandb: bool = False,
    ) -> None:
        self.spec, self.folder, self.group, self.engine = spec, folder, group, engine
        self.fingerprint, self.seed, self.wandb = fingerprint, seed, wandb
        self.evaluate, self.export, self.flops, self.peak = evaluate, export, flops, peak
        self.labels = [part.label for part in spec.mix]
        self.checkpoints = Checkpoints(folder / "checkpoints", spec.save.keep, group.rank, group.size)
        self.attempt = group.decide(lambda: f"{time.time_ns():x}")
        self.progress = self._resume()
        self.log: StageLog | None = None

    def run(self, loader: StepLoader) -> bool:
        """Train to the end. False where a signal stopped the stage, after a checkpoint was saved."""
        if self.group.is_first:
            self.log = StageLog(self.folder, self.spec.label, self.progress.state.step, self.spec.steps, self.wandb)
        try:
            with StopSignal() as signal:
                finished = self._run_steps(loader, signal)
            self.checkpoints.wait()
        finally:
            if self.log is not None:
                self.log.close()
        return finished

    def _run_steps(self, loader: StepLoader, signal: StopSignal) -> bool:
        if self.progress.state.step >= self.spec.steps:
            return True
        start = time.perf_counter()
        for loaded in loader:
            totals = self.synchronize_step(loaded, signal)
            self._quarantine(loaded, totals)
            stepped, loss, sums = self._optimize(loaded, totals)
            now = time.perf_counter()
            self._account(loaded.step, stepped, loss)
            if self.log is not None:
                self.log.step(self._line(loaded, totals, stepped, loss, sums, now - start))
            start = now
            done = self.progress.state.step
            if done % self.spec.save.every == 0 or done == self.spec.steps or totals.stop:
                self._save()
            if self.evaluate is not None and self.spec.evaluate and done % self.spec.evaluate.every == 0:
                self._score(self.evaluate, done - 1)
                start = time.perf_counter()
            if totals.stop or done == self.spec.steps:
                return done == self.spec.steps
        raise AssertionError("a schedule has no end")

    def synchronize_step(self, loaded: LoadedStep, signal: StopSignal) -> StepCounts:
        """Exchange the counts of a step before its first forward pass. Raises ContractError where the plans differ."""
        ranks = self.group.gather_numbers(StepCounts.of_rank(loaded, signal.requested))
        require_same_plan(loaded.step.number, [rank.plan for rank in ranks])
        return StepCounts.over_ranks(ranks)

    def _quarantine(self, loaded: LoadedStep, totals: StepCounts) -> None:
        """Note the samples that were not trained on. Raises DataError where too many are damaged."""
        rejected = [sample for batch in loaded.batches for sample in batch.damaged]
        rejected += [sample for batch in loaded.batches for sample in batch.unusable]
        if totals.damaged + totals.unusable:
            rejected = [sample for rank in self.group.gather_objects(rejected) for sample in rank]
        self.progress.samples += totals.samples
        self.progress.damaged += totals.damaged
        if self.log is not None:
            for sample in [*rejected, *loaded.step.left_out]:
                tar = sample.shard.rpartition("/")[2]
                self.log.quarantine.write(QuarantineLine(loaded.step.number, sample.key, tar, sample.reason))
        check_damaged(self.progress, self.spec, self.folder, rejected)

    def _optimize(self, loaded: LoadedStep, totals: StepCounts) -> tuple[Stepped, float | None, Tensor]:
        """Forward and backward over the micro-batches, then the update, which is skipped where the loss is unusable.

        Returns the loss per supervised token, None where it is not finite, and the sums of losses (``_add_losses``).
        """
        torch.manual_seed((self.seed * 1_000_003 + loaded.step.number) * 65_537 + self.group.rank)  # for dropout
        sums = torch.zeros(len(self.labels) + len(CLASSES), 2, dtype=torch.float64, device=self.group.device)
        total = torch.zeros((), dtype=torch.float64, device=self.group.device)
        mean: float | None = None
        for number, batch in enumerate(loaded.batches):
            last = number == len(loaded.batches) - 1
            loss, losses_N = self.engine.forward(batch.ids, batch.labels, batch.positions, batch.pixels)
            total += loss.detach().double()
            self._add_losses(sums, losses_N.double(), batch)
            if last:
                mean = self.group.sum_over_ranks(total).item() / max(1, totals.supervised)
                if not loss_is_usable(mean, self.progress, self.spec.tolerance.spike):
                    loss = self.engine.invalidate_loss(loss)
            self.engine.backward(loss, totals.supervised, last)
        stepped = self.engine.step(learning_rate(self.spec.optimizer, loaded.step.number, self.spec.steps))
        self.group.sum_over_ranks(sums)
        return stepped, mean if mean is not None and math.isfinite(mean) else None, sums

    def _add_losses(self, sums: Tensor, losses_N: Tensor, batch: Batch) -> None:
        """Add a batch's losses to ``sums`` [parts of the mix, then token classes; 2]: sum of losses and number of tokens."""
        offset = len(self.labels)
        for column, values in ((0, losses_N), (1, torch.ones_like(losses_N))):
            sums[:, column].index_add_(0, batch.parts.to(sums.device, torch.int64), values)
            sums[:, column].index_add_(0, batch.classes.to(sums.device, torch.int64) + offset, values)

    def _account(self, step: Step, stepped: Stepped, loss: float | None) -> None:
        """Update the progress; note a skipped step with its samples. Raises DataError after too many of those in a row."""
        if stepped.skipped:
            self.progress.skipped += 1
            if self.log is not None:
                self.log.spikes.write(SpikeLine(step.number, loss, self.progress.loss, list(step.ids)))
            check_skipped(self.progress, self.spec, self.folder, loss)
        else:
            assert loss is not None
            count_loss(loss, self.progress)
        self.progress.state = step.after

    def _line(
        self,
        loaded: LoadedStep,
        totals: StepCounts,
        stepped: Stepped,
        loss: float | None,
        sums: Tensor,
        seconds: float,
    ) -> StepLine:
        step = loaded.step
        pairs: list[tuple[float | None, float]] = [(total, count) for total, count in sums.tolist()]
        return StepLine(
            step=step.number,
            stage=self.spec.label,
            loss=loss,
            lr=learning_rate(self.spec.optimizer, step.number, self.spec.steps),
            grad_norm=stepped.norm,
            skipped=stepped.skipped,
            samples=totals.samples,
            positions=totals.positions,
            tokens=totals.tokens,
            learnt=totals.supervised,
            images=totals.images,
            seconds=seconds,
            data_wait=totals.wait,
            mfu=self._mfu(loaded.batches, seconds),
            memory_gb=torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
            world=self.group.size,
            attempt=self.attempt,
            receipt=step.after.receipt,
            loss_by_source=dict(zip(self.labels, pairs[: len(self.labels)], strict=True)),
            loss_by_class=dict(zip(CLASSES, pairs[len(self.labels) :], strict=True)),
        )

    def _mfu(self, batches: list[Batch], seconds: float) -> float | None:
        """Model FLOPs utilisation, from this rank's micro-batches; None where the GPU's peak is not known."""
        if self.flops is None or not self.peak:
            return None
        return self.flops(batches) * self.group.size / seconds / (self.peak * self.group.size)

    def _save(self) -> None:
        step = self.progress.state.step
        manifest = CheckpointManifest(
            step=step,
            fingerprint=self.fingerprint,
            attempt=self.attempt,
            updates=self.engine.updates,
            progress=replace(self.progress),  # a copy: the checkpoint is written while the next steps change it
            world=self.group.size,
            parts=[],
        )
        self.checkpoints.save(manifest, self.engine.state())
        if self.spec.save.export and self.export is not None:
            self.export(self.folder / "exports" / f"step-{step:08d}")

    def _score(self, evaluate: Evaluate, step: int) -> None:
        for line in evaluate(step):
            if self.log is not None:
                self.log.scores.write(line)

    def _resume(self) -> Progress:
        """The progress of the newest checkpoint, with its tensors loaded; that of a new stage where there is none."""
        latest = self.group.decide(self.checkpoints.latest)
        if latest is None:
            return Progress.at_start()
        manifest = read_checkpoint(latest)
        for name, tensors in read_tensors(latest):
            self.engine.load(name, tensors)
        self.engine.set_updates(manifest.updates)
        return manifest.progress
