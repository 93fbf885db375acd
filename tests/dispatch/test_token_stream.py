"""A stream gives each event once and in order, whatever arrives twice or late."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from cluster.dispatch.token_stream import TokenStream
from ollamamax.contract import Delta, Event, Failure, Final, Frame

EVENTS: list[Event] = [*[Delta(text=str(index), tokens=1) for index in range(20)], Final("stop")]


async def read(stream: TokenStream) -> list[Event]:
    events = []
    while not stream.finished:
        events.append(await stream.next())
    return events


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=30), st.randoms())
def test_overlapping_frames_in_any_order_give_each_event_once(
    pieces: list[tuple[int, int]], rng: random.Random
) -> None:
    stream = TokenStream("t", "n")
    rng.shuffle(pieces)
    for start, length in pieces:
        if not stream.take(Frame("t", start, EVENTS[start : start + length])):
            # A gap: the node is asked for everything from `expected` on.
            stream.take(Frame("t", stream.expected, EVENTS[stream.expected : start + length]))
    stream.take(Frame("t", stream.expected, EVENTS[stream.expected :]))
    assert asyncio.run(read(stream)) == EVENTS


@given(st.lists(st.tuples(st.sampled_from("nmo"), st.integers(0, 20), st.integers(1, 8)), max_size=30))
def test_what_came_before_it_was_known_whose_the_ticket_is_counts_when_its_own_node_wrote_it(
    pieces: list[tuple[str, int, int]],
) -> None:
    """Another node's words are not taken, wherever they stand among those of the node that was given it."""
    stream, told = TokenStream("t", ""), TokenStream("t", "n")
    for writer, start, length in pieces:
        events: list[Event] = [Delta(text=writer + str(number)) for number in range(start, start + length)]
        assert stream.hold(writer, Frame("t", start, events))
        if writer == "n":
            told.take(Frame("t", start, events))
    assert (stream.has_output, stream.expected) == (False, 0)
    stream.give("n")
    for each in (stream, told):
        each.take(Frame("t", each.expected, [Final("stop")]))
    assert asyncio.run(read(stream)) == asyncio.run(read(told))


def test_what_comes_early_is_bounded() -> None:
    for frame in (Frame("t", 0, [Delta(text="x" * 1000)]), Frame("t", 0, []), Frame("t", 0, [Final("stop")])):
        stream = TokenStream("t", "")
        held = sum(stream.hold("n", frame) for _ in range(3000))
        assert 100 < held < 2000


def test_a_gap_is_seen() -> None:
    stream = TokenStream("t", "n")
    assert stream.take(Frame("t", 0, EVENTS[:2]))
    assert not stream.take(Frame("t", 3, EVENTS[3:4]))
    assert stream.expected == 2


async def test_an_interruption_comes_before_what_waits_and_the_stream_goes_on() -> None:
    stream = TokenStream("t", "n")
    stream.take(Frame("t", 0, EVENTS[:1]))
    left = Failure("client_gone", "gone", 499)
    stream.interrupt(left)
    assert await stream.next() is left
    assert await stream.next() == EVENTS[0]
    assert not stream.ended


async def test_nothing_comes_after_the_end() -> None:
    stream = TokenStream("t", "n")
    lost = Failure("node_lost", "lost")
    stream.end(lost)
    stream.take(Frame("t", 0, EVENTS))
    stream.end(Failure("node_lost", "again"))
    assert await read(stream) == [lost]


async def test_a_reader_that_waits_is_woken() -> None:
    stream = TokenStream("t", "n")
    reading = asyncio.create_task(read(stream))
    await asyncio.sleep(0)
    stream.take(Frame("t", 0, EVENTS))
    assert await reading == EVENTS
