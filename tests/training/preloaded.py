"""What the server of ``forked`` imports before its first fork. Nothing here may start a thread or compute with tensors."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when PyTorch is imported
os.environ["RAY_DEDUP_LOGS"] = "0"

import qvl.command
import qvl.training.evaluation.run
import qvl.training.loop.run  # noqa: F401
