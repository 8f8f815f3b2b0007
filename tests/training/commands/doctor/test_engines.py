"""GPUs that PyTorch cannot use, and checks in a process of their own that fail or hang."""

import os
from pathlib import Path

import pytest

from qvl.training.commands.doctor.engines import gpus, run_python

GPU = "#!/bin/sh\necho 'NVIDIA Test, 81559 MiB, 550.1'\n"


def test_a_gpu_that_pytorch_cannot_use_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(GPU)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    driver, torch = gpus()
    assert (driver.state, driver.found) == ("ok", "NVIDIA Test, 81559 MiB, 550.1")
    assert torch.state == "missing" and "cannot use the GPUs" in torch.found and "pip install" in str(torch.repair)


def test_a_program_that_fails_or_hangs_gives_a_reason() -> None:
    assert run_python("raise SystemExit(3)") == (None, "exit 3")
    assert run_python("import no_such_module") == (None, "ModuleNotFoundError: No module named 'no_such_module'")
    assert run_python("print('noise'); print('[1]')") == ([1], "")
    assert run_python("import time; time.sleep(60)", seconds=0.5) == (None, "no answer in 0.5 s")
