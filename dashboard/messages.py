"""The messages of the live socket, both ways: their envelopes, and the bounds of what a client may send. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dashboard.topics import MOST_IDS, MOST_ROWS

MOST_BYTES = 4096
"""Of one message of a client."""
MOST_SUBSCRIPTIONS = 32
MESSAGES_PER_SECOND = 10.0
MESSAGES_AT_ONCE = 50

Label = Annotated[str, Meta(min_length=1, max_length=64)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64)]
Ids = Annotated[list[Identifier], Meta(min_length=1, max_length=MOST_IDS)]


class Subscribe(msgspec.Struct, tag_field="type", tag="subscribe", forbid_unknown_fields=True):
    """Begin to tell of a topic, or begin anew where there is a subscription of this ``id``."""

    topic: Annotated[str, Meta(max_length=32)]
    id: Label | None = None
    """By which the subscription is known later; the topic's name where it is left out."""
    after: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """The number of the last event that the client has: if later ones are still held, they come instead of a snapshot."""
    ids: Ids | None = None
    """Of ``nodes`` and ``node``: only these."""
    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] | None = None
    """Of ``nodes``: the first so many by name."""


class Unsubscribe(msgspec.Struct, tag_field="type", tag="unsubscribe", forbid_unknown_fields=True):
    id: Label


FromClient = Subscribe | Unsubscribe


class Welcome(msgspec.Struct, tag_field="type", tag="welcome"):
    """The first message: in which tenant, and which topics may be subscribed to."""

    tenant: str
    topics: list[str]


class TopicSnapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    """All of a topic as it is at number ``seq``."""

    id: str
    topic: str
    seq: int
    at: float
    reason: Literal["subscribed", "behind"]
    """``behind``: the reader was so slow that the events in between are no longer held; this replaces what it knew."""
    data: msgspec.Raw


class TopicEvent(msgspec.Struct, tag_field="type", tag="event"):
    """What changed after number ``since`` up to number ``seq``: one event, or several folded into one for a slow reader."""

    id: str
    topic: str
    since: int
    seq: int
    at: float
    data: msgspec.Raw


class TopicEnded(msgspec.Struct, tag_field="type", tag="ended"):
    """The subscription is over, and nothing more comes of it."""

    id: str
    topic: str
    code: Literal["unsubscribed", "forbidden", "unavailable"]
    detail: str


class Refused(msgspec.Struct, tag_field="type", tag="error"):
    """What the client sent was not taken; the socket stays."""

    code: Literal["invalid_message", "unknown_topic", "forbidden", "too_many_subscriptions", "unavailable"]
    detail: str
    id: str | None = None


class StillThere(msgspec.Struct, tag_field="type", tag="alive"):
    """Sent when nothing else was for some seconds, so that silence means that the connection is dead."""

    at: float


ToClient = Welcome | TopicSnapshot | TopicEvent | TopicEnded | Refused | StillThere

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(FromClient).decode
"""Raises `msgspec.MsgspecError`."""
