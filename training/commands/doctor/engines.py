"""Checks of what training and parallel work need: Ray, GPUs, PyTorch, DeepSpeed and its compiled optimizer.

Each engine is imported in a process of its own, because imports are slow, print a lot, and may crash without an exception.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

from qvl.training.commands.doctor.check import Check, CheckState, first_line
from qvl.training.commands.doctor.packages import installed
from qvl.training.commands.doctor.programs import install, output_of
from qvl.training.loop.operators import dead_locks, operators_folder

SECONDS = 120
BUILD_SECONDS = 900
TORCH = """
import json, torch
count = torch.cuda.device_count()
names = [[torch.cuda.get_device_name(n), torch.cuda.get_device_properties(n).total_memory] for n in range(count)]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "gpus": names,
                  "bf16": bool(count) and torch.cuda.is_bf16_supported()}))
"""
ADAM = """
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()):
    from deepspeed.ops.op_builder import CPUAdamBuilder
    builder = CPUAdamBuilder()
    compatible = bool(builder.is_compatible(verbose=False))
    if "--build" in sys.argv:
        builder.load(verbose=False)
print(json.dumps({"compatible": compatible}))
"""
RAY = "import ray, json; ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level='error'); " \
      "print(json.dumps(ray.get(ray.remote(lambda: 41 + 1).remote())))"  # fmt: skip


def engines(thorough: bool) -> list[Check]:
    """All checks of engines. ``thorough``: also start Ray and build DeepSpeed's optimizer, which may take minutes."""
    return [ray(thorough), *gpus(), *deepspeed(thorough)]


def run_python(code: str, *arguments: str, seconds: float = SECONDS) -> tuple[Any, str]:
    """The JSON in the last line that a Python program prints, and an empty string; or None and the reason of the failure."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if shutil.which("nvidia-smi") is None:
        environment.setdefault("DS_ACCELERATOR", "cpu")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # a build's ninja then ends its own children
        process.communicate()
        return None, f"no answer in {seconds} s"
    if process.returncode:
        return None, first_line("\n".join(reversed(errors.splitlines()))) or f"exit {process.returncode}"
    return json.loads(output.strip().splitlines()[-1]), ""


def ray(thorough: bool) -> Check:
    """Ray's version; if ``thorough``, also that a task runs."""
    version = installed("ray")
    if version is None:
        return Check("cluster", "Ray", "missing", "not installed", "pip install qvl", True)
    if thorough:
        answer, why = run_python(RAY)
        if answer != 42:
            return Check("cluster", "Ray", "missing", f"{version} does not start: {why}", "ray stop --force")
    return Check("cluster", "Ray", "ok", f"{version}{', a task ran' if thorough else ''}")


def gpus() -> list[Check]:
    """The GPUs that the driver reports, and whether PyTorch can use them."""
    listed = output_of("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    driver = [line.strip() for line in (listed or "").splitlines() if line.strip()]
    state: CheckState = "ok" if driver else "none"
    checks = [Check("train", "GPUs", state, "; ".join(driver) or "none; the tiny model trains on the CPU")]
    if installed("torch") is None:
        return [*checks, Check("model", "PyTorch", "missing", "not installed", "pip install 'qvl[model]'")]
    facts, why = run_python(TORCH)
    if facts is None:
        return [*checks, Check("model", "PyTorch", "missing", why, "pip install --force-reinstall torch")]
    version = f"{facts['version']}, {len(facts['gpus'])} GPUs{', bfloat16' if facts['bf16'] else ''}"
    if driver and not facts["gpus"]:
        fix = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        return [*checks, Check("train", "PyTorch", "missing", f"{version}: cannot use the GPUs", fix)]
    return [*checks, Check("model", "PyTorch", "ok", version)]


def deepspeed(thorough: bool) -> list[Check]:
    """DeepSpeed's version, the compiler that its operators need, and whether its CPU optimizer can be built or was built."""
    if installed("deepspeed") is None:
        return [Check("train", "DeepSpeed", "missing", "not installed", "pip install 'qvl[train]'")]
    checks = []
    compiler = next((output for name in ("c++", "g++", "clang++") if (output := output_of(name, "--version"))), None)
    for name, found, fix in (
        ("C++ compiler", compiler, install("g++")),
        ("ninja", output_of("ninja", "--version"), "pip install ninja"),
    ):
        state: CheckState = "ok" if found else "missing"
        checks.append(Check("train", name, state, first_line(found or "not installed"), None if found else fix))
    locks = dead_locks(operators_folder())
    if locks:
        found = "a killed build left its lock behind, and the next program that needs the operator would wait forever"
        checks.append(Check("train", "compiled operators", "missing", found, f"rm {' '.join(map(str, locks))}"))
    version = installed("deepspeed")
    build = thorough and not locks
    facts, why = run_python(ADAM, *(["--build"] if build else []), seconds=BUILD_SECONDS if build else SECONDS)
    if facts is None or not facts["compatible"]:
        why = why or "its CPU optimizer (for engine.offload) cannot be built here"
        return [*checks, Check("train", "DeepSpeed", "missing", f"{version}: {why}", install("g++", "python3-dev"))]
    optimizer = "CPU optimizer (for engine.offload) " + ("built" if build else "can be built")
    return [*checks, Check("train", "DeepSpeed", "ok", f"{version}, {optimizer}")]
