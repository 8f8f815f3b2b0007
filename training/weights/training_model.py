"""The model as a training step sees it: a batch in, the loss of every supervised token out."""

from torch import Tensor, nn, tensor

from qvl.model.network.image_processor import CLIP_MEAN, CLIP_STD
from qvl.model.network.loss import token_losses
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.freeze import freeze_for_stage
from qvl.training.recipe import StageSpec
from qvl.training.weights.lora import add_lora
from qvl.training.weights.marker_rows import MarkerRows


class TrainingModel(nn.Module):
    """Wraps the model: a forward pass returns (sum of losses, losses [N]). Parameter names gain the prefix ``net.``."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: QwenVLForConditionalGeneration) -> None:
        super().__init__()
        self.net = net
        self.markers: MarkerRows | None = None
        scale_C = tensor(CLIP_STD) * 255
        self.register_buffer("shift", -(tensor(CLIP_MEAN) * 255 / scale_C).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", (1 / scale_C).view(1, 3, 1, 1), persistent=False)

    def forward(
        self, ids_BL: Tensor, labels_BL: Tensor, positions_BL: Tensor | None, bytes_MSSC: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The sum over supervised tokens, with its gradient, and the losses [N] without one.

        There is no attention mask: padding comes last, and positions that restart at 0 make attention block-diagonal.
        """
        pixels_MCSS = None
        if bytes_MSSC is not None:
            pixels_MCSS = bytes_MSSC.permute(0, 3, 1, 2).float() * self.scale.float() + self.shift.float()
        hidden_BLD = self.net.model(ids_BL, pixels_MCSS, position_ids=positions_BL, use_cache=False).last_hidden_state
        losses_N = token_losses(hidden_BLD, labels_BL, self.net.lm_head)
        if not len(losses_N):
            return (self.net.lm_head(hidden_BLD[:, :1]).float() * 0).sum(), losses_N.detach()
        return losses_N.sum(), losses_N.detach()


def prepare(net: QwenVLForConditionalGeneration, stage: StageSpec, marker_ids: list[int]) -> TrainingModel:
    """Wrap a model for its stage: frozen as the stage requires, with marker rows and low-rank updates as the recipe says."""
    model = TrainingModel(net)
    freeze_for_stage(net, stage.stage, stage.frozen_vision_blocks)
    if stage.trained_markers:
        model.markers = MarkerRows(net, marker_ids)
    if stage.lora is not None:
        add_lora(net, stage.lora)
    if stage.engine.recompute:
        net.checkpoint_activations()
    model.train()
    return model
