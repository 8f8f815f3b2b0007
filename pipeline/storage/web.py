"""Files of web servers, whose addresses may carry a secret that is used for requests and nothing else.

fsspec's HTTP file system reports every answer but a good one as a missing file, takes the whole file for a range where a
server ignores ranges, and has the full address in its errors. Here paths are addresses without secrets, a refused token
stops the run, and a failing server is asked again.
"""

from http import HTTPStatus
from typing import Any

import aiohttp
import yarl
from fsspec.implementations.http import HTTPFileSystem

from qvl.pipeline.base.addresses import Address, printable_query
from qvl.pipeline.base.errors import AccessRefused, QvlError

MISSING = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class WebFiles(HTTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The files that a secret opens. Paths are addresses without it; ``user`` and ``query`` are as in an ``Address``."""

    def __init__(self, user: str = "", query: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._secret = Address("", user, query)
        self._shared = HTTPFileSystem(**options)  # one for all secrets, because it holds the connections

    async def set_session(self) -> Any:
        """The session of this process, which all addresses share."""
        return await self._shared.set_session()

    def encode_url(self, url: str) -> yarl.URL:
        """What is requested: the address with its secret, whose query is sent as it was given."""
        parts = Address.of(self._secret.at(url))
        plain = yarl.URL(Address(parts.public, parts.user).full)
        return yarl.URL(f"{plain}{printable_query(parts.query)}", encoded=True)

    async def _info(self, url: str, **options: Any) -> dict[str, Any]:
        """Name, size and type. A server that refuses HEAD, as for most signed addresses, is asked by GET."""
        session = await self.set_session()
        headers = {"Accept-Encoding": "identity"}
        for method in (session.head, session.get):
            async with method(self.encode_url(url), allow_redirects=True, headers=headers, **self.kwargs) as answer:
                plain = answer.headers.get("Content-Encoding", "identity") == "identity"
                size = answer.headers.get("Content-Length") if plain else None
                if answer.status < 400 and size is not None:
                    return {"name": url, "size": int(size), "type": "file"}
                if method == session.get:
                    self._raise_not_found_for_status(answer, url)
        raise QvlError(f"{url}: the server does not say how large this file is")

    async def _exists(self, path: str, **options: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _cat_file(self, url: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The file or the bytes [start, end) of it, also from a server that ignores ranges."""
        data: bytes = await super()._cat_file(url, start, end, **options)
        if start is not None and end is not None and len(data) > end - start:
            return data[start:end]
        return data

    async def _ls_real(self, url: str, detail: bool = True, **options: Any) -> list[Any]:
        """The links of a page. Those with a query, by which servers sort their listings, are no files."""
        found = await super()._ls_real(url, detail, **options)
        return [each for each in found if "?" not in (each["name"] if detail else each)]

    def _raise_not_found_for_status(self, response: Any, url: str) -> None:
        """Raise for an answer that is not the file.

        Without a secret, a refusal cannot be told from a missing file: many stores hide what is missing from those who may
        not list it.
        """
        status = response.status
        if status in MISSING or (status in REFUSED and not self._secret.is_signed):
            raise FileNotFoundError(url)
        answer = f"{status} {response.reason or ''}".strip()
        if status in REFUSED:
            raise AccessRefused(
                f"{url}: the server refuses its token or password ({answer}); it may have expired. Nothing is lost: put a "
                "new one into the recipe and run the same command again; it continues where this run stopped"
            )
        if status >= 400:
            raise aiohttp.ClientError(f"{url}: {answer}")
