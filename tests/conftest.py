"""Fixtures that every test may use, and how hypothesis looks for examples."""

import pytest
from hypothesis import HealthCheck, settings

from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.storage.reader import Storage

# the same examples in every run: a red test is red again on the next machine
settings.register_profile("repo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repo")


@pytest.fixture(scope="session")
def language() -> LanguageModel:
    """The shipped language rule, loaded once."""
    return LanguageModel("lid.176.ftz")


@pytest.fixture(scope="session")
def storage() -> Storage:
    return Storage()
