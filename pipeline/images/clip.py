"""CLIP scores through open_clip: any architecture and weights, on a CUDA device or on the CPU.

Loads torch, so it is imported only when a recipe asks for scores. Preprocessing follows the model's own settings, on an
image that was decoded at a smaller scale; the effect on the scores is measured in benchmarks/results/clip.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import open_clip
import torch  # type: ignore[import-not-found, unused-ignore]
import xxhash
from torch.nn import functional  # type: ignore[import-not-found, unused-ignore]

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.images.clip_blocks import ImageEncoder, TextEncoder, is_causal, moved, projected
from qvl.pipeline.recipe.score import ClipModel

INTERPOLATIONS = ("bicubic", "bilinear")
CHUNK = 16  # pairs per core: their activations stay in its cache, and results do not depend on the number of cores
TEXT_STEP = 16  # on a GPU, text lengths are rounded up to a multiple of this
KERNEL_REACH = 2  # resized pixels on each side that a bicubic kernel reads
MAX_BORDER = 6  # resized pixels on each side of the square that may be computed in addition
MARGIN = 2  # benchmarks/results/clip.md compares other values
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Pixels = npt.NDArray[np.uint8]
MapFunction = Callable[[Callable[[Any], torch.Tensor], Iterable[Any]], Iterable[torch.Tensor]]  # map or executor.map


class Window(NamedTuple):
    """Pixels [start, stop) of a side. Resized, they are the square with ``before`` and ``after`` pixels around it."""

    start: int
    stop: int
    before: int
    after: int


@dataclass(frozen=True)
class Preprocessing:
    """How a model expects its images: ``size`` x ``size``, cropped from the center or squashed."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool
    interpolation: str

    @classmethod
    def of(cls, model: Any) -> "Preprocessing":
        """The settings that open_clip has for a model. Raises RecipeError for the few models that pad their images."""
        config = open_clip.get_model_preprocess_cfg(model)
        size = config["size"]
        sides = (size, size) if isinstance(size, int) else tuple(size)
        mode, interpolation = config.get("resize_mode") or "shortest", config.get("interpolation") or "bicubic"
        if sides[0] != sides[1] or mode not in ("shortest", "squash") or interpolation not in INTERPOLATIONS:
            raise RecipeError(f"score.clip: images of {sides} pixels with {mode} and {interpolation} are not supported")
        return cls(sides[0], tuple(config["mean"]), tuple(config["std"]), mode == "squash", interpolation)

    def prepare(self, image: Pixels, full_size: tuple[int, int] | None = None) -> Pixels:
        """The model's input [3, size, size] from an RGB image [height, width, 3].

        ``full_size`` is the (height, width) of the file if the image was decoded at a smaller scale. The resized size must
        be computed from it: computed from the halved size, a side can be one pixel shorter, which shifts the crop by half a
        pixel. torch resizes uint8 images as Pillow does (two integer passes, the same kernel), but with vector
        instructions. Pixels that the crop would remove are not resized in the first place.
        """
        height, width = full_size or image.shape[:2]
        rows = self.window(image.shape[0], height, min(height, width))
        columns = self.window(image.shape[1], width, min(height, width))
        region = image[rows.start : rows.stop, columns.start : columns.stop]
        part = torch.from_numpy(region if region.flags.writeable else region.copy()).permute(2, 0, 1)
        sides = rows.before + self.size + rows.after, columns.before + self.size + columns.after
        resized = functional.interpolate(part[None], sides, mode=self.interpolation, antialias=True)[0]
        top, left = rows.before, columns.before
        result: Pixels = resized[:, top : top + self.size, left : left + self.size].contiguous().numpy()
        return result

    def window(self, length: int, full_length: int, shorter: int) -> "Window":
        """Which of the ``length`` decoded pixels of a side are resized: the center crop and a border around it.

        The border is chosen so that the window's edges fall as close as possible to whole decoded pixels. ``full_length``
        and ``shorter`` are this side and the shorter side of the file.
        """
        if self.squash or full_length == shorter:
            return Window(0, length, 0, 0)
        resized = int(self.size * full_length / shorter)
        first = round((resized - self.size) / 2)
        last, scale = first + self.size, length / resized

        def rounding_error(edge: int) -> float:
            return abs(edge * scale - round(edge * scale))

        lower = min(range(first - min(first, MAX_BORDER), max(first - KERNEL_REACH, 0) + 1), key=rounding_error)
        upper = min(range(min(last + KERNEL_REACH, resized), min(last + MAX_BORDER, resized) + 1), key=rounding_error)
        return Window(round(lower * scale), round(upper * scale), first - lower, upper - last)


class ClipScorer:
    """One model on one device: computes the cosine similarity of images and captions."""

    def __init__(self, model: Any, name: str, compiled: bool = False) -> None:
        """``name`` is open_clip's name of the architecture; device and precision are those of ``model``."""
        weight = next(model.parameters())
        self.model, self.device, self.dtype = model, weight.device, weight.dtype
        self.tokenizer = open_clip.get_tokenizer(name)
        self.preprocessing = Preprocessing.of(model)
        self.on_cpu = self.device.type == "cpu"
        image_encoder, text_encoder = ImageEncoder.of(model), TextEncoder.of(model, 1 if self.on_cpu else TEXT_STEP)
        self.encode_image = torch.compile(model.encode_image) if compiled else image_encoder or model.encode_image
        self.encode_text = text_encoder or (lambda tokens: model.encode_text(moved(tokens, self.device)))
        self.parallel = self.on_cpu and not compiled
        shape = (1, 3, 1, 1)
        self.mean = torch.tensor(self.preprocessing.mean, device=self.device).view(shape) * 255
        self.std = torch.tensor(self.preprocessing.std, device=self.device).view(shape) * 255

    @classmethod
    def of(cls, spec: ClipModel, compiled: bool = False) -> "ClipScorer":
        """The recipe's model on the GPU, or on the CPU if there is no GPU."""
        model, name = load(spec, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, name, compiled)

    @property
    def side(self) -> int:
        """Pixels that the shorter side of a decoded image needs, with a margin, because resizing twice changes scores."""
        return MARGIN * self.preprocessing.size

    def prepare(self, image: Pixels, full_size: tuple[int, int] | None = None) -> Pixels:
        """The model's input from an image, the same on every device. Meant for the threads that decode."""
        return self.preprocessing.prepare(image, full_size)

    def tokens(self, caption: str) -> torch.Tensor:
        """The token ids of a caption [context]. Meant for the threads that decode."""
        return torch.as_tensor(self.tokenizer([caption])[0])

    def images(self, squares: Sequence[Pixels], map_function: MapFunction = map) -> torch.Tensor:
        """Normalised image vectors [n, width] in fp32. ``map_function`` computes the chunks, in threads or one by one."""
        return torch.cat(list(map_function(self._images, self._chunks(squares))))

    def texts(self, tokens: Sequence[torch.Tensor], map_function: MapFunction = map) -> torch.Tensor:
        """Normalised text vectors [n, width] in fp32. Captions of similar length are computed together."""
        order = sorted(range(len(tokens)), key=lambda i: int(tokens[i].argmax()))
        vectors = torch.cat(list(map_function(self._texts, self._chunks([tokens[i] for i in order]))))
        return vectors[torch.as_tensor(order, device=vectors.device).argsort()]

    def scores(
        self, squares: Sequence[Pixels], tokens: Sequence[torch.Tensor], map_function: MapFunction = map
    ) -> tuple[npt.NDArray[np.float32], torch.Tensor]:
        """The cosine of each image with its caption, rounded to 4 decimals, and the image vectors."""
        images = self.images(squares, map_function)
        cosines = (images * self.texts(tokens, map_function)).sum(dim=-1)
        return np.round(cosines.cpu().numpy().astype(np.float64), 4).astype(np.float32), images

    def _chunks(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        size = CHUNK if self.parallel else len(items)
        return [items[start : start + size] for start in range(0, len(items), size)]

    def _images(self, squares: Sequence[Pixels]) -> torch.Tensor:
        with torch.inference_mode():
            batch = (moved(torch.from_numpy(np.stack(squares)), self.device) - self.mean) / self.std
            return functional.normalize(self.encode_image(batch.to(self.dtype)).float(), dim=-1)

    def _texts(self, tokens: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            return functional.normalize(self.encode_text(torch.stack(list(tokens))).float(), dim=-1)


def single_threaded() -> None:
    """Let torch use one core in the calling thread: several such threads share the cores, and each sums in a fixed order."""
    torch.set_num_threads(1)


def load(spec: ClipModel, device: torch.device) -> tuple[Any, str]:
    """The model in evaluation mode and the name of its architecture. Raises RecipeError if open_clip cannot load it."""
    name = spec.model
    if name.endswith(".json"):
        open_clip.add_model_config(Path(name))
        name = Path(name).stem
    try:
        model = open_clip.create_model(name, pretrained=spec.pretrained, precision="fp32", device=device)
    except (RuntimeError, ValueError, KeyError, FileNotFoundError, OSError) as error:
        raise RecipeError(f"score.clip: {name} with {spec.pretrained}: {str(error).splitlines()[0]}") from None
    return model.to(DTYPES[spec.precision]).eval(), name


def encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Text vectors with gradients. Tokens after the end of the longest caption are not computed if the model is causal.

    A causal text encoder that is read at the end-of-text token never attends to what follows it, so this is exact.
    """
    if not is_causal(model):
        return torch.as_tensor(model.encode_text(tokens))
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    mask = model.attn_mask[:length, :length]
    kind = model.transformer.get_cast_dtype()
    x = model.token_embedding(tokens[:, :length]).to(kind) + model.positional_embedding[:length].to(kind)
    x = model.ln_final(model.transformer(x, attn_mask=mask.to(kind)))
    return projected(model, x[torch.arange(len(x), device=x.device), ends])


def weights_hash(model: Any) -> str:
    """Hash of all parameters and buffers. It does not depend on the file that they were loaded from."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def scorer(spec: ClipModel, compiled: bool) -> tuple[ClipScorer, str]:
    """The scorer of this process, loaded once, and the hash of its weights."""
    loaded = ClipScorer.of(spec, compiled)
    return loaded, weights_hash(loaded.model)
