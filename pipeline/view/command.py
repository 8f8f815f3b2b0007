"""``qvl view``: the command line of the app. Wiring only; heavy imports stay inside."""

import sys
from pathlib import Path
from typing import Annotated

import typer

Finished = Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a run", show_default=False)]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="Recipe of the run: where the pictures of dropped rows lie")
]
Host = Annotated[str, typer.Option(help="Address to listen on; any other than loopback asks for a token")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one")]


def view(out: Finished, recipe: RecipeFile = None, host: Host = "127.0.0.1", port: Port = 8765) -> None:
    """Look at an output in the browser: funnel, mix, rows with pictures and boxes, duplicates, what-if. Read-only."""
    from pipeline.errors import QvlError
    from pipeline.recipe import load_recipe

    try:
        from pipeline.view.run import serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise QvlError("the app needs starlette and uvicorn: pip install 'qvl[view]'") from None
    serve(out, load_recipe(recipe) if recipe is not None else None, host, port, sys.stdout.write)
