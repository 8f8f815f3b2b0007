"""Prompts of a conversation."""

from qvl.training.evaluation.samples import prompts


def test_chatml_wraps_the_prompt_in_a_conversation() -> None:
    asked = prompts.chatml("<img>0</img>Who?")
    assert asked == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<img>0</img>Who?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
