"""The part of a recipe about models that answer questions about rows: endpoints, prompts and the form of their answers."""

import re
from string import Formatter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_serializer, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel

NOT_ASKED = "not_asked:"
"""How the state of a row begins about which a speaker was not asked."""
OWN_PARAMETERS = frozenset(("model", "messages", "stream", "n", "temperature", "max_tokens", "response_format"))
REFUSAL = (
    r"(?i)^\W*(i['’]?m (very |so )?(sorry|unable)|i am (very |so )?(sorry|unable)|sorry\b|i (can(no|['’])t|can not) |"
    r"i won['’]t |as an ai\b|很抱歉|抱歉|对不起|我(无法|不能)|作为一个?(ai|人工智能))"
)
"""How an answer begins with which a model declines to answer."""

JSON_TYPES = {"number": "float", "integer": "int64", "boolean": "bool", "string": "string"}
PropertyName = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")


class NumberAnswer(RecipeModel):
    """A number between the bounds, which may be left out."""

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "NumberAnswer":
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class TextAnswer(RecipeModel):
    """A text of so many characters."""

    minimum_characters: int = Field(default=1, ge=1)
    maximum_characters: int = Field(default=4_000, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> "TextAnswer":
        if self.minimum_characters > self.maximum_characters:
            raise ValueError("minimum_characters is above maximum_characters")
        return self


class JsonAnswer(RecipeModel):
    """A JSON object that a JSON Schema describes; each of its properties becomes a column.

    ``enforce`` sends the schema to the service as ``response_format``; a service that does not know that may reject it.
    """

    description: dict[str, JsonValue] = Field(alias="schema")
    enforce: bool = False

    @field_validator("description")
    @classmethod
    def _describes_an_object(cls, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"not a JSON Schema: {error.message}") from None
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            raise ValueError("the schema needs `properties`, each of which becomes a column")
        for name in properties:
            if PropertyName.fullmatch(name) is None or name == "state":
                raise ValueError(f"the property {name} cannot name a column; use letters, digits and _")
        return schema

    def columns(self) -> dict[str, str]:
        """Arrow types by property. A property of another type than a number, text or truth value is kept as JSON text."""
        properties = self.description["properties"]
        return {name: JSON_TYPES.get(_type(each), "string") for name, each in _items(properties)}


def _type(described: JsonValue) -> str:
    """The type of a property, without ``null`` in a list of types."""
    kind = described.get("type") if isinstance(described, dict) else None
    named = [each for each in kind if each != "null"] if isinstance(kind, list) else [kind]
    return str(named[0]) if len(named) == 1 else ""


def _items(properties: JsonValue) -> list[tuple[str, JsonValue]]:
    return list(properties.items()) if isinstance(properties, dict) else []


class AnswerForm(RecipeModel):
    """The form of an answer: exactly one of a number, a word of a list, a text, or a JSON object."""

    number: NumberAnswer | None = None
    words: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=2)
    text: TextAnswer | None = None
    json_object: JsonAnswer | None = Field(default=None, alias="json")

    @model_validator(mode="before")
    @classmethod
    def _yes_and_no(cls, content: Any) -> Any:
        """YAML reads ``yes`` and ``no`` as truth values; in a list of words they are words."""
        words = content.get("words") if isinstance(content, dict) else None
        if not isinstance(words, list | tuple):
            return content
        return {**content, "words": [{True: "yes", False: "no"}[w] if isinstance(w, bool) else w for w in words]}

    @model_validator(mode="after")
    def _is_one(self) -> "AnswerForm":
        chosen = [each for each in (self.number, self.words, self.text, self.json_object) if each is not None]
        if len(chosen) != 1:
            raise ValueError("needs exactly one of number, words, text and json")
        if self.words is not None and len({word.casefold() for word in self.words}) < len(self.words):
            raise ValueError("two words are equal")
        return self

    @model_serializer(mode="plain")
    def _only_the_chosen(self) -> dict[str, JsonValue]:
        if self.number is not None:
            return {"number": self.number.model_dump(mode="json")}
        if self.words is not None:
            return {"words": [*self.words]}
        if self.text is not None:
            return {"text": self.text.model_dump(mode="json")}
        return {"json": self.json_object.model_dump(mode="json", by_alias=True)} if self.json_object else {}

    def columns(self, name: str) -> dict[str, str]:
        """Names and Arrow types of the columns that a speaker called ``name`` writes, without the one of its state."""
        if self.number is not None:
            return {name: "float"}
        if self.json_object is not None:
            return {f"{name}_{key}": kind for key, kind in self.json_object.columns().items()}
        return {name: "string"}


class SentImage(RecipeModel):
    """How an image is sent: its longer side is reduced to ``max_side`` pixels (null: never), then it is encoded."""

    max_side: int | None = Field(default=768, ge=16)
    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = Field(default=90, ge=1, le=100)


class Prices(RecipeModel):
    """What a million tokens of prompts and of answers cost, in ``currency``."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)
    currency: str = Field(default="USD", min_length=1, max_length=12)


class Speaker(RecipeModel):
    """A model that is asked about every row that passes all filters which do not judge answers.

    ``endpoint`` is the base URL of a service with the chat completions of OpenAI, such as ``http://gpu:8000/v1``.
    ``prompt`` and ``system`` may name columns: ``{caption}``. ``image`` null sends no image. ``parameters`` are further
    fields of the request. ``api_key_variable`` names the environment variable that holds the key. ``concurrency`` limits the
    requests in flight over the whole run. A request that fails is repeated ``retries`` times, first after ``pause``
    seconds, each time after twice as many. ``failures`` is the share of a unit's questions that may fail for good.
    ``edition`` is part of what identifies an answer: a new one asks everything again.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    endpoint: str
    model: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    system: str | None = None
    answer: AnswerForm
    image: SentImage | None = SentImage()
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=512, ge=1)
    parameters: dict[str, JsonValue] = {}  # noqa: RUF012 - pydantic copies defaults
    refusal_pattern: str = REFUSAL
    edition: str = ""
    api_key_variable: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    concurrency: int = Field(default=16, ge=1, le=1_024)
    timeout: float = Field(default=120.0, gt=0, le=3_600)
    retries: int = Field(default=5, ge=0, le=20)
    pause: float = Field(default=0.5, ge=0, le=60)
    failures: float = Field(default=0.01, ge=0, le=1)
    prices: Prices | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_a_base_url(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must not hold credentials or a query; name the key's variable in api_key_variable")
        return endpoint.rstrip("/").removesuffix("/chat/completions")

    @field_validator("parameters")
    @classmethod
    def _are_further(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        own = sorted(OWN_PARAMETERS & set(parameters))
        if own:
            raise ValueError(f"{own[0]} is set by this program")
        return parameters

    @field_validator("prompt", "system")
    @classmethod
    def _is_a_template(cls, text: str | None) -> str | None:
        if text is not None:
            template_columns(text)
        return text

    @field_validator("refusal_pattern")
    @classmethod
    def _is_regular(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @property
    def state_column(self) -> str:
        return f"{self.name}_state"

    @property
    def columns(self) -> dict[str, str]:
        """Names and Arrow types of all columns that it writes."""
        return {**self.answer.columns(self.name), self.state_column: "string"}

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that its prompts name, in order."""
        texts = (self.system or "", self.prompt)
        return tuple(dict.fromkeys(name for text in texts for _, name in template_parts(text) if name))

    def identity(self) -> dict[str, JsonValue]:
        """What its columns depend on besides the rows: no addresses, limits or prices."""
        content = self.model_dump(mode="json", exclude={*NO_IDENTITY, "name"})
        return {key: value for key, value in content.items() if (key, value) not in _UNSET}


NO_IDENTITY = frozenset(
    ("endpoint", "api_key_variable", "concurrency", "timeout", "retries", "pause", "failures", "prices")
)
_UNSET = (("edition", ""), ("refusal_pattern", REFUSAL))


def template_parts(text: str) -> list[tuple[str, str]]:
    """A template as pairs of literal text and the column that follows it (empty at the end)."""
    return [(literal, field or "") for literal, field, _, _ in Formatter().parse(text)]


def template_columns(text: str) -> list[str]:
    """The columns that a template names. Raises ValueError for a template that is not one."""
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ and }}}} for braces that do not name a column") from None
    for _, field, specification, conversion in parsed:
        if field is not None and (not field.isidentifier() or specification or conversion):
            raise ValueError(f"{{{field}}} does not name a column; write {{{{ and }}}} for plain braces")
    return [field for _, field, _, _ in parsed if field]


def check_speakers(speakers: tuple[Speaker, ...]) -> None:
    """Raise ValueError where two speakers write one column."""
    writers: dict[str, str] = {}
    for speaker in speakers:
        for column in speaker.columns:
            other = writers.setdefault(column, speaker.name)
            if other != speaker.name or speaker is not next(each for each in speakers if each.name == speaker.name):
                raise ValueError(f"speakers: {other} and {speaker.name} both write the column {column}")
