"""Qwen-VL: vision tower, adapter and language model, with image features spliced in between `<img>` and `</img>`.

Shapes: B sequences, L positions, M images in the whole batch, C colours, H x W pixels, Q positions of one image,
D width and V vocabulary of the language model. Paper section 2; reference section 12.
"""

# transformers annotates these interfaces only for its own classes:
# mypy: disable-error-code="no-untyped-call, override, misc, arg-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast

from .adapter import Adapter
from .config import QwenVLConfig
from .errors import ModelError
from .language import build_language_model, embedding_name
from .loss import label_loss
from .positions import sincos_2d
from .vision import VisionTransformer

Inputs = dict[str, Any]  # keyword arguments of ``generate``


class QwenVLPreTrainedModel(PreTrainedModel):
    """What `transformers` must know about the model, and the initialisation of every part."""

    config_class = QwenVLConfig
    base_model_prefix = "model"
    input_modalities: ClassVar[list[str]] = ["image", "text"]
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["VisionBlock", "Adapter"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def checkpoint_activations(self) -> None:
        """Recompute the blocks of the ViT and the language model in the backward pass, one block's activations at a time."""
        name = "activation_checkpointing_enable"  # transformers 5.2x renamed it
        enable = getattr(self, name) if hasattr(self, name) else self.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module; `init` skips tensors that a checkpoint filled (transformers 5 calls this after loading)."""
        if isinstance(module, Adapter):
            init.trunc_normal_(module.query, std=0.02)
            init.normal_(module.proj, std=len(module.proj) ** -0.5)
            side = round(len(module.pos_embed) ** 0.5)
            init.copy_(module.pos_embed, sincos_2d(side, module.pos_embed.shape[1]))
        elif isinstance(module, VisionTransformer):
            init.normal_(module.positional_embedding, std=module.positional_embedding.shape[1] ** -0.5)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class QwenVLModel(QwenVLPreTrainedModel):
    """The model without its head: token ids and pixels in, hidden states out."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config)
        self.vision_tower = VisionTransformer(config.vision_config)
        self.adapter = Adapter(config.adapter_config, config.vision_config.hidden_size, config.text_config.hidden_size)
        self.language_model = build_language_model(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def encode_images(self, pixels_MCHW: Tensor) -> Tensor:
        """Pixels [M, 3, H, W] -> features [M, Q, D] at any resolution."""
        patches_MNV = self.vision_tower(pixels_MCHW)
        features_MQD: Tensor = self.adapter(patches_MNV, self.vision_tower.grid(pixels_MCHW))
        return features_MQD

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """`encode_images` under the name that transformers expects: the features are in `pooler_output`, [M, Q, D]."""
        return BaseModelOutputWithPooling(pooler_output=self.encode_images(pixel_values))

    def get_placeholder_mask(self, input_ids_BL: Tensor, images: int) -> Tensor:
        """Mask [B, L] of the positions of image features. Raises ModelError if they contradict the number of images."""
        mask_BL: Tensor = input_ids_BL == self.config.image_token_id
        size = self.config.adapter_config.num_queries
        counts = mask_BL.sum(dim=1).tolist()
        broken = [f"row {row} has {count}" for row, count in enumerate(counts) if count % size]
        if broken:
            raise ModelError(f"every image takes {size} positions, but {'; '.join(broken)}")
        if sum(counts) != images * size:
            slots = [count // size for count in counts]
            raise ModelError(f"{images} image(s) given, but the token ids have slots for {sum(slots)}: {slots}")
        return mask_BL

    def splice(self, input_ids_BL: Tensor, pixels_MCHW: Tensor | None) -> Tensor:
        """Embeddings [B, L, D] with the features of the images, in order, at the image positions.

        Images are in the order of the batch's rows: first those of row 0, then those of row 1. In training, a batch
        without images runs a black image through the vision path and multiplies the result by zero, so that every rank
        does the same work (unless nothing in that path is trained: then no batch of the stage has images).
        """
        embeds_BLD: Tensor = self.get_input_embeddings()(input_ids_BL)
        if pixels_MCHW is not None and len(pixels_MCHW):
            mask_BL = self.get_placeholder_mask(input_ids_BL, len(pixels_MCHW))
            features_MQD = self.encode_images(pixels_MCHW).to(embeds_BLD.device, embeds_BLD.dtype)
            return embeds_BLD.masked_scatter(mask_BL.unsqueeze(-1).to(embeds_BLD.device), features_MQD)
        self.get_placeholder_mask(input_ids_BL, 0)
        if not self.training or not self.adapter.query.requires_grad:
            return embeds_BLD
        side = self.config.vision_config.image_size
        black_1CHW = torch.zeros(1, 3, side, side, device=embeds_BLD.device)
        return embeds_BLD + (self.encode_images(black_1CHW) * 0).sum().to(embeds_BLD.device, embeds_BLD.dtype)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Ids [B, L] (or embeddings [B, L, D]) and pixels [M, 3, H, W] -> hidden states [B, L, D]."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ModelError("pass exactly one of input_ids and inputs_embeds")
        if input_ids is not None:
            inputs_embeds = self.splice(input_ids, pixel_values)
        elif pixel_values is not None:
            raise ModelError("pixel_values need input_ids: embeddings do not tell where the images are")
        output: BaseModelOutputWithPast = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **kwargs,
        )
        return output


class QwenVLForConditionalGeneration(QwenVLPreTrainedModel, GenerationMixin):
    """The model with its head: the loss at labelled positions, or logits for generation."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config)
        self.model = QwenVLModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        table = embedding_name(self.model.language_model)
        self._tied_weights_keys = {"lm_head.weight": f"model.language_model.{table}.weight"}
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """See QwenVLModel.get_image_features."""
        return self.model.get_image_features(pixel_values)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """With `labels` [B, L]: the loss (`label_loss`, divided by `num_items_in_batch`), and logits only on request.

        `logits_to_keep`: logits [B, ., V] of that many last positions, of the listed positions, or of all (0 or None).
        """
        output = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        hidden_BLD = output.last_hidden_state
        loss, logits = None, None
        if labels is not None:
            loss = label_loss(hidden_BLD, labels, self.lm_head, num_items_in_batch)
        if labels is None or logits_to_keep is not None:
            logits = self.lm_head(hidden_BLD[:, _kept_positions(logits_to_keep)])
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, is_first_iteration: bool = False, **kwargs: Any
    ) -> Inputs:
        """Pixels are passed with the prompt only; afterwards their features are in the KV cache."""
        inputs: Inputs = super().prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs.pop("pixel_values", None)
        return inputs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, Inputs]:
        """For beam search: repeat the images of a row as a group (a b a b), not one by one (a a b b)."""
        pixels = model_kwargs.pop("pixel_values", None)
        if pixels is not None and input_ids is not None:
            mask_BL = self.model.get_placeholder_mask(input_ids, len(pixels))
            images_of_row = (mask_BL.sum(dim=1) // self.config.adapter_config.num_queries).tolist()
            pixels = torch.cat([part for row in pixels.split(images_of_row) for part in [row] * expand_size])
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=is_encoder_decoder, input_ids=input_ids, **model_kwargs
        )
        if pixels is not None:
            model_kwargs["pixel_values"] = pixels
        return input_ids, model_kwargs


def _kept_positions(logits_to_keep: int | Tensor | None) -> Tensor | slice:
    """The positions whose logits are computed: the last ones by their number, the listed ones, or all (0 or None)."""
    return logits_to_keep if isinstance(logits_to_keep, Tensor) else slice(-(logits_to_keep or 0), None)
