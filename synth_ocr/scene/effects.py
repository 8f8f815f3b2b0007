"""Effects on a document and on the whole image. Every geometric effect is a map that ink can be sent through as well."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.synth_ocr.page.geometry import Points
from qvl.synth_ocr.page.page import Pixels
from qvl.synth_ocr.scene.layout import between
from qvl.synth_ocr.scene.settings import Effects

Floats = NDArray[np.float32]


def perspective(settings: Effects, width: int, height: int, rng: np.random.Generator) -> Points:
    """Corners [4, 2] of the bent document in its own pixels: each edge keeps a share of its length, at a random offset."""
    weights = np.array([weight for weight, _ in settings.perspective], float)
    _, ranges = settings.perspective[int(rng.choice(len(weights), p=weights / weights.sum()))]
    top, right, bottom, left = (1 - between(limits, rng) for limits in ranges)
    a, b, c, d = rng.random(4).tolist()
    return np.array(
        [
            (a * top * width, d * left * height), (width - (1 - a) * top * width, b * right * height),
            (width - (1 - c) * bottom * width, height - (1 - b) * right * height),
            (c * bottom * width, height - (1 - d) * left * height),
        ]
    )  # fmt: skip


def homography(width: int, height: int, corners: Points) -> NDArray[np.float64]:
    """The matrix [3, 3] from document pixels to image pixels. ``corners``: outer corners, not centres of corner pixels."""
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, corners.astype(np.float32)), float)


def transform(points: Points, matrix: NDArray[np.float64]) -> Points:
    """Points [n, 2] sent through a homography."""
    lifted = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:])


def back_map(matrix: NDArray[np.float64], width: int, height: int) -> tuple[Floats, Floats]:
    """The document position of every image pixel's centre, as cv2.remap expects it (centres at whole numbers)."""
    inverse = np.linalg.inv(matrix)
    x = np.arange(width, dtype=np.float32)[None, :] + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    (a, b, c), (d, e, f), (g, h, i) = inverse.astype(np.float32).tolist()
    scale = 1.0 / (g * x + (h * y + i))
    return (a * x + (b * y + c)) * scale - np.float32(0.5), (d * x + (e * y + f)) * scale - np.float32(0.5)


def jitter(settings: Effects, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The elastic effect: by how many pixels the source of each pixel moves, at most ``elastic_alpha``."""
    alpha, sigma = between(settings.elastic_alpha, rng), between(settings.elastic_sigma, rng)
    fields = []
    for _ in range(2):
        raw = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape).astype(np.float32)
        raw = (raw - np.float32(127.5)) * np.float32(alpha / 127.5)
        fields.append(cv2.GaussianBlur(raw, (5, 5), sigma) if sigma > 0.1 else raw)
    return np.asarray(fields[0], np.float32), np.asarray(fields[1], np.float32)


def noise(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, float]:
    """The image with grey Gaussian noise, equal in all channels, and the noise's scale in grey levels."""
    scale = between(settings.noise_scale, rng)
    grain = np.round(rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(scale)).astype(np.int16)
    added = cv2.add(image.astype(np.int16), cv2.merge([grain, grain, grain]))
    return np.clip(added, 0, 255).astype(np.uint8), scale


@dataclass(frozen=True, slots=True)
class Strengths:
    """How strong the effects on the whole image were, in the units of the settings."""

    blur: float
    motion_blur: int
    shadow: float
    contrast: float
    brightness: float


def apply_image_effects(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, Strengths]:
    """Effects on the whole image in SynthDoG's order: colour, shadow, contrast, brightness, motion blur, blur."""
    if rng.random() < settings.rgb:
        share, color = between(settings.rgb_alpha, rng), rng.integers(0, 256, 3).astype(np.uint8)
        tint = np.broadcast_to(color, image.shape).copy()
        image = np.asarray(cv2.addWeighted(image, 1 - share, tint, share, 0), np.uint8)
    image, shadow = _shadow(image, settings, rng)
    alpha, beta = between(settings.contrast_alpha, rng), between(settings.brightness_beta, rng)
    levels = np.arange(256, dtype=np.float32)
    table = np.clip((levels - 128) * alpha + 128 + beta, 0, 255).round().astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table), np.uint8)
    length = 0
    if rng.random() < settings.motion_blur:
        kernel = _motion_kernel(settings, rng)
        length = len(kernel)
        image = np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)
    sigma = between(settings.gaussian_blur, rng)
    if sigma > 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    return image, Strengths(sigma, length, shadow, alpha, beta)


def _shadow(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, float]:
    """The image with one side darkened by a ramp in a random direction, and the shadow's intensity in grey levels."""
    intensity, amount = between(settings.shadow_intensity, rng), between(settings.shadow_amount, rng)
    smoothing, angle = between(settings.shadow_smoothing, rng), between((0.0, 2 * np.pi), rng)
    height, width = image.shape[:2]
    # the ramp is linear, so a small one can be scaled up
    x, y = np.linspace(-0.5, 0.5, 64, dtype=np.float32)[None, :], np.linspace(-0.5, 0.5, 64, dtype=np.float32)[:, None]
    along = (x * np.cos(angle) + y * np.sin(angle)) / (abs(np.cos(angle)) + abs(np.sin(angle))) + 0.5
    depth = np.clip((amount - along) / max(smoothing, 1e-3) + 0.5, 0, 1) * (intensity / 255)
    keep = cv2.resize((255 * (1 - depth)).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(image, cv2.merge([keep, keep, keep]), scale=1 / 255), np.uint8), intensity


def _motion_kernel(settings: Effects, rng: np.random.Generator) -> Floats:
    """The kernel of a motion blur in a random direction."""
    size = int(rng.integers(settings.motion_blur_k[0], settings.motion_blur_k[1] + 1)) | 1
    line = np.zeros((size, size), np.float32)
    line[size // 2] = 1
    turn = cv2.getRotationMatrix2D((size // 2, size // 2), between((0.0, 360.0), rng), 1)
    kernel = cv2.warpAffine(line, turn, (size, size))
    return np.asarray(kernel / max(float(kernel.sum()), 1e-6), np.float32)
