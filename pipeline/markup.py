"""The markers and prompts of the training format. This module alone writes and parses them (paper, Box B.1)."""

# RE2 and Python syntax alike
MARKERS = r"</?(?:img|ref|box|quad)>|<imgpad>|<\|(?:endoftext|im_start|im_end|extra_\d+)\|>"

CAPTION_PROMPTS = {"en": "Generate the caption in English:", "zh": "Generate the caption in Chinese:"}


def image(number: int) -> str:
    """The place of a sample's image, counted from 0."""
    return f"<img>{number}</img>"


def caption_turns(caption: str, language: str) -> list[dict[str, str]]:
    """A caption sample. The blank after the prompt belongs to the answer, so it is learnt with it."""
    prompt = CAPTION_PROMPTS.get(language, CAPTION_PROMPTS["en"])
    return [{"role": "user", "text": image(0) + prompt}, {"role": "assistant", "text": f" {caption}"}]
