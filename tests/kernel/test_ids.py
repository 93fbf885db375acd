"""Identifiers are version 7 UUIDs (RFC 9562, section 5.7) in the order of their making."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

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


def test_threads_and_a_forked_child_make_others() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [name for names in threads.map(lambda _: [new_id() for _ in range(2000)], range(8)) for name in names]
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, "".join(new_id()[-16:] for _ in range(200)).encode())
        os._exit(0)
    ours = {new_id()[-16:] for _ in range(200)}
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        theirs = said.read()
    assert len(set(made)) == len(made)
    assert len(theirs) == 200 * 16
    assert ours.isdisjoint(theirs[at : at + 16] for at in range(0, len(theirs), 16))


def test_all_other_bits_are_random() -> None:
    made = [uuid7().int for _ in range(300)]
    assert len(set(made)) == len(made)
    fixed = [bit for bit in range(76) if len({number >> bit & 1 for number in made}) == 1]
    assert fixed == [62, 63]
