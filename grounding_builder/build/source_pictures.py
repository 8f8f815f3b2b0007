"""The images of input rows as the sources store them, so that dropped rows can be inspected."""

from functools import cached_property
from pathlib import Path

from qvl.grounding_builder.build.builder import Grounding
from qvl.grounding_builder.build.recipe import GroundingRecipe, load_recipe
from qvl.grounding_builder.drafts.drafts import Annotations, Piece
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.storage.reader import Storage


class SourcePictures:
    """Looks up the image of an input row: called with the id of a unit and the number of a row in it."""

    def __init__(self, path: Path) -> None:
        self._recipe: GroundingRecipe = load_recipe(path)

    @cached_property
    def _pieces(self) -> dict[str, tuple[Annotations, Piece]]:
        """Every unit of the build with its source, by unit id."""
        sources = {source.name: source for source in self._recipe.sources}
        units = Grounding(self._recipe.name, self._recipe.sources, Exclusion()).units()
        return {unit.id: (sources[unit.source], unit.payload) for unit in units}

    def __call__(self, unit: str, row: int) -> Bytes | None:
        """The image's bytes; None if the row has no image. Raises OSError if its file is missing."""
        if unit not in self._pieces:
            return None
        (source, piece), storage = self._pieces[unit], Storage()
        for number, draft in enumerate(source.rows(piece, storage)):
            if number == row:
                return (
                    storage.read(draft.image) if isinstance(draft.image, str) and draft.image else draft.image or None
                )
        return None
