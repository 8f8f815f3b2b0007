"""The peers' loaders over the same photographs; `benchmarks/loader.py` runs this in each peer's own environment.

    python benchmarks/loader_peers.py LOADER FOLDER --side 224 --workers 2 --warm 320 --count 1920

FOLDER holds WebDataset tars of `KEY.jpg` and `KEY.json`; for `mds` shards that `mds-convert` made from them. Every peer
decodes with its own image decoder (Pillow in all three), squashes by Pillow bicubic, hands out bytes [B, S, S, 3] and texts.
Nothing is tokenised. Each shuffles with a buffer of a thousand samples, or its own default.
"""

import argparse
import json
import os
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loader_clock import measure
from PIL import Image

BATCH = 32
SHUFFLE = 1000


def squash(image: Image.Image, side: int) -> torch.Tensor:
    """Pillow's bicubic to a square; bytes [S, S, 3]."""
    return torch.from_numpy(np.array(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)))


def text_of(content: dict[str, Any]) -> str:
    """The caption, as our shards hold it."""
    return "".join(turn["text"] for turn in content["turns"])


def webdataset_batches(folder: Path, side: int, workers: int) -> Iterator[int]:
    """webdataset's pipeline and its WebLoader."""
    import webdataset

    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    stream = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0, empty_check=False)
    stream = stream.shuffle(SHUFFLE).decode("pilrgb").to_tuple("jpg", "json")
    stream = stream.map_tuple(partial(squash, side=side), text_of).batched(BATCH, collation_fn=_columns)
    for images, _ in webdataset.WebLoader(stream.repeat(), batch_size=None, num_workers=workers):
        yield len(images)


def turbo_batches(folder: Path, side: int, workers: int) -> Iterator[int]:
    """webdataset once more, with our decode and resize in place of its own: what the rest of the loaders costs."""
    import webdataset

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from qvl.training.data.loader import Assembler

    def picture(data: bytes) -> torch.Tensor:
        return torch.from_numpy(Assembler.picture(_Side(side), data))  # type: ignore[arg-type]

    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    stream = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0, empty_check=False).shuffle(SHUFFLE)
    stream = stream.to_tuple("jpg", "json").map_tuple(picture, lambda data: text_of(json.loads(data)))
    stream = stream.batched(BATCH, collation_fn=_columns)
    for images, _ in webdataset.WebLoader(stream.repeat(), batch_size=None, num_workers=workers):
        yield len(images)


class _Side:
    """All that `Assembler.picture` asks of an assembler."""

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution


def _columns(samples: list[tuple[torch.Tensor, str]]) -> tuple[torch.Tensor, list[str]]:
    images, texts = zip(*samples, strict=True)
    return torch.stack(images), list(texts)


def energon_batches(folder: Path, side: int, workers: int) -> Iterator[int]:
    """Energon's training dataset and loader, images by webdataset's `pilrgb` instead of its slower default of floats."""
    from megatron import energon

    @energon.stateless
    def cook(sample: dict[str, Any]) -> Any:
        kept = energon.basic_sample_keys(sample)
        return energon.CaptioningSample(**kept, image=squash(sample["jpg"], side), caption=text_of(sample["json"]))

    class Tasks(energon.DefaultTaskEncoder):  # type: ignore[misc, name-defined]
        decoder = energon.SampleDecoder(image_decode="pilrgb")
        cookers = (energon.Cooker(cook),)

    settings = energon.WorkerConfig(rank=0, world_size=1, num_workers=workers)
    dataset = energon.get_train_dataset(
        folder,
        worker_config=settings,
        batch_size=BATCH,
        shuffle_buffer_size=SHUFFLE,
        max_samples_per_sequence=100,
        task_encoder=Tasks(),
    )
    for batch in energon.get_loader(dataset):
        yield len(batch.image)


def mds_batches(folder: Path, side: int, workers: int) -> Iterator[int]:
    """Streaming's dataset under torch's DataLoader, its default shuffle; columns decode as MDS decodes them."""
    from streaming import StreamingDataset

    class Pictures(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, at: int) -> tuple[torch.Tensor, str]:
            row = super().__getitem__(at)
            return squash(row["image"], side), text_of(row["json"])

    data = Pictures(local=str(folder), shuffle=True, batch_size=BATCH)
    while True:
        for images, _ in torch.utils.data.DataLoader(data, BATCH, num_workers=workers, collate_fn=_columns):
            yield len(images)


def convert_to_mds(folder: Path, side: int, workers: int) -> None:
    """Tars to MDS: `jpeg` columns of the very bytes, in FOLDER/mds."""
    from streaming import MDSWriter

    part = folder / "jpeg.part"
    with MDSWriter(out=str(folder / "mds"), columns={"image": "jpeg", "json": "json"}) as writer:
        for path in sorted(folder.glob("*.tar")):
            held: dict[str, bytes] = {}
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    held[member.name] = b"" if file is None else file.read()
            for name, data in held.items():
                if name.endswith(".jpg"):
                    part.write_bytes(data)  # the writer keeps the bytes of a picture that it can read from a file
                    with Image.open(part) as image:
                        writer.write({"image": image, "json": json.loads(held[name[:-3] + "json"])})
    part.unlink()


LOADERS: dict[str, Callable[[Path, int, int], Iterator[int]]] = {
    "webdataset": webdataset_batches,
    "webdataset-turbo": turbo_batches,
    "energon": energon_batches,
    "mds": mds_batches,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loader", choices=[*LOADERS, "mds-convert"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--warm", type=int, default=320)
    parser.add_argument("--count", type=int, default=1920)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    if options.loader == "mds-convert":
        convert_to_mds(options.folder, 0, 0)
    else:
        batches = LOADERS[options.loader](options.folder, options.side, options.workers)
        measure(options.loader, batches, options.warm, options.count)
    os._exit(0)  # endless workers: nothing to wait for


if __name__ == "__main__":
    main()
