"""Third-party tars for the tests, with PAX headers as other tools write them."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 90, 20)).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
