"""DeepSpeed behind four operations: forward, backward, step, and whole tensors in and out.

No other module uses DeepSpeed to train. Tensors are gathered one by one under our own names, so that a checkpoint does not
depend on the number of processes. A gradient is that of the sum of losses, divided by the supervised tokens of the step.
"""

# mypy: disable-error-code="no-untyped-call"

import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from qvl.training.loop.operators import clear_dead_locks, operators_folder
from qvl.training.loop.optimizer import ParameterGroup, parameter_groups
from qvl.training.recipe import Engine, OptimizerSpec

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # read once, when deepspeed is imported

import deepspeed
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Stepped:
    """An optimizer step: the gradient's norm before clipping (None where not finite), and whether the update was skipped."""

    norm: float | None
    skipped: bool


class DeepSpeedEngine:
    """One stage's model and optimizer on this rank."""

    def __init__(self, model: nn.Module, spec: Engine, optimizer: OptimizerSpec, world: int) -> None:
        self.model, self.world, self.updates = model, world, 0
        self.named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        masters = {name: parameter.detach().clone().float() for name, parameter in self.named}
        groups = parameter_groups(_inner(model), optimizer)
        clear_dead_locks(operators_folder())
        self._engine, *_ = deepspeed.initialize(
            model=model,
            model_parameters=[parameter for _, parameter in self.named],
            optimizer=_adamw(groups, optimizer, spec),
            config=_config(spec, optimizer),
            dist_init_required=False,
        )
        self.device = self._engine.device
        self._create_moments()
        for name, parameter in self.named:  # the engine copied its masters from weights already rounded to bfloat16
            safe_set_full_fp32_param(parameter, masters.pop(name).to(self.device))

    def forward(self, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of the losses, with a gradient, and the loss of each supervised token."""
        moved = [None if tensor is None else tensor.to(self.device, non_blocking=True) for tensor in inputs]
        result: tuple[Tensor, Tensor] = self._engine(*moved)
        return result

    def backward(self, loss: Tensor, tokens: int, last: bool) -> None:
        """Add the gradients of a micro-batch's sum of losses, divided by the ``tokens`` of the whole step.

        ``last``: whether it is the step's last micro-batch, after which ranks exchange gradients.
        """
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(
            loss * (self.world / max(1, tokens)), scale_wrt_gas=False
        )  # the engine averages over ranks
        if not last:
            self._engine.step()

    def invalidate_loss(self, loss: Tensor) -> Tensor:
        """A loss whose gradient is NaN, which makes the engine skip the update in every ZeRO stage."""
        return loss * math.nan

    def step(self, rate: float) -> Stepped:
        """Update the weights with a learning rate. The update is skipped where the gradient is NaN or infinite."""
        optimizer: Any = self._engine.optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        skipped = bool(getattr(optimizer, "overflow", False))
        self.updates += not skipped
        finite = norm is not None and math.isfinite(float(norm))
        return Stepped(float(norm) if finite else None, skipped)

    def state(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Every trained tensor in whole on every rank: its float32 ``weight`` and its moments. A collective call."""
        for name, parameter in self.named:
            tensors = {"weight": safe_get_full_fp32_param(parameter)}
            tensors |= {moment: safe_get_full_optimizer_state(parameter, moment) for moment in MOMENTS}
            yield name, tensors

    def load(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Set a trained tensor and its moments from whole ones. It works at any number of processes."""
        parameter = dict(self.named)[name]
        safe_set_full_fp32_param(parameter, tensors["weight"].to(self.device))
        for moment in MOMENTS:
            safe_set_full_optimizer_state(parameter, tensors[moment].to(self.device), moment)
        with _gathered(parameter):
            parameter.data.copy_(tensors["weight"].view_as(parameter))

    def set_updates(self, updates: int) -> None:
        """Set the number of updates that the moments have seen, which Adam's bias correction depends on."""
        self.updates = updates
        for state in self._inner_optimizer().state.values():
            step = state["step"]
            state["step"] = torch.full_like(step, updates) if isinstance(step, Tensor) else updates

    def _inner_optimizer(self) -> Any:
        return self._engine.optimizer.optimizer

    def _create_moments(self) -> None:
        """Create moments of zero before the first step, so that a checkpoint can be loaded or saved at step 0."""
        outer, inner = self._engine.optimizer, self._inner_optimizer()
        flat = getattr(
            outer, "fp32_partitioned_groups_flat", None
        )  # ZeRO-3 hands its partitions to the inner optimizer one at a time
        tensors = flat if flat is not None else [p for group in inner.param_groups for p in group["params"]]
        for tensor in tensors:
            counter = torch.zeros((), dtype=torch.float32, device=tensor.device) if _torch_adam(inner) else 0
            inner.state[tensor] = {"step": counter, **{moment: torch.zeros_like(tensor) for moment in MOMENTS}}
        if hasattr(outer, "_lazy_init_hp_params_optimizer_state"):
            outer._lazy_init_hp_params_optimizer_state()


def full_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the model's state in whole, as the forward pass uses it. A collective call under ZeRO-3."""
    for name, tensor in model.state_dict(keep_vars=True).items():
        with _gathered(tensor):
            yield name, tensor.detach().cpu().clone()


def _gathered(parameter: Tensor) -> Any:
    """A context in which the parameter is whole; under ZeRO-3 it is partitioned outside of it."""
    if hasattr(parameter, "ds_id"):
        return deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)
    return nullcontext()


def _inner(model: nn.Module) -> nn.Module:
    """The parameters under the wrapped model's names (``model.vision_tower...``), together with the marker rows."""
    holder = nn.Module()
    net: Any = model.net
    for name, child in net.named_children():
        holder.add_module(name, child)
    markers: Any = model.markers
    if markers is not None:
        holder.add_module("markers", markers)
    return holder


def _torch_adam(optimizer: Any) -> bool:
    return isinstance(optimizer, torch.optim.AdamW)


def _adamw(groups: list[ParameterGroup], spec: OptimizerSpec, engine: Engine) -> Any:
    own: Any = groups  # the optimizers add keys of their own to the groups
    if engine.offload == "none":
        fused = torch.cuda.is_available()
        return torch.optim.AdamW(own, lr=spec.peak, betas=spec.betas, eps=spec.eps, fused=fused)
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    return DeepSpeedCPUAdam(own, lr=spec.peak, betas=spec.betas, eps=spec.eps, adamw_mode=True)


def _config(engine: Engine, optimizer: OptimizerSpec) -> dict[str, JsonValue]:
    # one buffer for gradients prevents fragmented memory on a GPU; on a CPU the copy would only cost time
    zero: dict[str, JsonValue] = {"stage": engine.zero, "contiguous_gradients": torch.cuda.is_available()}
    if engine.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if engine.offload == "parameters":
        zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    config: dict[str, JsonValue] = {
        "train_micro_batch_size_per_gpu": 1,  # has no effect: batches are built before, and boundaries are set by hand
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimizer.clip,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1 << 60,
    }
    if engine.precision == "bfloat16":
        config["bf16"] = {"enabled": True, "check_grad_overflow": True}
    return config
