"""The secret box opens what it sealed, where it belongs, with any key of its ring, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.secret_box import CannotOpen, SecretBox, derived_key

OLD, NEW = derived_key("old"), derived_key("new")


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_was_sealed_is_opened_in_its_place(plain: bytes, place: str) -> None:
    box = SecretBox([NEW, OLD])
    assert box.open(box.seal(plain, place), place) == plain


@given(st.binary(max_size=300), st.data())
def test_a_changed_bit_is_noticed_wherever_it_is(plain: bytes, data: st.DataObject) -> None:
    box = SecretBox([NEW])
    sealed = bytearray(box.seal(plain, "row:1"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CannotOpen):
        box.open(bytes(sealed), "row:1")


@given(st.binary(max_size=100))
def test_random_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(CannotOpen):
        SecretBox([NEW]).open(junk, "row:1")


def test_a_value_cannot_be_put_into_another_row() -> None:
    box = SecretBox([NEW])
    with pytest.raises(CannotOpen):
        box.open(box.seal(b"text", "row:1"), "row:2")


def test_an_older_key_opens_what_it_sealed_and_the_newest_seals() -> None:
    before = SecretBox([OLD]).seal(b"text", "row:1")
    box = SecretBox([NEW, OLD])
    assert box.open(before, "row:1") == b"text"
    assert not box.is_current(before)
    assert box.is_current(box.seal(b"text", "row:1"))
    with pytest.raises(CannotOpen):
        SecretBox([NEW]).open(before, "row:1")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b""]])
def test_a_box_needs_whole_keys(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretBox(keys)
