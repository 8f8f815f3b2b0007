"""Floating-point operations of a training step, from shapes alone.

A multiply-add counts as two operations; norms and softmax are not counted. Attention of the language model is causal, so it
is half of the full product. Logits are computed only where there are labels (`model.network.loss`).
"""

from dataclasses import dataclass

from qvl.model.network.config import QwenVLConfig
from qvl.training.recipe import StageSpec

TRAINED = {
    "language": frozenset({"language"}),
    "pretrain": frozenset({"vision", "adapter"}),
    "multitask": frozenset({"vision", "adapter", "language"}),
    "sft": frozenset({"adapter", "language"}),
}
"""The parts that each stage trains: as `model.weights.freeze`, but without importing torch."""


@dataclass(frozen=True)
class Shape:
    """The dimensions that costs depend on.

    ``vision``, ``adapter`` (with ln_post and proj) and ``language`` (with both tables) are numbers of parameters.
    """

    patch: int
    vision_layers: int
    vision_width: int
    vision_mlp: int
    queries: int
    layers: int
    width: int
    attention_width: int
    key_width: int
    mlp: int
    heads: int
    vocabulary: int
    tied: bool
    vision: int
    adapter: int
    language: int

    @property
    def parameters(self) -> int:
        return self.vision + self.adapter + self.language

    @property
    def blocks(self) -> int:
        """Parameters of the language model without embedding and head."""
        return self.language - self.vocabulary * self.width * (1 if self.tied else 2)

    def patches(self, resolution: int) -> int:
        """Patches of one image."""
        side: int = resolution // self.patch
        return side * side


def shape_of(config: QwenVLConfig) -> Shape:
    """The shape of a model. Counts are exact; a language model other than Qwen2 is counted on torch's meta device."""
    vision, text, queries = config.vision_config, config.text_config, config.adapter_config.num_queries
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    keys = getattr(text, "num_key_value_heads", None) or heads
    values = {
        "patch": vision.patch_size,
        "vision_layers": vision.num_hidden_layers,
        "vision_width": vision.hidden_size,
        "vision_mlp": vision.intermediate_size,
        "queries": queries,
        "layers": text.num_hidden_layers,
        "width": text.hidden_size,
        "attention_width": heads * head,
        "key_width": keys * head,
        "mlp": text.intermediate_size,
        "heads": heads,
        "vocabulary": text.vocab_size,
    }
    counts = {
        "vision": _vision(config),
        "adapter": _adapter(config),
        "language": _language(config, heads * head, keys * head),
    }
    return Shape(**values, tied=config.tie_word_embeddings, **counts)


def _vision(config: QwenVLConfig) -> int:
    vision = config.vision_config
    width, mlp = vision.hidden_size, vision.intermediate_size
    stem = 3 * vision.patch_size**2 * width + vision.position_grid**2 * width + 2 * width
    norms, attention, feed = 4 * width, 4 * (width + 1) * width, 2 * width * mlp + mlp + width
    return int(stem + vision.num_hidden_layers * (norms + attention + feed))


def _adapter(config: QwenVLConfig) -> int:
    width = config.text_config.hidden_size
    projections = config.vision_config.hidden_size * width + 4 * (width + 1) * width
    norms, proj = 6 * width, width * width
    return int(config.adapter_config.num_queries * width + projections + norms + proj)


def _language(config: QwenVLConfig, attention: int, keys: int) -> int:
    text = config.text_config
    if text.model_type != "qwen2":
        from qvl.model.weights.info import parts

        return next(part.parameters for part in parts(config) if part.name == "language")
    width = text.hidden_size
    block = (width + 1) * (attention + 2 * keys) + attention * width + 3 * width * text.intermediate_size + 2 * width
    tables = text.vocab_size * width * (1 if config.tie_word_embeddings else 2)
    return int(tables + text.num_hidden_layers * block + width)


@dataclass(frozen=True)
class Load:
    """What passes through the model for one sample, a micro-batch or a step; the numbers may be averages.

    ``tokens``: positions of the language model, padding included. ``pairs``: sum of the squared lengths of segments that
    attend to themselves. ``labels``: positions with a label.
    """

    images: float
    tokens: float
    pairs: float
    labels: float

    def times(self, factor: float) -> "Load":
        """The load multiplied by a factor."""
        return Load(self.images * factor, self.tokens * factor, self.pairs * factor, self.labels * factor)


@dataclass(frozen=True)
class Flops:
    """Operations by part. ``recompute``: those of the forward pass that activation checkpointing repeats."""

    vision: float
    adapter: float
    language: float
    head: float
    recompute: float = 0.0

    @property
    def model(self) -> float:
        """The operations that the model itself needs: the numerator of MFU."""
        return self.vision + self.adapter + self.language + self.head

    @property
    def total(self) -> float:
        """The operations that the GPU computes."""
        return self.model + self.recompute


def vision_forward(shape: Shape, patches: int) -> float:
    """Operations of one image in the ViT: patch convolution, projections, full attention."""
    width = shape.vision_width
    linear = shape.vision_layers * (4 * width * width + 2 * width * shape.vision_mlp) + 3 * shape.patch**2 * width
    return float(2 * patches * linear + 4 * shape.vision_layers * patches * patches * width)


def adapter_forward(shape: Shape, patches: int) -> float:
    """Operations of one image in the adapter: keys and values of all patches, queries, ln_post's projection."""
    width, square = shape.width, shape.width * shape.width
    keys = 2 * patches * (shape.vision_width * width + 2 * square)
    return float(keys + 2 * shape.queries * 3 * square + 4 * shape.queries * patches * width)


def language_forward(shape: Shape, load: Load) -> float:
    """Operations of the language model's blocks; causal attention covers half of all pairs."""
    return 2 * shape.blocks * load.tokens + 2 * shape.layers * shape.attention_width * load.pairs


def head_forward(shape: Shape, labels: float) -> float:
    """Operations of the logits at the positions that have a label."""
    return 2.0 * shape.vocabulary * shape.width * labels


def forward(shape: Shape, load: Load, resolution: int) -> Flops:
    """Operations of one forward pass."""
    patches = shape.patches(resolution)
    return Flops(
        vision=load.images * vision_forward(shape, patches),
        adapter=load.images * adapter_forward(shape, patches),
        language=language_forward(shape, load),
        head=head_forward(shape, load.labels),
    )


def lora_parameters(shape: Shape, rank: int) -> int:
    """Parameters of low-rank updates to q, k, v, o, gate and up (release: c_attn, attn.c_proj, w1, w2) in every block."""
    width, attention, keys, mlp = shape.width, shape.attention_width, shape.key_width, shape.mlp
    sides = (width + attention) + 2 * (width + keys) + (attention + width) + 2 * (width + mlp)
    return shape.layers * rank * sides


def trained_parameters(shape: Shape, stage: StageSpec) -> int:
    """The number of parameters that have gradients and optimizer states."""
    trained = TRAINED[stage.stage]
    count = shape.adapter if "adapter" in trained else 0
    if "vision" in trained:
        count += round(shape.vision * _trained_share(shape, stage))
    if stage.lora is not None:
        return count + lora_parameters(shape, stage.lora.rank)
    return count + (shape.language if "language" in trained else 0)


def training_flops(shape: Shape, stage: StageSpec, load: Load) -> Flops:
    """Operations of the forward and backward passes of a stage.

    A trained part costs three times its forward pass. A frozen part that gradients pass through costs twice (the language
    model of stage 1, or under LoRA). A frozen part with nothing trained before it costs once (the ViT of stage 3, or
    frozen first blocks of the ViT). Recomputation adds the forward pass of the blocks that gradients pass through.
    """
    once = forward(shape, load, stage.resolution)
    seen = _trained_share(shape, stage) if "vision" in TRAINED[stage.stage] else 0.0
    whole = "language" in TRAINED[stage.stage] and stage.lora is None
    factor = 3 if whole else 2
    low_rank = 0.0 if stage.lora is None else 6.0 * lora_parameters(shape, stage.lora.rank) * load.tokens
    again = once.vision * seen + once.language if stage.engine.recompute else 0.0
    return Flops(
        vision=once.vision * (1 + 2 * seen),
        adapter=3 * once.adapter,
        language=factor * once.language + low_rank,
        head=factor * once.head,
        recompute=again,
    )


def _trained_share(shape: Shape, stage: StageSpec) -> float:
    """The share of the ViT's blocks that are trained."""
    return max(0.0, 1 - stage.frozen_vision_blocks / max(1, shape.vision_layers))
