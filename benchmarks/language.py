"""Measure the language rule on real short captions and their translations.

    python benchmarks/language.py fetch      161 MB; --bin fetches lid.176.bin for comparison, 123 MB more
    python benchmarks/language.py report     the reported half, as the table of benchmarks/results/language.md
    python benchmarks/language.py tune       refits LATIN_WEIGHTS on the tuning half and prints that half

Captions: Tux Paint stamps (GPL-2, fetched, never in the repo) and emoji labels (emojibase-data, MIT). The half is a
hash of the English caption in lower case, so an item, its translations and its repetitions lie in one half.
"""

import argparse
import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex

from qvl.pipeline.captions.language import LATIN_WEIGHTS, LanguageModel, latin_evidence, one_line

STAMPS, EMOJI, FULL_MODEL = "tuxpaint-stamps-default", "emojibase-data@17.0.0", "n8n-nodes-fasttext-lang@1.0.20"
ASKED = {"en": 95.0, "zh": 97.0} | dict.fromkeys(("ja", "ko", "ru", "ar", "fr", "de", "es"), 90.0)
EXTRA = ("zh-hant", "it", "pt", "nl", "sv", "da", "nb", "pl", "fi", "hu", "tr", "vi", "uk", "hi", "th")
STAMP_CODES = {"zh_CN": "zh", "zh_TW": "zh-hant", "pt_BR": "pt"}
SETS = {"stamps": "Tux Paint", "emoji": "emoji labels"}
REPORTED, TUNED = 0, 1

Codes = Callable[[list[str]], list[str]]
Caption = dict[str, str]  # language -> the caption of one item


@dataclass(frozen=True)
class Row:
    """One set and language under one rule: captions, those accepted, and both without copies of the English caption."""

    group: str
    language: str
    captions: int
    accepted: int
    distinct: int
    accepted_distinct: int

    @property
    def share(self) -> float:
        """Percent accepted (en, zh, zh-hant) or rejected (all others)."""
        return right_way(self.language, self.accepted, self.captions)

    @property
    def share_distinct(self) -> float:
        """The same without the translations that are letter for letter the English caption."""
        return right_way(self.language, self.accepted_distinct, self.distinct)


def right_way(language: str, accepted: int, captions: int) -> float:
    """Percent accepted where acceptance is asked, else percent rejected."""
    percent = 100.0 * accepted / max(1, captions)
    return percent if language in ("en", "zh", "zh-hant") else 100.0 - percent


def fetch(data: Path, full_model: bool) -> None:
    """Download what is missing with the package managers' own clients and unpack it under ``data``."""
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "stamps").exists():
        subprocess.run(["apt-get", "download", "-q", STAMPS], cwd=data, check=True)
        subprocess.run(["dpkg-deb", "-x", next(data.glob(f"{STAMPS}_*.deb")).name, "stamps"], cwd=data, check=True)
    for folder, package in (("emoji", EMOJI), ("full_model", FULL_MODEL)):
        if (data / folder).exists() or (folder == "full_model" and not full_model):
            continue
        packed = subprocess.run(["npm", "pack", "-s", package], cwd=data, check=True, capture_output=True, text=True)
        (data / folder).mkdir()
        subprocess.run(["tar", "xzf", packed.stdout.strip(), "-C", folder], cwd=data, check=True)


def stamps(data: Path) -> list[Caption]:
    """Tux Paint: the first line is English, then ``language.utf8=translation``."""
    items = []
    for file in sorted((data / "stamps").rglob("*.txt")):
        first, *rest = file.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        item = {"en": first.strip()}
        for line in rest:
            code, equals, text = line.partition(".utf8=")
            if equals and text.strip():
                item[STAMP_CODES.get(code, code)] = text.strip()
        if item["en"]:
            items.append(item)
    return items


def emoji(data: Path) -> list[Caption]:
    """emojibase: one label per emoji and language."""
    items: dict[str, Caption] = {}
    for file in sorted((data / "emoji").glob("package/*/data.json")):
        for entry in json.loads(file.read_text(encoding="utf-8")):
            items.setdefault(entry["hexcode"], {})[file.parent.name] = entry["label"].strip()
    return [item for item in items.values() if "en" in item]


def half(item: Caption) -> int:
    """0 (reported) or 1 (tuned), from the English caption alone."""
    return hashlib.sha256(item["en"].lower().encode()).digest()[-1] % 2


def scripts(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of Latin, Han and other letters, as the scan measures them."""
    patterns = (r"[\p{L}&&\p{Latin}]", r"[[\p{L}\p{Nl}]&&\p{Han}]", r"[\p{L}--\p{Latin}--\p{Han}]")
    counts = np.array([[len(regex.findall(p, t, regex.V1)) for p in patterns] for t in texts], np.float32)
    counts = counts.reshape(len(texts), 3)
    latin, han, other = (counts / np.maximum(1, counts.sum(1, keepdims=True))).T
    return latin, han, other


def by_rule(model: LanguageModel) -> Codes:
    """The shipped rule."""
    return lambda texts: model.measure(texts, *scripts(texts))[0]


def by_model(path: Path) -> Codes:
    """fastText's first answer and nothing else."""
    model = LanguageModel(str(path)) if path.name != "lid.176.ftz" else LanguageModel()
    return lambda texts: [model.first_answer(text)[0] for text in texts]


def score(codes: Codes, sets: dict[str, list[Caption]], which: int) -> list[Row]:
    """Every set and language of one half under one rule."""
    rows = []
    for group, items in sets.items():
        for language in (*ASKED, *EXTRA):
            chosen = [item for item in items if language in item and half(item) == which]
            if not chosen:
                continue
            taken = np.array([code in ("en", "zh") for code in codes([item[language] for item in chosen])])
            own = language == "en"
            distinct = np.array([own or item[language].lower() != item["en"].lower() for item in chosen])
            counts = (len(chosen), taken.sum(), distinct.sum(), (taken & distinct).sum())
            rows.append(Row(group, language, *(int(n) for n in counts)))
    return rows


def table(columns: dict[str, list[Row]]) -> str:
    """Markdown: one line per set and language, one column per rule, the rule that ships last."""
    lines = [
        f"| set | language | asked | captions | {' | '.join(columns)} | without untranslated |",
        "|" + "---|" * (5 + len(columns)),
    ]
    for rows in zip(*columns.values(), strict=True):
        last = rows[-1]
        verb = "accept" if last.language in ("en", "zh", "zh-hant") else "reject"
        asked = f"{verb} {ASKED[last.language]:.0f}%" if last.language in ASKED else f"({verb})"
        shares = " | ".join(f"{row.share:.1f}" for row in rows)
        untranslated = f"{last.share_distinct:.1f} ({last.captions - last.distinct} left out)"
        lines.append(
            f"| {SETS[last.group]} | {last.language} | {asked} | {last.captions} | {shares} | {untranslated} |"
        )
    return "\n".join(lines)


def microseconds(model: LanguageModel, texts: list[str], repeats: int = 5) -> float:
    """Best of ``repeats``: CPU microseconds per caption of `measure`, script shares given, batches of 1,024."""
    batches = [texts[i : i + 1024] for i in range(0, len(texts), 1024)]
    prepared = [(batch, *scripts(batch)) for batch in batches]
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        for batch in prepared:
            model.measure(*batch)
        best = min(best, time.process_time() - start)
    return best / len(texts) * 1e6


def speeds(model: LanguageModel, sets: dict[str, list[Caption]]) -> str:
    """Markdown lines: captions/s/core by kind of caption."""
    items = [item for group in sets.values() for item in group]
    kinds = {
        "English": [item["en"] for item in items],
        "Chinese": [item["zh"] for item in items if "zh" in item],
        "the nine languages asked": [item[code] for item in items for code in ASKED if code in item],
        "all languages of the sets": [text for item in items for text in item.values()],
        "English, ten captions in one": [
            " ".join(i["en"] for i in items[n : n + 10]) for n in range(0, len(items), 10)
        ],
    }
    lines = ["| captions | mean length | microseconds each | captions/s/core |", "|---|---|---|---|"]
    for name, texts in kinds.items():
        cost = microseconds(model, texts)
        lines.append(f"| {name} | {np.mean([len(t) for t in texts]):.0f} | {cost:.1f} | {1e6 / cost:,.0f} |")
    return "\n".join(lines)


def evidence(model: LanguageModel, text: str) -> tuple[float, ...]:
    """What the Latin part of the rule weighs, with fastText always asked."""
    code, probability = model.first_answer(text)
    letters, accents = model.letters_by_group(one_line(text))
    return latin_evidence(letters, accents, probability if code == "en" else -probability)


def refit(model: LanguageModel, sets: dict[str, list[Caption]]) -> np.ndarray:
    """Weighted logistic regression (Newton) of English against its neighbours on the tuning half."""
    weights = {"en": 1.0, "fr": 0.3, "de": 0.3, "es": 0.3} | dict.fromkeys(("it", "pt", "nl", "sv", "pl", "da"), 0.05)
    features, english, weight = [], [], []
    for items in sets.values():
        for language, share in weights.items():
            texts = [i[language] for i in items if language in i and half(i) == TUNED and
                     (language == "en" or i[language].lower() != i["en"].lower())]  # fmt: skip
            features += [evidence(model, text) for text in texts]
            english += [language == "en"] * len(texts)
            weight += [share / len(texts)] * len(texts)
    x, y, w = np.array(features), np.array(english, float), np.array(weight)
    found = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ found))
        hessian = (x.T * (w * p * (1 - p))) @ x + 1e-4 * np.eye(len(found))
        found -= np.linalg.solve(hessian, x.T @ (w * (p - y)) + 1e-4 * found)
    return found


def main() -> None:
    """Fetch, tune or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("fetch", "tune", "report"))
    parser.add_argument("--data", type=Path, default=Path(".data/language"))
    parser.add_argument("--bin", action="store_true", help="with fetch: lid.176.bin too")
    options = parser.parse_args()
    if options.action == "fetch":
        fetch(options.data, options.bin)
        return
    sets = {"stamps": stamps(options.data), "emoji": emoji(options.data)}
    model = LanguageModel()
    if options.action == "tune":
        print("LATIN_WEIGHTS was", LATIN_WEIGHTS, "refit", refit(model, sets).round(2).tolist())
        print(table({"rule, tuning half": score(by_rule(model), sets, TUNED)}))
        return
    columns = {"`.ftz` alone": score(by_model(Path("lid.176.ftz")), sets, REPORTED)}
    full = options.data / "full_model/package/lid.176.bin"
    if full.exists():
        columns["`.bin` alone"] = score(by_model(full), sets, REPORTED)
    columns["shipped rule"] = score(by_rule(model), sets, REPORTED)
    print(table(columns), speeds(model, sets), sep="\n\n")


if __name__ == "__main__":
    main()
