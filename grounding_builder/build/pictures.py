"""Whether an annotation and the image file that it speaks of fit together."""

from qvl.pipeline.images.picture import Picture

RATIO_TOLERANCE = 0.02  # a resize rounds sides to whole pixels
SQUARE_TOLERANCE = 0.01


def disagreement(found: Picture, size: tuple[int, int] | None, scaled: bool) -> str | None:
    """Why boxes of an image annotated as ``size`` cannot be drawn on this file; None where they can.

    ``scaled``: the file may be a smaller copy with the same ratio (boxes relative to it stay right). A rotated file is
    refused: nobody can know whether the annotator saw it turned.
    """
    if found.orientation != 1:
        return "exif_rotated"
    if size is None or size == (found.width, found.height):
        return None
    width, height = size
    if width <= 0 or height <= 0:
        return "size_mismatch"
    ratio, actual = width / height, found.width / found.height
    if scaled and abs(ratio / actual - 1) <= max(RATIO_TOLERANCE, 1 / min(found.width, found.height)):
        return None
    if scaled and abs(actual - 1) <= SQUARE_TOLERANCE:
        return "padded_or_cropped"
    return "size_mismatch"
