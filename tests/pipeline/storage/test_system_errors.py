"""Errors of the operating system during a run: one line that says whose file it is and what to do."""

import errno
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.paths import StorePath
from qvl.pipeline.storage.system_errors import explained

OUT = Path("/data/out")


@pytest.mark.parametrize(
    ("number", "way"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "mend the permissions"),
        (errno.EIO, "look at the disk"),
    ],
)
@pytest.mark.parametrize("name", [None, "/data/out/columns/x.parquet"])
def test_the_way_out_follows_from_the_error(number: int, way: str, name: str | None) -> None:
    line = str(explained(OSError(number, "what the system says", name), OUT))
    assert line.startswith(f"{name or OUT}: what the system says")
    assert way in line
    assert "the same command again" in line
    assert ("make room" in line) == (number == errno.ENOSPC)


def test_an_input_that_is_gone_is_named() -> None:
    gone = "/data/in/3.tar"
    for error in (FileNotFoundError(errno.ENOENT, "No such file", gone), FileNotFoundError(gone)):
        line = explained(error, OUT)
        assert isinstance(line, DataError)
        assert str(line).startswith(f"{gone}: an input file is gone")


def test_a_file_of_the_output_that_is_gone_is_no_users_error() -> None:
    assert explained(FileNotFoundError(errno.ENOENT, "No such file", "/data/out/ledger/x.parquet"), OUT) is None
    assert explained(OSError(errno.EBADF, "Bad file descriptor"), OUT) is None


def test_what_a_store_says_of_its_files_has_a_way_out_too() -> None:
    out = StorePath("s3://bucket/run")
    assert explained(FileNotFoundError("bucket/run/ledger/x.parquet"), out) is None
    assert isinstance(explained(FileNotFoundError("bucket/in/3.tar"), out), DataError)
    assert "a store refuses: Access Denied (output s3://bucket/run)" in str(
        explained(PermissionError("Access Denied"), out)
    )
