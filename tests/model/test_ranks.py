"""Two processes, one of which has only text: both get the same gradients and neither waits forever."""

import subprocess
import sys
from pathlib import Path

WORKER = """
import os, sys, torch
import torch.distributed as dist
sys.path.insert(0, sys.argv[1])
from tests.model.small_models import row_of, toy
from tests.model.small_checkpoints import START
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=int(sys.argv[3]), world_size=2)
model = torch.nn.parallel.DistributedDataParallel(toy().train())
ids = torch.tensor([row_of(1 - dist.get_rank(), 5)])
pixels = torch.randn(1, 3, 28, 28) if dist.get_rank() == 0 else None
for step in range(2):
    model(ids, pixels, labels=ids.masked_fill(ids >= START, -100)).loss.backward()
total = torch.stack([parameter.grad.double().abs().sum() for parameter in model.parameters()])
both = [torch.zeros_like(total) for _ in range(2)]
dist.all_gather(both, total)
assert torch.equal(*both), both
assert float(total.min()) > 0 or float(total.sum()) > 0
assert model.module.model.vision_tower.conv1.weight.grad.abs().sum() > 0
dist.destroy_process_group()
"""


def test_ranks_finish_with_equal_gradients_when_one_of_them_has_only_text(tmp_path: Path) -> None:
    here = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER, str(here), str(tmp_path / "store")]
    ranks = [subprocess.Popen([*command, str(rank)], cwd=here, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors[-2000:]
