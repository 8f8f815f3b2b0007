"""Build the exclusion list from the benchmarks' own files."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from qvl.grounding_builder.drafts.readable import readable
from qvl.grounding_builder.sources.json_slices import slices
from qvl.grounding_builder.sources.refcoco import GLOB_ESCAPES, coco_ids, instances, load_refs, parquet_rows
from qvl.pipeline.base.addresses import below
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.exclusion.exclusion import RADIUS, Exclusion
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.storage.reader import Storage

IMAGES_PER_PIECE = 10_000


class Benchmark(RecipeModel):
    """Images that must not be trained on.

    ``refs``: files of references (.p, or parquet with ``file_name``); excludes every image in a split other than train.
    ``coco``: COCO JSON of a val or test set; excludes every image in it. ``ids``: text files with one id such as ``coco:1``
    per line. ``images``: globs of image files, excluded by their bytes and by their perceptual hashes. If ``image_folder``
    is set, the images of ``coco`` and of ``refs`` (whose file names are in ``instances``) are excluded in the same way;
    otherwise only by id.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_+]{0,40}$")]
    refs: tuple[str, ...] = ()
    instances: str | None = None
    coco: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    image_folder: str | None = None


class Exclude(RecipeModel):
    """The benchmarks, and the most bits in which perceptual hashes of the same image may differ."""

    benchmarks: tuple[Benchmark, ...] = ()
    radius: int = Field(default=RADIUS, ge=0, le=RADIUS)


def exclusion(spec: Exclude, storage: Storage) -> Exclusion:
    """The exclusion list of all benchmarks. Raises RecipeError for missing files and DataError for corrupted ones."""
    result = Exclusion(radius=spec.radius)
    for benchmark in spec.benchmarks:
        with readable(f"benchmark {benchmark.name}"):
            names = [*_refs(benchmark, result, storage), *_coco(benchmark, result, storage)]
            for path in benchmark.ids:
                lines = storage.read(_existing(path, storage)).decode().split()
                result.add_ids(benchmark.name, lines)
        paths = [unit.path for unit in find_units(benchmark.images, storage)] if benchmark.images else []
        if benchmark.image_folder is not None:
            paths += [below(benchmark.image_folder, name) for name in sorted(set(names))]
        for path in paths:
            result.add_image(benchmark.name, storage.read(_existing(path, storage)))
    return result


def _refs(benchmark: Benchmark, result: Exclusion, storage: Storage) -> Iterator[str]:
    """Add the ids of the references' images; yields the images' file names."""
    for pattern in benchmark.refs:
        unit = find_units((pattern.translate(GLOB_ESCAPES),), storage)[0]
        path = unit.path
        if unit.name.endswith(".parquet"):
            names = [row["file_name"] for row in parquet_rows(path, storage) if row.get("split") != "train"]
            result.add_ids(benchmark.name, [i for name in names for i in coco_ids(name)])
            yield from names
            continue
        numbers = sorted({str(int(ref["image_id"])) for ref in load_refs(path, storage) if ref["split"] != "train"})
        result.add_ids(benchmark.name, [f"coco:{number}" for number in numbers])
        if benchmark.image_folder is not None:
            if benchmark.instances is None:
                raise RecipeError(f"{benchmark.name}: image_folder with refs needs instances, which has the file names")
            known = instances(benchmark.instances)[0]
            yield from (known[number][0] for number in numbers)


def _coco(benchmark: Benchmark, result: Exclusion, storage: Storage) -> Iterator[str]:
    """Add the ids of the images in COCO files; yields the images' file names."""
    for path in benchmark.coco:
        with storage.mapped(_existing(path, storage)) as data:
            for part in slices(data, IMAGES_PER_PIECE, "images"):
                for image in part.parse(data):
                    result.add_ids(benchmark.name, [f"coco:{image['id']}", *coco_ids(image["file_name"])])
                    yield image["file_name"]


def _existing(path: str, storage: Storage) -> str:
    if not storage.exists(path):
        raise RecipeError(f"{path}: no such file; without it, evaluation images could leak into the training data")
    return path
