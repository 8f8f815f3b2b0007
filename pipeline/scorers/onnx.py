"""Any image classifier as an ONNX file: NSFW, watermark, a model of one's own. ``qvl.scorers.onnx``, extra ``score``.

A recipe uses it once for each model:

    plugins:
    - module: qvl.scorers.onnx
      name: nsfw_onnx
      parameters: {nsfw_onnx: {weights: open-nsfw.onnx, columns: [null, unsafe], resize: 256, fit: squash, order: bgr,
                               layout: nhwc, mean: [104, 117, 123], std: [1, 1, 1]}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.pool import Resources
from qvl.pipeline.plugins.bases import Scorer, Workspace

DECIMALS = 4
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # in grey levels, 0..255


@dataclass(frozen=True)
class Onnx(Scorer):
    """The first output of a model [n, k], a column for each of its k numbers, rounded to 4 decimals; null skips a number.

    A picture is resized so that its shorter side has ``resize`` pixels (by default ``size``), or squashed to a square of
    that side (``fit: squash``), and cut to the ``size`` x ``size`` pixels in its middle; then ``(value - mean) / std`` per
    channel, in levels of 0 to 255 and in the model's ``order`` of the channels. ``gpus`` is the share of a GPU that a worker
    needs; 0 runs on processors.
    """

    weights: str
    columns: Sequence[str | None]
    size: int = 224
    resize: int | None = None
    fit: Literal["shorter", "squash"] = "shorter"
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD
    order: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    batch: int = 32
    gpus: float = 0
    files: ClassVar[Sequence[str]] = ("weights",)

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise ValueError("mean and std are three numbers each, those of std not 0")
        if not 0 < self.size <= (self.resize or self.size):
            raise ValueError("size is a number of pixels, and no more than resize")
        choices = {
            "fit": ("shorter", "squash"),
            "order": ("rgb", "bgr"),
            "layout": ("nchw", "nhwc"),
            "activation": ("none", "softmax", "sigmoid"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}")

    @property
    def writes(self) -> Mapping[str, str]:  # type: ignore[override]
        return {name: "float32" for name in self.columns if name is not None}

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        return Resources(gpus=self.gpus)

    def open(self, workspace: Workspace) -> Any:
        """The session. Raises RecipeError where onnxruntime is missing or cannot read the file."""
        try:
            import onnxruntime
        except ImportError:
            raise RecipeError("qvl.scorers.onnx needs onnxruntime: pip install 'qvl[score]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = workspace.threads
        options.log_severity_level = 3
        providers = ["CUDAExecutionProvider"] if self.gpus else []
        usable = [name for name in providers if name in onnxruntime.get_available_providers()]
        try:
            return onnxruntime.InferenceSession(self.weights, options, [*usable, "CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's own exceptions derive from nothing more special
            raise RecipeError(f"{self.weights}: {' '.join(str(error).split())}") from None

    def prepare(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The model's input [3, size, size], or [size, size, 3] by ``layout``."""
        pixels = square(image, self.size, self.resize or self.size, self.fit)
        ordered = pixels if self.order == "rgb" else pixels[:, :, ::-1]
        values = (ordered.astype(np.float32) - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(values if self.layout == "nhwc" else values.transpose(2, 0, 1))

    def score(
        self, model: Any, images: Sequence[Any], captions: Sequence[str]
    ) -> Mapping[str, npt.NDArray[np.float64]]:
        (first, *_), output = model.get_inputs(), model.get_outputs()[0].name
        step = first.shape[0] if isinstance(first.shape[0], int) else len(images)
        if step not in (1, len(images)):
            raise RecipeError(f"{self.weights} takes {step} images at a time; export it with a free batch size")
        groups = [np.stack(images[at : at + step]) for at in range(0, len(images), step)]
        results = [model.run([output], {first.name: group})[0] for group in groups]
        values = activated(np.concatenate(results).reshape(len(images), -1).astype(np.float64), self.activation)
        if values.shape[1] != len(self.columns):
            raise RecipeError(f"{self.weights} gives {values.shape[1]} numbers, `columns` names {len(self.columns)}")
        named = zip(self.columns, values.round(DECIMALS).T, strict=True)
        return {name: column for name, column in named if name is not None}


def square(image: npt.NDArray[np.uint8], size: int, resize: int, fit: str) -> npt.NDArray[np.uint8]:
    """The middle ``size`` x ``size`` pixels of an image whose shorter side, or each side, is resized to ``resize``."""
    picture = Image.fromarray(image)
    width, height = resize, resize
    if fit == "shorter":
        width, height = (max(size, round(side * resize / min(picture.size))) for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def activated(values: npt.NDArray[np.float64], activation: str) -> npt.NDArray[np.float64]:
    """The outputs [n, k] after softmax or sigmoid, or as they are."""
    if activation == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return 1 / (1 + np.exp(-values)) if activation == "sigmoid" else values
