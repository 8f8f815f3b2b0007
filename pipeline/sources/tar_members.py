"""The members of a tar as samples: which endings mean a picture, a caption or a record, and which files are no samples.

Without options, a known ending is removed at the last dot of a name, so that keys may contain dots. ``members:`` of a recipe
names other endings, or webdataset's rule: the key ends at the first dot of the base name.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.sources.tar_index import Member

IMAGE, TEXT, META, OTHER, UNKNOWN = "image", "text", "meta", "other", "unknown"
PICTURES = (
    *("jpg", "jpeg", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jp2", "jxl"),
    *("img", "image"),
)
EXTENSIONS = {
    **dict.fromkeys(PICTURES, IMAGE),
    **dict.fromkeys(("txt", "caption", "text"), TEXT),
    "json": META,
    **dict.fromkeys(["cls", "npy", "pt", "pth", "pyd"], OTHER),
}
FURTHER = {IMAGE: "images", TEXT: "captions", META: "records"}
SYSTEM_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _endings(endings: tuple[str, ...]) -> tuple[str, ...]:
    plain = tuple(ending.removeprefix(".").lower() for ending in endings)
    if not all(plain):
        raise ValueError("an ending is the part of a name after a dot, such as txt or caption.txt")
    return plain


Endings = Annotated[
    tuple[str, ...], Field(min_length=1), BeforeValidator(_listed), AfterValidator(_endings)
]  # without the first dot, in lower case


class Members(RecipeModel):
    """How the names of a tar's members are read.

    ``image``, ``caption`` and ``record`` list the endings of each kind, the preferred one first; a kind that is not named
    keeps its usual endings. ``key`` says where a name divides into key and ending: at a ``known_ending``, or, as webdataset
    does, at the ``first_dot`` of the base name. ``pictures``: of several pictures of a sample, the ``first`` is a row, or
    ``each`` is one, with the caption and the record of the sample.
    """

    key: Literal["known_ending", "first_dot"] = "known_ending"
    image: Endings | None = None
    caption: Endings | None = None
    record: Endings | None = None
    pictures: Literal["first", "each"] = "first"

    @model_validator(mode="after")
    def _one_kind_each(self) -> "Members":
        named = Counter(ending for endings in (self.image, self.caption, self.record) for ending in set(endings or ()))
        for ending, count in named.items():
            if count > 1:
                raise ValueError(f"{ending} is named for two kinds")
        return self

    def endings(self) -> dict[str, "Ending"]:
        """Kind and rank of every ending, where a lower rank is preferred."""
        named = {IMAGE: self.image, TEXT: self.caption, META: self.record}
        usual = {ending: Ending(kind, 0) for ending, kind in EXTENSIONS.items() if named.get(kind) is None}
        chosen = {
            ending: Ending(kind, rank)
            for kind, endings in named.items()
            for rank, ending in reversed(list(enumerate(endings or ())))
        }
        return {**usual, **chosen}


@dataclass(frozen=True, slots=True)
class Ending:
    """What an ending of a member's name means."""

    kind: str
    rank: int


NO_KIND = Ending(UNKNOWN, 0)


@dataclass(slots=True)
class TarSample:
    """The members of a tar that share a key. ``sparse`` is True if one of them is stored with holes."""

    key: str
    image: Member | None = None
    text: Member | None = None
    meta: Member | None = None
    regular: bool = True
    sparse: bool = False


@dataclass(slots=True)
class Grouped:
    """Samples in order, and the number of members that are part of none, by the reason why."""

    samples: list[TarSample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def group(members: Iterable[Member], names: Members | None = None) -> Grouped:
    """Group members into samples by key. Files that an operating system adds, and unknown ones, do not make a sample.

    Without ``names``, a second image, text or JSON of a key starts a new sample. With them, only a second member with the
    same ending does; of several members of one kind, the preferred or else the first one counts.
    """
    return _usual(members) if names is None else _NamedGroups(names).grouped(members)


def _usual(members: Iterable[Member]) -> Grouped:
    open_samples: dict[str, TarSample] = {}
    found = Grouped()
    unknown: list[tuple[str, Member]] = []
    for member in members:
        name = member.name
        key, dot, ending = name.rpartition(".")
        kind = EXTENSIONS.get(ending, UNKNOWN)
        if kind == UNKNOWN or not dot:
            key, kind = split_name(name)
        if kind == UNKNOWN or ("_" in name and ("._" in name or "__MACOSX" in name)):
            if _is_of_a_system(name):
                found.left_out["system_files"] += 1
                continue
            if kind == UNKNOWN:
                unknown.append((key, member))
                continue
        sample = open_samples.get(key)
        if sample is None or (kind != OTHER and getattr(sample, kind) is not None):
            sample = open_samples[key] = TarSample(key)
            found.samples.append(sample)
        if kind != OTHER:
            setattr(sample, kind, member)
        if not member.regular:
            _mark(sample, member)
    _attach(unknown, open_samples, found)
    return found


def _attach(unknown: list[tuple[str, Member]], samples: dict[str, TarSample], found: Grouped) -> None:
    """Members with an unknown ending belong to the sample of their key, and to nothing if there is none."""
    for key, member in unknown:
        if key not in samples:
            found.left_out["unknown_files"] += 1
        elif not member.regular:
            _mark(samples[key], member)


def _mark(sample: TarSample, member: Member) -> None:
    sample.regular = False
    sample.sparse = sample.sparse or member.sparse


def _is_of_a_system(name: str) -> bool:
    """Whether a member is metadata that macOS or Windows added: AppleDouble files (``._name``) and the like."""
    folder, _, base = name.rpartition("/")
    return base.startswith("._") or base in SYSTEM_FILES or "__MACOSX" in folder.split("/")


def split_name(name: str) -> tuple[str, str]:
    """Key and kind of a member. Only a known extension is removed at the last dot, so that keys may contain dots."""
    stem, dot, extension = name.rpartition(".")
    kind = EXTENSIONS.get(extension) or EXTENSIONS.get(extension.lower())
    if dot and kind is not None:
        return stem, kind
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0], UNKNOWN


@dataclass(slots=True)
class _Open:
    """A sample that is being filled: the rank of its member of each kind, the endings so far, and all of its pictures."""

    sample: TarSample
    ranks: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    pictures: list[Member] = field(default_factory=list)


class _NamedGroups:
    """Grouping by the names of a recipe. ``_open`` holds the last sample of each key, ``_all`` every one in order."""

    def __init__(self, names: Members) -> None:
        self._endings, self._first_dot, self._each = names.endings(), names.key == "first_dot", names.pictures == "each"
        self._open: dict[str, _Open] = {}
        self._all: list[_Open] = []
        self._left_out: Counter[str] = Counter()

    def grouped(self, members: Iterable[Member]) -> Grouped:
        unknown: list[tuple[str, Member]] = []
        for member in members:
            if _is_of_a_system(member.name):
                self._left_out["system_files"] += 1
                continue
            key, written, ending = self.split(member.name)
            if ending.kind == UNKNOWN:
                unknown.append((key, member))
            else:
                self._add(key, written, ending, member)
        samples = {key: each.sample for key, each in self._open.items()}
        found = Grouped([each.sample for each in self._all], self._left_out)
        _attach(unknown, samples, found)
        if self._each:
            found.samples = [one for each in self._all for one in _with_each(each.sample, each.pictures)]
            del found.left_out[f"further_{FURTHER[IMAGE]}"]
        return found

    def split(self, name: str) -> tuple[str, str, Ending]:
        """Key, ending as written in lower case, and what it means."""
        folder, slash, base = name.rpartition("/")
        parts = base.split(".")
        known = ((n, self._endings.get(".".join(parts[n:]).lower())) for n in range(1, len(parts)))
        at, meaning = next(((n, found) for n, found in known if found is not None), (1, NO_KIND))
        cut = 1 if self._first_dot else at
        return folder + slash + ".".join(parts[:cut]), ".".join(parts[cut:]).lower(), meaning

    def _add(self, key: str, written: str, ending: Ending, member: Member) -> None:
        found = self._open.get(key)
        if found is None or written in found.seen:
            found = self._open[key] = _Open(TarSample(key))
            self._all.append(found)
        found.seen.add(written)
        if not member.regular:
            _mark(found.sample, member)
        if ending.kind == OTHER:
            return
        if ending.kind == IMAGE:
            found.pictures.append(member)
        rank = found.ranks.get(ending.kind)
        if rank is not None:
            self._left_out[f"further_{FURTHER[ending.kind]}"] += 1
        if rank is None or ending.rank < rank:
            found.ranks[ending.kind] = ending.rank
            setattr(found.sample, ending.kind, member)


def _with_each(sample: TarSample, pictures: list[Member]) -> Iterator[TarSample]:
    """A sample for each of its pictures, or the sample itself if it has none."""
    for picture in pictures:
        yield replace(sample, image=picture)
    if not pictures:
        yield sample
