"""`qvl model info | import | export | chat`. Torch is imported inside the commands, so that help appears quickly."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qvl.model.network.errors import ModelError
from qvl.pipeline.base.terminal import print_json, say, say_lines, warn

app = typer.Typer(help="Inspect, import, export and talk to the model.", no_args_is_help=True)


class Source(StrEnum):
    """Kinds of weights that can be imported."""

    openclip = "openclip"
    qwen = "qwen"
    qwen_vl = "qwen-vl"
    causal_lm = "causal-lm"


class Target(StrEnum):
    """Tensor names that can be exported."""

    transformers = "transformers"
    released = "released"


class Precision(StrEnum):
    """Number formats of weights and computation."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@contextmanager
def _one_line() -> Iterator[None]:
    """Print a ModelError as a single line and exit with status 2: the user can fix its cause."""
    try:
        yield
    except ModelError as error:
        warn(f"error: {error}")
        raise typer.Exit(2) from error


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="Preset (qwen-vl, small, tiny, nano) or model folder")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Show the exact number of parameters of each part of a model, without loading it."""
    from qvl.model.weights.auto import config_of
    from qvl.model.weights.info import parts

    with _one_line():
        rows = parts(config_of(model))
    if as_json:
        table = [{"part": row.name, "parameters": row.parameters, "fixed": row.fixed} for row in rows]
        print_json({"model": model, "parts": table})
        return
    say(f"{'part':<16}{'parameters':>16}{'fixed':>14}")
    for row in rows:
        say(f"{row.name:<16}{row.parameters:>16,}{row.fixed:>14,}")
    say(f"{'with fixed':<16}{rows[-1].parameters + rows[-1].fixed:>16,}")


@app.command("import")
def import_(
    source: Annotated[Source, typer.Argument(help="Kind of weights to import")],
    path: Annotated[Path, typer.Argument(help="Folder or file with the weights")],
    out: Annotated[
        Path, typer.Argument(help="Model folder to write; if it already holds other parts, this part is added")
    ],
    dtype: Annotated[
        Precision | None, typer.Option(help="Number format of the written weights (default: unchanged)")
    ] = None,
    start: Annotated[str, typer.Option(help="Preset that describes the parts that are not imported yet")] = "qwen-vl",
) -> None:
    """Convert weights into a model folder, one tensor at a time."""
    import torch

    from qvl.model.weights.convert import import_checkpoint

    with _one_line():
        import_checkpoint(source.value, path, out, dtype=getattr(torch, dtype.value) if dtype else None, start=start)
    say(f"{out}: {source.value} imported")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A model folder")],
    out: Annotated[Path, typer.Argument(help="New folder to write")],
    layout: Annotated[Target, typer.Option(help="Tensor names to write")] = Target.transformers,
    dtype: Annotated[
        Precision | None, typer.Option(help="Number format of the written weights (default: unchanged)")
    ] = None,
) -> None:
    """Write a folder that other programs load with trust_remote_code, or weights under the released tensor names."""
    import torch

    from qvl.model.weights.convert import export_model

    with _one_line():
        export_model(model, out, layout.value, getattr(torch, dtype.value) if dtype else None)
    say(f"{out}: exported as {layout.value}")


@app.command()
def chat(
    model: Annotated[Path, typer.Argument(help="Model folder that includes a tokenizer")],
    image: Annotated[list[Path] | None, typer.Option(help="Image for the first question; may be repeated")] = None,
    ask: Annotated[str | None, typer.Option(help="Ask one question and exit")] = None,
    boxes: Annotated[Path, typer.Option(help="File for the image with boxes")] = Path("boxes.png"),
    device: Annotated[str, typer.Option(help="Device to run on: cpu, cuda, cuda:1, ...")] = "cpu",
    dtype: Annotated[
        Precision | None, typer.Option(help="Number format to compute in (default: that of the weights)")
    ] = None,
    length: Annotated[int, typer.Option(help="Maximum number of tokens in an answer")] = 256,
) -> None:
    """Talk about images in the terminal. Boxes in an answer are drawn on the last image, which is saved to a file."""
    import torch

    from qvl.model.commands.chat import Chat

    with _one_line():
        conversation = Chat(model, device, getattr(torch, dtype.value) if dtype else None)
        images = list(image or [])
        while True:
            question = (
                ask if ask is not None else typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
            )
            if not question:
                return
            answer = conversation.ask(question, images, length, say_lines)
            drawn = conversation.draw(answer, boxes)
            if drawn:
                say(f"{drawn} region(s) drawn: {boxes}")
            if ask is not None:
                return
            images = []
