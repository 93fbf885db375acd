"""Whatever a client sends is understood, or refused as its fault; what is understood can be passed on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.contract.from_client import MOST_DEPTH, MOST_ITEMS, decode
from ollamamax.kernel.errors import InvalidRequest


class Part(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    count: int | None = None


class Body(msgspec.Struct):
    model: str
    parts: list[Part] = []
    schema: dict[str, Any] = {}
    seed: int | None = None
    anything: Any = None


anything, typed = msgspec.json.Decoder(), msgspec.json.Decoder(Body)
scraps = st.lists(
    st.sampled_from(
        [
            *(
                b"{",
                b"}",
                b"[",
                b"]",
                b":",
                b",",
                b'"model"',
                b'"parts"',
                b'"schema"',
                b'"seed"',
                b'"content"',
                b'"x"',
                b'"',
            ),
            *(
                b"18446744073709552000",
                b"-9223372036854775809",
                b"9" * 400,
                b"1e999",
                b"-0",
                b"1.5",
                b"0x1",
                b"NaN",
                b"Infinity",
            ),
            *(
                b"null",
                b"true",
                b'"\\ud800"',
                b'"\\udc00"',
                b'"\\u0000"',
                b'"\xff"',
                b'"\xed\xa0\x80"',
                b"[" * 70,
                b'{"a":' * 2000,
            ),
        ]
    )
    | st.binary(max_size=8),
    max_size=40,
).map(b"".join)


@given(scraps)
def test_random_bytes_are_understood_or_refused(body: bytes) -> None:
    for decoder in (anything, typed):
        try:
            found = decode(decoder, body)
        except InvalidRequest:
            pass
        else:
            msgspec.msgpack.encode(found)
            msgspec.json.encode(found)


numbers = st.integers(-(1 << 70), 1 << 70) | st.integers(-(10**400), 10**400)
values = st.recursive(
    numbers | st.none() | st.booleans() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(values, numbers)
def test_numbers_beyond_64_bits_pass_where_they_are_anothers_and_are_refused_where_they_are_ours(
    value: Any, ours: int
) -> None:
    body = msgspec.json.encode({"model": "m", "anything": [value]})
    try:
        found = decode(typed, body)
    except InvalidRequest:
        assert any(abs(number) > 1e308 for number in _numbers(value))
    else:
        msgspec.msgpack.encode(found)
        assert [float(each) for each in _numbers(found.anything)] == [float(each) for each in _numbers(value)]
    try:
        found = decode(typed, msgspec.json.encode({"model": "m", "seed": ours}))
    except InvalidRequest:
        assert not -(1 << 63) <= ours < 1 << 64
    else:
        assert found.seed == ours


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in _numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize(
    ("depth", "good"), [(MOST_DEPTH - 5, True), (MOST_DEPTH + 5, False), (500, False), (100_000, False)]
)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_has_a_bound(opening: bytes, depth: int, good: bool) -> None:
    closing = b"]" if opening == b"[" else b"}"
    body = b'{"model":"m","anything":' + opening * depth + b"1" + closing * depth + b"}"
    for decoder in (anything, typed):
        if good:
            decode(decoder, body)
            continue
        with pytest.raises(InvalidRequest, match="nested"):
            decode(decoder, body)


def test_a_schema_with_the_largest_number_of_javascript_is_kept() -> None:
    found = decode(typed, b'{"model":"m","schema":{"maximum":18446744073709552000,"x":[18446744073709551615]}}')
    assert found.schema == {"maximum": 18446744073709552000.0, "x": [18446744073709551615]}


leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([2**63, 2**64, -(2**63) - 1]),
)
nested = st.recursive(
    leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3))
)


@given(nested, st.integers(0, 80), nested)
def test_a_short_body_is_bounded_as_a_long_one(value: Any, depth: int, seed: Any) -> None:
    """A short one is looked through before, a long one after it was decoded."""

    def told(body: bytes) -> Any:
        try:
            return decode(typed, body)
        except InvalidRequest as error:
            return str(error), error.fields

    for _ in range(depth):
        value = [value]
    body = json.dumps({"model": "m", "anything": value, "seed": seed}).encode()
    assert told(body) == told(body + b" " * 5000)


def test_a_list_has_a_bound_wherever_it_stands() -> None:
    def body(items: int) -> bytes:
        return b'{"model":"m","schema":{"a":[' + b"1," * (items - 1) + b"1]}}"

    with pytest.raises(InvalidRequest, match=f"may have {MOST_ITEMS}") as refused:
        decode(typed, body(MOST_ITEMS + 1))
    assert refused.value.fields["param"] == "schema"
    assert len(decode(typed, body(MOST_ITEMS)).schema["a"]) == MOST_ITEMS
