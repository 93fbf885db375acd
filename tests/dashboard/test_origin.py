"""An origin is compared whole: scheme, host and port."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dashboard.origin import is_same_origin

SCHEMES = ("http", "https")
HOSTS = ("127.0.0.1", "localhost", "models.example", "evil.example", "[::1]")
PORTS = ("", ":80", ":443", ":8000", ":9999")
OURS = ["localhost", "127.0.0.1", "[::1]", "models.example"]
DEFAULT = {"http": "80", "https": "443"}


def _whole(scheme: str, host: str, port: str) -> tuple[str, str, str]:
    return scheme, host, port.lstrip(":") or DEFAULT[scheme]


def test_only_what_the_request_was_sent_to_and_the_public_url_are_same() -> None:
    public = ("https", "models.example", "")
    asked = list(itertools.product(SCHEMES, HOSTS, ("", ":8000")))
    for origin in itertools.product(SCHEMES, HOSTS, PORTS):
        for scheme, host, port in asked:
            allowed = is_same_origin(
                f"{origin[0]}://{origin[1]}{origin[2]}",
                scheme=scheme,
                host=f"{host}{port}",
                public_url="https://models.example/",
                hosts=OURS,
            )
            own = _whole(*origin) == _whole(scheme, host, port) and host in OURS
            assert allowed == (own or _whole(*origin) == _whole(*public)), (origin, scheme, host, port)


@given(st.text(max_size=60))
def test_nothing_else_is_an_origin(text: str) -> None:
    same = is_same_origin(
        text, scheme="http", host="localhost:8000", public_url="http://localhost:8000", hosts=["localhost"]
    )
    assert not same or text.strip().lower().startswith("http://localhost:8000")


def test_what_only_looks_like_ours_is_not() -> None:
    for text in (
        "",
        "null",
        "localhost:8000",
        "http://localhost:8000@evil.example",
        "http://evil@localhost:8000",
        "http://localhost:8000.evil.example",
        "http://localhost.:8000",
        "ws://localhost:8000",
        "http://localhost:99999999",
    ):
        assert not is_same_origin(text, scheme="http", host="localhost:8000", public_url="", hosts=["localhost"])
