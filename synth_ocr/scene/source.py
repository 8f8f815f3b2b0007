"""Scenes as a source: a unit is a range of indices, and (seed, source, index) alone determines a scene."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import xxhash
from pydantic import Field, JsonValue

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.builders.builder import BuildUnit
from qvl.pipeline.commit.fingerprint import file_identity, fingerprint
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.page import Outcome, PageRejected
from qvl.synth_ocr.page.rules import PageRules, encode_page
from qvl.synth_ocr.scene.settings import Canvas, Corpus, Effects, FontChoice, TextLayout

if TYPE_CHECKING:
    from qvl.synth_ocr.scene.photographs import Backgrounds
    from qvl.synth_ocr.scene.render import Stock


class Scene(RecipeModel):
    """``count`` scenes of a language. Files are given as glob patterns.

    Without ``papers``, paper is generated; without ``backgrounds``, they are plain colours. ``exclude``: a list written by
    ``qvl ground exclude`` or ``qvl curate hash``; a background on it is never drawn (the paper's backgrounds, COCO
    train2017, contain RefCOCO's test images). ``reject_backgrounds_with_text``: nor is one in which Tesseract reads a
    word, which takes a second or two per photograph.
    """

    kind: Literal["scene"] = "scene"
    language: Literal["en", "zh"]
    count: int = Field(ge=1)
    per_unit: int = Field(default=50, ge=1)
    fonts: tuple[FontChoice, ...] = Field(min_length=1)
    corpora: tuple[Corpus, ...] = Field(min_length=1)
    backgrounds: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    exclude: str | None = None
    reject_backgrounds_with_text: bool = False
    canvas: Canvas = Canvas()
    layout: TextLayout = TextLayout()
    effects: Effects = Effects()
    rules: PageRules = PageRules(minimum_characters=1, unlabelled_ink=0.05, private_use=True)

    def units(self, source: str) -> list[BuildUnit]:
        """Ranges of ``per_unit`` indices."""
        firsts = range(0, self.count, self.per_unit)
        return [
            BuildUnit(f"{source}-{n:06d}", source, f"scenes {first}", (first, min(self.count, first + self.per_unit)))
            for n, first in enumerate(firsts)
        ]

    def common(self) -> dict[str, JsonValue]:
        """The settings, hashes of fonts, texts and pictures, and the versions of the libraries that draw."""
        import cv2
        import faker
        import PIL
        from PIL import features

        from qvl.synth_ocr.page.tesseract import tesseract_version
        from qvl.synth_ocr.scene.background_text import BACKGROUND_TEXT_VERSION
        from qvl.synth_ocr.scene.corpus import file_identities, files_of
        from qvl.synth_ocr.scene.fonts import faces_of, file_hash

        excluded = {"corpora", "backgrounds", "papers", "fonts", "count", "per_unit", "exclude"}
        versions = {"pillow": PIL.__version__, "cv2": cv2.__version__, "numpy": np.__version__, "faker": faker.VERSION}
        versions |= {name: str(features.version(name)) for name in ("freetype2", "raqm", "harfbuzz", "fribidi")}
        if self.reject_backgrounds_with_text:
            versions["tesseract"] = f"{tesseract_version()}, rule {BACKGROUND_TEXT_VERSION}"
        exclusion = self._exclusion()
        return {
            "read": self.model_dump(mode="json", exclude=excluded),
            "fonts": [f"{face.name} {file_hash(face.path)}" for face in faces_of(self.fonts)],
            "texts": [*file_identities(files_of(self.corpora))],
            "pictures": fingerprint([file_identity(Storage(), path) for path in self._pictures()]),
            "libraries": {**versions},
            **({"exclusion": exclusion.fingerprint} if exclusion else {}),
        }

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        """The unit's range of indices."""
        return {"range": list(unit.payload)}

    def missing(self) -> list[str]:
        """A message for each input or program that is not installed."""
        fonts = [pattern for choice in self.fonts for pattern in choice.fonts]
        texts = [pattern for corpus in self.corpora for pattern in corpus.texts]
        patterns = [*fonts, *texts, *self.backgrounds, *self.papers, *([self.exclude] if self.exclude else [])]
        from qvl.synth_ocr.page.tesseract import tesseract_version
        from qvl.synth_ocr.scene.fonts import has_raqm

        messages = []
        if not has_raqm():
            messages.append("Pillow was built without raqm, which shapes text: install its wheel from PyPI")
        if self.reject_backgrounds_with_text and tesseract_version() is None:
            messages.append("tesseract, which looks for text in backgrounds, is not installed")
        return messages + [f"nothing matches {pattern}" for pattern in patterns if not Storage().glob(pattern)]

    def _exclusion(self) -> Exclusion | None:
        if self.exclude is None:
            return None
        with Storage().local(self.exclude) as local:
            return Exclusion.read(local)

    def _backgrounds(self) -> "Backgrounds":
        from qvl.synth_ocr.scene.background_text import surest_word
        from qvl.synth_ocr.scene.photographs import Backgrounds

        find_text = surest_word if self.reject_backgrounds_with_text else None
        return Backgrounds(_files(self.backgrounds), self._exclusion(), find_text)

    def _pictures(self) -> list[str]:
        return [*_files(self.backgrounds), *_files(self.papers)]

    def outcomes(self, unit: BuildUnit, seed: int) -> Iterator[Outcome]:
        """One scene per index, each from its own random generator."""
        import cv2

        from qvl.synth_ocr.scene.render import render_scene

        cv2.setNumThreads(1)
        stock = self.stock()
        name = xxhash.xxh3_64_intdigest(unit.source.encode())
        for index in range(*unit.payload):
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, name, index))))
            key = f"s{index:07d}"
            try:
                yield encode_page(key, render_scene(stock, rng), self.rules)
            except PageRejected as reason:
                yield Outcome(key, str(reason))

    def stock(self) -> "Stock":
        """Everything from which the scenes are made. Fonts and texts are read once per process."""
        from qvl.synth_ocr.scene.corpus import files_of
        from qvl.synth_ocr.scene.fonts import faces_of
        from qvl.synth_ocr.scene.render import Stock

        return Stock(
            self.language, faces_of(self.fonts), self._backgrounds(),
            _files(self.papers), files_of(self.corpora),
            self.canvas, self.layout, self.effects, self.rules,
        )  # fmt: skip


def _files(patterns: tuple[str, ...]) -> list[str]:
    """All matching files in order. Raises RecipeError for a pattern that matches nothing."""
    found: list[str] = []
    for pattern in patterns:
        files = Storage().glob(pattern)
        if not files:
            raise RecipeError(f"nothing matches {pattern}; `sh scripts/ocr_packages.sh` installs the demo's files")
        found += files
    return found
