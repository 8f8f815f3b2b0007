"""Whether an annotation and its image file agree about the image's size."""

from qvl.pipeline.images.picture import Picture

RATIO_TOLERANCE = 0.02  # resizing rounds sides to whole pixels
SQUARE_TOLERANCE = 0.01


def disagreement(picture: Picture, size: tuple[int, int] | None, scaled: bool) -> str | None:
    """The reason why boxes annotated on an image of ``size`` are not valid for this file; None if they are valid.

    ``scaled``: the file may be a smaller copy with the same aspect ratio, on which relative boxes remain valid. A file with
    an EXIF rotation is refused, because it is unknown whether the annotator saw it rotated.
    """
    if picture.orientation != 1:
        return "exif_rotated"
    if size is None or size == (picture.width, picture.height):
        return None
    width, height = size
    if width <= 0 or height <= 0:
        return "size_mismatch"
    ratio, actual = width / height, picture.width / picture.height
    if scaled and abs(ratio / actual - 1) <= max(RATIO_TOLERANCE, 1 / min(picture.width, picture.height)):
        return None
    if scaled and abs(actual - 1) <= SQUARE_TOLERANCE:
        return "padded_or_cropped"
    return "size_mismatch"
