"""The store of answers: durable, shared, first reply wins."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.speakers.reply import Reply
from qvl.pipeline.speakers.store import FILE, AnswerStore, ObjectStore, SqliteStore, open_store, opened
from qvl.pipeline.storage.paths import AnyPath, StorePath
from tests.shared import HANG, ROOT


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture(params=["folder", "objects"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    return tmp_path / "answers" if request.param == "folder" else StorePath(f"memory://{tmp_path.name}/answers")


def test_replies_are_found_again_by_another_store(folder: AnyPath) -> None:
    reply = Reply("一只狗\n", "stop", False, "", 12, 3)
    with opened(folder) as store:
        assert store.add(key(1), reply) == reply
    with opened(folder) as store:
        assert store.find([key(1), key(2), key(1)]) == {key(1): reply}


def test_first_reply_stays(folder: AnyPath) -> None:
    with opened(folder) as one, opened(folder) as two:
        assert one.add(key(1), Reply("first")) == two.add(key(1), Reply("second")) == Reply("first")


def test_many_keys_are_found(folder: AnyPath) -> None:
    count = 1_203 if isinstance(folder, Path) else 40
    with opened(folder) as store:
        for number in range(count):
            store.add(key(number), Reply(str(number)))
        found = store.find(map(key, range(count + 5)))
    assert [found[key(number)].text for number in range(count)] == [str(number) for number in range(count)]
    assert len(found) == count


def test_right_kind_of_store_is_opened(tmp_path: Path) -> None:
    kinds: dict[AnyPath, type[AnswerStore]] = {tmp_path / "a": SqliteStore, StorePath("memory://b"): ObjectStore}
    for place, kind in kinds.items():
        assert isinstance(open_store(place), kind)


def test_threads_and_processes_add_at_the_same_time(tmp_path: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from qvl.pipeline.speakers.reply import Reply
from qvl.pipeline.speakers.store import SqliteStore
store = SqliteStore(Path({str(tmp_path)!r}))
def add(first):
    for number in range(first, 120, 4):
        assert store.add(number.to_bytes(16, "big"), Reply(str(number))).text == str(number)
threads = [threading.Thread(target=add, args=(first,)) for first in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) for _ in range(3)]
    assert [process.wait(HANG) for process in processes] == [0, 0, 0]
    with opened(tmp_path) as store:
        assert len(store.find(map(key, range(200)))) == 120


def test_killed_process_leaves_every_reply_that_it_added(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from qvl.pipeline.speakers.reply import Reply
from qvl.pipeline.speakers.store import SqliteStore
store = SqliteStore(Path({str(tmp_path)!r}))
for number in range(9):
    store.add(number.to_bytes(16, "big"), Reply("x"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=HANG).returncode == -9
    with opened(tmp_path) as store:
        assert len(store.find(map(key, range(20)))) == 9


def test_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(DataError, match=r"answers\.sqlite: the store of answers is corrupted"):
        open_store(tmp_path)


def test_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(QvlError, match="cannot be used"):
        open_store(tmp_path)


def test_failed_write_of_one_thread_is_an_error_of_all_that_wait(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.close()
        errors: list[str] = []

        def add(number: int) -> None:
            try:
                store.add(key(number), Reply("x"))
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be lost
                errors.append(type(error).__name__)

        threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors in (["DataError"] * 4, ["QvlError"] * 4)
