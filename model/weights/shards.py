"""Read and write safetensors one tensor at a time: memory is bounded by the largest tensor, not by a shard or the model.

The safetensors library writes a file from tensors that are all in memory, which does not serve for a 19 GB model. The format
is the header's length in 8 bytes, a JSON header (dtype, shape, byte offsets), then the tensors' bytes.
"""

import json
import math
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qvl.model.network.errors import ModelError

JsonObject = dict[str, Any]

INDEX = "model.safetensors.index.json"
SHARD_BYTES = 4 * 2**30

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file; `load` reads it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    load: Callable[[], Tensor]


def open_checkpoint(path: Path) -> dict[str, Stored]:
    """Every tensor of a weight file, or of a folder of weight files, by name.

    Reads `.safetensors` and torch pickles (`.bin`, `.pt`, `.pth`, with weights_only). If a folder has an index, the index
    says which files belong to it. Raises ModelError for missing, truncated or unreadable files.
    """
    tensors: dict[str, Stored] = {}
    for file in [path] if path.is_file() else _weight_files(path):
        found = _open_safetensors(file) if file.suffix == ".safetensors" else _open_pickle(file)
        repeated = tensors.keys() & found.keys()
        if repeated:
            raise ModelError(
                f"{file}: {len(repeated)} tensor(s) are also in another file: {', '.join(sorted(repeated)[:5])}"
            )
        tensors |= found
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    for index in (folder / INDEX, folder / "pytorch_model.bin.index.json"):
        if index.is_file():
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            missing = [name for name in names if not (folder / name).is_file()]
            if missing:
                raise ModelError(f"{index} lists {len(missing)} file(s) that do not exist: {', '.join(missing)}")
            return [folder / name for name in names]
    for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth"):
        files = sorted(folder.glob(pattern))
        if files:
            return files
    raise ModelError(f"{folder} has no weights: it contains no .safetensors, .bin, .pt or .pth file")


def _open_safetensors(file: Path) -> dict[str, Stored]:
    header, start = _read_header(file)
    header.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if start + end != file.stat().st_size:
        raise ModelError(
            f"{file} is truncated or corrupted: {file.stat().st_size} bytes, its header says {start + end}"
        )
    return {name: _stored(file, start, name, entry) for name, entry in header.items()}


def _read_header(file: Path) -> tuple[JsonObject, int]:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(file.stat().st_size, 100_000_000):
            raise ModelError(f"{file} is truncated or not a safetensors file: its header has {length} bytes")
        text = stream.read(length)
    try:
        header: JsonObject = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{file} is truncated or not a safetensors file: {error}") from error
    return header, 8 + length


def _stored(file: Path, start: int, name: str, entry: JsonObject) -> Stored:
    if entry["dtype"] not in _DTYPES:
        raise ModelError(f"{file}: tensor {name} has dtype {entry['dtype']}; supported: {', '.join(_DTYPES)}")
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if last - first != math.prod(shape) * dtype.itemsize:
        raise ModelError(f"{file}: tensor {name} has {last - first} bytes for shape {list(shape)}")

    def load() -> Tensor:
        data = bytearray(last - first)
        with file.open("rb") as stream:
            stream.seek(start + first)
            stream.readinto(data)
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)

    return Stored(shape, dtype, load)


def _open_pickle(file: Path) -> dict[str, Stored]:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{file} cannot be read as a torch checkpoint: {error}") from error
    state = loaded.get("state_dict", loaded)
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    return {name: Stored(tuple(t.shape), t.dtype, lambda t=t: t) for name, t in plain.items()}  # type: ignore[misc]


@dataclass(frozen=True)
class Planned:
    """Tensors that are written together. Their names, shapes and dtype are known before `make` computes them."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype
    make: Callable[[], tuple[Tensor, ...]]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) * self.dtype.itemsize for shape in self.shapes)


def write_shards(folder: Path, stem: str, plan: list[Planned], limit: int = SHARD_BYTES) -> dict[str, str]:
    """Write `stem-00001-of-0000n.safetensors`; returns tensor name -> file name. A file appears complete or not at all."""
    shards = list(_fill(plan, limit))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / name, shard)
        weight_map |= {tensor: name for planned in shard for tensor in planned.names}
    return weight_map


def write_index(folder: Path, weight_map: dict[str, str]) -> None:
    """Write the index that `transformers` reads; sizes are those of the tensors in the files."""
    tensors = open_all(folder, sorted(set(weight_map.values())))
    total = sum(math.prod(tensors[name].shape) * tensors[name].dtype.itemsize for name in weight_map)
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}, indent=2)
    replace_text(folder / INDEX, text)


def open_all(folder: Path, names: list[str]) -> dict[str, Stored]:
    """The tensors of these safetensors files."""
    return {key: stored for name in names for key, stored in _open_safetensors(folder / name).items()}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path next to ``path`` to write to; it replaces ``path`` when the context ends without an error."""
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)


def replace_text(path: Path, text: str) -> None:
    """Write a small file atomically."""
    with replacing(path) as part:
        part.write_text(text + "\n")


def _fill(plan: list[Planned], limit: int) -> Iterator[list[Planned]]:
    shard: list[Planned] = []
    used = 0
    for planned in plan:
        if shard and used + sum(planned.sizes) > limit:
            yield shard
            shard, used = [], 0
        shard.append(planned)
        used += sum(planned.sizes)
    if shard:
        yield shard


def _write_shard(path: Path, shard: list[Planned]) -> None:
    header: JsonObject = {"__metadata__": {"format": "pt"}}
    at = 0
    for planned in shard:
        for name, shape, size in zip(planned.names, planned.shapes, planned.sizes, strict=True):
            header[name] = {"dtype": _NAMES[planned.dtype], "shape": list(shape), "data_offsets": [at, at + size]}
            at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as part, part.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for planned in shard:
            for tensor in planned.make():
                data = tensor.detach().to("cpu", planned.dtype).contiguous().reshape(-1)
                data.view(torch.uint8).numpy().tofile(stream)
        stream.flush()
        os.fsync(stream.fileno())
