"""CLIP scores through open_clip: any architecture and weights, on a CUDA device or on the CPU.

The only module of the base that loads torch, and only where a recipe asks for scores. Preprocessing follows the model's own
settings on an image that was decoded at a smaller scale; what that does to the scores is in benchmarks/results/clip.md.
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
from qvl.pipeline.images.clip_blocks import ImageTower, TextTower, is_causal, moved, projected
from qvl.pipeline.recipe.score import ClipModel

INTERPOLATIONS = ("bicubic", "bilinear")
PIECE = (
    16  # pairs that one core computes at once: their numbers stay in its cache, and results do not depend on the cores
)
TEXT_STEP = 16  # of lengths on a GPU
SUPPORT, AROUND = 2, 6  # resized pixels that a bicubic kernel reaches; that may be resized beside the square
MARGIN = 2  # what less and more cost: benchmarks/results/clip.md
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

Pixels = npt.NDArray[np.uint8]
Spread = Callable[[Callable[[Any], torch.Tensor], Iterable[Any]], Iterable[torch.Tensor]]  # map, or that of threads


class Window(NamedTuple):
    """Pixels ``start`` to ``stop`` of a side become the square and ``before`` and ``after`` pixels around it."""

    start: int
    stop: int
    before: int
    after: int


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its images: ``size`` x ``size``, cut from the middle or squashed."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool
    interpolation: str

    @classmethod
    def of(cls, model: Any) -> "Preprocessing":
        """From open_clip's settings of a model. Raises RecipeError for the few models that pad."""
        config = open_clip.get_model_preprocess_cfg(model)
        size = config["size"]
        sides = (size, size) if isinstance(size, int) else tuple(size)
        mode, interpolation = config.get("resize_mode") or "shortest", config.get("interpolation") or "bicubic"
        if sides[0] != sides[1] or mode not in ("shortest", "squash") or interpolation not in INTERPOLATIONS:
            raise RecipeError(f"score.clip: images of {sides} by {mode}, {interpolation}: not supported")
        return cls(sides[0], tuple(config["mean"]), tuple(config["std"]), mode == "squash", interpolation)

    def prepare(self, image: Pixels, whole: tuple[int, int] | None = None) -> Pixels:
        """The model's square [3, size, size] of an RGB image [height, width, 3], decoded from a picture of size ``whole``.

        The whole's sides count: rounded from those of a half, the resized side can be one shorter, a shift of half a pixel.
        torch resizes bytes as Pillow does (two passes in whole numbers, the same support), with vector instructions. What
        will be cut off at the ends is left out before.
        """
        height, width = whole or image.shape[:2]
        rows = self.window(image.shape[0], height, min(height, width))
        columns = self.window(image.shape[1], width, min(height, width))
        cut = image[rows.start : rows.stop, columns.start : columns.stop]
        part = torch.from_numpy(cut if cut.flags.writeable else cut.copy()).permute(2, 0, 1)
        sides = rows.before + self.size + rows.after, columns.before + self.size + columns.after
        resized = functional.interpolate(part[None], sides, mode=self.interpolation, antialias=True)[0]
        top, left = rows.before, columns.before
        result: Pixels = resized[:, top : top + self.size, left : left + self.size].contiguous().numpy()
        return result

    def window(self, length: int, whole: int, shorter: int) -> "Window":
        """What of a side of ``length`` decoded pixels is resized: the middle, and so much around it that edges nearly fall
        on whole pixels."""
        if self.squash or whole == shorter:
            return Window(0, length, 0, 0)
        resized = int(self.size * whole / shorter)
        first = round((resized - self.size) / 2)
        last, scale = first + self.size, length / resized

        def off(edge: int) -> float:
            return abs(edge * scale - round(edge * scale))

        lower = min(range(first - min(first, AROUND), max(first - SUPPORT, 0) + 1), key=off)
        upper = min(range(min(last + SUPPORT, resized), min(last + AROUND, resized) + 1), key=off)
        return Window(round(lower * scale), round(upper * scale), first - lower, upper - last)


class ClipScorer:
    """One model on one device: images and captions to cosines."""

    def __init__(self, model: Any, name: str, compiled: bool = False) -> None:
        """``name`` is open_clip's of the architecture; device and precision are those of ``model``."""
        weight = next(model.parameters())
        self.model, self.device, self.dtype = model, weight.device, weight.dtype
        self.tokenizer = open_clip.get_tokenizer(name)
        self.preprocessing = Preprocessing.of(model)
        self.on_cpu = self.device.type == "cpu"
        images, texts = ImageTower.of(model), TextTower.of(model, 1 if self.on_cpu else TEXT_STEP)
        self.encode_image = torch.compile(model.encode_image) if compiled else images or model.encode_image
        self.encode_text = texts or (lambda tokens: model.encode_text(moved(tokens, self.device)))
        self.parallel = self.on_cpu and not compiled
        shape = (1, 3, 1, 1)
        self.mean = torch.tensor(self.preprocessing.mean, device=self.device).view(shape) * 255
        self.std = torch.tensor(self.preprocessing.std, device=self.device).view(shape) * 255

    @classmethod
    def of(cls, spec: ClipModel, compiled: bool = False) -> "ClipScorer":
        """The recipe's model on the GPU, or on the CPU where there is none."""
        model, name = load(spec, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, name, compiled)

    @property
    def side(self) -> int:
        """Pixels that the shorter side of a decoded image needs: a margin, because scaling a JPEG twice moves scores."""
        return MARGIN * self.preprocessing.size

    def prepare(self, image: Pixels, whole: tuple[int, int] | None = None) -> Pixels:
        """The model's square of an image; the same on every device, and work for the threads that decode."""
        return self.preprocessing.prepare(image, whole)

    def tokens(self, caption: str) -> torch.Tensor:
        """The words of a caption as the model reads them [context]; work for the threads that decode."""
        return torch.as_tensor(self.tokenizer([caption])[0])

    def images(self, squares: Sequence[Pixels], spread: Spread = map) -> torch.Tensor:
        """Normalised image vectors [n, width] in fp32. ``spread`` runs pieces of them, in threads or here."""
        return torch.cat(list(spread(self._images, self._pieces(squares))))

    def texts(self, tokens: Sequence[torch.Tensor], spread: Spread = map) -> torch.Tensor:
        """Normalised text vectors [n, width] in fp32; captions of like length are computed together."""
        order = sorted(range(len(tokens)), key=lambda i: int(tokens[i].argmax()))
        found = torch.cat(list(spread(self._texts, self._pieces([tokens[i] for i in order]))))
        return found[torch.as_tensor(order, device=found.device).argsort()]

    def scores(
        self, squares: Sequence[Pixels], tokens: Sequence[torch.Tensor], spread: Spread = map
    ) -> tuple[npt.NDArray[np.float32], torch.Tensor]:
        """Cosine of each image with its caption, rounded to 4 decimals; and the image vectors."""
        images = self.images(squares, spread)
        cosines = (images * self.texts(tokens, spread)).sum(dim=-1)
        return np.round(cosines.cpu().numpy().astype(np.float64), 4).astype(np.float32), images

    def _pieces(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        size = PIECE if self.parallel else len(items)
        return [items[start : start + size] for start in range(0, len(items), size)]

    def _images(self, squares: Sequence[Pixels]) -> torch.Tensor:
        with torch.inference_mode():
            batch = (moved(torch.from_numpy(np.stack(squares)), self.device) - self.mean) / self.std
            return functional.normalize(self.encode_image(batch.to(self.dtype)).float(), dim=-1)

    def _texts(self, tokens: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            return functional.normalize(self.encode_text(torch.stack(list(tokens))).float(), dim=-1)


def single_threaded() -> None:
    """One core for torch in the calling thread: several such threads share the cores, and each one's sums have one order."""
    torch.set_num_threads(1)


def load(spec: ClipModel, device: torch.device) -> tuple[Any, str]:
    """The model in evaluation mode, and the name of its architecture. Raises RecipeError for what open_clip has not."""
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
    """Text vectors for training; tokens after the longest caption are left out where that cannot change anything.

    A causal tower that reads the vector at the end mark never looks behind it: cutting is exact.
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
    """Hash of all parameters and buffers, whatever file they came from."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def scorer(spec: ClipModel, compiled: bool) -> tuple[ClipScorer, str]:
    """The scorer of this process, loaded once, and the hash of its weights."""
    made = ClipScorer.of(spec, compiled)
    return made, weights_hash(made.model)
