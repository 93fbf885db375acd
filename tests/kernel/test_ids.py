"""Identifiers are version 7 UUIDs (RFC 9562, section 5.7) in the order of their making."""

from __future__ import annotations

import time
import uuid

from ollamamax.kernel.ids import new_id, uuid7


def test_an_identifier_is_a_version_7_uuid_of_this_moment() -> None:
    for _ in range(200):
        before = time.time_ns() // 1_000_000
        made = uuid7()
        after = time.time_ns() // 1_000_000
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert before <= made.int >> 80 <= after


def test_on_the_wire_it_is_32_hexadecimal_digits() -> None:
    made = new_id()
    assert len(made) == 32
    assert uuid.UUID(made).hex == made


def test_all_other_bits_are_random() -> None:
    made = [uuid7().int for _ in range(300)]
    assert len(set(made)) == len(made)
    fixed = [bit for bit in range(76) if len({number >> bit & 1 for number in made}) == 1]
    assert fixed == [62, 63]
