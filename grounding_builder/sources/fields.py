"""Fields of annotation records, checked: a record may hold whatever JSON, a pickle or Parquet can hold."""

from collections.abc import Callable
from typing import Any, ParamSpec

from qvl.grounding_builder.drafts.drafts import Draft
from qvl.grounding_builder.drafts.readable import Unusable, reason_of, text_of
from qvl.pipeline.base.addresses import below
from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.images.picture import Picture, read_picture
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.storage.reader import Storage

BAD_PATH = "unreadable:bad_path"
Arguments = ParamSpec("Arguments")


def drafts_or_bad(
    key: Any,
    regions: int,
    make: Callable[Arguments, list[Draft]],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> list[Draft]:
    """The rows that ``make`` returns; if it fails, one row with ``regions`` boxes that is dropped with the reason."""
    try:
        return make(*args, **kwargs)
    except CONTENT_ERRORS as error:
        return [Draft(printable(key), regions=regions).drop(reason_of(error))]


def printable(key: Any) -> str:
    """A key as text that can be encoded; empty if it is neither text nor a number."""
    text = str(key) if isinstance(key, str | int | float) else ""
    return text.encode("utf-8", "replace").decode()


def identity(value: Any) -> str | None:
    """An id as text, so that 7 and "7" are the same id. None if the value cannot be an id."""
    if type(value) is int or isinstance(value, str):
        return str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else None


def far_corner(box: Box) -> Box:
    """x, y, width, height to corners; the far corner is x + w."""
    x, y, w, h = box
    return x, y, x + w, y + h


def image_path(folder: str, name: Any) -> str:
    """The path of an image that an annotation names. Raises Unusable if it is none in the folder."""
    name = text_of(name)
    if not name or "/" in name or "\\" in name or "\0" in name:
        outside = name.startswith("/") or "://" in name or ".." in name.split("/")
        if not name or outside or "\\" in name or "\0" in name:
            raise Unusable(BAD_PATH)
    return below(folder, name) if folder else name


def image_size(width: Any, height: Any, path: str, storage: Storage) -> tuple[int, int]:
    """Width and height in pixels as annotated or, where they are absent or impossible, from the image's header.

    Raises Unusable with the reason if the image cannot be read either.
    """
    stated = side(width), side(height)
    if stated[0] and stated[1]:
        return stated
    picture = read_picture(path, storage)
    if not isinstance(picture, Picture):
        raise Unusable(picture)
    return picture.width, picture.height


def side(value: Any) -> int:
    """A side of an image in whole pixels, which may be written as text; 0 if the value is not one."""
    try:
        pixels = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
        return int(pixels) if pixels.is_integer() and 0 < pixels < 1 << 31 else 0
    except (ValueError, OverflowError):
        return 0
