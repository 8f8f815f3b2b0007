"""What stage score asks of anything that scores images in its one pass over them."""

from typing import Any, Protocol

from qvl.pipeline.images.decode import Pixels


class PictureScorer(Protocol):
    """A consumer of decoded images. ``rows`` are those that it scores, ``side`` the pixels that it needs at least."""

    @property
    def name(self) -> str: ...

    @property
    def side(self) -> int: ...

    @property
    def rows(self) -> frozenset[int]: ...

    def prepare(self, image: Pixels) -> Any:
        """What it keeps of an image. Called in the threads that decode. It must not raise."""
        ...

    def add(self, row: int, prepared: Any) -> None:
        """Take a prepared image, and score as soon as there are enough of them. Called in the order of the rows."""
        ...

    def finish(self) -> None:
        """Score what is left."""
        ...
