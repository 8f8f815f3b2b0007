"""Plug-ins that the tests write to files and packages."""

from pathlib import Path

from qvl.pipeline.plugins.operators import Plugins, load_plugins
from qvl.pipeline.recipe.plugins import PluginModule

KEYWORDS = '''
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import qvl


@dataclass(frozen=True)
class KeyWords(qvl.Column):
    """Whether a caption has one of some words, and its length."""

    words: tuple = ("dog",)
    reads = ["caption"]
    writes = {"has_word": pa.bool_(), "length": "int32"}

    def apply(self, batch):
        found = pc.match_substring_regex(batch["caption"], "|".join(self.words))
        return {"length": pc.utf8_length(batch["caption"]), "has_word": found}
'''

HOST = """
import qvl


class Host(qvl.Column):
    reads = ["url"]
    writes = {"host": "string"}

    def apply(self, batch):
        return [url.split("/")[2] for url in batch["url"].to_pylist()]
"""


def write(path: Path, text: str) -> str:
    """Write a module. Returns its path as a recipe names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def loaded(*modules: object) -> Plugins:
    """The plug-ins of a recipe with these entries below ``plugins``."""
    return load_plugins([PluginModule.model_validate(module) for module in modules])
