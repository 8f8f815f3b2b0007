"""Errors of the operating system during a run: one line that names the file and says what to do."""

import errno
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.paths import StorePath
from qvl.pipeline.storage.system_errors import explained

OUT = Path("/data/out")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "fix the permissions"),
        (errno.EIO, "check the disk"),
    ],
)
@pytest.mark.parametrize("name", [None, "/data/out/columns/x.parquet"])
def test_an_error_of_the_system_is_explained_with_its_remedy(number: int, remedy: str, name: str | None) -> None:
    line = str(explained(OSError(number, "what the system says", name), OUT))
    assert line.startswith(f"{name or OUT}: what the system says")
    assert remedy in line
    assert "the same command again" in line
    assert ("free some space" in line) == (number == errno.ENOSPC)


def test_a_missing_input_file_is_named() -> None:
    gone = "/data/in/3.tar"
    for error in (FileNotFoundError(errno.ENOENT, "No such file", gone), FileNotFoundError(gone)):
        line = explained(error, OUT)
        assert isinstance(line, DataError)
        assert str(line).startswith(f"{gone}: an input file is missing")


def test_a_missing_file_of_the_output_is_not_explained() -> None:
    assert explained(FileNotFoundError(errno.ENOENT, "No such file", "/data/out/ledger/x.parquet"), OUT) is None
    assert explained(OSError(errno.EBADF, "Bad file descriptor"), OUT) is None


def test_errors_of_a_store_about_its_files_are_explained() -> None:
    out = StorePath("s3://bucket/run")
    assert explained(FileNotFoundError("bucket/run/ledger/x.parquet"), out) is None
    assert isinstance(explained(FileNotFoundError("bucket/in/3.tar"), out), DataError)
    assert "the store refuses access: Access Denied (output s3://bucket/run)" in str(
        explained(PermissionError("Access Denied"), out)
    )
