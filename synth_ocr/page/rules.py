"""The paper's rules on pages (section 5.5, steps 3 to 6) and our own rules on what people can read."""

from collections import Counter
from dataclasses import replace

import simplejpeg
from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.markup.markers import has_marker
from qvl.synth_ocr.page.geometry import is_sound, sides
from qvl.synth_ocr.page.page import Line, Outcome, Page, PageRejected
from qvl.synth_ocr.page.text import LATIN_EXTENDED, PRIVATE_USE, UNKNOWN


class PageRules(RecipeModel):
    """The limits beyond which a page or a line is dropped. The paper publishes the rules but not their numbers.

    ``latin_extended`` and ``private_use`` reject a page with such a character (paper, steps 5 and 6; the first applies only
    to PDF). Lines that people cannot read are left out of the label, and their ink then counts as unlabelled.
    """

    minimum_side: int = Field(default=224, ge=1)  # pixels of the rendered page
    minimum_characters: int = Field(default=20, ge=1)
    maximum_characters: int = Field(default=8_000, ge=1)
    latin_extended: bool = False
    private_use: bool = True
    minimum_height: float = Field(default=5.0, ge=0)  # pixels of a line's ink, on the final image
    minimum_contrast: float = Field(default=24.0, ge=0)  # mean change of the ink's pixels, 0..255
    unlabelled_ink: float = Field(default=0.02, ge=0, le=1)  # share of the page's text ink outside every line
    quality: int = Field(default=90, ge=1, le=100)  # of the JPEG, unless an effect chooses it


def split_readable(lines: list[Line], rules: PageRules) -> tuple[list[Line], Counter[str]]:
    """The lines that can be read on the final image, and how many were dropped for each reason."""
    kept: list[Line] = []
    lost: Counter[str] = Counter()
    for line in lines:
        reason = line_fault(line, rules)
        if reason:
            lost[reason] += 1
        else:
            kept.append(line)
    return kept, lost


def line_fault(line: Line, rules: PageRules) -> str:
    """Why the line is left out of the label; empty if it is not."""
    if UNKNOWN.search(line.text):
        return "unknown_character"
    if not is_sound(line.quad):
        return "degenerate"
    # dashes and dots are always low: their layout says how tall the line is
    height = max(line.pixel_height, sides(line.layout)[1] * 0.5)
    if height < rules.minimum_height:
        return "too_low"
    return "faint" if line.contrast < rules.minimum_contrast else ""


def page_fault(page: Page, rules: PageRules) -> str:
    """Why the page is rejected; empty if it is not."""
    text = page.text
    characters = sum(len(line.text.replace(" ", "")) for line in page.lines)
    height, width, _ = page.image.shape
    checks = (
        ("too_small", min(height, width) < rules.minimum_side),
        ("private_use", rules.private_use and PRIVATE_USE.search(text)),
        ("latin_extended", rules.latin_extended and LATIN_EXTENDED.search(text)),
        ("markup", has_marker(text)),
        ("unlabelled_ink", page.unlabelled_ink > rules.unlabelled_ink),
        ("too_few_characters", characters < rules.minimum_characters),
        ("too_many_characters", characters > rules.maximum_characters),
    )
    return next((name for name, failed in checks if failed), "")


def encode_page(key: str, page: Page, rules: PageRules) -> Outcome:
    """The page as an outcome: encoded once as JPEG, then without its pixels. Raises PageRejected if a rule rejects it."""
    fault = page_fault(page, rules)
    if fault:
        raise PageRejected(fault)
    height, width, _ = page.image.shape
    jpeg = simplejpeg.encode_jpeg(page.image, quality=page.quality, colorsubsampling="420", fastdct=False)
    return Outcome(key, KEEP, bytes(jpeg), width, height, replace(page, image=page.image[:0]))
