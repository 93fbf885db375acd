"""Whatever a node writes, its readers raise nothing but `Nonsense`, and what they return can be kept, told and calculated with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given, settings

from ollamamax.contract import (
    Delta,
    Failure,
    Final,
    Frame,
    ModelState,
    NodeState,
    NodeStates,
    Nonsense,
    OrderState,
    Started,
    bounds,
    decode_done,
    decode_frames,
    decode_node_state,
    decode_order,
    encode_frames,
    encode_json,
)
from tests.fakes.state import node_state

NODE = "ab" * 16
TICKET = "cd" * 16 + ".1"
MODEL = ModelState("sha256:" + "a" * 64, "evil:latest", "present", "ollama", size=5, bytes_done=3, error="e")
STATE = msgspec.to_builtins(node_state(NODE, models=[MODEL], gpu_note="none"))
ORDER = msgspec.to_builtins(
    OrderState("running", 1.0, [{"status": "pulling", "digest": "x", "total": 3}], "e", "c", 502)
)
COUNTED = {"prompt_tokens": 1, "completion_tokens": 2}
EVENTS: list[Any] = [
    Started(1.0, True, 4096),
    Delta("hello", "hm", 1, [{"id": "c", "function": {"name": "f"}}], [{"token": "x", "logprob": -0.5}]),
    Final("stop", 1, 2, 0, 1.0, 2.0, 3.0, 4.0, [[0.5, 0.25]], {"details": {"family": "llama"}}, scores=[1.5]),
    Failure("engine_failed", "It broke.", 502, "messages", 1, 2),
]
FRAMES = [[TICKET, 0, [msgspec.msgpack.decode(msgspec.msgpack.encode(event)) for event in EVENTS]]]

absurd: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, "", "\0", "a\r\nX-Evil: 1", "x" * 20_000, "\U0010ffff", [], {}, [[]] * 5000, {"": {}}),
        *(-1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 99, 204, 10_000, 10**9),
        *(0.0, -0.0, 1e300, -1e300, 5e-324, math.nan, math.inf, -math.inf),
    ]
)
beyond_json = st.sampled_from([b"\xff", msgspec.msgpack.Ext(5, b"x"), {1: 2}, {b"k": "v"}])


def _places(value: Any) -> list[tuple[Any, ...]]:
    """Paths to everything in it."""
    found: list[tuple[Any, ...]] = [()]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        found += [(name, *rest) for rest in _places(each)]
    return found


def _changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _changed(value[place[0]], place[1:], new)
    return copy


def mutated(good: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The good message with something absurd in one to three of its places."""

    def change(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
        bad = good
        for place, new in changes:
            try:
                bad = _changed(bad, place, new)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError):
                continue  # a change before took that place away
        return bad

    return st.lists(st.tuples(st.sampled_from(_places(good)), values), min_size=1, max_size=3).map(change)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()  # as hostile programs write it: NaN, and numbers of any length


def cut_or_flipped(data: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def change(args: tuple[bytes, float, int, bool]) -> bytes:
        good, where, byte, cut = args
        place = int(where * max(0, len(good) - 1))
        return good[:place] if cut else good[:place] + bytes([byte]) + good[place + 1 :]

    return st.tuples(data, st.floats(0, 1), st.integers(0, 255), st.booleans()).map(change)


def hostile_json(good: Any) -> st.SearchStrategy[bytes]:
    bad = mutated(good, absurd).map(as_json)
    return st.one_of(st.binary(max_size=300), bad, cut_or_flipped(st.one_of(bad, st.just(as_json(good)))))


hostile_frames = st.one_of(
    st.binary(max_size=300),
    mutated(FRAMES, absurd | beyond_json).map(lambda value: msgspec.msgpack.encode(value)),
    cut_or_flipped(st.just(msgspec.msgpack.encode(FRAMES))),
)
DEEP = b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def sane(value: Any) -> None:
    """Postgres, JSON and arithmetic take it."""
    for place in _places(value):
        each = value
        for name in place:
            each = each[name]
        if isinstance(each, int):
            assert -(2**63) < each < 2**63
        elif isinstance(each, float):
            assert math.isfinite(each)
        elif isinstance(each, str):
            each.encode()
        else:
            assert each is None or isinstance(each, dict | list)


@settings(max_examples=400, deadline=None)
@given(hostile_json(STATE))
@example(b'{"node":"\xff"}')
@example(DEEP)
@example(b"")
def test_a_state_is_sane_or_nonsense(data: bytes) -> None:
    try:
        state = decode_node_state(data, NODE)
    except Nonsense as error:
        reason = error.reason
    else:
        reason = ""
        _check_state(state)
    assert reason.isprintable() or not reason
    assert len(reason) <= 200


def _check_state(state: NodeState) -> None:
    sane(msgspec.to_builtins(state))
    assert state.node == NODE
    assert "\0" not in encode_json(state).decode()
    assert b"\\u0000" not in encode_json(state)
    assert 1 <= state.capacity <= bounds.MOST_CAPACITY
    assert all(number >= 0 for number in (state.running, state.waiting, state.memory_total, state.seq))
    assert all((model.size or 0) >= 0 and (model.bytes_done or 0) >= 0 for model in state.models)


def _as_decoded(decode: Callable[[bytes, str], NodeState], data: bytes) -> NodeState | str:
    try:
        return decode(data, NODE)
    except Nonsense as error:
        return "nonsense" if error.reason else ""


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(hostile_json(STATE), st.just(as_json(STATE))), min_size=2, max_size=5))
@example([as_json(STATE), as_json(STATE | {"seq": 7}), as_json(STATE | {"models": STATE["models"][::-1]}), DEEP])
@example([as_json(STATE), as_json(STATE | {"models": STATE["models"] * 2}), as_json(STATE | {"models": []})])
def test_a_state_read_beside_the_one_before_is_what_it_is_alone(said: list[bytes]) -> None:
    states = NodeStates()
    for data in said:
        assert _as_decoded(states.decode, data) == _as_decoded(decode_node_state, data)


def test_models_that_are_said_again_are_the_same_objects() -> None:
    states = NodeStates()
    first = states.decode(as_json(STATE), NODE).models
    assert states.decode(as_json(STATE | {"seq": 7}), NODE).models is first
    changed = [STATE["models"][0] | {"expires_in": 3.0}, *STATE["models"][1:]]
    later = states.decode(as_json(STATE | {"models": changed}), NODE).models
    assert later[0] is not first[0]
    assert all(one is other for one, other in zip(later[1:], first[1:], strict=True))


@settings(max_examples=200, deadline=None)
@given(hostile_json(ORDER))
@example(DEEP)
def test_an_order_is_sane_or_nonsense(data: bytes) -> None:
    try:
        order = decode_order(data)
    except Nonsense:
        return
    sane(msgspec.to_builtins(order))
    assert order.status == 0 or 400 <= order.status <= 599


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.binary(max_size=2) | st.sampled_from([b"t", b"r"]), hostile_json(COUNTED), max_size=3))
@example({b"x": b"y"})
@example({b"t": TICKET.encode(), b"r": DEEP})
def test_the_end_of_a_ticket_is_sane_or_nonsense(fields: dict[bytes, bytes]) -> None:
    try:
        _, counted = decode_done(fields)
    except Nonsense:
        return
    assert 0 <= counted.prompt_tokens <= bounds.MOST_TOKENS
    assert 0 <= counted.completion_tokens <= bounds.MOST_TOKENS


@settings(max_examples=600, deadline=None)
@given(hostile_frames)
@example(b"\x91\x93\xa1\xff\x00\x90")
@example(b"\x91" * 200_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(encode_frames([Frame(TICKET, 0, [Failure("a\r\nX-Evil: 1", "m", 99)])]))
@example(encode_frames([Frame(TICKET, 0, [Final("stop", 2**64 - 1, 2**64 - 1)])]))
@example(encode_frames([Frame(TICKET, 0, [Final("stop", 1, 1, eval_ms=math.nan)])]))
@example(encode_frames([Frame(TICKET, 0, [Final("stop", 1, 1, embeddings=[[math.inf, -math.inf]])])]))
@example(encode_frames([Frame(TICKET, 0, [Final("stop", 1, 1, info={"a": [math.nan]})])]))
def test_frames_are_sane_or_nonsense(data: bytes) -> None:
    try:
        frames = decode_frames(data)
    except Nonsense:
        return
    for frame in frames:
        sane(msgspec.to_builtins(frame))
        for event in frame.events:
            json.dumps(msgspec.to_builtins(event), allow_nan=False)
            if isinstance(event, Failure):
                assert 400 <= event.status <= 599
                assert event.code.isascii()
                assert event.code.isprintable()


@pytest.mark.parametrize(
    "events",
    [
        [Delta("x" * bounds.USUAL_FRAMES_BYTES), *EVENTS],
        [Final("stop", 1, 0, embeddings=[[0.1] * 1000] * 100)],
        [Final("stop", info={"tokens": ["token"] * 200_000})],
        [Delta(str(number)) for number in range(60_000)],
    ],
    ids=["text", "embeddings", "show", "many"],
)
def test_large_frames_of_honest_nodes_are_read_as_small_ones_are(events: list[Any]) -> None:
    frames = [Frame(TICKET, 0, events), Frame(TICKET, len(events), [Failure("c", "m")])]
    data = encode_frames(frames)
    assert len(data) > bounds.USUAL_FRAMES_BYTES / 2
    assert decode_frames(data) == frames


@pytest.mark.parametrize(
    "event",
    [
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [[0] * 600_000]],
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [[]] * 600_000],
        ["d", "", "", 0, [{"a": [[]] * 600_000}]],
        ["d", "", "", 0, [], [{"a": [[]] * 600_000}]],
        ["x" * 600_000],
        [["f"] * 600_000],
    ],
    ids=["numbers of one byte", "empty vectors", "tool calls", "probabilities", "tag", "no tag"],
)
def test_a_large_message_cannot_become_a_much_larger_one_in_memory(event: list[Any]) -> None:
    with pytest.raises(Nonsense):
        decode_frames(msgspec.msgpack.encode([[TICKET, 0, [event]]]))


@pytest.mark.parametrize(
    "event",
    [
        ["d", "", "", 0, [{"a": [[]] * 100_000}]],
        ["d", "", "", 0, [], [{"a": [{}] * 100_000}]],
        ["d", "", "", 0, [], [], [[0]] * 100_000],
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [], {"a": [[]] * 100_000}],
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [[]] * 8000, {"a": [[]] * 100_000}],
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [], {}, 0, 0, [0] * 100_000],
        ["f", "stop", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, [], {}, 0, 0, [], False, False, [1000] * 100_000],
    ],
    ids=["tool calls", "probabilities", "parts of calls", "show", "vectors and show", "scores", "context"],
)
def test_nor_can_many_events_that_are_each_within_their_bounds(event: list[Any]) -> None:
    frames = [[TICKET, number, [event] * 10] for number in range(0, 400, 10)]
    with pytest.raises(Nonsense):
        decode_frames(msgspec.msgpack.encode(frames))


def test_what_is_too_long_is_not_even_looked_at() -> None:
    for decode, most in ((decode_frames, bounds.MOST_FRAMES_BYTES), (decode_order, bounds.MOST_ORDER_BYTES)):
        with pytest.raises(Nonsense, match="bytes, of which at most"):
            decode(bytes(most + 1))
    with pytest.raises(Nonsense, match="bytes, of which at most"):
        decode_node_state(bytes(bounds.MOST_STATE_BYTES + 1), NODE)


def test_a_state_says_whose_it_is() -> None:
    data = encode_json(node_state(NODE))
    assert decode_node_state(data, NODE).node == NODE
    with pytest.raises(Nonsense, match="another node"):
        decode_node_state(data, "0" * 32)
