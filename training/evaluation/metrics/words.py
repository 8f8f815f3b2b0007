"""Words of a caption as the COCO caption evaluation counts them: the Penn Treebank rules, lower case, no punctuation.

Without Java: the rules that captions meet, checked against the Stanford tokenizer (tests/training/evaluation). Chinese is
counted by character, which the Stanford tokenizer would leave as one word per sentence.
"""

import re

DROPPED = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"'))
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
PLAIN_PUNCTUATION = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": " - ", "—": " - ", "…": "...", "\u200d": " "}
)
JOINED = {
    "cannot": "can not", "gonna": "gon na", "wanna": "wan na", "gotta": "got ta", "gimme": "gim me", "lemme": "lem me",
    "'tis": "'t is", "'twas": "'t was",
}  # fmt: skip
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
LETTER = rf"(?:(?![{HAN}])\w)"
TOKEN = re.compile(
    rf"""
      https?://\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                                           # addresses
    | (?i:mr|mrs|ms|dr|st|vs|jr|sr|prof|inc|ltd|co|corp|etc|mt|ft|ca|ave|blvd)\.(?!\w)       # abbreviations
    | (?:[A-Za-z]\.){{2,}} | \b[A-Z]\.(?=\s+\w) | [^\W\d_]+\.(?=,)
    | (?i:no)\.(?=\s*\d)
    | '\d0s | \d+(?:[.,:/]\d+)*[A-Za-z\d]*(?:-\w+)* | \.\d+                               # 1,000  5:30  3/4  50mm  .5
    | [{HAN}]
    | '(?i:tis|twas)\b
    | (?:\b[ODLodl]')?{LETTER}+(?:[-&/]{LETTER}+|\.(?!\d){LETTER}+|'(?i:t|s|m|d|re|ve|ll)\b)*  # t-shirt  o'neil  at&t
    | '(?i:s|m|d|re|ve|ll)\b | \.{{2,}} | -{{2,}} | [!?]+ | \#+ | \*+ | \S
    """,
    re.VERBOSE,
)
CLITIC = re.compile(r"^(.+?)(n't|'s|'m|'d|'re|'ve|'ll)$")


def words(caption: str) -> list[str]:
    """The words from which n-grams are formed."""
    found: list[str] = []
    for token in map(str.lower, TOKEN.findall(caption.translate(PLAIN_PUNCTUATION))):
        if token in DROPPED or set(token) <= {"."} or set(token) <= {"-"}:
            continue
        if token in BRACKETS:
            found.append(BRACKETS[token])
        elif token in JOINED:
            found += JOINED[token].split()
        else:
            clitic = CLITIC.match(token)
            found += clitic.groups() if clitic else (token,)
    return found
