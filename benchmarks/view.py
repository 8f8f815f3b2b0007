"""The app over 10 million rows: when the first page is painted, and how long a filter takes.

Claim: first paint under 1 second, a filter under 1 second.

    python benchmarks/view.py [--rows 10000000] [--units 100] [--keep FOLDER]

A ledger is made first (not timed; columns as in ``curate_select.py``). Then the real command serves it. ``page`` is measured
in Chromium, by the page's own clock: ``paint`` is its first contentful paint, ``funnel`` and ``rows`` are when these stand
there, ``counts`` when the first number of rows does, ``rest`` when nothing is asked for any more (all counts next to the
rows). ``questions`` are asked over HTTP, each with values that were not asked before, so that no answer is remembered.
``server_cpu_s`` is the processor time of the serving process: on idle cores the wall clock shows at least this divided by
the number of threads. ``limit`` is pyarrow reading the same columns from the same files and doing nothing with them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright
from whatif import finished

TIMES = 5
TICKS = os.sysconf("SC_CLK_TCK")
QUESTIONS: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "count, number filter": ("total", lambda i: {"f": f"width:in:{300 + i}..{400 + i}"}),
    "count, two filters": ("total", lambda i: {"f": [f"height:in:{300 + i}..", "language:is:en"]}),
    "first rows, number filter": ("rows", lambda i: {"f": f"width:in:{310 + i}..{410 + i}"}),
    "first rows, sorted": ("rows", lambda i: {"f": f"width:in:{320 + i}..", "sort": "-language_probability"}),
    "funnel, number filter": ("counts", lambda i: {"f": f"width:in:{330 + i}..", "by": ["verdict", "source"]}),
    "histogram of whole numbers": ("histogram", lambda i: {"f": f"width:in:{340 + i}..", "column": "height"}),
    "histogram of fractions": ("histogram", lambda i: {"f": f"width:in:{350 + i}..", "column": "latin"}),
    "failed rules": ("counts", lambda i: {"f": f"width:in:{360 + i}..", "by": "fails"}),
    "first counts, text search": (
        "facets",
        lambda i: {"f": f"caption:has:object {7000 + i}", "by": ["verdict", "source"]},
    ),
    "first rows, text search": ("rows", lambda i: {"f": f"caption:has:object {8000 + i}"}),
    "one row": ("row", lambda i: {"key": f"made-{i:012d}-{500 + i:07d}"}),
    "duplicate clusters": ("clusters", lambda i: {"rule": "duplicate_image", "offset": 12 * i}),
}
PAGES = {
    "overview": ("", "#funnel .step", "funnel"),
    "number filter": ("?view=rows&f=width:in:{i}..500", ".list [data-key]", "rows"),
    "word filter": ("?view=rows&f=language:is:en&f=height:in:{i}..", ".list [data-key]", "rows"),
    "text search": ("?view=rows&f=caption:has:object 9{i}", ".list [data-key], .end:not(:empty)", "rows"),
    "text search, no hit": ("?view=rows&f=caption:has:nothing {i}", ".end[data-all]", "end"),
}


@contextmanager
def served(out: Path) -> Iterator[tuple[str, int]]:
    """Address and process id of ``qvl view``."""
    command = [sys.executable, "-c", "from qvl.command import main; main()", "view", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0], process.pid
        finally:
            process.terminate()


def processor(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def questions(base: str, pid: int) -> dict[str, dict[str, float]]:
    """Every question ``TIMES`` times with other values."""
    result = {}
    for name, (address, values) in QUESTIONS.items():
        walls, before = [], processor(pid)
        for i in range(TIMES):
            start = time.perf_counter()
            asked(base, address, values(i))
            walls.append(time.perf_counter() - start)
        result[name] = spent(walls, processor(pid) - before)
    return result


def asked(base: str, address: str, values: dict[str, Any]) -> Any:
    """The answer to one question."""
    with urlopen(f"{base}api/{address}?{urlencode(values, doseq=True)}", timeout=300) as response:
        return json.loads(response.read())


def spent(walls: list[float], cpu: float) -> dict[str, float]:
    """Figures of one question that was asked several times."""
    return {
        "median_s": round(statistics.median(walls), 3),
        "worst_s": round(max(walls), 3),
        "server_cpu_s": round(cpu / len(walls), 3),
    }


def in_parts(base: str, pid: int) -> dict[str, float]:
    """All counts of searches in the captions, part after part, with about 22,000 hits and with about 200,000."""
    walls, before = [], processor(pid)
    for word in ("object 30", "object 31", "object 4", "object 50", "object 6"):
        start, place = time.perf_counter(), ""
        while place is not None:
            place = asked(base, "facets", {"f": f"caption:has:{word}", "by": ["verdict", "source"], "from": place})[
                "next"
            ]
        walls.append(time.perf_counter() - start)
    return spent(walls, processor(pid) - before)


def thresholds(base: str, pid: int) -> dict[str, Any]:
    """What-if from the first question on: answers of the filters alone while duplicates are searched, then exact ones."""
    start, before, alone = time.perf_counter(), processor(pid), []
    while True:
        began = time.perf_counter()
        found = asked(base, "whatif", {"w": f"image_size.minimum_side={210 + len(alone)}"})
        if found["searching"] is None:
            break
        alone.append(time.perf_counter() - began)
        time.sleep(1)
    searched, cpu = time.perf_counter() - start, processor(pid) - before
    walls, before = [], processor(pid)
    for i in range(TIMES):
        began = time.perf_counter()
        asked(base, "whatif", {"w": f"image_size.minimum_side={320 + i}"})
        walls.append(time.perf_counter() - began)
    first = {"first_s": round(alone[0], 2), "worst_s": round(max(alone), 2), "asked": len(alone)} if alone else {}
    return {
        "filters alone, while duplicates are searched": first,
        "until all is exact": {"wall_s": round(searched, 1), "server_cpu_s": round(cpu, 1)},
        "another threshold": spent(walls, processor(pid) - before),
    }


WATCH = """(selector) => new Promise((done) => {
  const found = {};
  const look = () => {
    if (!('there' in found) && document.querySelector(selector)) found.there = performance.now();
    const main = document.getElementById('main'), total = document.getElementById('total');
    if (!('counts' in found) && total && total.textContent !== '…') found.counts = performance.now();
    if ('there' in found && main?.getAttribute('aria-busy') === 'false') {
      found.rest = performance.now();
      found.paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1;
      done(found);
    } else if (performance.now() > 60000) done(found); else setTimeout(look, 10);
  };
  look();
})"""


def pages(base: str, pid: int, page: Page) -> dict[str, dict[str, float]]:
    """Seconds since the page was asked for, by the browser's clock: of the first visit, and the median of some more."""
    result = {}
    for name, (address, selector, what) in PAGES.items():
        seen: list[dict[str, float]] = []
        cpu = [processor(pid)]
        for i in range(TIMES):
            page.goto(f"{base}{address.format(i=200 + i)}", wait_until="commit")
            seen.append(page.evaluate(WATCH, selector))
            cpu.append(processor(pid))
        of = {part: [round(each[part] / 1000, 2) for each in seen] for part in ("paint", "there", "rest")}
        counts = [round(each["counts"] / 1000, 2) for each in seen if "counts" in each]
        result[name] = {
            "paint_s": statistics.median(of["paint"]),
            f"{what}_first_s": of["there"][0],
            f"{what}_median_s": statistics.median(of["there"]),
            **({"counts_median_s": statistics.median(counts)} if counts else {}),
            "rest_first_s": of["rest"][0],
            "rest_median_s": statistics.median(of["rest"]),
            "server_cpu_first_s": round(cpu[1] - cpu[0], 2),
            "server_cpu_s": round((cpu[-1] - cpu[1]) / (TIMES - 1), 2),
        }
    return result


def limit(out: Path, columns: list[str]) -> dict[str, float]:
    """Reading these columns of every row, and nothing else."""
    start, cpu = time.perf_counter(), time.process_time()
    for path in sorted((out / "ledger").glob("*.parquet")):
        pq.read_table(path, columns=columns)
    return {"wall_s": round(time.perf_counter() - start, 2), "cpu_s": round(time.process_time() - cpu, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="make the ledger here, or use the one that is here")
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="qvl-view-"))
    if not (folder / "ledger").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        finished(folder, asked.rows, asked.units)
        for path in (folder / "manifests" / "scan").glob("*.json"):  # the made manifests hold no more than select needs
            path.write_text(
                json.dumps({"name": f"{path.stem}.tar", "fingerprint": "made", **json.loads(path.read_text())})
            )
    start = time.perf_counter()
    with served(folder) as (base, pid):
        result: dict[str, Any] = {"rows": asked.rows, "units": asked.units, "load": os.getloadavg()[0]}
        result["ready"] = {"wall_s": round(time.perf_counter() - start, 2), "cpu_s": processor(pid)}
        executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            result["page"] = pages(base, pid, page)
            browser.close()
        result["questions"] = questions(base, pid)
        result["all counts of a text search"] = in_parts(base, pid)
        result["what if"] = thresholds(base, pid)
    result["limit"] = {"width": limit(folder, ["width"]), "caption": limit(folder, ["caption"])}
    print(json.dumps(result, indent=1))
    if asked.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
