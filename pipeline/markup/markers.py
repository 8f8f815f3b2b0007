"""The special tokens of the training format in running text, and the slots of a sample's images (paper, Box B.1 and B.2)."""

import re

# the syntax is common to RE2 (Arrow) and Python
MARKERS = (
    r"</?(?:img|ref|box|quad)>|<imgpad>|<\|(?:endoftext|im_start|im_end|extra_\d+|(?:object_ref|box|quad|vision)_"
    r"(?:start|end)|(?:vision|image|video)_pad)\|>"
)
MARKER = re.compile(MARKERS)


def has_marker(text: str) -> bool:
    """Whether the text would turn into special tokens: such a row is dropped, or its text goes through ``escape``."""
    return MARKER.search(text) is not None


def escape(text: str) -> str:
    """The text with a blank after the ``<`` of every marker, so that it remains text: ``<box>`` becomes ``< box>``."""
    return MARKER.sub(lambda match: f"< {match.group()[1:]}", text)


def image_slot(number: int) -> str:
    """The slot of a sample's image, counted from 0."""
    return f"<img>{number}</img>"


def named_image_slot(number: int) -> str:
    """The slot of an image in a dialogue, where images have names counted from 1 over the conversation (paper, Box B.2)."""
    return f"Picture {number + 1}: {image_slot(number)}\n"


def without_images(text: str) -> str:
    """The text without the slots of its images and without their names in dialogues."""
    return re.sub(r"(?:Picture \d+: )?<img>\d+</img>\n?", "", text)


def image_numbers(text: str) -> list[int]:
    """The numbers of the images whose slots are in the text, in reading order."""
    return [int(number) for number in re.findall(r"<img>(\d+)</img>", text)]
