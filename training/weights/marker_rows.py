"""Trains the embedding rows of the markup's tokens while the language model is frozen (an option of stage 1).

A base model has never seen `<img>`, `<ref>`, `<box>` and the other markup tokens. With a frozen embedding their rows would
stay random. Each of them gets a small trained difference, added where the token is read and where it is predicted, so that
no gradients or optimizer states are needed for the whole table. `fold` adds the differences to the tables at the end.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import MARKUP

IN, OUT = "markers.marker_rows_in", "markers.marker_rows_out"
EMBEDDING, HEAD = "model.language_model.embed_tokens.weight", "lm_head.weight"
TOKENS = MARKUP
"""The tokens that a base language model has never been trained on."""


class MarkerRows(nn.Module):
    """Differences [K, D] to the rows ``ids`` [K] of the embedding, and of the head where its table is not tied to it."""

    ids: Tensor

    def __init__(self, net: QwenVLForConditionalGeneration, ids: Sequence[int]) -> None:
        super().__init__()
        embedding: Any = net.get_input_embeddings()
        head: Any = net.get_output_embeddings()
        self.register_buffer("ids", torch.tensor(sorted(ids)), persistent=False)
        rows = torch.zeros(len(ids), embedding.weight.shape[1], dtype=embedding.weight.dtype)
        self.marker_rows_in = nn.Parameter(rows)
        self.marker_rows_out = None if head.weight is embedding.weight else nn.Parameter(rows.clone())
        embedding.register_forward_hook(self._embed)
        head.register_forward_hook(self._predict)

    def _embed(self, module: nn.Module, inputs: tuple[Tensor], output_BLD: Tensor) -> Tensor:
        ids_BL = inputs[0]
        at_BL = torch.searchsorted(self.ids, ids_BL).clamp(max=len(self.ids) - 1)
        known_BL = self.ids[at_BL] == ids_BL
        return output_BLD + self.marker_rows_in[at_BL] * known_BL.unsqueeze(-1)

    def _predict(self, module: nn.Module, inputs: tuple[Tensor], logits_CV: Tensor) -> Tensor:
        rows_KD = self.marker_rows_in if self.marker_rows_out is None else self.marker_rows_out
        change_CK = inputs[0] @ rows_KD.T.to(inputs[0].dtype)
        return logits_CV.index_add(-1, self.ids, change_CK.to(logits_CV.dtype))


def fold(weights: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """The weights with the differences added to their tables and then left out."""
    folded = {name: tensor for name, tensor in weights.items() if name not in (IN, OUT)}
    for name, table in ((IN, EMBEDDING), (OUT, HEAD)):
        if name in weights:
            changed = folded[table].clone()
            changed[sorted(ids)] += weights[name].to(changed.dtype)
            folded[table] = changed
    if IN in weights and OUT not in weights and HEAD in folded:  # a tied table has two names
        folded[HEAD] = folded[EMBEDDING]
    return folded
