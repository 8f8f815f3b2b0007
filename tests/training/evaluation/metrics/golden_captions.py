"""Make golden_captions.json with the original tools: needs `pip install pycocoevalcap` and Java.

    python tests/training/evaluation/metrics/golden_captions.py

Sentences of a small grammar with every turn that captions take; their words by the Stanford tokenizer, their CIDEr by
pycocoevalcap.
"""

import json
import random
from pathlib import Path

from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

TARGET = Path(__file__).with_name("golden_captions.json")
SUBJECTS = [
    "a man",
    "two women",
    "a child",
    "the dog",
    "a brown horse",
    "three cyclists",
    "an old woman",
    "Mr. Smith",
    "a T-shirt seller",
]
VERBS = [
    "rides",
    "is holding",
    "isn't watching",
    "can't reach",
    "jumps over",
    "sits near",
    "they've left",
    "doesn't like",
    "'s eating",
]
OBJECTS = [
    "a red kite",
    "the grey fence",
    "a hot-dog stand",
    "his mother's bicycle",
    "a 10-year-old car",
    "1,000 balloons",
    "a plate of pasta",
]
PLACES = [
    "on the beach",
    "in front of a church (closed)",
    "at 5:30 p.m.",
    "by the river, at dusk",
    "near St. Louis",
    "under a blue umbrella",
    "",
]
ENDS = [".", "!", "...", "", " ;", "?!"]
EXTRA = [
    "The man's grey coat isn't coloured; he can't see U.S. flags.",
    "Mr. Smith and Dr. Jones' dogs... they've won it!",
    "cannot gonna wanna and/or 50% off #1 A-B -- x - y",
    "\"Quoted\" 'single' words; e.g. this: that? it's O'Neil",
    "St. Bernard vs. team Inc. etc.",
    "e-mail semi-truck t-shirt 3/4 1/2 3.5 2x4 50mm",
    "woman’s “smart quotes” – dash — long … dots café naïve",
    "Virgin and Child with Saint Anne | Albrecht Dürer | Oil on linen",
    "two dogs running,jumping",
    "[b] {c} (d) *star* A&B AT&T R&B",
    "1st 2nd 21st 1990s",
    "don’t she'd he'll I'm we're wow!!! really?!",
    'A sign reads: "No. 5, open 24/7"',
]


def sentence(draw: random.Random) -> str:
    parts = [draw.choice(each) for each in (SUBJECTS, VERBS, OBJECTS, PLACES)]
    return " ".join(part for part in parts if part).replace(" '", "'") + draw.choice(ENDS)


def main() -> None:
    draw = random.Random(0)
    pairs = []
    for _ in range(60):
        base = sentence(draw)
        words = base.split()
        candidate = " ".join(word for word in words if draw.random() > 0.25) or base
        references = [base, *(sentence(draw) for _ in range(draw.randint(0, 4)))]
        pairs.append((candidate, references))
    pairs += [(EXTRA[at - 1], [text, EXTRA[at - 2]]) for at, text in enumerate(EXTRA)]
    pairs += [(text, [text]) for text in EXTRA]
    tokenizer = PTBTokenizer()
    found = tokenizer.tokenize({at: [{"caption": pair[0]}] for at, pair in enumerate(pairs)})
    wanted = tokenizer.tokenize({at: [{"caption": text} for text in pair[1]] for at, pair in enumerate(pairs)})
    mean, scores = Cider().compute_score(wanted, found)
    rows = [
        {
            "candidate": candidate,
            "references": references,
            "words": found[at][0],
            "reference_words": wanted[at],
            "cider": float(scores[at]),
        }
        for at, (candidate, references) in enumerate(pairs)
    ]
    TARGET.write_text(json.dumps({"mean": float(mean), "pairs": rows}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
