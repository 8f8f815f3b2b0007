"""Make the first weights of the experiments' small model, a folder for each seed: 0.5M parameters, 16 positions per image.

    python examples/experiment_start.py --output out/experiments/start

The presets draw linear layers as Qwen-VL's adapter does (0.02), which suits a width of 4096: at 96 attention starts
so even that it takes thousands of samples to see a place at all. Here they are drawn by their own width.
"""

import argparse
from pathlib import Path

import torch

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import build_processor, match_config
from qvl.training.weights.export import write_model

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
SIDE, GRID, ROWS = 112, 4, 64


def small() -> QwenVLConfig:
    """The shape: two blocks of 64 (ViT) and two of 96."""
    text = qwen_text_config(
        hidden_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=256,
        tie_word_embeddings=True,
    )  # fmt: skip
    vision = VisionConfig(
        image_size=SIDE, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192
    )
    return QwenVLConfig(vision, AdapterConfig(query_grid=GRID, num_attention_heads=4), text)


def write_start(folder: Path, seed: int) -> None:
    """A model folder with first weights of this seed."""
    processor, config = build_processor(HERE / "tokenizer.json", SIDE, GRID**2), small()
    config.text_config.vocab_size = -(-len(processor.tokenizer) // ROWS) * ROWS
    match_config(config, processor.tokenizer)
    torch.manual_seed(seed)
    net = QwenVLForConditionalGeneration(config)
    for module in net.modules():
        if isinstance(module, torch.nn.Linear) and module is not net.lm_head:
            torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
    weights = {name: tensor for name, tensor in net.state_dict().items() if name != "lm_head.weight"}
    write_model(folder, config, weights, processor, torch.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/experiments/start"))
    options = parser.parse_args()
    for seed in SEEDS:
        write_start(options.output / str(seed), seed)
    print(f"{options.output}: first weights of seeds {', '.join(map(str, SEEDS))}")


if __name__ == "__main__":
    main()
