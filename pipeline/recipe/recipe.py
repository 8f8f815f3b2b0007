"""The recipe of a curation: YAML, read into frozen models. Only the recipe changes what data comes out."""

from functools import cached_property
from pathlib import Path

from pydantic import Field, JsonValue, model_validator

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.filters import FILTER_NAMES, MOST_FILTERS, Filters
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.filters.markup import Markup
from qvl.pipeline.filters.no_caption import NoCaption
from qvl.pipeline.recipe.anchoring import BUNDLED_LANGUAGE_MODEL, anchor_paths
from qvl.pipeline.recipe.balance import MOST_STEPS, BalanceStep, check_balance_steps
from qvl.pipeline.recipe.caption import Caption
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.recipe.duplicates import Benchmark, Dedup
from qvl.pipeline.recipe.file import read_recipe
from qvl.pipeline.recipe.plugins import PluginModule
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.recipe.source import SourceName, SourceSpec
from qvl.pipeline.recipe.speakers import Speaker, check_speakers
from qvl.pipeline.sources.paths import matches
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage


class Pack(RecipeModel):
    """Shards: ``shard_rows`` samples each, in an order fixed by ``seed``.

    The units are shuffled, and the rows within a window of ``window_units`` units: a full shuffle of petabytes would
    read every row from a random position.
    """

    shard_rows: int = Field(default=5_000, ge=1, lt=2**31)
    window_units: int = Field(default=16, ge=1, lt=2**31)
    seed: int = Field(default=0, ge=0, lt=2**63)


class Tolerance(RecipeModel):
    """How much damage a run tolerates before it stops: the shares of rows and of units that cannot be read."""

    unreadable_rows: float = Field(default=0.1, ge=0, le=1)
    unreadable_units: float = Field(default=0.01, ge=0, le=1)


class Recipe(RecipeModel):
    """One curation: from sources to a dataset called ``name``.

    ``answers`` is the folder or URL of the store of all that speakers said, by default ``answers`` in the output.
    """

    name: SourceName
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    clean: Clean = Clean()
    language_model: str = BUNDLED_LANGUAGE_MODEL
    filters: Filters = Filters()
    caption: Caption | None = None
    score: Score | None = None
    decontaminate: tuple[Benchmark, ...] = Field(default=(), max_length=99)
    dedup: Dedup = Dedup()
    balance: tuple[BalanceStep, ...] = Field(default=(), max_length=MOST_STEPS)
    pack: Pack = Pack()
    plugins: tuple[PluginModule, ...] = ()
    speakers: tuple[Speaker, ...] = Field(default=(), max_length=20)
    answers: str | None = None
    computed: tuple[str, ...] = Field(default=(), exclude=True, repr=False)  # set when the plug-ins are loaded
    tolerance: Tolerance = Tolerance()

    @model_validator(mode="after")
    def _names_differ(self) -> "Recipe":
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name")
        return self

    @model_validator(mode="after")
    def _balance_steps_differ(self) -> "Recipe":
        check_balance_steps(self.balance)
        return self

    @model_validator(mode="after")
    def _speakers_differ(self) -> "Recipe":
        check_speakers(self.speakers)
        return self

    @model_validator(mode="after")
    def _filters_let_rows_pass(self) -> "Recipe":
        """Checked after merging: a source may set one bound of a filter and leave the other to the defaults."""
        for source in self.sources:
            for _, name, chosen in self.filters_of(source.name).active():
                reason = chosen.contradiction()
                if reason is not None:
                    raise ValueError(f"filters.{name} of source {source.name}: {reason}")
        return self

    @model_validator(mode="after")
    def _filters_have_bits(self) -> "Recipe":
        self._check_bits()
        return self

    def _check_bits(self) -> None:
        most = MOST_FILTERS - len(FILTER_NAMES)
        if len(self.filtered_columns) > most:
            raise ValueError(f"filters.columns: {len(self.filtered_columns)} columns are judged, the limit is {most}")

    @model_validator(mode="after")
    def _captions_can_be_chosen(self) -> "Recipe":
        texts = {source.name: tuple(source.read.columns.captions) for source in self.sources}
        every = {name for names in texts.values() for name in names}
        if every and self.score is not None and self.score.clip is not None:
            raise ValueError(
                "score.clip: rows with several `captions` cannot be scored by CLIP yet; leave out one of them"
            )
        if self.caption is not None:
            _check_named(self.caption, every, "caption")
        for source in self.sources:
            if source.caption is not None:
                _check_named(source.caption, set(texts[source.name]), f"caption of source {source.name}")
            rule = self.caption_of(source.name)
            if rule is None:
                continue
            if not rule.candidates(texts[source.name]):
                raise ValueError(f"caption: source {source.name} has none of {', '.join(rule.named)}")
        return self

    @model_validator(mode="after")
    def _hashes_are_measured(self) -> "Recipe":
        hashed = self.score is not None and self.score.phash is not None
        if self.dedup.near_duplicate is not None and not hashed:
            raise ValueError("dedup.near_duplicate needs `score: {phash: {}}`")
        clip = self.score.clip if self.score is not None else None
        if self.dedup.semantic_duplicate is not None and not (clip is not None and clip.embeddings):
            raise ValueError("dedup.semantic_duplicate needs `score: {clip: {..., embeddings: true}}`")
        if not hashed and any(benchmark.radius is not None for benchmark in self.decontaminate):
            raise ValueError("decontaminate needs `score: {phash: {}}`, or `radius: null` to compare only bytes")
        names = [benchmark.name for benchmark in self.decontaminate]
        if len(set(names)) != len(names):
            raise ValueError("two benchmarks have the same name")
        return self

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a recipe from a YAML file; its paths count from the file's folder. Raises RecipeError with every mistake."""
        return load_recipe(Path(path))

    def source(self, name: str) -> SourceSpec:
        return next(source for source in self.sources if source.name == name)

    def caption_of(self, source: str) -> Caption | None:
        """How a row of a source gets its text; None for a source whose rows have one caption."""
        spec = self.source(source)
        return (spec.caption or self.caption or Caption()) if spec.read.columns.captions else None

    def has_captions(self) -> bool:
        """Whether the rows of some source have several texts."""
        return any(source.read.columns.captions for source in self.sources)

    def languages(self) -> frozenset[str]:
        """All languages that the language filters of the sources allow; empty if a source has no such filter."""
        chosen = [self.filters_of(source.name).language for source in self.sources]
        allowed = [each.allowed if each is not None else () for each in chosen]
        return frozenset[str]().union(*allowed) if all(allowed) else frozenset()

    def duplicates_per(self) -> tuple[str, ...]:
        """The columns that two rows must share to be duplicates of each other by their images."""
        if self.dedup.per is not None:
            return self.dedup.per
        return ("language",) if len(self.languages()) > 1 else ()

    def duplicate_settings(self) -> dict[str, JsonValue]:
        """``dedup`` as it takes effect. ``per`` is left out where it has no effect: version 0.1 did not know it."""
        settings: dict[str, JsonValue] = self.dedup.model_dump(mode="json", exclude={"per"})
        per: list[JsonValue] = [*self.duplicates_per()]
        return {**settings, "per": per} if per else settings

    @cached_property
    def filtered_columns(self) -> tuple[str, ...]:
        """The columns that a filter over a column judges in some source, in the order of their names.

        Those of scorers come last: a row that fails another filter is not scored.
        """
        scored = self.score.by_plugins if self.score is not None else ()
        merged = [source.filters.over(self.filters).columns for source in self.sources]
        names = {name for columns in merged for name, chosen in columns.items() if chosen is not None}
        return tuple(sorted(names, key=lambda name: (name in scored, name)))

    @property
    def spoken(self) -> tuple[str, ...]:
        """The columns that its speakers write, in order."""
        return tuple(name for speaker in self.speakers for name in speaker.columns)

    def with_plugins(self, computed: tuple[str, ...], deciding: tuple[str, ...], scored: tuple[str, ...]) -> "Recipe":
        """This recipe with the columns that its plug-ins compute; those in ``deciding`` are judged: only true passes.

        Those in ``scored`` come from scorers, with which a recipe has the stage score whether it mentions it or not.
        Raises ValueError for a name that cannot be that of a filter.
        """
        decided = Filters.model_validate({"columns": {name: {"allowed": [True]} for name in deciding}})
        update = {"computed": computed, "filters": self.filters.over(decided)}
        if scored:
            update["score"] = (self.score or Score()).model_copy(update={"by_plugins": scored})
        loaded = self.model_copy(update=update)
        loaded.__dict__.pop("filtered_columns", None)  # copied with the rest, but no longer true
        loaded._check_bits()
        return loaded

    @property
    def filter_names(self) -> tuple[str, ...]:
        """The reasons of all filters that a recipe like this can have, in the order in which they judge: one per bit."""
        return (*FILTER_NAMES, *self.filtered_columns)

    def filters_of(self, source: str) -> Filters:
        """The filters for the rows of a source.

        Two are there whatever the recipe says: ``markup``, because captions must not become control tokens, and
        ``no_caption``, unless ``text_length`` drops empty captions already.
        """
        chosen = self.source(source).filters.over(self.filters).among(self.filtered_columns)
        length, added = chosen.text_length, dict[str, Filter]()
        if chosen.markup is None:
            added["markup"] = Markup()
        if chosen.no_caption is None and (length is None or not length.minimum):
            added["no_caption"] = NoCaption()
        return chosen.model_copy(update=added) if added else chosen


def _check_named(rule: Caption, known: set[str], where: str) -> None:
    if not known:
        raise ValueError(f"{where}: there is nothing to choose; name several texts with `columns: {{captions: ...}}`")
    unknown = [name for name in rule.named if name not in known]
    if unknown:
        raise ValueError(f"{where}: there is no text {unknown[0]}; there are {', '.join(sorted(known))}")


def load_recipe(path: Path) -> Recipe:
    """Read a curation's recipe. Raises RecipeError with every mistake and its location in the file."""
    return read_recipe(path, Recipe, anchor_paths, kinds=("webdataset", "table"))


def check_output(recipe: Recipe, out: AnyPath) -> None:
    """Raise RecipeError if the output is not a folder, or if a pattern of the inputs would match files of the output."""
    for folder in (out, *out.parents) if isinstance(out, Path) else ():
        if folder.exists() and not folder.is_dir():
            raise RecipeError(f"--output {out}: {folder} is a file; name a folder")
    layout = Layout(out.resolve())
    names = (layout.shard(f"{recipe.name}-000000"), layout.index(f"{recipe.name}-000000"))
    of_units = (layout.ledger, layout.columns, layout.texts, layout.scores, layout.text_scores)
    written = (*names, layout.dataset, layout.recipe, *(path_of("x") for path_of in of_units))
    for source in recipe.sources:
        for pattern in source.read.paths:
            caught = next((path for path in written if matches(pattern, path, Storage())), None)
            if caught is not None:
                raise RecipeError(
                    f"{pattern}: matches what the run itself would write, such as {caught}; "
                    "choose an --output outside the inputs, or a narrower pattern"
                )
