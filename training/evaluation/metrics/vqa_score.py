"""VQA accuracy (Antol et al. 2015) with the official normalisation, as the released evaluation applies it."""

import re
from collections.abc import Sequence

NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
NUMBERS |= {"seven": "7", "eight": "8", "nine": "9", "ten": "10"}
ARTICLES = frozenset(("a", "an", "the"))
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
PERIOD = re.compile(r"\.(?!\d)")
WORD = re.compile(r"\S+")
COMMA_IN_NUMBER = re.compile(r"\d,\d")
HUMANS_FOR_FULL_SCORE = 3

# spellings without (all) apostrophes that count as the word with them; the table is the official one, by its parts
_PLAIN = WORD.findall(
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's "
    "isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've "
    "shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd there're "
    "there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd "
    "where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're "
    "you've"
)
_DOUBLE = WORD.findall(
    "couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've "
    "there'd've they'd've we'd've who'd've wouldn't've you'd've"
)
CONTRACTIONS = {word.replace("'", ""): word for word in _PLAIN}
CONTRACTIONS |= {word.replace("'", "", 1): word for word in _DOUBLE}
CONTRACTIONS |= {word.replace("'ve", "ve"): word for word in _DOUBLE}
CONTRACTIONS |= {"ow's'at": "'ow's'at", "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at", "somebody'd": "somebodyd"}
CONTRACTIONS |= {"yall'll": "y'all'll", "y'allll": "y'all'll", "yall'd've": "y'all'd've", "y'alld've": "y'all'd've"}
CONTRACTIONS |= {"y'all'dve": "y'all'd've"}


def vqa_score(prediction: str, answers: Sequence[str]) -> float:
    """The share of the humans' agreement, 0 to 1.

    With several human answers: over each left out, a third for every other one that is met, at most 1. With one answer
    (our shards): 1.0 where both are equal when normalised. As released, human answers lose their punctuation only where
    they are not all equal, and keep their case, articles and number words.
    """
    found = normalised(prediction)
    if len(answers) == 1:
        return float(found == normalised(answers[0]))
    humans = [without_punctuation(answer) for answer in answers] if len(set(answers)) > 1 else list(answers)
    met = [human == found for human in humans]
    shares = [min(1.0, (sum(met) - own) / HUMANS_FOR_FULL_SCORE) for own in met]
    return sum(shares) / len(shares)


def normalised(answer: str) -> str:
    """Lower case, no punctuation, no articles, numbers up to ten as digits, apostrophes restored."""
    plain = without_punctuation(answer.replace("\n", " ").replace("\t", " ").strip())
    kept = [NUMBERS.get(word, word) for word in plain.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in kept if word not in ARTICLES)


def without_punctuation(text: str) -> str:
    """The text without punctuation: marks next to a blank are dropped, others become a blank.

    In a text with a number such as 1,000 all marks are dropped. Periods are dropped unless a digit follows.
    """
    thousands = COMMA_IN_NUMBER.search(text) is not None
    found = text
    for mark in PUNCTUATION:
        beside = f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if beside or thousands else " ")
    return PERIOD.sub("", found)
