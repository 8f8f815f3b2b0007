"""Tables and progress bars on the terminal, with the control characters of data shown as escapes (see ``terminal``)."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from qvl.pipeline.base.terminal import visible, visible_lines


class Screen(Console):
    """Rich's console for texts from data: nothing in them is markup, an emoji code or a control sequence.

    A text given to ``print`` is one line; a cell of a table may have several.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """As Rich's; the newlines of a text are shown as escapes, too."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as Rich measures and prints it, also in the cells of a table."""
        return super().render_str(visible_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces that will be printed. Texts of Rich's own classes, such as a progress bar's, are made visible here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))
