"""Language model: any causal LM of `transformers`, built from its config and fed through `inputs_embeds`.

Only the body is used. The head is a linear layer of our own, so that logits can be computed only where there are labels.
"""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from .errors import ModelError

_HEAD_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def build_language_model(config: PreTrainedConfig, **kwargs: Any) -> PreTrainedModel:
    """The body of the causal LM that `config` describes, with uninitialised weights.

    Raises ModelError for a family whose head is more than a single matrix, because its logits would be silently wrong.
    """
    changes = [name for name in _HEAD_SETTINGS if getattr(config, name, None) not in (None, 1, 1.0)]
    if changes:
        raise ModelError(
            f"the head of {config.model_type!r} is more than a single matrix: it sets {', '.join(changes)}"
        )
    body: PreTrainedModel = AutoModel.from_config(config, **kwargs)
    return body


def embedding_name(body: PreTrainedModel) -> str:
    """The dotted name of the input embedding within the body (`embed_tokens`, `wte`, ...)."""
    table = body.get_input_embeddings()
    names: list[str] = [name for name, module in body.named_modules() if module is table]
    return names[0]
