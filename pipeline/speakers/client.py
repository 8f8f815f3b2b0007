"""Asks a service with the chat completions of OpenAI, and repeats what fails for a while.

A failure of the service never becomes an answer. When a question has used up its retries, or is rejected, a plain question
about a grey image is asked with the same parameters: if that is answered, the first question is at fault and has failed for
good; otherwise the service is down or does not fit the recipe, and the run stops.
"""

import io
import random
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson
from PIL import Image

from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.recipe.speakers import Speaker
from qvl.pipeline.speakers.picture import data_url
from qvl.pipeline.speakers.prompt import generation
from qvl.pipeline.speakers.reply import Reply

if TYPE_CHECKING:
    import urllib3

LONGEST_PAUSE = 60.0  # seconds between two tries
LONGEST_WAIT = 300.0  # seconds that a service may ask to wait
MOST_BYTES = 16 << 20  # of an answer
SHOWN = 200  # characters of a service's message
REJECTED = (400, 413, 415, 422)  # the service is well and does not accept this question
REPEATED = (408, 409, 425, 429)
CONTINUE = "nothing is lost: every answer so far is stored; run the same command again, and it continues from here"


class ServiceError(QvlError):
    """The service is down, or the recipe does not fit it: the run stops and can be continued."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """One failed try: why, the service's wish for a pause in seconds, and whether it is throttling."""

    why: str
    wait: float = 0.0
    throttled: bool = False


class _StoppedError(Exception):
    """Another question has stopped the run."""


class Client:
    """Connections to the service of one speaker, for threads that ask at the same time.

    ``secret`` is the key of the service or None. ``stop`` is set by the caller to end all waiting.
    """

    def __init__(self, speaker: Speaker, secret: str | None, stop: threading.Event) -> None:
        self.speaker, self.secret, self.stop = speaker, secret, stop
        self.url = f"{speaker.endpoint}/chat/completions"
        self._http = _pool(speaker)
        self._has_answered = False

    def ask(self, prompt: str, system: str | None, image: str | None) -> Reply | None:
        """The reply to a question about an image (a data URL), or None if ``stop`` was set meanwhile.

        Raises ServiceError when the run must stop.
        """
        try:
            return self._ask(body(self.speaker, prompt, system, image))
        except _StoppedError:
            return None

    def close(self) -> None:
        self._http.clear()

    def _ask(self, data: bytes) -> Reply:
        found = self._tries(data)
        if isinstance(found, Reply) and not found.failure:
            self._has_answered = True
            return found
        service = f"the service of speaker {self.speaker.name}"
        if isinstance(found, Reply):
            if not self._has_answered and not self._answers_plainly():
                raise self._error(f"{service} rejects every question: {found.failure}")
            return found
        said = f"{service} failed {self.speaker.retries + 1} times in a row, the last time with: {found.why}"
        if found.throttled:
            raise self._error(f"{said}. Lower `concurrency`, or raise `retries` or `pause`")
        if not self._answers_plainly():
            raise self._error(said)
        return Reply("", failure=found.why)

    def _answers_plainly(self) -> bool:
        """Whether the service answers a question that every model can answer, with the parameters of the recipe."""
        image = data_url(_grey(), self.speaker.image) if self.speaker.image is not None else None
        found = self._tries(body(self.speaker, "Say yes.", None, image))
        return isinstance(found, Reply) and not found.failure

    def _tries(self, data: bytes) -> Reply | _Failure:
        """The reply, or the last failure when the retries are used up."""
        failure = _Failure("")
        for number in range(self.speaker.retries + 1):
            if number:
                self._pause(number, failure.wait)
            found = self._try(data)
            if isinstance(found, Reply):
                return found
            failure = found
        return failure

    def _pause(self, number: int, wished: float) -> None:
        if wished > LONGEST_WAIT:
            raise self._error(f"the service of speaker {self.speaker.name} asks to wait for {wished:,.0f} seconds")
        pause = min(self.speaker.pause * 2.0 ** (number - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        if self.stop.wait(max(wished, pause)):
            raise _StoppedError

    def _try(self, data: bytes) -> Reply | _Failure:
        import urllib3

        if self.stop.is_set():
            raise _StoppedError
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        )
        limit = urllib3.Timeout(connect=min(10.0, self.speaker.timeout), read=self.speaker.timeout)
        end = time.monotonic() + self.speaker.timeout
        try:
            response = self._http.request(
                "POST", self.url, body=data, headers=headers, timeout=limit, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
            with closing(response):  # a connection whose body was read to its end is used again
                content = _read(response, end)
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            return _Failure(self._hidden(_first_line(error)))
        except TimeoutError as error:
            return _Failure(str(error))
        return self._judged(response.status, response.headers.get("Retry-After"), content)

    def _judged(self, status: int, wait: str | None, content: bytes) -> Reply | _Failure:
        """What a response means. Raises ServiceError where no other question can be answered either."""
        if status == 200:
            return parse(content) or _Failure(f"an answer that is not a chat completion: {_excerpt(content)}")
        said = self._hidden(f"HTTP {status}: {message_of(content)}")
        if status in REJECTED:
            return Reply("", refused=True) if b"content_filter" in content else Reply("", failure=said)
        if status in REPEATED or status >= 500:
            return _Failure(said, seconds_of(wait), status == 429)
        raise self._error(f"the service of speaker {self.speaker.name} at {self.speaker.endpoint} answers {said}")

    def _error(self, said: str) -> ServiceError:
        return ServiceError(f"{said}; {CONTINUE}")

    def _hidden(self, text: str) -> str:
        return text.replace(self.secret, "***") if self.secret else text


def _pool(speaker: Speaker) -> "urllib3.PoolManager":
    try:
        import urllib3
    except ImportError:
        raise RecipeError("speakers need urllib3: pip install 'qvl[speak]'") from None
    return urllib3.PoolManager(num_pools=1, maxsize=speaker.concurrency, block=True)


def body(speaker: Speaker, prompt: str, system: str | None, image: str | None) -> bytes:
    """The request for one question."""
    text: dict[str, Any] = {"type": "text", "text": prompt}
    content: list[dict[str, Any]] | str = prompt
    if image is not None:
        content = [{"type": "image_url", "image_url": {"url": image}}, text]
    messages = [{"role": "user", "content": content}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return orjson.dumps({"model": speaker.model, "messages": messages, **generation(speaker)})


def _grey() -> bytes:
    """A small grey picture."""
    written = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(written, "png")
    return written.getvalue()


def _read(response: "urllib3.BaseHTTPResponse", end: float) -> bytes:
    """The body. Raises TimeoutError if it comes too slowly or is too long."""
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > end:
            raise TimeoutError("the answer did not end within `timeout`")
        if size > MOST_BYTES:
            raise TimeoutError(f"the answer has more than {MOST_BYTES:,} bytes")
    return b"".join(parts)


def parse(content: bytes) -> Reply | None:
    """The reply in a chat completion, or None if it is none."""
    try:
        found = orjson.loads(content)
        choice, usage = found["choices"][0], found.get("usage") or {}
        message = choice["message"]
        text, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        tokens = [usage.get(f"{kind}_tokens") or 0 for kind in ("prompt", "completion")]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(text, str | None) or not all(isinstance(count, int) and 0 <= count < 2**31 for count in tokens):
        return None
    refused = bool(refusal) or finish == "content_filter"
    return Reply(text or "", str(finish or ""), refused, "", *tokens)


def message_of(content: bytes) -> str:
    """The message in the body of an error, in one line."""
    try:
        found: Any = orjson.loads(content)
        error = found.get("error", found)
        text = error.get("message", error.get("detail", "")) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = ""
    return _excerpt(str(text).encode("utf-8", "replace")) if text else _excerpt(content)


def _excerpt(content: bytes) -> str:
    text = " ".join(content[: 4 * SHOWN].decode("utf-8", "replace").split())
    return text[:SHOWN] or "no message"


def seconds_of(header: str | None) -> float:
    """A ``Retry-After`` header in seconds from now; 0 where there is none that can be read."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
