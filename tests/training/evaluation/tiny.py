"""A model of seconds: byte-level vocabulary, 16 positions per image; and how it learns samples by heart."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.dialogue import encode_plain
from qvl.model.text.tokenizer import build_processor, match_config
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import save_processor, write_model_files
from qvl.training.evaluation.samples.sample import EvalSample

SIDE, GRID = 56, 4


def tiny_config() -> QwenVLConfig:
    return QwenVLConfig(
        VisionConfig(
            image_size=SIDE, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            position_grid=4,
        ),
        AdapterConfig(query_grid=GRID, num_attention_heads=4),
        qwen_text_config(
            vocab_size=512, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
            intermediate_size=128, tie_word_embeddings=True, max_position_embeddings=2048,
        ),
    )  # fmt: skip


def write_tiny(folder: Path, seed: int = 0) -> Path:
    """A model folder with random weights and its tokenizer."""
    folder.mkdir(parents=True)
    ranks = folder / "qwen.tiktoken"
    ranks.write_bytes(b"\n".join(base64.b64encode(bytes([value])) + b" %d" % value for value in range(256)))
    config, processor = tiny_config(), build_processor(ranks, SIDE, GRID**2)
    match_config(config, processor.tokenizer)
    torch.manual_seed(seed)
    QwenVLForConditionalGeneration(config).save_pretrained(folder)
    write_model_files(folder, config)
    save_processor(processor, folder)
    return folder


def learn(folder: Path, samples: Sequence[EvalSample], steps: int) -> QwenVLForConditionalGeneration:
    """Train on these samples alone, all of them in every step."""
    model, processor = load_model(folder), load_processor(folder)
    encoded, pixels = [], []
    for sample in samples:
        blank = "" if sample.answers[0].startswith("<box>") else " "
        encoded.append(
            encode_plain(processor.tokenizer, [(sample.prompt, False), (blank + sample.answers[0], True)], GRID**2)
        )
        pixels += [processor.image_processor.pixels(Image.open(io.BytesIO(at.read()))) for at in sample.images]
    longest = max(len(each.ids) for each in encoded)
    ids = torch.tensor([each.ids + [0] * (longest - len(each.ids)) for each in encoded])
    mask = torch.tensor([[1] * len(each.ids) + [0] * (longest - len(each.ids)) for each in encoded])
    labels = torch.tensor([each.labels + [-100] * (longest - len(each.ids)) for each in encoded])
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels, "pixel_values": torch.tensor(np.stack(pixels))}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    model.train()
    for _ in range(steps):
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return model
