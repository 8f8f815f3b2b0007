"""Asks many questions about the images of a unit at the same time, and stores every answer the moment that it comes."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field

from qvl.pipeline.images.decode import BAD_PIXELS, PixelError
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.speakers import Speaker
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.speakers.client import CONTINUE, Client, ServiceError
from qvl.pipeline.speakers.picture import data_url
from qvl.pipeline.speakers.prompt import Question
from qvl.pipeline.speakers.reply import Reply
from qvl.pipeline.speakers.store import AnswerStore

QUEUED = 2  # questions that wait for each one in flight
FEW = 3  # questions that may fail whatever share they are


@dataclass
class Replies:
    """The replies by key, and the keys of images that cannot be decoded with their fault."""

    by_key: dict[bytes, Reply] = field(default_factory=dict)
    faults: dict[bytes, str] = field(default_factory=dict)
    failed: int = 0


@dataclass(frozen=True)
class Asking:
    """How the questions of a unit are asked: the speaker, its key, the store, and how many at the same time."""

    speaker: Speaker
    secret: str | None
    store: AnswerStore
    threads: int

    def known(self, questions: Sequence[Question]) -> dict[bytes, Reply]:
        """The replies that are stored already."""
        return self.store.find(question.key for question in questions)

    def ask_all(self, questions: Mapping[int, Question], images: Iterable[tuple[int, Bytes | None]]) -> Replies:
        """The replies to questions by row. ``images`` gives each of these rows once, with its image if one is sent.

        An answer is stored before the next question takes its turn. Questions that fail for good are stored when all
        others are answered and no more than the tolerated share has failed. Raises ServiceError when the run must stop;
        questions in flight are waited for, because they are paid.
        """
        found, stop = Replies(), threading.Event()
        asked: set[bytes] = set()
        with closing(Client(self.speaker, self.secret, stop)) as client, ThreadPoolExecutor(self.threads) as pool:
            pending: dict[Future[Reply | str | None], bytes] = {}
            try:
                for row, image in images:
                    question = questions[row]
                    if question.key in asked:
                        continue
                    asked.add(question.key)
                    data = bytes(image) if image is not None else None
                    pending[pool.submit(self._one, client, question, data)] = question.key
                    if len(pending) >= self.threads * (1 + QUEUED):
                        self._collect(pending, found)
                while pending:
                    self._collect(pending, found)
            except BaseException:
                stop.set()
                for future in pending:
                    future.cancel()
                raise
        for key, reply in found.by_key.items():
            if reply.failure:
                found.by_key[key] = self.store.add(key, reply)
        return found

    def _one(self, client: Client, question: Question, image: bytes | None) -> Reply | str | None:
        """The reply, stored unless it is a failure, or the fault of an image that cannot be decoded, or None if stopped."""
        stored = self.store.find([question.key]).get(question.key)  # by another run since
        if stored is not None:
            return stored
        sent = None
        if image is not None and self.speaker.image is not None:
            try:
                sent = data_url(image, self.speaker.image)
            except PixelError:
                return BAD_PIXELS
            except Exception as error:  # noqa: BLE001 - a file that crashes a decoder fails only its own row, as in scan
                return f"{BAD}error:{type(error).__name__}"
        reply = client.ask(question.prompt, question.system, sent)
        return reply if reply is None or reply.failure else self.store.add(question.key, reply)

    def _collect(self, pending: "dict[Future[Reply | str | None], bytes]", found: Replies) -> None:
        """Take what is done. Raises the error of a question, and ServiceError if too many have failed for good."""
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            key, result = pending.pop(future), future.result()
            if isinstance(result, Reply):
                found.by_key[key] = result
                found.failed += bool(result.failure)
                self._refuse_many(found, result.failure)
            elif result is not None:
                found.faults[key] = result

    def _refuse_many(self, found: Replies, failure: str) -> None:
        """Raise ServiceError if more questions have failed for good than the recipe tolerates, and now another one."""
        total = len(found.by_key)
        if failure and found.failed > max(FEW, self.speaker.failures * total):
            raise ServiceError(
                f"{found.failed} of {total} questions of speaker {self.speaker.name} failed for good, which is more than "
                f"its `failures` {self.speaker.failures}; the last one with: {failure}; {CONTINUE}"
            )


def without_images(rows: Iterable[int]) -> Iterator[tuple[int, None]]:
    """Rows whose questions are about text alone."""
    return ((row, None) for row in rows)
