"""What a service replied to one question: the record that is stored, so that nothing is paid twice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one question, as it came. ``finish`` is the reason why the model stopped.

    ``refused`` is true where the service itself says that the model or a content filter declined. ``failure`` says why
    there is no answer and never will be. The token counts are those that the service reports.
    """

    text: str
    finish: str = ""
    refused: bool = False
    failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
