"""What is read of an ASGI scope."""

from __future__ import annotations

from ollamamax.gateway.http import Scope, header


def test_the_first_header_of_a_name_counts_and_a_missing_one_is_none() -> None:
    scope: Scope = {"headers": [(b"x-one", b"first"), (b"x-two", b"caf\xe9"), (b"x-one", b"second")]}
    assert [header(scope, name) for name in (b"x-one", b"x-two", b"x-none", b"x-one")] == [
        "first",
        "café",
        None,
        "first",
    ]


def test_headers_may_be_any_iterable_of_pairs() -> None:
    assert header({"headers": iter([[b"a", b"1"], [b"a", b"2"]])}, b"a") == "1"
