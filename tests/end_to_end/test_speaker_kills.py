"""A run that is killed while a model is asked, and runs on Ray: equal bytes, and no stored answer is asked for again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from qvl.pipeline.base.pool import RayPool
from qvl.pipeline.commands.summary import speaker_lines
from qvl.pipeline.speakers.store import FILE
from tests.chat_server import chat_server
from tests.pipeline.curate.speaking.talking_run import curate, judge, judged, make_data, recipe
from tests.pipeline.curate.speaking.test_speak_stage import ASKED, data_files
from tests.shared import HANG, ROOT

COMMAND = [sys.executable, "-c", "from qvl.command import main; main()", "curate", "run"]


def test_killed_run_continues_to_equal_bytes_and_asks_only_what_was_in_flight(tmp_path: Path) -> None:
    make_data(tmp_path)
    whole, out, concurrency = tmp_path / "whole", tmp_path / "out", 3
    with chat_server(tmp_path) as server:
        speakers = [judge(server.endpoint, concurrency=concurrency)]
        curate(tmp_path, whole, speakers, filters=judged(minimum=3))
        once = len(server.answered())
        server.control("slow", -1, "0.2")
        recipe(tmp_path, speakers, filters=judged(minimum=3))
        command = [*COMMAND, str(tmp_path / "recipe.yaml"), "--output", str(out)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + HANG
        while len(server.answered()) < once + 10 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(HANG) == -signal.SIGKILL
        server.control("normal", 0)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANG)
        assert done.returncode == 0, done.stderr
        assert f"{ASKED} different answers" in done.stdout
        assert (out / "answers" / FILE).is_file() and speaker_lines(out) == speaker_lines(whole)
        shards = {name: data for name, data in data_files(out).items() if not name.startswith("report.")}
        assert shards == data_files(whole)
        again = [line["request"] for line in server.answered()[once:]]
        assert len(set(again)) == ASKED and len(again) - ASKED <= concurrency


def test_run_on_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    make_data(tmp_path)
    with chat_server(tmp_path) as server:
        speakers = [judge(server.endpoint, concurrency=4)]
        curate(tmp_path, tmp_path / "serial", speakers, filters=judged(minimum=3))
        pool = RayPool(cpus=2)
        try:
            curate(tmp_path, tmp_path / "ray", speakers, pool, filters=judged(minimum=3))
        finally:
            pool.close()
        assert data_files(tmp_path / "ray") == data_files(tmp_path / "serial")
        assert len({line["request"] for line in server.answered()}) == ASKED
