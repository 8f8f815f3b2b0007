"""The host of a row's address, in plain Python with a parameter."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow as pa

import qvl


@dataclass(frozen=True)
class Domain(qvl.Column):
    """The last ``labels`` labels of the host: of images.example.org two are example.org; null without an address."""

    labels: int = 2

    reads = ("url",)
    writes = {"domain": pa.string()}  # noqa: RUF012

    def apply(self, batch: pa.RecordBatch) -> list[str | None]:
        hosts = [urlsplit(url).hostname for url in batch["url"].to_pylist()]
        return [".".join(host.split(".")[-self.labels :]) if host else None for host in hosts]
