"""The pictures of interleaved documents: their own bytes, files of a folder, or members of tars by their address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.images.picture import Picture, picture, read_picture
from qvl.pipeline.sources.embedded_images import EmbeddedImage
from qvl.pipeline.sources.image_files import NamedFile, file_in
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.tar_members import group
from qvl.pipeline.storage.reader import Storage

STEM = "{name}"
MAX_IMAGE_BYTES = 100_000_000


@dataclass(slots=True)
class DocumentImages:
    """Finds pictures. ``folder`` holds the files that documents name; ``addresses`` says where the others are.

    ``file_of`` gives the file of a name: ``file_in``, or ``linked_file_in`` for a folder whose links may lead out of it.

    An address is never fetched: the data of others must not decide what is requested.
    """

    folder: str
    storage: Storage
    addresses: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    file_of: Callable[[str, str], NamedFile] = file_in

    def find(self, image: EmbeddedImage) -> Picture | str:
        """The picture, or the reason why there is none."""
        if image.fault is not None:
            return image.fault
        if image.data is not None:
            return picture(image.data)
        if image.path is None:
            return "image_missing"
        if image.path in self.addresses:
            tar, start, size = self.addresses[image.path]
            return picture(self.storage.read_range(tar, start, start + size))
        if "://" in image.path:
            return "image_address"
        named = self.file_of(self.folder, image.path)
        path = named.path
        if path is None:
            return f"{named.fault}"
        try:
            if self.storage.exists(path) and self.storage.size(path) > MAX_IMAGE_BYTES:
                return "unreadable:too_large"
        except OSError as error:
            return f"unreadable:{type(error).__name__}"
        return read_picture(path, self.storage)


def image_addresses(pattern: str | None, document: str, storage: Storage) -> dict[str, tuple[str, int, int]]:
    """Tar, offset and size of each picture that img2dataset downloaded, by the ``url`` in its JSON.

    ``{name}`` in the pattern is the name of the document file up to its first dot. Raises RecipeError for a damaged tar.
    """
    found: dict[str, tuple[str, int, int]] = {}
    if pattern is None:
        return found
    named = pattern.replace(STEM, PurePosixPath(public_address(document)).name.partition(".")[0])
    for unit in find_units((named,), storage):
        with storage.mapped(unit.path) as data:
            index = index_tar(data)
            if index.fault:
                raise RecipeError(f"{unit.path}: {index.fault}; fetch it again, or leave it out")
            for sample in group(index.members).samples:
                image, meta = sample.image, sample.meta
                if image is None or meta is None or not sample.regular:
                    continue
                url = _url(data[meta.offset : meta.offset + meta.size])
                if url is not None:
                    found.setdefault(url, (unit.path, image.offset, image.size))
    return found


def _url(meta: memoryview) -> str | None:
    try:
        record = parse_json(meta)
    except ValueError:
        return None
    url = record.get("url") if isinstance(record, dict) else None
    return url if isinstance(url, str) else None
