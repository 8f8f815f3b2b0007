"""`qvl model info | import | export | chat`. Torch is imported inside the commands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qvl.model.network.errors import ModelError

app = typer.Typer(help="The model: sizes, weights in and out, a conversation.", no_args_is_help=True)


class Source(StrEnum):
    """Whose weights are imported."""

    openclip = "openclip"
    qwen = "qwen"
    qwen_vl = "qwen-vl"
    causal_lm = "causal-lm"


class Target(StrEnum):
    """Whose tensor names are exported."""

    transformers = "transformers"
    released = "released"


class Precision(StrEnum):
    """Of the weights written or run."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@contextmanager
def _one_line() -> Iterator[None]:
    """A ModelError is the user's to mend: its text alone, exit status 2."""
    try:
        yield
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="qwen-vl, small, tiny, nano, or a model folder")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Parts of a model and their exact counts; nothing is allocated."""
    from qvl.model.weights.auto import config_of
    from qvl.model.weights.info import parts

    with _one_line():
        rows = parts(config_of(model))
    if as_json:
        table = [{"part": row.name, "parameters": row.parameters, "fixed": row.fixed} for row in rows]
        typer.echo(json.dumps({"model": model, "parts": table}, indent=2))
        return
    typer.echo(f"{'part':<16}{'parameters':>16}{'fixed':>14}")
    for row in rows:
        typer.echo(f"{row.name:<16}{row.parameters:>16,}{row.fixed:>14,}")
    typer.echo(f"{'with fixed':<16}{rows[-1].parameters + rows[-1].fixed:>16,}")


@app.command("import")
def import_(
    source: Annotated[Source, typer.Argument(help="Whose weights")],
    path: Annotated[Path, typer.Argument(help="Their folder, or file")],
    out: Annotated[Path, typer.Argument(help="A model folder; one that holds another part is added to")],
    dtype: Annotated[Precision | None, typer.Option(help="Of the weights written; theirs if not given")] = None,
    start: Annotated[str, typer.Option(help="Preset of the parts not imported yet")] = "qwen-vl",
) -> None:
    """Convert weights into a model folder, one tensor at a time."""
    import torch

    from qvl.model.weights.convert import import_checkpoint

    with _one_line():
        wanted = getattr(torch, dtype.value) if dtype else None
        import_checkpoint(source.value, path, out, dtype=wanted, start=start)
    typer.echo(f"{out}: {source.value} imported")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A model folder")],
    out: Annotated[Path, typer.Argument(help="A new folder")],
    layout: Annotated[Target, typer.Option(help="Tensor names")] = Target.transformers,
    dtype: Annotated[Precision | None, typer.Option(help="Of the weights written; as they are if not given")] = None,
) -> None:
    """Write a folder that loads elsewhere with trust_remote_code, or the released tensor names."""
    import torch

    from qvl.model.weights.convert import export_model

    with _one_line():
        export_model(model, out, layout.value, getattr(torch, dtype.value) if dtype else None)
    typer.echo(f"{out}: exported as {layout.value}")


@app.command()
def chat(
    model: Annotated[Path, typer.Argument(help="A model folder with its tokenizer")],
    image: Annotated[list[Path] | None, typer.Option(help="Goes with the first question; repeatable")] = None,
    ask: Annotated[str | None, typer.Option(help="One question instead of a conversation")] = None,
    boxes: Annotated[Path, typer.Option(help="Where the image with boxes is saved")] = Path("boxes.png"),
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    dtype: Annotated[Precision | None, typer.Option(help="Of the computation; the weights' if not given")] = None,
    length: Annotated[int, typer.Option(help="Most tokens of an answer")] = 256,
) -> None:
    """Talk about images in the terminal; boxes in an answer are drawn on the last image and saved."""
    import torch

    from qvl.model.commands.chat import Chat

    with _one_line():
        talk = Chat(model, device, getattr(torch, dtype.value) if dtype else None)
        images = list(image or [])
        while True:
            question = (
                ask if ask is not None else typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
            )
            if not question:
                return
            answer = talk.ask(question, images, length, lambda piece: typer.echo(piece, nl=False))
            drawn = talk.draw(answer, boxes)
            if drawn:
                typer.echo(f"{drawn} region(s) drawn: {boxes}")
            if ask is not None:
                return
            images = []
