"""Where the time of a training step goes: moments on the device at the borders of the parts, forward and backward."""

import itertools
import time
from collections import defaultdict
from typing import Any


class Marks:
    """Moments on the device; the time before each one belongs to what it names."""

    def __init__(self, cuda: bool) -> None:
        self.cuda = cuda
        self.moments: list[tuple[str, Any]] = []
        self.inside = "head"  # the part that the backward pass is in

    def at(self, name: str) -> None:
        """The time since the mark before is ``name``'s."""
        import torch

        moment: Any = torch.cuda.Event(enable_timing=True) if self.cuda else time.perf_counter()
        if self.cuda:
            moment.record()
        self.moments.append((name, moment))

    def seconds(self) -> dict[str, float]:
        """Seconds by name; the first mark has no time before it."""
        import torch

        if self.cuda:
            torch.cuda.synchronize()
        found: defaultdict[str, float] = defaultdict(float)
        for (_, start), (name, end) in itertools.pairwise(self.moments):
            found[name] += start.elapsed_time(end) / 1e3 if self.cuda else end - start
        self.moments.clear()
        return dict(found)

    def watch(self, net: Any) -> None:
        """Marks at the borders of vision, adapter and language model, forward and backward."""
        parts = {"vision": net.model.vision_tower, "adapter": net.model.adapter, "language": net.model.language_model}
        for name, module in parts.items():
            module.register_forward_pre_hook(lambda *_: self.at("other"))
            module.register_forward_hook(lambda _, __, output, name=name: self._behind(name, output))

    def _behind(self, name: str, output: Any) -> None:
        self.at(name)
        self.inside = "head"
        hidden = output.last_hidden_state if hasattr(output, "last_hidden_state") else output
        if hidden.requires_grad:
            hidden.register_hook(lambda _: self._enter(name))

    def _enter(self, name: str) -> None:
        """The backward pass leaves the part that follows and enters this one."""
        self.at(self.inside)
        self.inside = name
