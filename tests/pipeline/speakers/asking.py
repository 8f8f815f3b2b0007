"""Speakers for tests, which give up soon."""

from typing import Any

from qvl.pipeline.recipe.speakers import Speaker


def speaker(endpoint: str = "http://127.0.0.1:9/v1", **settings: Any) -> Speaker:
    """A judge that answers with a number from 1 to 5, unless the settings say otherwise."""
    return Speaker.model_validate(
        {
            **{"name": "judge", "endpoint": endpoint, "model": "tiny", "prompt": "Rate {caption}"},
            **{"answer": {"number": {"minimum": 1, "maximum": 5}}, "pause": 0.001, "retries": 2, "timeout": 30},
            **settings,
        }
    )
