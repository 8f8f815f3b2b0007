"""Peer: py-data-juicer's `image_text_similarity_filter` and our scoring on one core, with the same weights.

    python benchmarks/peer_data_juicer_clip.py [--rows 48] [--data .data/benchmarks]

A ViT-B/32 with random weights is made as transformers stores it (configuration, tokenizer and processor are built here, from
open_clip's own word list), and the same weights under open_clip's names for our side. Pairs are those of `clip_cpu.py`,
longest side 512. The peer gets loose files and a caption with its mark for the image; timed is `dataset.process` of the one
operator, less that of one row. It scores one pair at a time (its operator has no batches). Both sides: one core, fp32.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peer_data_juicer import _timed, environment

TRANSFORMERS = "transformers==5.23.0"
SCALE = 4.605170185988092  # the operator divides by 100
MODEL = "ViT-B-32"


def words(folder: Path) -> None:
    """The word list of CLIP as transformers reads it, from open_clip's."""
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer, default_bpe

    found = SimpleTokenizer().encoder
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    (folder / "vocab.json").write_text(json.dumps({names.get(word, word): at for word, at in found.items()}))
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines[1 : 49152 - 256 - 2 + 1]]) + "\n")
    assert open_clip.get_tokenizer(MODEL).vocab_size == len(found)


def make_model(folder: Path) -> None:
    """Inside the peer's environment: the model as transformers stores it, and `weights.pt` under open_clip's names."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    torch.manual_seed(0)
    act = {"hidden_act": "gelu"}
    model = CLIPModel(CLIPConfig(text_config=act, vision_config=act, logit_scale_init_value=SCALE)).eval()
    model.save_pretrained(folder)
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder)
    torch.save(open_clip_names(model.state_dict()), folder / "weights.pt")


def open_clip_names(state: dict[str, Any]) -> dict[str, Any]:
    """Weights of transformers' CLIP under the names of open_clip's."""
    import torch

    result = {
        "logit_scale": state["logit_scale"],
        "text_projection": state["text_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
    }
    norms = {"text_model.final_layer_norm": "ln_final", "vision_model.pre_layrnorm": "visual.ln_pre"}
    pairs = [*norms.items(), ("vision_model.post_layernorm", "visual.ln_post")]
    inner = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for theirs, ours in (("text_model", "transformer"), ("vision_model", "visual.transformer")):
        for layer in range(12):
            here, there = f"{ours}.resblocks.{layer}", f"{theirs}.encoder.layers.{layer}"
            pairs += [(f"{there}.{one}", f"{here}.{other}") for one, other in inner.items()]
            pairs.append((f"{there}.self_attn.out_proj", f"{here}.attn.out_proj"))
            for kind in ("weight", "bias"):
                parts = [state[f"{there}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
                result[f"{here}.attn.in_proj_{kind}"] = torch.cat(parts)
    return result | {
        f"{ours}.{kind}": state[f"{theirs}.{kind}"] for theirs, ours in pairs for kind in ("weight", "bias")
    }


def work(folder: Path) -> None:
    """Inside the peer's environment: `result.json` with rates and scores."""
    from data_juicer.config import init_configs
    from data_juicer.core.executor import DefaultExecutor

    operator = {"image_text_similarity_filter": {"hf_clip": str(folder / "model"), "min_score": -1.0}}
    recipe = {
        "project_name": "peer",
        "dataset_path": str(folder / "rows.jsonl"),
        "export_path": str(folder / "output" / "rows.jsonl"),
        "np": 1,
        "use_cache": False,
        "skip_op_error": False,
        "open_tracer": False,
        "open_monitor": False,
        "process": [operator],
    }
    config = folder / "recipe.yaml"
    config.write_text(json.dumps(recipe))
    executor = DefaultExecutor(init_configs(["--config", str(config)]))
    dataset = executor.dataset_builder.load_dataset()
    _timed(executor, dataset.select(range(1)))
    _, fixed, _ = _timed(executor, dataset.select(range(1)))
    wall, spent, kept = _timed(executor, dataset)
    rate = (len(dataset) - 1) / (spent - fixed)
    result = {"rows": len(dataset), "kept": kept, "wall_s": round(wall, 2), "pairs_per_cpu_s": round(rate, 3)}
    (folder / "result.json").write_text(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"), help="cache of downloads")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        {"model": make_model, "work": work}[options.step[0]](Path(options.step[1]))
        return
    from clip_cpu import child, make_tar, samples

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
    python = environment(options.data)
    subprocess.run([python, "-m", "pip", "install", "-q", TRANSFORMERS], check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="qvl-peer-") as name:
        folder = Path(name)
        (folder / "model").mkdir()
        words(folder / "model")
        subprocess.run([python, __file__, "--step", "model", folder / "model"], check=True, stdout=sys.stderr)
        tar = make_tar(folder / "pairs.tar", options.rows, 512)
        rows = []
        for number, (data, caption) in enumerate(samples(tar, options.rows)):
            (folder / f"{number}.jpg").write_bytes(data)
            text = f"<__dj__image>{caption}<|__dj__eoc|>"
            rows.append(json.dumps({"text": text, "images": [str(folder / f"{number}.jpg")]}, ensure_ascii=False))
        (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
        subprocess.run([python, __file__, "--step", "work", folder], check=True, cwd=folder, stdout=sys.stderr)
        theirs = json.loads((folder / "result.json").read_text())
        ours = child("ours", tar, options.rows, MODEL, folder / "model" / "weights.pt", 64)
    ratio = round(ours["pairs_per_cpu_s"] / theirs["pairs_per_cpu_s"], 2)
    print(json.dumps({"ours": ours, "data_juicer": theirs, "ratio": ratio}))


if __name__ == "__main__":
    main()
