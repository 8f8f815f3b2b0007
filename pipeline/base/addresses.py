"""Addresses (URLs) that carry a secret: a signed query (``?sv=...&sig=...``) or a user with a password.

The secret opens the file and is used for requests alone. Names, identities, outputs and messages have the address without
it, so that a renewed token is the same input and no output or message gives a token away.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

HTTP = re.compile(r"https?://", re.IGNORECASE)
# ``http:/`` is what a path makes of an address
IN_TEXT = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]+://|https?:/)([^\s\"<>]*)")
HOST = re.compile(r"[^/?#]*")
QUERY = re.compile(r"\?[\w.%-]+=")
PUNCTUATION = ".,:;)]}'`"  # at the end of an address in a sentence


@dataclass(frozen=True, slots=True)
class Address:
    """A path or URL in parts: ``public`` without secrets, ``user`` as ``NAME:PASSWORD@``, ``query`` with its ``?``.

    A local path, and the URL of a store other than HTTP, is public as a whole.
    """

    public: str
    user: str = ""
    query: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """The parts of a path or URL."""
        protocol = HTTP.match(text)
        if protocol is None:
            return cls(text)
        before, mark, query = text[protocol.end() :].partition("?")
        host, slash, path = before.partition("/")
        user, at, host = host.rpartition("@")
        return cls(f"{protocol[0]}{host}{slash}{path}", user + at, mark + query)

    def __str__(self) -> str:
        return f"<Address {self.public}>"

    __repr__ = __str__

    @property
    def is_signed(self) -> bool:
        """Whether a secret is part of the address."""
        return bool(self.user or self.query)

    @property
    def full(self) -> str:
        """The address as requests need it."""
        return self.at(self.public)

    def at(self, public: str) -> str:
        """Another address on the same server, with the same secret."""
        if not self.user:
            return public + self.query
        protocol, _, rest = public.partition("://")
        return f"{protocol}://{self.user}{rest}{self.query}"


def public_address(text: str) -> str:
    """A path or URL without the secret that it may carry."""
    return Address.of(text).public


def with_ending(address: str, ending: str, other: str) -> str:
    """The address whose path ends with ``other`` instead of ``ending``; a path with another ending gets ``other`` added."""
    parts = Address.of(address)
    return parts.at(parts.public.removesuffix(ending) + other)


def below(folder: str, name: str) -> str:
    """The address of a file below that of a folder. In HTTP, ``?`` and ``#`` of a name are characters like all others."""
    parts = Address.of(folder)
    if HTTP.match(folder):
        name = name.replace("?", "%3F").replace("#", "%23")
    return parts.at(posixpath.join(parts.public, name))


def without_secrets(text: str) -> str:
    """A message whose addresses have no queries, users and passwords."""
    return IN_TEXT.sub(_public_part, text) if ":/" in text else text


def _public_part(found: re.Match[str]) -> str:
    """An address in a sentence without its secrets.

    Other stores than HTTP need a user without a password (``abfs://container@account``), and their ``?`` is a wildcard
    unless what follows looks like a query.
    """
    protocol, rest = found[1], found[2]
    is_http = protocol.lower().rstrip("/").endswith(("http:", "https:"))
    end = HOST.match(rest).end()  # type: ignore[union-attr]  # it matches every text
    user, at, host = rest[:end].rpartition("@")
    if at and not is_http and ":" not in user:
        host = rest[:end]
    path = rest[end:]
    query = path.find("?") if is_http else next((match.start() for match in QUERY.finditer(path)), -1)
    if query >= 0:
        path = path[:query] + path[len(path.rstrip(PUNCTUATION)) :]
    return f"{protocol}{host}{path}"


def printable_query(query: str) -> str:
    """A query as it may be sent: what is not ASCII, and blanks, are escaped; escapes are left as they are."""
    return quote(query, safe="".join(map(chr, range(33, 127))))
