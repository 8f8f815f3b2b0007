"""Starts the processes of a run: this one alone, several on this machine, those of torchrun, or those of Ray Train.

Each of them calls `work` with the same arguments; they differ only in RANK and WORLD_SIZE of the environment.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.base.terminal import warn
from qvl.training.recipe import load_train_recipe


@dataclass(frozen=True)
class Launch:
    """The arguments that every process of a run gets. ``recipe`` is a file; the others as in ``RunOptions``."""

    recipe: Path
    output: Path
    workers: int
    cache: Path | None
    cache_bytes: int
    wandb: bool


def work(launch: Launch) -> bool:
    """One process of a run. True where it finished, False where a signal stopped it after a checkpoint."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    from qvl.training.loop.run import RunOptions, run
    from qvl.training.process_group import start_training_group, stop_training_group

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    group = start_training_group()
    try:
        options = RunOptions(launch.output, launch.workers, launch.cache, launch.cache_bytes, launch.wandb)
        return run(load_train_recipe(launch.recipe), options, group)
    finally:
        stop_training_group()


def launch_here(launch: Launch, processes: int) -> bool:
    """Run in this process, or in ``processes`` of this machine. Under torchrun this process is already one of several."""
    if processes == 1 or "RANK" in os.environ:
        return work(launch)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id="qvl", rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0", max_restarts=0, monitor_interval=0.5,
    )  # fmt: skip
    try:
        results = elastic_launch(config, _child)(launch)
    except ChildFailedError as error:
        raise DataError(_reason(error)) from None
    return all(results.values())


def _child(launch: Launch) -> bool:
    try:
        return work(launch)
    except QvlError as error:
        warn(f"error: {error}")
        raise


def _reason(error: Any) -> str:
    """Which rank failed first and why, in one line."""
    rank, failure = error.get_first_failure()
    how = f"killed by signal {-failure.exitcode}" if failure.exitcode < 0 else f"exit code {failure.exitcode}"
    message = failure.message.get("message", "") if isinstance(failure.message, dict) else str(failure.message)
    line = next((part for part in reversed(message.strip().splitlines()) if part.strip()), "")
    return f"rank {rank} ended the run ({how}): {line}; run the same command again to continue from the last checkpoint"


def launch_ray(launch: Launch, processes: int, address: str | None) -> bool:
    """Run on a Ray cluster through Ray Train, one worker per GPU or CPU process. All machines must see the output folder."""
    import ray
    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=True)
    gpus = torch.cuda.is_available() or ray.cluster_resources().get("GPU", 0) > 0
    trainer = TorchTrainer(
        _ray_worker,
        train_loop_config={"launch": launch},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=processes, use_gpu=bool(gpus)),
        run_config=RunConfig(
            name="qvl",
            storage_path=str((launch.output / "ray").resolve()),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.base_trainer.TrainingFailedError as error:
        raise DataError(
            f"{str(error.__cause__ or error).strip().splitlines()[-1]}; run the same command again to continue"
        ) from None
    from qvl.training.recipe import load_train_recipe

    last = load_train_recipe(launch.recipe).stages[-1].label
    return (launch.output / last / "model" / "config.json").exists()


def _ray_worker(config: dict[str, Launch]) -> None:
    from ray import train

    work(config["launch"])
    train.report({})
