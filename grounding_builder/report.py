from pathlib import Path
from grounding_builder.recipe import GroundingRecipe


def write_report(out: Path, recipe: GroundingRecipe) -> Path:
    return out / "report.html"
