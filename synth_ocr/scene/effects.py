"""What happens to a document and to the whole image; every geometric effect is one map, so ink can follow it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.synth_ocr.page.geometry import Points
from qvl.synth_ocr.page.page import Pixels
from qvl.synth_ocr.scene.layout import between
from qvl.synth_ocr.scene.settings import Effects

Floats = NDArray[np.float32]


def perspective(settings: Effects, width: int, height: int, rng: np.random.Generator) -> Points:
    """Corners [4, 2] of the bent document in its own pixels: each edge keeps a share of its length, placed at random."""
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
    """The matrix [3, 3] from document pixels to image pixels. Corners are corners, not centres of corner pixels."""
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, corners.astype(np.float32)), float)


def carry(points: Points, matrix: NDArray[np.float64]) -> Points:
    """Points [n, 2] through a homography."""
    lifted = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:])


def back_map(matrix: NDArray[np.float64], width: int, height: int) -> tuple[Floats, Floats]:
    """For every image pixel's centre its place on the document, as cv2.remap wants it (centres at whole numbers)."""
    inverse = np.linalg.inv(matrix)
    x = np.arange(width, dtype=np.float32)[None, :] + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    (a, b, c), (d, e, f), (g, h, i) = inverse.astype(np.float32).tolist()
    scale = 1.0 / (g * x + (h * y + i))
    return (a * x + (b * y + c)) * scale - np.float32(0.5), (d * x + (e * y + f)) * scale - np.float32(0.5)


def jitter(settings: Effects, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The elastic effect: how far each pixel's source moves, in pixels, at most ``elastic_alpha``."""
    alpha, sigma = between(settings.elastic_alpha, rng), between(settings.elastic_sigma, rng)
    fields = []
    for _ in range(2):
        raw = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape).astype(np.float32)
        raw = (raw - np.float32(127.5)) * np.float32(alpha / 127.5)
        fields.append(cv2.GaussianBlur(raw, (5, 5), sigma) if sigma > 0.1 else raw)
    return np.asarray(fields[0], np.float32), np.asarray(fields[1], np.float32)


def noise(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, float]:
    """Grey Gaussian noise, equal in all channels; and its scale in grey levels."""
    scale = between(settings.noise_scale, rng)
    grain = np.round(rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(scale)).astype(np.int16)
    added = cv2.add(image.astype(np.int16), cv2.merge([grain, grain, grain]))
    return np.clip(added, 0, 255).astype(np.uint8), scale


def finish(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, dict[str, float]]:
    """Effects of the whole image in SynthDoG's order: colour, shadow, contrast, brightness, motion blur, blur.

    Also how strong those were that harm reading.
    """
    if rng.random() < settings.rgb:
        share, color = between(settings.rgb_alpha, rng), rng.integers(0, 256, 3).astype(np.uint8)
        tint = np.broadcast_to(color, image.shape).copy()
        image = np.asarray(cv2.addWeighted(image, 1 - share, tint, share, 0), np.uint8)
    image, shadow = _shadow(image, settings, rng)
    alpha, beta = between(settings.contrast_alpha, rng), between(settings.brightness_beta, rng)
    levels = np.arange(256, dtype=np.float32)
    table = np.clip((levels - 128) * alpha + 128 + beta, 0, 255).round().astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table), np.uint8)
    streak = 0
    if rng.random() < settings.motion_blur:
        kernel = _streak(settings, rng)
        streak = len(kernel)
        image = np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)
    sigma = between(settings.gaussian_blur, rng)
    if sigma > 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    return image, {"blur": sigma, "motion_blur": streak, "shadow": shadow, "contrast": alpha, "brightness": beta}


def _shadow(image: Pixels, settings: Effects, rng: np.random.Generator) -> tuple[Pixels, float]:
    """Darken one side: a ramp across a random direction. Also its intensity, grey levels."""
    intensity, amount = between(settings.shadow_intensity, rng), between(settings.shadow_amount, rng)
    smoothing, angle = between(settings.shadow_smoothing, rng), between((0.0, 2 * np.pi), rng)
    height, width = image.shape[:2]
    # a small ramp, scaled up: linear anyway
    x, y = np.linspace(-0.5, 0.5, 64, dtype=np.float32)[None, :], np.linspace(-0.5, 0.5, 64, dtype=np.float32)[:, None]
    along = (x * np.cos(angle) + y * np.sin(angle)) / (abs(np.cos(angle)) + abs(np.sin(angle))) + 0.5
    depth = np.clip((amount - along) / max(smoothing, 1e-3) + 0.5, 0, 1) * (intensity / 255)
    keep = cv2.resize((255 * (1 - depth)).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(image, cv2.merge([keep, keep, keep]), scale=1 / 255), np.uint8), intensity


def _streak(settings: Effects, rng: np.random.Generator) -> Floats:
    """The kernel of a motion blur."""
    size = int(rng.integers(settings.motion_blur_k[0], settings.motion_blur_k[1] + 1)) | 1
    line = np.zeros((size, size), np.float32)
    line[size // 2] = 1
    turn = cv2.getRotationMatrix2D((size // 2, size // 2), between((0.0, 360.0), rng), 1)
    kernel = cv2.warpAffine(line, turn, (size, size))
    return np.asarray(kernel / max(float(kernel.sum()), 1e-6), np.float32)
