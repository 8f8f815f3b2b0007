"""Prompts: the templates of a speaker with the columns of rows filled in."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.recipe.speakers import Speaker, template_parts

KEY_VERSION = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked about one image. ``key`` identifies the answer in the store.

    It is the hash of the image file's hash and how the image is sent, the prompts, the model and its parameters; the address
    of the service is not in it.
    """

    key: bytes
    prompt: str
    system: str | None


def questions(speaker: Speaker, columns: pa.Table) -> list[Question]:
    """A question for each row of a table with ``image_hash`` and the columns that the prompts name."""
    prompts = rendered(speaker.prompt, columns)
    systems = rendered(speaker.system, columns) if speaker.system is not None else [None] * len(columns)
    fixed = {
        "version": KEY_VERSION,
        "model": speaker.model,
        "image": speaker.image and speaker.image.model_dump(mode="json"),
        "request": generation(speaker),
        "edition": speaker.edition,
    }
    hashes = columns["image_hash"].to_pylist() if speaker.image is not None else [None] * len(columns)
    found = []
    for image, prompt, system in zip(hashes, prompts, systems, strict=True):
        parts = {**fixed, "hash": image.hex() if image else None, "prompt": prompt, "system": system}
        found.append(Question(bytes.fromhex(fingerprint(parts)), prompt or "", system))
    return found


def generation(speaker: Speaker) -> dict[str, object]:
    """The fields of a request besides the messages and the model."""
    fields: dict[str, object] = {
        **speaker.parameters,
        "temperature": speaker.temperature,
        "max_tokens": speaker.max_tokens,
    }
    described = speaker.answer.json_object
    if described is not None and described.enforce:
        schema = {"name": speaker.name, "schema": described.description}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def rendered(template: str, columns: pa.Table) -> list[str | None]:
    """The template for each row. A value that is missing is an empty text."""
    pieces: list[pa.Scalar | pa.ChunkedArray] = []
    for literal, name in template_parts(template):
        pieces.append(pa.scalar(literal))
        if name:
            pieces.append(_texts(name, columns[name]))
    if all(isinstance(piece, pa.Scalar) for piece in pieces):
        return ["".join(piece.as_py() for piece in pieces)] * len(columns)
    joined = pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")
    texts: list[str | None] = joined.to_pylist()
    return texts


def _texts(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        raise RecipeError(f"speakers: a prompt names {name}, which has type {column.type} and is not text") from None
