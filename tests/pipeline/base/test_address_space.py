"""Memory of a process that is limited for a while."""

import resource
import sys

import pytest

from qvl.pipeline.base.address_space import limited_address_space

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux")


def test_memory_when_beyond_the_limit_is_refused_and_then_available_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), limited_address_space(64 << 20):
        bytearray(1 << 30)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(bytearray(1 << 30)) == 1 << 30


def test_memory_when_within_the_limit_is_given() -> None:
    with limited_address_space(256 << 20):
        assert len(bytearray(64 << 20)) == 64 << 20
