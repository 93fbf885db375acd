"""The one way in for everything that a node wrote: bounded before it is decoded, checked while it is, one error when it is nonsense.

Nothing that a node can write raises anything but `Nonsense` here, and what is returned can be kept in Postgres, told to a client, and
calculated with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ollamamax.contract import bounds
from ollamamax.contract.node_log import MOST_LOG_BYTES, NodeLog
from ollamamax.contract.node_state import Counted, NodeState, OrderState, StateBrief, Vitals
from ollamamax.contract.output import Delta, Event, Final, Frame

T = TypeVar("T")
_DEEPEST = 64
"""Lists and maps within each other, in what is passed on as it is."""
_MOST_TOOL_BYTES = 512 << 10
_MOST_LOOSE_BYTES = 8 << 20
"""Of one message, all its events together: what is neither text nor a vector, of which a byte can become many of memory."""
_MOST_CONTAINERS = 1 << 20
"""And so many lists and maps in it: an empty one is a byte, and 72 of memory."""
_CONTAINERS = bytes((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
"""The first bytes of lists and maps in MessagePack. In texts they stand for something else: so there are never more than counted."""
_MOST_EVENTS = 1 << 16
_MOST_VECTORS = 1 << 13
_FLOAT_BYTES = 9
"""A float in MessagePack, as nodes write them."""


class Nonsense(ValueError):
    """What a node wrote cannot be taken. ``reason`` is a short line of plain text, for its owner."""

    def __init__(self, reason: str) -> None:
        # It may hold what the node wrote.
        self.reason = "".join(c if c.isprintable() and c.isascii() else "?" for c in reason[:200])
        super().__init__(self.reason)


_WHATEVER = (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError, MemoryError)
"""All that decoding foreign bytes can raise; UnicodeDecodeError is a ValueError."""


def read_checked(data: bytes, most: int, decode: Callable[[bytes], T]) -> T:
    """Decode what a node wrote, if it has ``most`` bytes or fewer. Raises `Nonsense`, whatever is wrong with it."""
    if len(data) > most:
        raise Nonsense(f"{len(data)} bytes, of which at most {most} are read")
    try:
        return decode(data)
    except Nonsense:
        raise
    except RecursionError:
        raise Nonsense("nested too deeply") from None
    except _WHATEVER as error:
        raise Nonsense(str(error)) from None


# -- state, orders, ends of tickets ------------------------------------------------------------------------------------

_state = msgspec.json.Decoder(NodeState).decode
_brief = msgspec.json.Decoder(StateBrief).decode
_vitals = msgspec.json.Decoder(Vitals).decode
_order = msgspec.json.Decoder(OrderState).decode
_counted = msgspec.json.Decoder(Counted).decode
_log = msgspec.json.Decoder(NodeLog).decode


def decode_node_state(data: bytes, node: str) -> NodeState:
    """The state of ``node``: the key or channel says whose it is, the text in it must say the same. Raises `Nonsense`."""
    state = read_checked(data, bounds.MOST_STATE_BYTES, _state)
    if state.node != node:
        raise Nonsense("the state is of another node")
    return state


def decode_state_brief(data: bytes, node: str) -> StateBrief:
    """The brief of ``node``, or that in its state. Raises `Nonsense`; what it does not read may be nonsense all the same."""
    brief = read_checked(data, bounds.MOST_STATE_BYTES, _brief)
    if brief.node != node:
        raise Nonsense("the state is of another node")
    return brief


def decode_vitals(data: bytes, node: str) -> Vitals:
    """The same without the models. Raises `Nonsense`."""
    vitals = read_checked(data, bounds.MOST_STATE_BYTES, _vitals)
    if vitals.node != node:
        raise Nonsense("the state is of another node")
    return vitals


def decode_order(data: bytes) -> OrderState:
    """Raises `Nonsense`."""
    return read_checked(data, bounds.MOST_ORDER_BYTES, _order)


def decode_node_log(data: bytes) -> NodeLog:
    """Raises `Nonsense`."""
    return read_checked(data, MOST_LOG_BYTES, _log)


def decode_done(fields: Mapping[bytes, bytes]) -> tuple[str, Counted]:
    """A ticket and what was counted of it, of an entry in the node's stream of ends. Raises `Nonsense`."""
    ticket, counted = fields.get(b"t", b""), fields.get(b"r", b"")
    if not 0 < len(ticket) <= 64 or not ticket.isascii():
        raise Nonsense("an end of no ticket")
    return ticket.decode("ascii"), read_checked(counted, bounds.MOST_DONE_BYTES, _counted)


# -- frames ------------------------------------------------------------------------------------------------------------

_frames = msgspec.msgpack.Decoder(list[Frame]).decode


def decode_frames(data: bytes) -> list[Frame]:
    """Raises `Nonsense`."""
    usual = len(data) <= bounds.USUAL_FRAMES_BYTES
    frames = read_checked(data, bounds.MOST_FRAMES_BYTES, _frames if usual else _large)
    for frame in frames:
        for event in frame.events:
            if type(event) is Delta:
                if event.tool_calls or event.logprobs:
                    _check(event.tool_calls, event.logprobs)
            elif type(event) is Final:
                # No prompt has more kept tokens than tokens; what was kept may cost less.
                event.cached_tokens = min(event.cached_tokens, event.prompt_tokens)
                if event.info or event.embeddings or event.scores:
                    _check(event.info)
                    _check_numbers(event.scores, *event.embeddings)
    return frames


def _check(*values: Any) -> None:
    for value in values:
        _plain(value, 0)


def _plain(value: Any, depth: int) -> None:
    """Whether it can be told as JSON: what an engine said is passed on to clients as it is."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -bounds.LARGEST <= value <= bounds.LARGEST:
            raise Nonsense("a number beyond 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise Nonsense("a number that is none")
    elif depth > _DEEPEST:
        raise Nonsense("nested too deeply")
    elif kind is list:
        for each in value:
            _plain(each, depth + 1)
    elif kind is dict:
        for name, each in value.items():
            if type(name) is not str:
                raise Nonsense("a name that is no text")
            _plain(each, depth + 1)
    else:
        raise Nonsense("a value that JSON does not have")


def _check_numbers(*lists: list[float]) -> None:
    for each in lists:
        # One sum tells: infinities and NaN do not go away in it. It may overflow by itself only with numbers that no model has.
        if not math.isfinite(sum(each)):
            raise Nonsense("a number that is none")


class _LargeFrame(msgspec.Struct, array_like=True):
    ticket: Annotated[str, Meta(max_length=64)]
    seq: bounds.Count
    events: msgspec.Raw


class _Left:
    """What may still be made of one large message."""

    __slots__ = ("_containers", "_events", "_loose")

    def __init__(self) -> None:
        self._events, self._loose, self._containers = _MOST_EVENTS, _MOST_LOOSE_BYTES, _MOST_CONTAINERS

    def event(self) -> None:
        self._events -= 1
        if self._events < 0:
            raise Nonsense("too many events in one message")

    def loose(self, part: bytes) -> None:
        self._loose -= len(part)
        self._containers -= len(part) - len(part.translate(None, _CONTAINERS))
        if self._loose < 0 or self._containers < 0:
            raise Nonsense("too many values in one message")


def _large(data: bytes) -> list[Frame]:
    """The same frames, without ever making much more of them than they are."""
    left = _Left()
    frames = []
    for frame in _large_frames(data):
        events: list[Event] = []
        for raw in _raws(frame.events):
            left.event()
            events.append(_large_event(bytes(raw), left))
        frames.append(Frame(frame.ticket, frame.seq, events))
    return frames


def _large_event(raw: bytes, left: _Left) -> Event:
    parts = [bytes(field) for field in _raws(raw)]
    tag = _text(parts[0]) if parts else ""
    if tag == "f":
        return _large_final(parts, left)
    if tag == "d":
        for part in parts[_TOOL_CALLS:]:
            if len(part) > _MOST_TOOL_BYTES:
                raise Nonsense("a tool call or probabilities that are too large")
            left.loose(part)
    return _event(raw)


def _large_final(parts: list[bytes], left: _Left) -> Event:
    vectors = scores = None
    if len(parts) > _EMBEDDINGS:
        vectors, parts[_EMBEDDINGS] = parts[_EMBEDDINGS], b"\x90"
    if len(parts) > _SCORES:
        scores, parts[_SCORES] = parts[_SCORES], b"\x90"
    for part in parts:
        left.loose(part)
    final = _event(_array(parts))
    if type(final) is not Final:
        raise Nonsense("an event of an unknown kind")
    if vectors is not None:
        final.embeddings = _vectors(vectors)
    if scores is not None:
        final.scores = _floats(scores)
    return final


_TOOL_CALLS = 1 + Delta.__struct_fields__.index("tool_calls")
_EMBEDDINGS = 1 + Final.__struct_fields__.index("embeddings")
_SCORES = 1 + Final.__struct_fields__.index("scores")
"""Places in an event as it is written: its tag comes first."""

_large_frames = msgspec.msgpack.Decoder(Annotated[list[_LargeFrame], Meta(max_length=1 << 13)]).decode
_raws = msgspec.msgpack.Decoder(Annotated[list[msgspec.Raw], Meta(max_length=_MOST_EVENTS)]).decode
_text = msgspec.msgpack.Decoder(str).decode
_event: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode
_vector = msgspec.msgpack.Decoder(list[float]).decode


def _array(parts: list[bytes]) -> bytes:
    """A MessagePack array of encoded parts."""
    return b"\xdc" + len(parts).to_bytes(2, "big") + b"".join(parts)


def _vectors(raw: bytes) -> list[list[float]]:
    vectors = [bytes(vector) for vector in _raws(raw)]
    if len(vectors) > _MOST_VECTORS:
        raise Nonsense("too many vectors")
    return [_floats(vector) for vector in vectors]


def _floats(vector: bytes) -> list[float]:
    # Numbers of one byte each would become 32 times as large.
    if (len(vector) - 5) // _FLOAT_BYTES > _length(vector) or _length(vector) * _FLOAT_BYTES > len(vector):
        raise Nonsense("a vector of something else than floats")
    return _vector(vector)


def _length(array: bytes) -> int:
    """How many elements an encoded array has."""
    first = array[0]
    if first == 0xDC:
        return int.from_bytes(array[1:3], "big")
    if first == 0xDD:
        return int.from_bytes(array[1:5], "big")
    return first & 0x0F if 0x90 <= first <= 0x9F else 0
