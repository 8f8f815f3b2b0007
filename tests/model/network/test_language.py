"""Language models of other families."""

import pytest

from qvl.model.network.errors import ModelError


def test_build_language_model_raises_when_the_head_is_more_than_one_matrix() -> None:
    from transformers import Gemma2Config

    from qvl.model.network.language import build_language_model

    with pytest.raises(ModelError, match="final_logit_softcapping"):
        build_language_model(Gemma2Config())
