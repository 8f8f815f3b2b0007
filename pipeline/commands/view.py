"""``qvl view``: the command line of the app. Heavy imports stay inside the command."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.terminal import say

if TYPE_CHECKING:
    from qvl.pipeline.sources.base import Bytes

Finished = Annotated[
    str, typer.Argument(metavar="OUT", help="Output of a run, folder of shards, or training recipe", show_default=False)
]
Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data", help="Folder of a dataset or of images that an evaluation or a mixture refers to; repeatable"
    ),
]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="Recipe of the run, to find the pictures of dropped rows")
]
Host = Annotated[str, typer.Option(help="Address to listen on; all but loopback addresses require a token")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 picks a free one")]


def command(build_pictures: Callable[[Path], "Callable[[str, int], Bytes | None]"]) -> Callable[..., None]:
    """The command. ``build_pictures`` reads the recipe of a build and returns pictures of its input rows by unit and row."""

    def view(
        out: Finished, recipe: RecipeFile = None, data: Data = None, host: Host = "127.0.0.1", port: Port = 8765
    ) -> None:
        """View an output in the browser: funnel, mix, rows with pictures and boxes, duplicates, what-if. Read-only."""
        from qvl.pipeline.base.errors import QvlError, RecipeError
        from qvl.pipeline.recipe.recipe import load_recipe

        try:
            from qvl.pipeline.view.answers import Answers
            from qvl.pipeline.view.output import UserInputs
            from qvl.pipeline.view.run import serve
        except ModuleNotFoundError as error:
            if error.name not in ("starlette", "uvicorn"):
                raise
            raise QvlError("the app needs starlette and uvicorn: pip install 'qvl[view]'") from None
        if "://" in out:
            raise QvlError(f"{out}: the app only reads local files; copy the output first: {copy_command(out)}")
        inputs = UserInputs(data=tuple(data or ()))
        if recipe is not None and (Path(out) / "recipe.json").is_file():  # the output of a curation
            inputs = replace(inputs, recipe=load_recipe(recipe))
        elif recipe is not None:
            try:
                inputs = replace(inputs, pictures=build_pictures(recipe))
            except RecipeError as error:
                reason = str(error).partition(";")[0]
                raise RecipeError(
                    f"--recipe: this output is not a curation, and {reason}; only curations and grounding builds have "
                    "pictures of dropped rows"
                ) from None
        serve(Answers(Path(out), inputs), host, port, say)

    return view


def copy_command(url: str) -> str:
    """A command that copies an output from a store into a folder of the same name, with the library that we use."""
    name = url.rstrip("/").rpartition("/")[2]
    code = f"import fsspec; f, p = fsspec.url_to_fs({url.rstrip('/')!r}); f.get(p, {name!r}, recursive=True)"
    return f'python -c "{code}" && qvl view {name}'
