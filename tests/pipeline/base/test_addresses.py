"""Addresses with secrets, and messages that must not give them away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.addresses import (
    Address,
    below,
    printable_query,
    public_address,
    with_ending,
    without_secrets,
)

SIGNED = "https://acct.blob.example/data/00000.tar?sv=2026&sig=a%2Fb%3D"


@pytest.mark.parametrize(
    ("text", "public", "user", "query"),
    [
        (SIGNED, "https://acct.blob.example/data/00000.tar", "", "?sv=2026&sig=a%2Fb%3D"),
        ("https://me:p@ss@h:8080/a?b=1?c", "https://h:8080/a", "me:p@ss@", "?b=1?c"),
        ("http://token@h/a.tar", "http://h/a.tar", "token@", ""),
        ("https://h/a@b/c.tar", "https://h/a@b/c.tar", "", ""),
        ("https://h?sig=x", "https://h", "", "?sig=x"),
        ("s3://bucket/0000?.tar", "s3://bucket/0000?.tar", "", ""),
        ("abfs://container@account/a.tar", "abfs://container@account/a.tar", "", ""),
        ("/data/what?.tar", "/data/what?.tar", "", ""),
    ],
)
def test_address_when_parsed_has_its_parts(text: str, public: str, user: str, query: str) -> None:
    found = Address.of(text)
    assert (found.public, found.user, found.query) == (public, user, query)
    assert found.full == text
    assert found.is_signed == bool(user or query)
    assert public_address(text) == public


def test_address_when_printed_shows_no_secret() -> None:
    found = Address.of("https://me:word@h/a.tar?sig=x")
    assert f"{found} {found!r} {[found]}".count("<Address https://h/a.tar>") == 3


@given(st.text(), st.text())
def test_address_when_joined_again_is_the_same(user: str, path: str) -> None:
    text = f"https://{user}@h/{path}"
    assert Address.of(text).full == text


def test_neighbours_of_an_address_have_its_secret() -> None:
    assert with_ending(SIGNED, ".tar", ".parquet") == SIGNED.replace(".tar", ".parquet")
    assert with_ending("/a/b.tar", ".tar", "_stats.json") == "/a/b_stats.json"
    assert with_ending("https://u:p@h/b?s=1", ".tar", ".parquet") == "https://u:p@h/b.parquet?s=1"
    assert below("https://u:p@h/images/?s=1", "x/a#1?.jpg") == "https://u:p@h/images/x/a%231%3F.jpg?s=1"
    assert below("s3://bucket/images", "a?.jpg") == "s3://bucket/images/a?.jpg"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{SIGNED}: no such file", "https://acct.blob.example/data/00000.tar: no such file"),
        (f"cannot read '{SIGNED}'.", "cannot read 'https://acct.blob.example/data/00000.tar'."),
        (f"URL({SIGNED}), again {SIGNED}", "URL(https://acct.blob.example/data/00000.tar), again "
         "https://acct.blob.example/data/00000.tar"),
        ("http://me:p@ss@h:1/a failed", "http://h:1/a failed"),
        ("ftp://me:word@h/a failed", "ftp://h/a failed"),
        ("abfs://container@account/a.tar?sv=1&sig=x", "abfs://container@account/a.tar"),
        ("s3://bucket/0000?.tar matches nothing", "s3://bucket/0000?.tar matches nothing"),
        ("s3://bucket/?/lang=en/0.tar", "s3://bucket/?/lang=en/0.tar"),
        ("simplecache::https://h/a?sig=x", "simplecache::https://h/a"),
        ("http:/h/x?sig=y: no such recipe", "http:/h/x: no such recipe"),
        ("/tmp/what?a=1 and C:/x?a=1", "/tmp/what?a=1 and C:/x?a=1"),
        ("a mail to me@h? no://", "a mail to me@h? no://"),
        ("what? nothing", "what? nothing"),
    ],
)  # fmt: skip
def test_message_when_it_names_addresses_shows_none_of_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


@given(st.text(alphabet="ab:/?@=&.# '\"\n<", max_size=60))
def test_message_of_any_text_gives_no_query_of_an_address_away(text: str) -> None:
    assert "SECRET" not in without_secrets(f"{text} https://h/a?sig=SECRET")


@pytest.mark.parametrize("text", ["a" * 200_000 + "://", "://" * 70_000, "https://" + "?:" * 100_000, "x://@" * 50_000])
def test_message_when_long_takes_linear_time(text: str) -> None:
    assert len(without_secrets(text)) <= len(text)


def test_query_when_sent_keeps_its_escapes() -> None:
    assert printable_query("?sig=a%2Fb+c=&x='\"") == "?sig=a%2Fb+c=&x='\""
    assert printable_query("?x=a b\u00e9\n") == "?x=a%20b%C3%A9%0A"
