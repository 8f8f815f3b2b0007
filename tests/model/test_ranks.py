"""Two processes, one of which has only text: both get the same gradients and neither waits forever."""

import torch
import torch.distributed as dist

from tests.model.small_checkpoints import START
from tests.model.small_models import row_of, toy
from tests.training.forked import run_ranks


def check_gradients() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = torch.nn.parallel.DistributedDataParallel(toy().train())
    ids = torch.tensor([row_of(1 - dist.get_rank(), 5)])
    pixels = torch.randn(1, 3, 28, 28) if dist.get_rank() == 0 else None
    for _ in range(2):
        model(ids, pixels, labels=ids.masked_fill(ids >= START, -100)).loss.backward()
    total = torch.stack([parameter.grad.double().abs().sum() for parameter in model.parameters()])
    both = [torch.zeros_like(total) for _ in range(2)]
    dist.all_gather(both, total)
    assert torch.equal(*both), both
    assert float(total.min()) > 0 or float(total.sum()) > 0
    assert model.module.model.vision_tower.conv1.weight.grad.abs().sum() > 0
    dist.destroy_process_group()


def test_ranks_finish_with_equal_gradients_when_one_of_them_has_only_text() -> None:
    run_ranks(check_gradients)
