"""Words of a caption as the COCO caption evaluation counts them: the Penn Treebank rules, lower case, no punctuation.

Without Java: the rules that captions meet, checked against the Stanford tokenizer (tests/training/evaluation). Chinese is
counted by character, which the Stanford tokenizer would leave as one word per sentence.
"""

import re

DROPPED = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"'))
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "."})
JOINED = {
    "cannot": "can not", "gonna": "gon na", "wanna": "wan na", "gotta": "got ta", "gimme": "gim me", "lemme": "lem me",
    "'tis": "'t is", "'twas": "'t was",
}  # fmt: skip
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(
    rf"""
      https?://\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                                  # addresses
    | (?:mr|mrs|ms|dr|st|vs|jr|sr|prof|inc|ltd|co|corp|etc|mt|ft|ave|blvd)\.(?!\w) # abbreviations keep their period
    | (?:[a-z]\.){{2,}}
    | no\.(?=\s*\d)
    | '\d0s | \d+(?:[.,:/]\d+)*[a-z\d]*(?:-\w+)*                                   # 1,000  5:30  3/4  50mm  10-year-old
    | [{HAN}]
    | '(?:tis|twas)\b
    | (?:(?![{HAN}])[^\W_])+(?:[-'&./](?:(?![{HAN}])[^\W_])+)*                     # t-shirt  o'neil  at&t  and/or
    | '(?:s|m|d|re|ve|ll)\b | \.{{2,}} | -{{2,}} | [!?]+ | \S
    """,
    re.VERBOSE,
)
CLITIC = re.compile(r"^(.+?)(n't|'s|'m|'d|'re|'ve|'ll)$")


def words(caption: str) -> list[str]:
    """The words that n-grams are made of."""
    found: list[str] = []
    for token in TOKEN.findall(caption.translate(QUOTES).lower()):
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
