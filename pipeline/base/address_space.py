"""A limit on the memory of this process while it decodes bytes whose decoder has no limit of its own."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def limited_address_space(more: int) -> Iterator[None]:
    """Inside, this process may map ``more`` bytes in addition to what it has mapped; then allocations raise MemoryError.

    The limit applies to all threads of the process. Linux only; elsewhere nothing is limited.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = [limit for limit in (soft, hard, mapped + more) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
