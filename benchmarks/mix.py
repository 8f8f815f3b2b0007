"""What looking at a mixture costs: figures, marks for duplicates, one takedown, on a made dataset of small pictures.

    python benchmarks/mix.py [--samples 60000]

Times are CPU seconds of this process and of the disk's own copy of the shards for comparison. Prints JSON.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from qvl.pipeline.markup.turns import caption_turns
from qvl.pipeline.shards.reader import Selection, open_dataset
from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke
from qvl.training.data.parts import MixPart
from qvl.training.pages.mix.compare import read_hashes
from qvl.training.pages.mix.content import read_content
from tests.training.made import picture, sample, write_dataset

SHARD_ROWS = 2000


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work()
    return round(time.process_time() - started, 3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=60_000)
    count = parser.parse_args().samples
    pictures = [picture(number) for number in range(200)]
    with tempfile.TemporaryDirectory() as name:
        out, copy = Path(name) / "out", Path(name) / "copy"
        words = "a photograph of house number {} in the long street"
        rows = [
            sample(f"s-{n:07d}", "caption", caption_turns(words.format(n), "en"), [pictures[n % 200]], n)
            for n in range(count)
        ]
        folder = write_dataset(out, "big", rows, SHARD_ROWS)
        dataset = open_dataset(str(folder))
        part = MixPart("big", dataset, Selection(), 1, tuple(shard.samples for shard in dataset.shards))
        found: dict[str, object] = {"samples": count, "shards": len(dataset.shards)}
        found["figures"] = seconds(lambda: read_content(part))
        found["marks"] = seconds(lambda: read_hashes(dataset))
        (Path(name) / "list").write_text("s-0000007\n")
        wanted = read_list(Path(name) / "list")
        found["copy of all shards"] = seconds(lambda: shutil.copytree(folder, copy))
        found["takedown of one sample"] = seconds(lambda: revoke(out, wanted, "2026-11-25"))
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
