"""What a request had in vain is told in a header that any client can read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ollamamax.contract.ignored import HEADER, MOST_LENGTH, MOST_NAMES, Ignored


def test_each_name_is_told_once_in_order() -> None:
    ignored = Ignored()
    ignored.add(["b", "options.a"])
    ignored.add(["b"])
    assert ignored.headers() == [(HEADER, b"b, options.a")]
    assert list(ignored) == ["b", "options.a"]


def test_nothing_ignored_is_no_header() -> None:
    assert not Ignored()
    assert Ignored().headers() == []


@given(st.lists(st.text(), min_size=1, max_size=3 * MOST_NAMES))
def test_whatever_a_client_calls_its_fields_fits_into_a_header(names: list[str]) -> None:
    ignored = Ignored()
    ignored.add(names)
    [(_, value)] = ignored.headers()
    assert len(value) <= (MOST_NAMES + 1) * (MOST_LENGTH + 5)
    assert all(0x20 <= byte <= 0x7E for byte in value)
