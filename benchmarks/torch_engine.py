"""An engine by torch alone, for machines without DeepSpeed, with what DeepSpeed keeps: float32 masters and moments."""

from collections.abc import Iterator
from typing import Any


class TorchEngine:
    """`DeepSpeedEngine`'s calls by torch alone: float32 masters, clipping, AdamW; float32 gradients chunk by chunk."""

    CHUNK = 1 << 28

    def __init__(self, model: Any, spec: Any) -> None:
        import torch

        self.model, self.spec = model, spec
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.device = self.trained[0].device
        self.chunks: list[tuple[list[Any], list[Any], Any]] = []
        for parameters in self._chunks():
            masters = [parameter.detach().float() for parameter in parameters]
            settings = {"lr": spec.peak, "betas": spec.betas, "eps": spec.eps, "weight_decay": spec.weight_decay}
            adam = torch.optim.AdamW(masters, **settings, fused=self.device.type == "cuda")
            self.chunks.append((parameters, masters, adam))

    def _chunks(self) -> Iterator[list[Any]]:
        held: list[Any] = []
        for parameter in self.trained:
            held.append(parameter)
            if sum(one.numel() for one in held) >= self.CHUNK:
                yield held
                held = []
        if held:
            yield held

    def forward(self, *inputs: Any) -> Any:
        return self.model(*(None if one is None else one.to(self.device, non_blocking=True) for one in inputs))

    def backward(self, loss: Any, tokens: int, last: bool) -> None:
        (loss / max(1, tokens)).backward()

    def step(self, rate: float) -> None:
        import torch

        norm = torch.nn.utils.get_total_norm([one.grad for one in self.trained if one.grad is not None])
        scale = (self.spec.clip / (norm.float() + 1e-6)).clamp(max=1.0)
        for parameters, masters, adam in self.chunks:
            for parameter, master in zip(parameters, masters, strict=True):
                master.grad = None if parameter.grad is None else parameter.grad.float().mul_(scale)
                parameter.grad = None
            adam.step()
            adam.zero_grad()
            torch._foreach_copy_([parameter.detach() for parameter in parameters], masters)
