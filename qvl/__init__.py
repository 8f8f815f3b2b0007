"""qvl: curate image-text data at web scale and train a vision-language model from it.

The parts are ``qvl.pipeline``, ``qvl.synth_ocr``, ``qvl.grounding_builder``, ``qvl.model`` and ``qvl.training``. In a
checkout they lie at the top of the repository, and ``qvl/`` links to them (docs/decisions/0013-one-import-name.md).

The names below are the public interface (docs/api.md). They are imported when they are first used, so that ``import qvl``
costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qvl.pipeline.api.curation import curate
    from qvl.pipeline.api.output import Output
    from qvl.pipeline.api.output import open_output as open
    from qvl.pipeline.api.sample import ReadSample
    from qvl.pipeline.api.what_if import WhatIf
    from qvl.pipeline.base.errors import QvlError
    from qvl.pipeline.base.pool import Resources
    from qvl.pipeline.plugins.bases import Column, Filter, Scorer, Workspace
    from qvl.pipeline.recipe.recipe import Recipe

__all__ = [
    "Column",
    "Filter",
    "Output",
    "QvlError",
    "ReadSample",
    "Recipe",
    "Resources",
    "Scorer",
    "WhatIf",
    "Workspace",
    "curate",
    "open",
]

_MODULES = {
    "Column": ("qvl.pipeline.plugins.bases", "Column"),
    "Filter": ("qvl.pipeline.plugins.bases", "Filter"),
    "Output": ("qvl.pipeline.api.output", "Output"),
    "QvlError": ("qvl.pipeline.base.errors", "QvlError"),
    "ReadSample": ("qvl.pipeline.api.sample", "ReadSample"),
    "Recipe": ("qvl.pipeline.recipe.recipe", "Recipe"),
    "Resources": ("qvl.pipeline.base.pool", "Resources"),
    "Scorer": ("qvl.pipeline.plugins.bases", "Scorer"),
    "WhatIf": ("qvl.pipeline.api.what_if", "WhatIf"),
    "Workspace": ("qvl.pipeline.plugins.bases", "Workspace"),
    "curate": ("qvl.pipeline.api.curation", "curate"),
    "open": ("qvl.pipeline.api.output", "open_output"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'qvl' has no attribute {name!r}")
    module, attribute = _MODULES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
